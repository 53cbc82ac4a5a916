/**
 * npm run bench:dataplane [-- --help]
 *
 * Cable with a realistic security group, beside what others do with a packet: a pair of devices with nothing between, a Linux bridge and a bridge with kernel VXLAN that do
 * no policy, anti-spoofing or routing; a bridge with an equal stateful group in nftables and in iptables; Open vSwitch with its userspace datapath. All paths are measured
 * in turn in every round; the table shows medians and the median of the ratios within a round, so that a machine whose speed drifts does not favour one.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type Options, readOptions } from './dataplane/options.ts';
import { drawRatios } from './dataplane/picture.ts';
import { type Measured, rowsOf, tablesOf } from './dataplane/report.ts';
import { buildCable, type CableBed, createGroup } from './lib/cable.ts';
import { interruption, runInterruptibly } from './lib/interruption.ts';
import { buildLinuxPaths, type LinuxPaths } from './lib/linux.ts';
import type { Path } from './lib/net.ts';
import { measure, measureDatagrams, type Sample } from './lib/traffic.ts';

/** A path, whom its figures are divided by, and its samples. `flows`: of how many the datagrams are, which alone are measured then. */
type Contestant = {
  readonly path: Path;
  readonly against: readonly Contestant[];
  readonly flows?: number;
  readonly samples: Partial<Sample>[];
};

const FEW_RULES = 10;

const say = (line: string): void => {
  process.stderr.write(`bench: ${line}\n`);
};

async function main(): Promise<void> {
  const options = readOptions(process.argv.slice(2));
  if (options === undefined) return;
  const netbench = buildNetbench();
  const linux = buildLinuxPaths('cbench-');
  let bed: CableBed | undefined;
  try {
    bed = await buildCable('lmdb', say, options.encapsulation);
    const contestants = chosen(await lineUp(linux, bed, options), options.only);
    for (let round = 1; round <= options.rounds; round += 1) {
      for (const { path, flows, samples } of contestants) {
        interruption.throwIfAborted();
        say(`round ${round} of ${options.rounds}: ${nameOf(path, flows)}`);
        const how = { netbench, seconds: options.seconds };
        samples.push(await (flows === undefined ? measure(path, how) : measureDatagrams(path, { ...how, flows })));
      }
    }
    report(contestants, options);
  } finally {
    await linux.close();
    await bed?.close();
  }
}

function buildNetbench(): string {
  const source = fileURLToPath(new URL('netbench.c', import.meta.url));
  const directory = fileURLToPath(new URL('../build/bench', import.meta.url));
  const program = `${directory}/netbench`;
  if (existsSync(program) && statSync(program).mtimeMs > statSync(source).mtimeMs) return program;
  mkdirSync(directory, { recursive: true });
  execFileSync('gcc', ['-O2', '-Wall', '-Wextra', '-Werror', '-pthread', '-o', program, source], { stdio: 'inherit' });
  return program;
}

/** Peers come before those who are compared with them. */
async function lineUp(linux: LinuxPaths, bed: CableBed, options: Options): Promise<readonly Contestant[]> {
  const all: Contestant[] = [];
  const enter = (path: Path, against: readonly Contestant[] = [], flows?: number): Contestant => {
    const one = { path, against, samples: [], ...(flows === undefined ? {} : { flows }) };
    all.push(one);
    return one;
  };
  enter(linux.direct);
  const [bridge, vxlan] = [enter(linux.bridge), enter(linux.vxlan)];
  for (const rules of [FEW_RULES, options.rules]) {
    const filters = [enter(linux.filtered('nftables', rules)), enter(linux.filtered('iptables', rules))];
    const ovs = enter(await linux.openVswitch(rules));
    say(`making pods whose security group has ${rules} rules`);
    const group = await createGroup(bed.client, rules);
    const { h1, h2 } = bed.names;
    const client = await bed.addPod(`a${rules}`, h1, group);
    const near = await bed.addPod(`b${rules}`, h1, group);
    const far = await bed.addPod(`c${rules}`, h2, group);
    const path = (name: string, to: { netns: string; address: string }): Path => ({
      ...{ name: `Cable, ${name}, ${rules} rules`, client: client.netns },
      ...{ server: to.netns, serverAddress: to.address },
    });
    enter(path('same host', near), [bridge, ...filters, ovs]);
    enter(path('two hosts', far), [vxlan]);
    if (rules !== FEW_RULES) continue;
    for (const flows of options.flows) {
      const peers = [bridge, ...filters].map((peer) => enter(peer.path, [], flows));
      enter(path('same host', near), peers, flows);
      enter(path('two hosts', far), [enter(linux.vxlan, [], flows)], flows);
    }
  }
  return all;
}

/** Those whose name has the text, and whom they are compared with. */
function chosen(all: readonly Contestant[], only: string | undefined): readonly Contestant[] {
  if (only === undefined) return all;
  const wanted = all.filter(({ path, flows }) => nameOf(path, flows).includes(only));
  if (wanted.length === 0) throw new Error(`--only: no contestant's name contains "${only}"`);
  return all.filter((one) => wanted.includes(one) || wanted.some(({ against }) => against.includes(one)));
}

function nameOf({ name }: Path, flows: number | undefined): string {
  return flows === undefined ? name : `${name}, ${flows} flows`;
}

function report(contestants: readonly Contestant[], { rounds, seconds, json, svg }: Options): void {
  const measured = new Map<Contestant, Measured>();
  for (const one of contestants) {
    const against = one.against.flatMap((peer) => measured.get(peer) ?? []);
    measured.set(one, { name: nameOf(one.path, one.flows), samples: one.samples, against });
  }
  const rows = rowsOf([...measured.values()]);
  if (svg !== undefined) writeFileSync(svg, drawRatios(rows));
  if (json) {
    process.stdout.write(`${JSON.stringify({ rounds, seconds, rows }, null, 2)}\n`);
    return;
  }
  process.stdout.write(`${tablesOf(rows)}\n`);
  process.stdout.write(
    `medians of ${rounds} rounds of ${seconds} s, of ratios within a round; that of a time or a cost is turned round\n`,
  );
}

await runInterruptibly(main);
