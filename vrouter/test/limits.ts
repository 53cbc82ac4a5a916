/** Limits of addresses outside, as an agent writes them and the vrouter uses them up. Networks are named by the test's numbers, as in `World`. */
import { CB_NET_F_EXTERNAL, CB_NET_F_LIMITS, MAPS } from '../../packages/agent/src/bpf/abi.gen.ts';
import { addr, type Meter, meterValue, type World } from './world.ts';

/** An address outside. */
export type Place = { readonly external: number; readonly ip: string };

/** By direction, as the inside sees it. Left out: no limit, no mark. */
export type Limits = { readonly out?: Meter; readonly in?: Meter };

/** What passed by an address, by direction: 0: in, 1: out. */
export type Limited = {
  readonly packets: readonly bigint[];
  readonly bytes: readonly bigint[];
  readonly over: readonly bigint[];
};

const BUCKET = { byteNs: 0n, byteCost: 0n, packetNs: 0n, packetCost: 0n };
const NOTHING = { bucket: [BUCKET, BUCKET], packets: [0n, 0n], bytes: [0n, 0n], over: [0n, 0n] };

function keyOf(world: World, { external, ip }: Place): { net: number; addr: Uint8Array } {
  return { net: world.net(external), addr: addr(ip) };
}

/** Of which nothing is used. */
export function setLimit(world: World, place: Place, limits: Limits): void {
  world.write(MAPS.cb_limited_1, keyOf(world, place), NOTHING);
  changeLimit(world, place, limits);
  world.setFlags(place.external, CB_NET_F_EXTERNAL | CB_NET_F_LIMITS);
}

/** The same; what was used is used. */
export function changeLimit(world: World, place: Place, limits: Limits): void {
  const meter = [meterValue(limits.in ?? {}), meterValue(limits.out ?? {})];
  world.write(MAPS.cb_limit_1, keyOf(world, place), { meter });
}

export function removeLimit(world: World, place: Place): void {
  world.erase(MAPS.cb_limit_1, keyOf(world, place));
  world.map(MAPS.cb_limited_1).delete(MAPS.cb_limited_1.key.text(keyOf(world, place)));
}

export function limited(world: World, place: Place): Limited {
  const value = world.map(MAPS.cb_limited_1).lookup(MAPS.cb_limited_1.key.encode(keyOf(world, place)));
  return value === undefined ? NOTHING : MAPS.cb_limited_1.value.decode(value);
}
