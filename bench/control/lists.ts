import { type Context, call, createNetwork, fill, portIds, processesOf, sendAll } from './context.ts';
import type { Request } from './http-connection.ts';
import type { JobResult } from './job.ts';
import { type Goal, type Measured, type Row, rowOf } from './rows.ts';

/** A list that clients ask for, again and again. */
type Listing = {
  readonly what: string;
  readonly clients: number;
  /** Null: nobody lists; the other client is alone. */
  readonly query: string | null;
  readonly goals: readonly Goal[];
};

const SECTION = 'list';
/** Part of a round that each list is asked for before the first. */
const WARM_UP = 0.3;
/** How often the other client shows a port. */
const SHOW_EVERY_MS = 5;
const MANY = 8;
const PAGE = 100;
/** What is large: a whole list of so many ports has a goal. */
const LARGE = 10_000;

/** Lists of ports, with many and with more in the store; and what another client's shows take meanwhile. */
export async function measureLists(context: Context): Promise<Measured> {
  const { bed, extent, say } = context;
  const rows: Row[] = [];
  let made = 0;
  for (const size of extent.sizes) {
    say(`${bed.store}: list: making ports up to ${size}`);
    for (; made < size; made += extent.portsPerNetwork) {
      const { networkId } = await createNetwork(context, `10.${made / extent.portsPerNetwork}.0.0/16`);
      await fill(context, networkId, Math.min(extent.portsPerNetwork, size - made), made);
    }
    rows.push(...(await measureSize(context, size)));
  }
  return { rows, facts: [] };
}

async function measureSize(context: Context, size: number): Promise<readonly Row[]> {
  const { bed, extent, say } = context;
  const listings = await listingsOf(context, size);
  const show: Request = { method: 'GET', path: `/v2.0/ports/${(await portIds(context))[0] ?? ''}` };
  const results = listings.map((): { own: JobResult[]; other: JobResult[] } => ({ own: [], other: [] }));
  for (const listing of listings) await measureOnce(context, listing, show, extent.seconds * WARM_UP);
  for (let round = 1; round <= extent.rounds; round += 1) {
    say(`${bed.store}: list: ${size} ports, round ${round} of ${extent.rounds}`);
    for (const [at, listing] of listings.entries()) {
      const { own, other } = await measureOnce(context, listing, show, extent.seconds);
      results[at]?.own.push(own ?? other);
      if (own !== undefined) results[at]?.other.push(other);
    }
  }
  return listings.map(({ what, clients, goals }, at) => {
    const subject = { section: SECTION, store: bed.store, what: `${size} ports: ${what}`, clients, goals };
    return rowOf(subject, results[at]?.own ?? [], processesOf(bed), results[at]?.other);
  });
}

async function measureOnce(
  context: Context,
  { query, clients }: Listing,
  show: Request,
  seconds: number,
): Promise<{ readonly own: JobResult | undefined; readonly other: JobResult }> {
  const shows = sendAll(context, [show], { clients: 1, seconds, everyMs: SHOW_EVERY_MS, by: context.other });
  if (query === null) return { own: undefined, other: await shows };
  const lists = sendAll(context, [{ method: 'GET', path: `/v2.0/ports${query}` }], { clients, seconds });
  const [own, other] = await Promise.all([lists, shows]);
  return { own, other };
}

type PortRow = {
  readonly network_id: string;
  readonly name: string;
  readonly device_id: string;
  readonly fixed_ips: readonly { readonly ip_address: string }[];
};

async function listingsOf(context: Context, size: number): Promise<readonly Listing[]> {
  const ids = [...(await portIds(context))].sort();
  const middle = ids[Math.floor(ids.length / 2)] ?? '';
  const { port } = (await call(context, 'GET', `/v2.0/ports/${middle}`)) as { port: PortRow };
  const list = (what: string, query: string | null, goals: readonly Goal[] = [], clients = 1): Listing => ({
    ...{ what, query, goals, clients },
  });
  const page: readonly Goal[] = [{ figure: 'p50Ms', is: 'at most', value: 2 }];
  const whole: readonly Goal[] = [
    { figure: 'p50Ms', is: 'at most', value: 100 },
    { figure: 'meanwhileP99Ms', is: 'at most', value: 5 },
  ];
  const isLargest = size === context.extent.sizes.at(-1);
  const address = encodeURIComponent(`ip_address=${port.fixed_ips[0]?.ip_address ?? ''}`);
  return [
    list('none, shows only', null),
    list(`limit=${PAGE}`, `?limit=${PAGE}`, isLargest ? page : []),
    list(`limit=${PAGE}, marker in the middle`, `?limit=${PAGE}&marker=${middle}`, isLargest ? page : []),
    list('name=', `?name=${port.name}`),
    list('device_id=', `?device_id=${port.device_id}`),
    list('network_id=', `?network_id=${port.network_id}`),
    list('fixed_ips=ip_address=', `?fixed_ips=${address}`),
    ...(size > LARGE ? [list(`limit=${LARGE}`, `?limit=${LARGE}`, whole)] : []),
    list('all', '', size === LARGE ? whole : []),
    ...(size > LARGE ? [] : [list('all', '', [], MANY)]),
  ];
}
