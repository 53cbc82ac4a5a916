/**
 * A port that is kept for the next pod of its name, of a StatefulSet or of a virtual machine, whose template may ask for something else by now. In the same network addresses and MAC are changed in
 * one write, with the pod that has it: who cannot have what he asks for has lost nothing by asking. In another network it is another port, and this one goes when that is there.
 */
import type { Client } from '@cable/api';
import type { PortView } from '@cable/model';
import { isGone } from './cable-access.ts';
import { placesFor } from './ip-pool.ts';
import { type AddressDeps, ordinalOf, withAddresses } from './pod-addresses.ts';
import type { PodFacts } from './pod-facts.ts';
import type { Place } from './pod-place.ts';
import { deviceIdOf, interfaceOf } from './pod-ports.ts';
import type { PortFacts } from './port-book.ts';
import type { PodWishes } from './wishes.ts';

/** Is the port a pod's before this one? */
export function isFormer(pod: PodFacts, port: PortFacts): boolean {
  return port.deviceId !== deviceIdOf(pod, interfaceOf(port));
}

export type Taking = {
  readonly client: Client;
  readonly port: PortFacts;
  /** In its network. Without subnets any of that. */
  readonly place: Place;
  readonly wishes: Pick<PodWishes, 'pool' | 'ipAddresses' | 'macAddress'>;
};

/** Lets the pod have it with the addresses and the MAC that it asks for; those that it does not speak of stay. `write`: changes the port. Throws `Unfit`. */
export async function takeKept(
  deps: AddressDeps,
  pod: PodFacts,
  taking: Taking,
  write: (changes: Readonly<Record<string, unknown>>) => Promise<PortFacts>,
): Promise<PortFacts> {
  const { client, port, place, wishes } = taking;
  const row = await rowOf(deps, client, port);
  const isMacs = wishes.macAddress === undefined || row.mac_address === wishes.macAddress;
  const mac = isMacs ? {} : { mac_address: wishes.macAddress };
  if (hasAddresses(pod, taking, row)) return await write(mac);
  return await withAddresses(deps, pod, { client, place, wishes, own: port }, (ips) =>
    write({ ...mac, ...(ips === undefined ? {} : { fixed_ips: ips }) }),
  );
}

async function rowOf({ book }: Pick<AddressDeps, 'book'>, client: Client, { id }: PortFacts): Promise<PortView> {
  try {
    return await client.get('port', id);
  } catch (err) {
    if (isGone(err)) book.forget(id);
    throw err;
  }
}

function hasAddresses(pod: PodFacts, { place, wishes }: Taking, { fixed_ips: there }: PortView): boolean {
  const { pool, ipAddresses } = wishes;
  const wanted = pool === undefined ? [ipAddresses] : placesFor(pool, ordinalOf(pod));
  const has = (address: string): boolean => there.some((one) => one.ip_address === address);
  const isIn = (subnetId: string): boolean => place.subnetIds.length === 0 || place.subnetIds.includes(subnetId);
  return wanted.some((one) => one.every(has)) && there.every((one) => isIn(one.subnet_id));
}
