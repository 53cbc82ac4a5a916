/**
 * npm run bench:dataplane [-- --help]
 *
 * Cable with a realistic security group, beside what others do with a packet: a pair of devices with nothing between, a Linux bridge and a bridge with kernel VXLAN that do
 * no policy, anti-spoofing or routing; a bridge with an equal stateful group in nftables and in iptables; Open vSwitch with its userspace datapath; Linux routing with
 * connection tracking that translates, and that gives connections to members. All paths are measured in turn in every round; the table shows medians and the median of the ratios within a round, so that a machine whose speed drifts does not favour one.
 */
import { writeFileSync } from 'node:fs';
import { type Contestant, chosen, lineUp, nameOf } from './dataplane/line-up.ts';
import { type Options, readOptions } from './dataplane/options.ts';
import { drawRatios } from './dataplane/picture.ts';
import { type Measured, memoryTableOf, rowsOf, tablesOf } from './dataplane/report.ts';
import { buildCable, type CableBed } from './lib/cable.ts';
import { interruption, runInterruptibly } from './lib/interruption.ts';
import { buildLinuxPaths } from './lib/linux.ts';
import type { MemoryRow } from './lib/memory.ts';
import { buildProgram } from './lib/programs.ts';
import { measure, measureDatagrams } from './lib/traffic.ts';

const say = (line: string): void => {
  process.stderr.write(`bench: ${line}\n`);
};

async function main(): Promise<void> {
  const options = readOptions(process.argv.slice(2));
  if (options === undefined) return;
  const netbench = buildProgram('netbench');
  const linux = buildLinuxPaths('cbench-');
  const beds: CableBed[] = [];
  try {
    const { encapsulation } = options;
    const bed = await buildCable({ store: 'lmdb', say, encapsulation, hasOutside: true });
    beds.push(bed);
    const crowded = await buildCable({ name: 'cbenchcrowd', store: 'lmdb', say, encapsulation });
    beds.push(crowded);
    const { all, memory } = await lineUp({ linux, bed, crowded }, options, say);
    const contestants = chosen(all, options.only);
    for (let round = 1; round <= options.rounds; round += 1) {
      for (const contestant of contestants) {
        const { path, flows, samples } = contestant;
        interruption.throwIfAborted();
        say(`round ${round} of ${options.rounds}: ${nameOf(contestant)}`);
        const how = { netbench, seconds: options.seconds };
        samples.push(await (flows === undefined ? measure(path, how) : measureDatagrams(path, { ...how, flows })));
      }
    }
    report(contestants, memory, options);
  } finally {
    await linux.close();
    for (const bed of beds) await bed.close();
  }
}

function report(
  contestants: readonly Contestant[],
  memory: readonly MemoryRow[],
  { rounds, seconds, json, svg }: Options,
): void {
  const measured = new Map<Contestant, Measured>();
  for (const one of contestants) {
    const against = one.against.flatMap((peer) => measured.get(peer) ?? []);
    measured.set(one, { name: nameOf(one), samples: one.samples, against });
  }
  const rows = rowsOf([...measured.values()]);
  if (svg !== undefined) writeFileSync(svg, drawRatios(rows));
  if (json) {
    process.stdout.write(`${JSON.stringify({ rounds, seconds, rows, memory }, null, 2)}\n`);
    return;
  }
  process.stdout.write(`${tablesOf(rows)}\n${memoryTableOf(memory)}\n`);
  process.stdout.write(
    `medians of ${rounds} rounds of ${seconds} s, of ratios within a round; that of a time or a cost is turned round\n`,
  );
}

await runInterruptibly(main);
