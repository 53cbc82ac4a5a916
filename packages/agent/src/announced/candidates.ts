/** Which host comes before which for an address, and which of them this one must know to live: pure. */
import type { Liveness } from '../gateways/peer-watch.ts';

/** A node. `underlay` undefined: it has not registered, and nobody can ask it, or it is this one. `announces` absent: it may announce addresses of Services. */
export type Candidate = { readonly host: string; readonly underlay: string | undefined; readonly announces?: false };

/** As another host is seen. `may`: it says that it announces addresses of that prefix. */
export type Sight = (underlay: string) => { readonly state: Liveness; readonly may: boolean };

/** So many of those before it a host asks all, so that two that die at once cost no more time than one. */
const NEAR = 3;

/**
 * By rendezvous: each host has a weight for the address, the heaviest is the first. So hosts share the addresses, and one that goes moves no others' than its own. All hosts find the same
 * order, whatever else they know.
 */
export function inOrder<T extends { readonly host: string }>(address: string, hosts: readonly T[]): readonly T[] {
  return hosts
    .map((one) => ({ one, weight: weightOf(address, one.host) }))
    .sort((a, b) => b.weight - a.weight || (a.one.host < b.one.host ? -1 : 1))
    .map(({ one }) => one);
}

/** FNV-1a over both, whose bits are mixed: names that differ in their last letter alone are far from each other. */
export function weightOf(address: string, host: string): number {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(`${address} ${host}`)) hash = Math.imul(hash ^ byte, 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  hash = Math.imul(hash ^ (hash >>> 12), 0x297a2d39);
  return (hash ^ (hash >>> 15)) >>> 0;
}

/** Where a host stands in an order; undefined: nowhere. */
export type Standing = { readonly order: readonly Candidate[]; readonly at: number };

/** `isNear`: few hosts are before this one. */
export type Place = { readonly isFirst: boolean; readonly isNear: boolean; readonly ask: readonly string[] };

/**
 * `isFirst`: every host before this one is dead, or does not announce such addresses. `ask`: hosts that this one has to ask to know that; it stops at one that lives, which is enough.
 */
export function placeOf({ order, at }: Standing, sight: Sight): Place {
  const ask: string[] = [];
  const isNear = at <= NEAR;
  let [isFirst, isBehind, outs, open] = [true, false, 0, 0];
  for (let place = 0; place < at && !isBehind; place++) {
    const underlay = order[place]?.underlay;
    if (underlay === undefined) continue;
    // The more of them are out, the more are asked at once: a host far behind many dead ones comes to know it in few steps.
    if (!isNear && open > outs) break;
    ask.push(underlay);
    const { state, may } = sight(underlay);
    if (state === 'dead' || (state === 'alive' && !may)) {
      outs += 1;
      continue;
    }
    isFirst = false;
    if (state === 'unknown') open += 1;
    else isBehind = !isNear;
  }
  return { isFirst, isNear, ask };
}
