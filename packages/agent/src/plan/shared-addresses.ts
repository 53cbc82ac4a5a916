import { CB_ENDPOINT_SHARED, CB_FLOOD_CHUNKS, CB_FLOOD_TARGETS, CB_PEER_F_UPLINK, MAPS } from '../bpf/abi.gen.ts';
import { formatAddress, formatMac, parseAddress, parseMac, parsePrefix } from './address.ts';
import { endpointOf } from './endpoint-entries.ts';
import { encodeEntry, type Planned } from './entries.ts';
import { connectedNetworks } from './reach.ts';
import { type StatedFact, sharedName, sharedParts } from './topics.ts';
import { type Family, type PlanReader, topicFamily } from './unit.ts';

/** An allowed address pair that is one address: a prefix is nobody's place, so nothing is learned of it. */
export type SharedAddress = { readonly address: Uint8Array; readonly mac: Uint8Array };

type Pairs = readonly { readonly ipAddress: string; readonly macAddress: string }[];

/** Those of these pairs that are one address. What cannot be read is none. */
export function sharedAddresses(pairs: Pairs): readonly SharedAddress[] {
  return pairs.flatMap(({ ipAddress, macAddress }) => {
    const prefix = parsePrefix(ipAddress);
    const mac = parseMac(macAddress);
    return prefix?.length === HOST_BITS && mac !== undefined ? [{ address: prefix.bytes, mac }] : [];
  });
}

const HOST_BITS = 128;

/** A port, at a VIF of this host or behind a tunnel, may have these addresses. */
export function sharedFacts(
  networkId: string,
  portId: string,
  shared: readonly SharedAddress[],
  at: { readonly vif: number } | { readonly tunnel: number },
): readonly StatedFact[] {
  return shared.map(({ address, mac }) => ({
    topic: 'shared',
    key: sharedName(networkId, formatAddress(address)),
    member: `${portId} ${formatMac(mac)}`,
    value: { vif: 0, tunnel: 0, ...at, mac: formatMac(mac) },
  }));
}

/** Ports behind the tunnel that may say that they have the addresses. */
export function pairEntries(net: number, tunnel: number, shared: readonly SharedAddress[]): readonly Planned[] {
  return shared.map(({ address, mac }) => encodeEntry('cb_pair_1', { net, tunnel, mac, addr: address }, { flags: 0 }));
}

/** An address that ports may share: where it is, if only one may have it; else the vrouter learns it. A port's own address goes before. */
export const SHARED_ADDRESSES: Family = topicFamily(
  { name: 'shared address', topic: 'shared', subject: 'host' },
  ({ scope }, reader) => {
    const { networkId, address } = sharedParts(scope);
    const network = reader.facts('network', networkId).get('')?.value;
    const addr = parseAddress(address);
    const [first, ...others] = [...reader.facts('shared', scope).values()];
    if (network === undefined || addr === undefined || first === undefined) return {};
    const { vif, tunnel, mac } = first.value;
    const only = others.length === 0 ? { vif, tunnel, mac: parseMac(mac) ?? NO_MAC } : { mac: NO_MAC };
    const value = MAPS.cb_ep_2.value.text(endpointOf({ kind: CB_ENDPOINT_SHARED, ...only }));
    const key = MAPS.cb_ep_2.key.text({ net: network.net, addr });
    return {
      projectId: network.projectId,
      entries: [{ map: 'cb_ep_2', key, value }],
      facts: others.length === 0 ? [] : [{ topic: 'shared-in', key: networkId, member: address, value: null }],
    };
  },
);

const NO_MAC = new Uint8Array(6);

/** As many as the vrouter copies to. */
const MAX_TARGETS = CB_FLOOD_CHUNKS * CB_FLOOD_TARGETS;

/**
 * A network in which addresses move among ports: who must hear of it besides those that its flood list names. From a host with a port in it those that only route into it;
 * to a host that only does that, those with ports in it, whose tunnelled packets it takes for this.
 */
export const ANNOUNCEMENTS: Family = topicFamily(
  { name: 'announcements', topic: 'shared-in', subject: 'host' },
  ({ scope: networkId }, reader) => {
    const network = reader.facts('network', networkId).get('')?.value;
    if (network === undefined) return {};
    const { net, vni, projectId } = network;
    const isNear = reader.facts('near', networkId).size > 0;
    const hosts = isNear ? routingHosts(reader, networkId) : hostsIn(reader, networkId);
    const flags = reader.ownEncapsulation ? CB_PEER_F_UPLINK : 0;
    const peers = isNear ? [] : [...hosts];
    return {
      projectId,
      entries: [
        ...chunks(net, [...hosts.values()].slice(0, MAX_TARGETS)),
        ...peers.flatMap(([name, tunnel]) => {
          const remote = parseAddress(name);
          return remote === undefined
            ? []
            : [encodeEntry('cb_peer_2', { wireId: vni, remote }, { net, tunnel, flags, vif: 0 })];
        }),
      ],
    };
  },
);

/** Tunnels by host. */
function hostsIn(reader: PlanReader, networkId: string): ReadonlyMap<string, number> {
  return new Map(reader.sortedFacts('host-in', networkId).map(({ member, value }) => [member, value]));
}

function routingHosts(reader: PlanReader, networkId: string): ReadonlyMap<string, number> {
  const here = reader.facts('host-in', networkId);
  const found = new Map<string, number>();
  for (const id of [...connectedNetworks(reader, networkId)].sort()) {
    for (const [name, tunnel] of hostsIn(reader, id)) if (!here.has(name)) found.set(name, tunnel);
  }
  return found;
}

function chunks(net: number, tunnels: readonly number[]): readonly Planned[] {
  const planned: Planned[] = [];
  for (let chunk = 0; chunk * CB_FLOOD_TARGETS < tunnels.length; chunk += 1) {
    const tunnel = tunnels.slice(chunk * CB_FLOOD_TARGETS, (chunk + 1) * CB_FLOOD_TARGETS);
    const padded = [...tunnel, ...Array.from({ length: CB_FLOOD_TARGETS - tunnel.length }, () => 0)];
    planned.push(encodeEntry('cb_announce_1', { net, chunk }, { count: tunnel.length, tunnel: padded }));
  }
  return planned;
}
