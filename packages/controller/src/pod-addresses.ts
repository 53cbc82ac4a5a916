/** A pod's port with the addresses that it asks for: its own, or a place of a pool. */
import type { Client } from '@cable/api';
import { isAddressTaken } from './cable-access.ts';
import { exhausted, type PoolTurns, placesFor } from './ip-pool.ts';
import { needsPort, ownerUid, type PodFacts, placeInSet } from './pod-facts.ts';
import { fixedIps, type Place, Unfit } from './pod-place.ts';
import type { PortBook, PortFacts } from './port-book.ts';
import type { PodWishes } from './wishes.ts';

export type AddressDeps = {
  readonly book: PortBook;
  readonly turns: PoolTurns;
  readonly pods: { get(key: string): PodFacts | undefined };
};

export type Addressing = {
  readonly client: Client;
  readonly place: Place;
  readonly wishes: Pick<PodWishes, 'pool' | 'ipAddresses'>;
  /** The port that gets them, where there is one already. */
  readonly own?: PortFacts;
};

/** Makes a port, or changes one, with the addresses that the pod asks for; of a pool with the first place that is free. Throws `Unfit` where there is none. */
export async function withAddresses(
  deps: AddressDeps,
  pod: PodFacts,
  { client, place, wishes, own }: Addressing,
  make: (ips: readonly object[] | undefined) => Promise<PortFacts>,
): Promise<PortFacts> {
  const { pool } = wishes;
  if (pool === undefined) return await make(await fixedIps(client, place, wishes.ipAddresses));
  const { networkId } = place;
  const [key, ordinal] = [`${pod.namespace}/${pod.name}`, ordinalOf(pod)];
  const places = placesFor(pool, ordinal);
  for (const addresses of places) {
    const holders = addresses.flatMap((address) => deps.book.holder(networkId, address) ?? []);
    if (holders.some(({ id }) => id !== own?.id)) continue;
    if (!deps.turns.enter(networkId, addresses, key)) continue;
    try {
      const made = await make(await fixedIps(client, place, addresses));
      deps.turns.over(key);
      return made;
    } catch (err) {
      // Of a port that is not the cluster's, or has come just now.
      if (!isAddressTaken(err)) throw err;
    } finally {
      deps.turns.leave(networkId, addresses);
    }
  }
  deps.turns.wait(key);
  const isThere = (port: PortFacts): boolean => {
    const holder = deps.pods.get(port.origin.key);
    return needsPort(holder) && ownerUid(holder) === port.origin.uid;
  };
  const what = { pool, networkId, places, namespace: pod.namespace, ordinal };
  throw new Unfit(exhausted(what, { book: deps.book, turns: deps.turns, isThere }), { reason: 'IpPoolExhausted' });
}

/** Of a StatefulSet's pod. */
export function ordinalOf({ namespace, name, setUid }: PodFacts): number | undefined {
  return setUid === undefined ? undefined : placeInSet(`${namespace}/${name}`)?.ordinal;
}
