/** Pools of addresses: each pod of a workload has one place of the list that its template names, as long as there are free ones. */
import { formatIp, type IpAddress, parseIp } from '@cable/model';
import type { PortBook, PortFacts } from './port-book.ts';
import { quoted, WishError } from './wish-error.ts';

/** What one pod gets of a pool: one address of each version of IP at the most. */
export type PoolPlace = readonly string[];

export type IpPool = {
  /** The annotation that says it, and what it says: by these people know the pool. */
  readonly annotation: string;
  readonly text: string;
  readonly places: readonly PoolPlace[];
};

/** More would be looked through for each pod. */
const MOST_PLACES = 1024;

const RANGE = '..';

/**
 * Addresses and ranges (`10.0.0.5..10.0.0.9`) with a comma between. Of both versions of IP there are as many of each, which go together in their order; or a semicolon
 * stands between places, and a comma between the two addresses of one. Throws `WishError`.
 */
export function parsePool({ name, text }: { readonly name: string; readonly text: string }): IpPool {
  const fail = (problem: string): WishError => new WishError(`annotation ${name}: ${problem}`);
  const parts = partsOf(text, /[,;]/).length;
  // Of both versions of IP.
  if (parts > 2 * MOST_PLACES) throw fail(`${parts} addresses and ranges are more than ${MOST_PLACES} places have`);
  const isByPlace = text.includes(';');
  const groups = (isByPlace ? partsOf(text, ';') : [text]).map((group) =>
    partsOf(group, ',').map((one) => rangeOf(one, fail)),
  );
  refuseMany(groups.flat(), fail);
  const places = isByPlace
    ? groups.map((ranges) => placeOf(ranges.flatMap(addressesOf)))
    : zipped(groups.flat().flatMap(addressesOf), fail);
  if (places.some((place) => new Set(place.map(versionOf)).size < place.length))
    throw fail('a place has two addresses of one version of IP: put ";" between places, and "," within one');
  const all = places.flat();
  const seen = new Set<string>();
  const twice = all.find((one) => seen.size === seen.add(one).size);
  if (twice !== undefined) throw fail(`${twice} is there twice`);
  return { annotation: name, text, places };
}

function partsOf(text: string, separator: string | RegExp): readonly string[] {
  return text
    .split(separator)
    .map((one) => one.trim())
    .filter((one) => one !== '');
}

function placeOf(addresses: readonly IpAddress[]): PoolPlace {
  return addresses.map(formatIp);
}

/** Of one version each address is a place; of both the first ones go together, and so on. */
function zipped(addresses: readonly IpAddress[], fail: (problem: string) => WishError): readonly PoolPlace[] {
  const [first] = addresses;
  const own = addresses.filter(({ version }) => version === first?.version);
  const others = addresses.filter(({ version }) => version !== first?.version);
  if (others.length > 0 && others.length !== own.length)
    throw fail(`${own.length} addresses of one version of IP and ${others.length} of the other: give as many of each`);
  return own.map((one, at) => placeOf([one, ...others.slice(at, at + 1)]));
}

type Range = { readonly first: IpAddress; readonly count: bigint };

function rangeOf(text: string, fail: (problem: string) => WishError): Range {
  const [start = '', end = start] = text.split(RANGE).map((one) => one.trim());
  const [first, last] = [parseIp(start), parseIp(end)];
  if (first === undefined || last === undefined || text.split(RANGE).length > 2)
    throw fail(`${quoted(text)} is no address: give addresses, or ranges such as 10.0.0.5..10.0.0.9`);
  if (first.version !== last.version || last.value < first.value)
    throw fail(`${quoted(text)} is no range: its end is first`);
  return { first, count: last.value - first.value + 1n };
}

/** Before any of them is written out. */
function refuseMany(ranges: readonly Range[], fail: (problem: string) => WishError): void {
  for (const version of [4, 6]) {
    const own = ranges.filter(({ first }) => first.version === version);
    const count = own.reduce((sum, range) => sum + range.count, 0n);
    if (count > BigInt(MOST_PLACES)) throw fail(`${count} addresses are more than ${MOST_PLACES}`);
  }
}

function addressesOf({ first, count }: Range): readonly IpAddress[] {
  return Array.from({ length: Number(count) }, (_, at) => ({
    version: first.version,
    value: first.value + BigInt(at),
  }));
}

