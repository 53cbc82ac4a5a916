import { median } from '../lib/statistics.ts';
import { type Context, call, createNetwork, portRequest, processesOf, sendAll, warmUp } from './context.ts';
import { type DiskSyncs, diskSyncs } from './etcd-metrics.ts';
import type { Request } from './http-connection.ts';
import type { JobResult } from './job.ts';
import { type Goal, type Measured, type Row, ratePerSecond, rowOf } from './rows.ts';

/** Who makes ports, or what is written for one. */
type Maker = {
  readonly what: string;
  readonly isPeer: boolean;
  readonly run: (clients: number) => Promise<JobResult>;
};

const SECTION = 'create';
/** Addresses enough for any run. */
const CIDR = '10.0.0.0/8';
const WARM_UP_CLIENTS = 32;

/**
 * One port a request. Beside it, in every round, the peers at the same concurrency: the bare transaction of such a port by etcd's own API, one a request; and the same
 * transaction through @cable/store, which sends those that wait together.
 */
export async function measureCreates(context: Context): Promise<Measured> {
  const { bed, extent, say } = context;
  const { networkId } = await createNetwork(context, CIDR);
  const request = portRequest(networkId);
  const makers = await makersOf(context, networkId, request);
  await warmUp(context, request);
  for (const { isPeer, run } of makers) if (isPeer) await run(WARM_UP_CLIENTS);
  const before = await syncsOf(context);
  const rounds = new Map<string, JobResult[]>();
  for (let round = 1; round <= extent.rounds; round += 1) {
    for (const clients of extent.levels) {
      say(`${bed.store}: create: ${clients} clients, round ${round} of ${extent.rounds}`);
      for (const { what, run } of makers) {
        const key = `${what} ${clients}`;
        rounds.set(key, [...(rounds.get(key) ?? []), await run(clients)]);
      }
    }
  }
  const rows = extent.levels.flatMap((clients) =>
    makers.map((maker) => rowOfMaker(context, maker, clients, makers, rounds)),
  );
  return { rows, facts: factsOf(before, await syncsOf(context)) };
}

async function makersOf(context: Context, networkId: string, request: Request): Promise<readonly Maker[]> {
  const { bed, clients, extent } = context;
  const port = await call(context, 'POST', '/v2.0/ports', { port: { network_id: networkId } });
  const peer = (kind: 'etcd' | 'store', what: string, address: string): Maker => ({
    what,
    isPeer: true,
    run: (count) =>
      clients.run({
        target: { kind, address, value: JSON.stringify(port) },
        ...{ clients: count, seconds: extent.seconds, everyMs: 0 },
        pids: bed.etcd === null ? [] : [bed.etcd.pid],
      }),
  });
  const own: Maker = {
    what: 'port create',
    isPeer: false,
    run: (count) => sendAll(context, [request], { clients: count }),
  };
  if (bed.etcd === null) return [own, peer('store', 'peer: @cable/store', `lmdb:${bed.directory}/peer`)];
  return [
    own,
    peer('etcd', 'peer: etcd’s API', bed.etcd.address),
    peer('store', 'peer: @cable/store', `etcd:${bed.etcd.address}`),
  ];
}

function rowOfMaker(
  { bed }: Context,
  { what, isPeer }: Maker,
  clients: number,
  makers: readonly Maker[],
  all: ReadonlyMap<string, readonly JobResult[]>,
): Row {
  const roundsOf = (maker: string): readonly JobResult[] => all.get(`${maker} ${clients}`) ?? [];
  const rounds = roundsOf(what);
  const ratios = makers
    .filter((maker) => !isPeer && maker.isPeer)
    .map((maker) => {
      const peers = roundsOf(maker.what);
      const ratio = median(rounds.map((round, at) => ratePerSecond(round) / rateOr(peers[at])));
      return `${ratio.toFixed(2)} × ${maker.what.replace('peer: ', '')}`;
    });
  const subject = { section: SECTION, store: bed.store, what, clients, note: ratios.join(', ') };
  if (!isPeer) return rowOf({ ...subject, goals: goalsOf(bed.store, clients) }, rounds, processesOf(bed));
  return rowOf(subject, rounds, bed.etcd === null ? [] : ['etcd']);
}

function rateOr(round: JobResult | undefined): number {
  return round === undefined ? Number.NaN : ratePerSecond(round);
}

function goalsOf(store: string, clients: number): readonly Goal[] {
  if (clients === 8) return [{ figure: 'p99Ms', is: 'at most', value: 20 }];
  if (clients === 32) return [{ figure: 'perSecond', is: 'at least', value: store === 'etcd' ? 2500 : 4000 }];
  return [];
}

async function syncsOf({ bed, signal }: Context): Promise<DiskSyncs | undefined> {
  return bed.etcd === null ? undefined : diskSyncs(bed.etcd.address, signal);
}

function factsOf(before: DiskSyncs | undefined, after: DiskSyncs | undefined): readonly string[] {
  if (before === undefined || after === undefined) return [];
  const count = after.count - before.count;
  const ms = ((after.seconds - before.seconds) * 1000) / count;
  return [
    `etcd: one member, fsync is real: its log was synced ${count} times in section create, ${ms.toFixed(2)} ms each`,
  ];
}
