/** What an agent would write of networks outside: gateways of routers, floating IPs, port forwarding, next hops. */
import { CB_MAX_VIF, CB_VIF_FRAGMENTS, MAPS } from '../../../packages/agent/src/bpf/abi.gen.ts';
import { arrayIndex } from '../../../packages/agent/src/bpf/codec.ts';
import { portPrefixes } from '../../../packages/agent/src/plan/port-ranges.ts';
import { addExternal, addFloating, addForward, addGateway, forgetNextHop } from '../outside.ts';
import { addr, type World } from '../world.ts';
import type { Cloud, Forward, Gateway, Router } from './cloud.ts';
import { floatingIpsIn, forwardsOf } from './gateways.ts';
import type { Target } from './write-cloud.ts';

export function writeOutside(on: Target, cloud: Cloud): void {
  for (const { name, outside } of cloud.networks)
    if (outside !== undefined) addExternal(on.world, on.numbers.networks.of(name), outside.tag);
  for (const router of cloud.routers) if (router.gateway !== undefined) writeGateway(on, router, router.gateway);
  for (const router of cloud.routers)
    if (router.gateway !== undefined) writeAddresses(on, cloud, router, router.gateway);
}

function writeGateway({ world, numbers }: Target, { name }: Router, gateway: Gateway): void {
  const { network, mac, address, cidr, nextHop, snat } = gateway;
  addGateway(world, {
    ...{ vrf: numbers.routers.of(name), external: numbers.networks.of(network), mac, cidr },
    ...{ ip: address, nexthop: nextHop, isNextHopKept: true, snat: snat !== undefined },
    ...(snat === undefined ? {} : { ports: { first: snat.min, last: snat.max } }),
  });
}

function writeAddresses({ world, numbers, guests }: Target, cloud: Cloud, { name }: Router, gateway: Gateway): void {
  const common = { external: numbers.networks.of(gateway.network), vrf: numbers.routers.of(name), mac: gateway.mac };
  for (const { router, floatingIp, port } of floatingIpsIn(cloud, gateway.network)) {
    const guest = guests.get(port.name);
    if (guest === undefined || router.name !== name) continue;
    addFloating(world, { ...common, ip: floatingIp.address, guest, fixed: floatingIp.fixed });
  }
  for (const forward of forwardsOf(cloud, gateway)) {
    const guest = guests.get(forward.to.name);
    if (guest === undefined) continue;
    for (const prefix of prefixesOf(forward))
      addForward(world, {
        ...common,
        ...{ ip: forward.address, protocol: forward.protocol, port: prefix.value, bits: prefix.length },
        ...{ first: forward.ports.min, guest: { ...guest, ip: forward.fixed }, toPort: forward.toFirst },
      });
  }
}

function prefixesOf({ ports }: Forward): ReturnType<typeof portPrefixes> {
  return portPrefixes(ports.min, ports.max);
}

/** Nothing has been heard of anybody outside, and of these something may be. */
export function expectNextHops({ world, numbers }: Target, { routers }: Cloud): void {
  world.map(MAPS.cb_neigh_1).clear();
  for (const { gateway } of routers)
    if (gateway !== undefined) forgetNextHop(world, numbers.networks.of(gateway.network), gateway.nextHop);
}

/** Who was asked was asked so long before. */
export function ageQuestions(world: World, seconds: number): void {
  for (const spec of [MAPS.cb_neigh_1, MAPS.cb_near_1]) {
    const map = world.map(spec);
    for (const { key, value } of map.entries()) {
      const { askedNs, ...rest } = spec.value.decode(value);
      if (askedNs === 0n) continue;
      const earlier = askedNs - BigInt(seconds) * 1_000_000_000n;
      map.update(key, spec.value.encode({ ...rest, askedNs: earlier > 0n ? earlier : 1n }));
    }
  }
}

/** Forgets the fragments that have come from outside for the address, if it is no VIF's: where the programs keep those of what only passes. */
export function forgetFragments(world: World, vni: number, address: Buffer): void {
  const words = [0, 8].map((at) => Buffer.from(addr(address.join('.'))).readBigUInt64LE(at));
  const router = words.reduce((sum, word) => sum ^ word, BigInt(world.net(vni)));
  const row = CB_MAX_VIF - 1 - Number(BigInt.asUintN(64, router * 0x9e3779b97f4a7c15n) >> 54n);
  for (let n = 0; n < CB_VIF_FRAGMENTS; n++)
    world.map(MAPS.cb_frag_2).update(arrayIndex.encode(row * CB_VIF_FRAGMENTS + n), NO_FRAGMENT);
}

const NO_FRAGMENT = new Uint8Array(MAPS.cb_frag_2.value.size);
