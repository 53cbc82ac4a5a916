/** Leased ports of routers' addresses: which sender has which blocks, and on the gateway's host which other host has which (docs/design/snat.md). */
import { createHash } from 'node:crypto';
import type { RouterGateway, SnatBlocks, SnatLeaseState } from '@cable/model';
import { CB_BLOCK_PORTS, CB_ENDPOINT_LEASED, CB_LEASE_BLOCKS, CB_PEER_F_UPLINK } from '../bpf/abi.gen.ts';
import { isMapped, NO_ADDRESS, parseAddress, parseMac } from './address.ts';
import { endpointEntries, endpointOf } from './endpoint-entries.ts';
import { encodeEntry, type Planned } from './entries.ts';
import { asker, exitOf, snatEntries } from './gateways.ts';
import { liveGateway } from './live-gateway.ts';
import { tunnelName } from './tunnels.ts';
import { type Family, itemFamily, type Output, type PlanReader, topicFamily } from './unit.ts';

/** A router by whose address a port leaves from here, though another host is its gateway, has routes here by which it does. */
export const LEASING_ROUTERS: Family = itemFamily(
  { name: 'lease here', slice: 'leases', subject: 'host' },
  ({ item }, { routerId, networkId, address, leavesBy }, reader) => {
    const gateway = gatewayOf(routerId, reader);
    if (gateway?.networkId !== networkId || gateway.leased !== true || gateway.host === reader.host) return {};
    if (leavesBy === 'gateway' || reader.isCutOff(routerId)) return {};
    if (reader.facts('router', routerId).size === 0) return {};
    return {
      facts: [
        { topic: 'floats-by', key: routerId, member: item, value: null },
        { topic: 'router', key: exitOf(routerId), member: '', value: null },
        { topic: 'leases-by', key: routerId, member: address, value: null },
      ],
    };
  },
);

/**
 * Where this host sends with addresses of a router that another host answers for: what that gives on of answers has come from outside; and frames for the MAC with which it
 * sends, and for the gateway's, are the router's.
 */
export const LEASING_WAYS: Family = topicFamily(
  { name: 'way of leases', topic: 'leases-by', subject: 'host' },
  ({ scope: routerId }, reader) => {
    const [gateway, vrf] = [gatewayOf(routerId, reader), reader.number('router', routerId)];
    const net = numberOf(gateway?.networkId ?? '', reader);
    const mac = parseMac(gateway?.macAddress ?? '');
    if (gateway === undefined || vrf === undefined || net === undefined || mac === undefined) return {};
    const addresses = [...reader.facts('leases-by', routerId).keys()];
    return {
      facts: asker(gateway.networkId, { net, own: undefined, mac: hostMac(gateway, reader) }),
      entries: [
        ...snatEntries({ vrf, net, gateway }),
        ...endpointEntries(net, endpointOf({ kind: CB_ENDPOINT_LEASED, vrf, mac }), addresses),
        ...endpointEntries(net, endpointOf({ kind: CB_ENDPOINT_LEASED, vrf, mac: hostMac(gateway, reader) }), []),
        ...relayPeer(gateway, net, reader),
      ],
    };
  },
);

/** What the gateway's host gives on comes by the transit network, and is of the external one. */
function relayPeer({ underlay, transitVni }: RouterGateway, net: number, reader: PlanReader): readonly Planned[] {
  const remote = underlay === null ? undefined : parseAddress(underlay);
  if (underlay === null || remote === undefined) return [];
  const tunnel = reader.facts('tunnel', tunnelName(underlay, remote)).get('')?.value;
  if (tunnel === undefined) return [];
  const flags = reader.ownEncapsulation ? CB_PEER_F_UPLINK : 0;
  return [encodeEntry('cb_peer_2', { wireId: transitVni, remote }, { net, tunnel, flags, vif: 0 })];
}

/** The MAC with which a host that is not the gateway's sends with the router's address: no other host has it. */
function hostMac({ portId }: RouterGateway, { host }: PlanReader): Uint8Array {
  const mac = createHash('sha256').update(`${host} ${portId}`).digest().subarray(0, 6);
  // Given by nobody, and one machine's.
  mac[0] = ((mac[0] ?? 0) & 0xfc) | 0x02;
  return Uint8Array.from(mac);
}

/** The blocks of one port, which leaves by this host: one of this host's, or one whose packets come by the transit network. */
export const LEASES: Family = itemFamily(
  { name: 'lease', slice: 'leases', subject: 'host' },
  (_unit, lease, reader) => {
    const gateway = gatewayOf(lease.routerId, reader);
    const isHere = gateway?.host === reader.host;
    if (gateway === undefined) return {};
    // Another host has taken the gateway's place, or there is no way out here: it goes by that.
    if (!isHere && (lease.leavesBy === 'gateway' || reader.isCutOff(lease.routerId))) return {};
    return { entries: leaseEntries(lease, { ...gateway, isHere }, reader) };
  },
);

