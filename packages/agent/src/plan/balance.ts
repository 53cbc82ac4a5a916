/**
 * Load balancers: who serves (members), who has which slot of a pool's table, and which port of which virtual address leads there. A host has this of every network
 * that it has ports in, or reaches through routers: it balances for its own guests.
 */
import type { PoolMember } from '@cable/model';
import { maglevTable } from '../balance/maglev.ts';
import { CB_ENDPOINT_VIP, CB_MAGLEV_SLOTS, CB_MEMBER_F_DOWN, CB_SVC_F_AFFINITY } from '../bpf/abi.gen.ts';
import { contains, isMapped, parseAddress, parseMac, parsePrefix } from './address.ts';
import { endpointEntries, endpointOf } from './endpoint-entries.ts';
import { encodeEntry, type Planned } from './entries.ts';
import { liveGateway } from './live-gateway.ts';
import { type Family, headerFamily, itemFamily, type PlanReader, topicFamily } from './unit.ts';

/** What of a member its pool needs to know. `silent`: nobody says how it is any more. */
export type Serving = { readonly weight: number; readonly health: 'up' | 'down' | 'silent' };

/** A pool's table as listeners need it. `slots`: 0: nobody takes connections. */
export type PoolTable = { readonly slots: number };

const PROTOCOLS = { TCP: 6, UDP: 17, SCTP: 132 } as const;

/** A pool that is there has a number. */
export const POOLS: Family = headerFamily({ name: 'pool', slice: 'pool', subject: 'host' }, ({ scope }) => ({
  facts: [{ topic: 'pool', key: scope, member: '', value: null }],
}));

/** A member has a number, and part in its pool's table if its network is known here. What this host finds itself counts before what it is told. */
export const MEMBERS: Family = itemFamily(
  { name: 'member', slice: 'pool', subject: 'host' },
  ({ scope: poolId, item }, { networkId, weight, health: told }, reader) => {
    const health = reader.health(item) ?? told ?? 'up';
    const isKnown = reader.facts('network', networkId).has('');
    return {
      facts: [
        { topic: 'member', key: item, member: '', value: null },
        ...(isKnown ? [{ topic: 'member-in', key: poolId, member: item, value: { weight, health } } as const] : []),
      ],
    };
  },
);

/** Where a member is. It stays as long as the member is one of the pool, so that its connections go on whatever its weight is. */
export const MEMBER_ROWS: Family = itemFamily(
  { name: 'member place', slice: 'pool', subject: 'host' },
  ({ scope: poolId, item }, member, reader) => {
    const [number, pool] = [reader.number('member', item), reader.number('pool', poolId)];
    const network = reader.facts('network', member.networkId).get('')?.value;
    const addr = parseAddress(member.ipAddress);
    if (number === undefined || pool === undefined || network === undefined || addr === undefined) return {};
    const vrf = routerTo(reader, poolId, member);
    const flags = isCutOff(reader, poolId, item, member) ? CB_MEMBER_F_DOWN : 0;
    const value = { addr, pool, vrf, net: network.net, portBe: member.port, flags };
    return { projectId: network.projectId, entries: [encodeEntry('cb_member_1', { member: number }, value)] };
  },
);

/** Whether flows of UDP leave a member that is down. Rows of other pools are the same whatever their members' health: a change decides flows anew. */
function isCutOff(reader: PlanReader, poolId: string, memberId: string, { health }: PoolMember): boolean {
  return reader.header('pool', poolId)?.udp === true && (reader.health(memberId) ?? health) === 'down';
}

/** Number of a router with legs in the networks of the virtual address and of the member, the first by id; 0: they are one network, or none joins them. */
function routerTo(reader: PlanReader, poolId: string, { networkId }: PoolMember): number {
  const from = reader.header('pool', poolId)?.vipNetworkId ?? networkId;
  if (from === networkId) return 0;
  const there = new Set(reader.sortedFacts('leg-in', networkId).map(({ value }) => value.routerId));
  const router = reader.sortedFacts('leg-in', from).find(({ value }) => there.has(value.routerId));
  return router === undefined ? 0 : (reader.number('router', router.value.routerId) ?? 0);
}