function versionOf(address: string): 4 | 6 {
  return address.includes(':') ? 6 : 4;
}

/** Who takes which place now, and who waits for one. */
export class PoolTurns {
  /** Network and address to the key of the pod that asks for it at the moment. */
  readonly #asked = new Map<string, string>();
  readonly #waiting = new Set<string>();

  /** False: another pod asks for an address of the place at the moment. True: nobody else gets it before `leave`. */
  enter(networkId: string, place: PoolPlace, pod: string): boolean {
    const names = place.map((address) => `${networkId} ${address}`);
    if (names.some((name) => this.#asked.has(name))) return false;
    for (const name of names) this.#asked.set(name, pod);
    return true;
  }

  leave(networkId: string, place: PoolPlace): void {
    for (const address of place) this.#asked.delete(`${networkId} ${address}`);
  }

  /** The pod that asks for the address at the moment. */
  asker(networkId: string, address: string): string | undefined {
    return this.#asked.get(`${networkId} ${address}`);
  }

  /** The pod has found no place. */
  wait(pod: string): void {
    this.#waiting.add(pod);
  }

  /** The pod waits no more. */
  over(pod: string): void {
    this.#waiting.delete(pod);
  }

  /** Those that wait, which do so no more: an address has become free. */
  wake(): readonly string[] {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    return waiting;
  }
}

/** The places that a pod may have: of a StatefulSet's the one of its ordinal, counted from 0, else any. */
export function placesFor({ places }: IpPool, ordinal: number | undefined): readonly PoolPlace[] {
  return ordinal === undefined ? places : places.slice(ordinal, ordinal + 1);
}

export type Exhaustion = {
  readonly pool: IpPool;
  readonly networkId: string;
  /** Of which no place was free. */
  readonly places: readonly PoolPlace[];
  readonly namespace: string;
  /** Undefined: any place would have done. */
  readonly ordinal: number | undefined;
};

export type Holders = {
  readonly book: Pick<PortBook, 'holder'>;
  readonly turns: Pick<PoolTurns, 'asker'>;
  /** Is there a pod of that key, with that owner, as far as is known? */
  readonly isThere: (port: PortFacts) => boolean;
};

/** As many are told; others are counted. */
const MOST_TOLD = 8;
const MOST_TEXT = 120;

/** What is said of a pool in which there is no place: its name, and what has each. Of other namespaces no names are told. */
export function exhausted({ pool, networkId, places, namespace, ordinal }: Exhaustion, holders: Holders): string {
  const text = pool.text.length > MOST_TEXT ? `${pool.text.slice(0, MOST_TEXT)}…` : pool.text;
  const name = `pool ${pool.annotation} (${text})`;
  if (places.length === 0) return `${name} has ${pool.places.length} places, and none for the ordinal ${ordinal}`;
  const held = places.map((place) => holding(networkId, place, namespace, holders));
  const more = held.length > MOST_TOLD ? `, and so on: ${held.length} in all` : '';
  const what = ordinal === undefined ? 'is exhausted' : `has the place of the ordinal ${ordinal} no more`;
  return `${name} ${what}: ${held.slice(0, MOST_TOLD).join(', ')}${more}`;
}

function holding(networkId: string, place: PoolPlace, namespace: string, holders: Holders): string {
  const own = `${namespace}/`;
  for (const address of place) {
    const port = holders.book.holder(networkId, address);
    if (port !== undefined) return `${address} is ${ofPort(port, own, holders)}`;
    const asker = holders.turns.asker(networkId, address);
    if (asker !== undefined) return `${address} is ${asker.startsWith(own) ? `pod ${asker}` : 'another namespace'}’s`;
  }
  return `${place.join(' and ')} is somebody else’s`;
}

function ofPort(port: PortFacts, own: string, { isThere }: Holders): string {
  const { kind, key } = port.origin;
  if (kind !== 'Pod') return `${kind} ${key.startsWith(own) ? key : 'of another namespace'}’s`;
  if (!key.startsWith(own)) return 'another namespace’s';
  return isThere(port) ? `pod ${key}’s` : `pod ${key}’s, which is gone, and has not let go of it yet`;
}
