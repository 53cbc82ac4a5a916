import { type Context, createNetwork, fill, portIds, sendAll } from './context.ts';
import type { Request } from './http-connection.ts';
import type { JobResult } from './job.ts';
import { type Case, measureRounds } from './rounds.ts';
import type { Measured } from './rows.ts';

const SECTION = 'change';
/** Deletes that one round of `seconds` cannot exceed. */
const DELETES_PER_SECOND = 6000;

/** One port a request: update, show, delete. */
export async function measureChanges(context: Context): Promise<Measured> {
  const { bed, extent, say } = context;
  const { networkId } = await createNetwork(context, '10.0.0.0/8');
  await fill(context, networkId, extent.standingPorts, 0);
  const standing = await portIds(context);
  const update = standing.map((id): Request => {
    return { method: 'PUT', path: `/v2.0/ports/${id}`, body: JSON.stringify({ port: { name: 'changed-{n}' } }) };
  });
  const shows = standing.map((id): Request => ({ method: 'GET', path: `/v2.0/ports/${id}` }));
  const deletes = createDeletes(context, networkId, new Set(standing));
  const kinds: readonly { what: string; run: (clients: number) => Promise<JobResult> }[] = [
    { what: 'port update', run: (clients) => sendAll(context, update, { clients }) },
    { what: 'port show', run: (clients) => sendAll(context, shows, { clients }) },
    { what: 'port delete', run: deletes },
  ];
  say(`${bed.store}: change: warming up`);
  for (const { run } of kinds) {
    for (let spent = 0; spent < extent.warmUpSeconds / 2; spent += extent.seconds) await run(32);
  }
  const cases = kinds.flatMap(({ what, run }) =>
    extent.levels.map((clients): Case => ({ what, clients, run: () => run(clients) })),
  );
  return { rows: await measureRounds(context, SECTION, cases), facts: [] };
}

/** Deletes ports for a round; makes them when there are too few, between the rounds. */
function createDeletes(
  context: Context,
  networkId: string,
  keep: ReadonlySet<string>,
): (clients: number) => Promise<JobResult> {
  const most = Math.ceil(context.extent.seconds * DELETES_PER_SECOND);
  let victims: readonly string[] = [];
  return async (clients) => {
    // What one client deletes is far from the most.
    const wanted = Math.ceil((most * Math.min(clients, 8)) / 8);
    if (victims.length < wanted) {
      await fill(context, networkId, 2 * most, context.extent.standingPorts);
      victims = (await portIds(context)).filter((id) => !keep.has(id));
    }
    const requests = victims.slice(0, wanted).map((id): Request => ({ method: 'DELETE', path: `/v2.0/ports/${id}` }));
    const result = await sendAll(context, requests, { clients, isOnce: true });
    victims = victims.slice(result.latenciesMs.length);
    return result;
  };
}
