import type { ChildProcess } from 'node:child_process';
import Table from 'cli-table3';
import { type Measured, type ReportRow, rowsOf, tablesOf } from '../dataplane/report.ts';
import { type CableBed, createGroup } from '../lib/cable.ts';
import { addClusterServices, type ClusterServices } from '../lib/cluster-services.ts';
import { interruption } from '../lib/interruption.ts';
import { buildLinuxPaths } from '../lib/linux.ts';
import type { Moved } from '../lib/linux-router.ts';
import type { Path } from '../lib/net.ts';
import { buildProgram } from '../lib/programs.ts';
import { median, quantile } from '../lib/statistics.ts';
import { measure, type Sample } from '../lib/traffic.ts';
import { listen, runScript } from './arrivals.ts';
import type { Options } from './options.ts';

/** `services`: of how many it is one. `times`: from the change of an endpoint to the first packet at the new one, ms. */
export type UpdateTimes = { readonly name: string; readonly services: number; readonly times: readonly number[] };

export type ServiceFigures = { readonly rows: readonly ReportRow[]; readonly updates: readonly UpdateTimes[] };

/** A packet so often, each from a port of its own: one that has begun stays where it is. */
const EVERY_MS = 1;
/** Changes of the endpoint in a round. */
const MOVES = 4;

const SENDER = `const [port,address]=process.argv.slice(1);
setInterval(()=>{const s=require('node:dgram').createSocket('udp4');s.send('x',Number(port),address,()=>s.close())},${EVERY_MS})`;

type Contestant = {
  readonly path: Path;
  readonly moved: Moved | undefined;
  readonly samples: Sample[];
  readonly times: number[];
};

/**
 * A pod asks another of its host by a Service, and without: of so many Services, one count after the other; beside Linux with what the proxies of Kubernetes write.
 * Rounds go by turns among those of one count.
 */
export async function measureServices(
  bed: CableBed,
  { services: counts, rounds, seconds }: Pick<Options, 'services' | 'rounds' | 'seconds'>,
  say: (line: string) => void,
): Promise<ServiceFigures> {
  const netbench = buildProgram('netbench');
  const linux = buildLinuxPaths('cbench-');
  const measured: Measured[] = [];
  const updates: UpdateTimes[] = [];
  try {
    const cluster = await addClusterServices(bed, await createGroup(bed.client, 10));
    for (const services of counts) {
      say(`making ${services} Services`);
      await cluster.growTo(services);
      const contestants = lineUp(cluster, services, linux);
      for (let round = 1; round <= rounds; round += 1) {
        for (const { path, moved, samples, times } of contestants) {
          interruption.throwIfAborted();
          say(`round ${round} of ${rounds}: ${path.name}`);
          samples.push(await measure(path, { netbench, seconds }));
          if (moved !== undefined) times.push(...(await measureMoves(path, moved)));
        }
      }
      const [direct, nftables, iptables, served] = contestants.map(({ path: { name }, samples }): Measured => {
        return { name, samples, against: [] };
      });
      if (direct === undefined || nftables === undefined || iptables === undefined || served === undefined) continue;
      measured.push(direct, nftables, iptables, { ...served, against: [direct, nftables, iptables] });
      for (const { path, moved, times } of contestants) {
        if (moved !== undefined) updates.push({ name: path.name, services, times });
      }
    }
    return { rows: rowsOf(measured), updates };
  } finally {
    await linux.close();
  }
}

/** Peers come before who is compared with them. */
function lineUp(
  { direct, served, moved }: ClusterServices,
  services: number,
  linux: ReturnType<typeof buildLinuxPaths>,
): readonly Contestant[] {
  const enter = (path: Path, of?: Moved): Contestant => ({ path, moved: of, samples: [], times: [] });
  const peers = (['nftables', 'iptables'] as const).map((by) => {
    const path = linux.services(by, services);
    return enter(path, path.moved);
  });
  return [
    enter({ ...direct, name: `${direct.name}, beside ${services}` }),
    ...peers,
    enter({ ...served, name: `${served.name} of ${services}` }, moved),
  ];
}

/** To and fro; the first time warms up, and leads to the second address. */
async function measureMoves({ client, server }: Path, moved: Moved): Promise<readonly number[]> {
  const children: ChildProcess[] = [];
  try {
    const arrivals = await listen(server, moved.port, moved.addresses);
    children.push(arrivals.child, runScript(client, SENDER, [String(moved.port), moved.address]));
    await arrivals.after(0n, 0);
    const times: number[] = [];
    for (let move = 0; move <= MOVES + 1; move += 1) {
      const which = move % 2 === 0 ? 1 : 0;
      const from = process.hrtime.bigint();
      await moved.moveTo(which);
      const at = await arrivals.after(from, which);
      // What is on its way to the other address is over before the next.
      await new Promise((resolve) => setTimeout(resolve, 300));
      if (move > 0) times.push(Number(at - from) / 1e6);
    }
    return times;
  } finally {
    for (const child of children) child.kill('SIGKILL');
  }
}

export function servicesTables({ rows, updates }: ServiceFigures): string {
  const head = ['an endpoint changes', 'Services', 'median ms', 'slowest ms'];
  const table = new Table({ head, style: { head: [], border: [] } });
  for (const { name, services, times } of updates) {
    table.push([name, services, median(times).toFixed(1), quantile(times, 1).toFixed(1)]);
  }
  return `${tablesOf(rows)}\n${table.toString()}`;
}
