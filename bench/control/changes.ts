import { type Context, createNetwork, fill, portIds, sendAll, warmUp } from './context.ts';
import type { Request } from './http-connection.ts';
import type { JobResult } from './job.ts';
import { type Case, measureRounds } from './rounds.ts';
import type { Measured } from './rows.ts';

const SECTION = 'change';
const WARM_UP_CLIENTS = 32;
/** Deletes that one round of `seconds` cannot exceed. */
const DELETES_PER_SECOND = 6000;

/** One port a request: update, show, delete. */
export async function measureChanges(context: Context): Promise<Measured> {
  const { extent } = context;
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
  // Deletes are warmed up by one round more.
  for (const request of [update[0], shows[0]]) if (request !== undefined) await warmUp(context, request);
  await deletes(WARM_UP_CLIENTS);
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