/**
 * What the host of the gateway, whether the server says that it is or it has taken another's place, knows of blocks of other hosts: of a port that leaves by the gateway
 * they are its own now. To what leaves by another host what answers it is given; what comes here of it all the same has its first block, which is never given back.
 */
export const REMOTE_BLOCKS: Family = itemFamily(
  { name: 'blocks of another host', slice: 'blocks', subject: 'host' },
  ({ scope: routerId }, blocks, reader) => {
    const gateway = gatewayOf(routerId, reader);
    if (gateway?.host !== reader.host || gateway.networkId !== blocks.networkId || blocks.host === reader.host)
      return {};
    const { portId = '', fixedIps = [], leavesBy, firstPorts } = blocks;
    const isByGateway = leavesBy === 'gateway';
    const own = {
      ...blocks,
      portId,
      fixedIps,
      routerId,
      firstPorts: isByGateway ? firstPorts : firstPorts.slice(0, 1),
    };
    const entries = leaseEntries(own, { ...gateway, isHere: true }, reader);
    if (isByGateway) return { entries };
    const { facts = [], entries: relays = [] } = relayed(blocks, gateway, reader);
    return { facts, entries: fixedIps.length === 0 ? relays : [...entries, ...relays] };
  },
);

/** As this host sees it. */
function gatewayOf(routerId: string, reader: PlanReader): RouterGateway | undefined {
  return liveGateway(routerId, reader.header('router', routerId), reader);
}

function leaseEntries(
  lease: SnatLeaseState,
  gateway: RouterGateway & { readonly isHere: boolean },
  reader: PlanReader,
): readonly Planned[] {
  const { isHere } = gateway;
  const vrf = reader.number('router', lease.routerId);
  const addr = parseAddress(lease.address);
  if (gateway.networkId !== lease.networkId || gateway.leased !== true) return [];
  const exit = isHere ? 0 : reader.number('router', exitOf(lease.routerId));
  if (vrf === undefined || addr === undefined || exit === undefined) return [];
  const blocks = blocksOf(lease);
  const value = {
    ...{ addr, count: blocks.length, exit, mac: isHere ? new Uint8Array(6) : hostMac(gateway, reader) },
    block: [...blocks, ...Array<number>(CB_LEASE_BLOCKS).fill(0)].slice(0, CB_LEASE_BLOCKS),
  };
  return [
    ...blocks.map((block) => encodeEntry('cb_held_1', { block, addr }, { usedNs: 0n, wantedNs: 0n })),
    ...senders(lease, gateway, reader).map((sender) => encodeEntry('cb_lease_1', { vrf, ...sender }, value)),
  ];
}

type Sender = { readonly vif: number; readonly net: number; readonly addr: Uint8Array };

/** As what the sender is known here. */
function senders({ portId, fixedIps }: SnatLeaseState, gateway: RouterGateway, reader: PlanReader): readonly Sender[] {
  const vif = reader.facts('vif', portId).get('')?.value;
  if (vif !== undefined) return [{ vif, net: 0, addr: NO_ADDRESS }];
  const transit = numberOf(gateway.portId, reader);
  if (transit === undefined || gateway.host !== reader.host) return [];
  return fixedIps.flatMap((ip) => {
    const addr = parseAddress(ip);
    return addr === undefined || !isMapped(addr) ? [] : [{ vif: 0, net: transit, addr }];
  });
}

/** What answers to ports of blocks that another host has. */
function relayed(blocks: SnatBlocks, gateway: RouterGateway, reader: PlanReader): Output {
  const { networkId, address, underlay } = blocks;
  const remote = underlay === null ? undefined : parseAddress(underlay);
  const [addr, net, transit] = [parseAddress(address), numberOf(networkId, reader), numberOf(gateway.portId, reader)];
  if (underlay === null || remote === undefined || addr === undefined) return {};
  if (net === undefined || transit === undefined) return {};
  const name = tunnelName(underlay, remote);
  const tunnel = reader.id('tunnel', name);
  if (tunnel === undefined) return {};
  return {
    facts: [{ topic: 'tunnel', key: name, member: '', value: tunnel }],
    entries: blocksOf(blocks).map((block) => encodeEntry('cb_block_1', { net, block, addr }, { tunnel, net: transit })),
  };
}

function blocksOf({ firstPorts }: Pick<SnatLeaseState, 'firstPorts'>): readonly number[] {
  return firstPorts.slice(0, CB_LEASE_BLOCKS).map((port) => Math.floor(port / CB_BLOCK_PORTS));
}

function numberOf(networkId: string, reader: PlanReader): number | undefined {
  return reader.facts('network', networkId).get('')?.value.net;
}