/** The slots of a pool's table. */
export const POOL_TABLES: Family = topicFamily(
  { name: 'pool table', topic: 'member-in', subject: 'host' },
  ({ scope: poolId }, reader) => {
    const pool = reader.number('pool', poolId);
    if (pool === undefined || reader.header('pool', poolId)?.adminStateUp !== true) return {};
    const serving = reader.sortedFacts('member-in', poolId).filter(({ value: { weight } }) => weight > 0);
    // Of whom nothing is known serves only when nobody is known to be well.
    const isAnyUp = serving.some(({ value: { health } }) => health === 'up');
    const candidates = serving.map(({ member: id, value: { weight, health } }) => {
      return { id, weight, isUp: health === 'up' || (health === 'silent' && !isAnyUp) };
    });
    const numbers = candidates.map(({ id }) => reader.number('member', id) ?? 0);
    const slots = Array.from(maglevTable(candidates), (place) => numbers[place] ?? 0);
    return {
      facts: [{ topic: 'pool-table', key: poolId, member: '', value: { slots: slots.length } }],
      entries: chunksOf(pool, slots),
    };
  },
);

function chunksOf(pool: number, slots: readonly number[]): readonly Planned[] {
  const count = Math.ceil(slots.length / CB_MAGLEV_SLOTS);
  return Array.from({ length: count }, (_, chunk) => {
    const from = chunk * CB_MAGLEV_SLOTS;
    const member = Array.from({ length: CB_MAGLEV_SLOTS }, (_one, at) => slots[from + at] ?? 0);
    return encodeEntry('cb_maglev_1', { pool, chunk }, { member });
  });
}

/** A virtual address with its listeners. */
export const BALANCERS: Family = itemFamily(
  { name: 'load balancer', slice: 'balancers', subject: 'host' },
  ({ scope: networkId }, { projectId, ipAddress, macAddress, listeners }, reader) => {
    const net = reader.facts('network', networkId).get('')?.value.net;
    const [addr, mac] = [parseAddress(ipAddress), parseMac(macAddress)];
    if (net === undefined || addr === undefined || mac === undefined) return {};
    const ports = listeners.flatMap(({ protocol, port, poolId }) => {
      const pool = reader.number('pool', poolId);
      if (pool === undefined) return [];
      const slots = reader.facts('pool-table', poolId).get('')?.value.slots ?? 0;
      const flags = reader.header('pool', poolId)?.affinity === true ? CB_SVC_F_AFFINITY : 0;
      const key = { addr, net, portBe: port, protocol: PROTOCOLS[protocol] };
      return [encodeEntry('cb_svc_1', key, { pool, slots, flags })];
    });
    return {
      projectId,
      entries: [...ports, ...endpointEntries(net, endpointOf({ kind: CB_ENDPOINT_VIP, mac }), [ipAddress])],
    };
  },
);

/**
 * A virtual address to which the outside is routed, at the gateway of a router that does not translate: it is met there as by a floating IP that is itself, without an endpoint, for nobody asks
 * who has it. Answers of members on other hosts come by the transit network. Of several such routers in one external network the first by id has it.
 */
export const ROUTED_VIPS: Family = itemFamily(
  { name: 'virtual address for the outside', slice: 'balancers', subject: 'host' },
  ({ scope: networkId }, { projectId, ipAddress }, reader) => {
    const addr = parseAddress(ipAddress);
    if (addr === undefined) return {};
    const rows = new Map<number, Planned>();
    for (const routerId of new Set(reader.sortedFacts('leg-in', networkId).map(({ value }) => value.routerId))) {
      const gateway = liveGateway(routerId, reader.header('router', routerId), reader);
      if (gateway?.host !== reader.host || (isMapped(addr) && gateway.enableSnat)) continue;
      const legs = reader.sortedFacts('leg-of', routerId).filter(({ value: leg }) => leg.networkId === networkId);
      if (!legs.some(({ value: leg }) => isOf(leg.cidr, ipAddress))) continue;
      const [vrf, outside] = [reader.number('router', routerId), numberOf(gateway.networkId, reader)];
      const transit = numberOf(gateway.portId, reader);
      if (vrf === undefined || outside === undefined || transit === undefined || rows.has(outside)) continue;
      rows.set(outside, encodeEntry('cb_nat_1', { net: outside, outside: 0, addr }, { to: addr, toNet: transit, vrf }));
    }
    return { projectId, entries: [...rows.values()] };
  },
);

function numberOf(networkId: string, reader: PlanReader): number | undefined {
  return reader.facts('network', networkId).get('')?.value.net;
}

function isOf(cidr: string, address: string): boolean {
  const [prefix, ip] = [parsePrefix(cidr), parsePrefix(address)];
  return prefix !== undefined && ip !== undefined && contains(prefix, ip);
}
