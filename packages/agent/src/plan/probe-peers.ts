/** Hosts that probe one another: those with a router and its gateway's hosts, and these among each other (docs/design/gateway-fail-over.md). */
import type { GatewayHost, RouterHeader } from '@cable/model';
import { CB_PEER_F_PROBE } from '../bpf/abi.gen.ts';
import { parseAddress } from './address.ts';
import { encodeEntry } from './entries.ts';
import { gatewayHosts } from './live-gateway.ts';
import { portsOfNode } from './node-port.ts';
import { peerName, type StatedFact } from './topics.ts';
import { tunnelName } from './tunnels.ts';
import { type Family, headerFamily, topicFamily } from './unit.ts';

/** The hosts on which a router's gateway may be, and by which subnets that it tells of may leave: there is a tunnel to each, and what comes back from whichever has it is let in. */
export const GATEWAY_HOSTS: Family = headerFamily(
  { name: 'gateway host', slice: 'router', subject: 'host' },
  ({ scope: routerId }, router, reader) => {
    const hosts = sharingHosts(router);
    if (hosts.length === 0) return {};
    const legs = reader.sortedFacts('leg-of', routerId).map(({ value }) => value);
    const networks = new Set(legs.map((leg) => leg.networkId));
    const facts = hosts.flatMap(({ host, underlay }): readonly StatedFact[] => {
      const remote = underlay === null || host === reader.host ? undefined : parseAddress(underlay);
      if (underlay === null || remote === undefined) return [];
      const name = tunnelName(underlay, remote);
      const tunnel = reader.id('tunnel', name);
      if (tunnel === undefined) return [];
      return [
        { topic: 'tunnel', key: name, member: '', value: tunnel },
        { topic: 'probe-peer', key: name, member: '', value: tunnel },
        ...[...networks].map((id): StatedFact => ({ topic: 'peer', key: peerName(id, name), member: '', value: null })),
      ];
    });
    return { facts };
  },
);

/** Those that have something of the router's in turn. */
function sharingHosts({ gateway, centralized = [] }: RouterHeader): readonly GatewayHost[] {
  const ofGateway = gateway?.standbys === undefined ? [] : gatewayHosts(gateway);
  return [...ofGateway, ...centralized.flatMap(({ hosts }) => (hosts.length > 1 ? hosts : []))];
}

/** On a host on which the gateway may be: the others that have the router. */
export const PROBERS: Family = headerFamily(
  { name: 'prober', slice: 'router', subject: 'host' },
  ({ scope: routerId }, router, reader) => {
    if (!sharingHosts(router).some(({ host }) => host === reader.host)) return {};
    const tunnels = new Map<string, number>();
    for (const { value: leg } of reader.sortedFacts('leg-of', routerId)) {
      for (const [name, { value }] of reader.facts('host-in', leg.networkId)) tunnels.set(name, value);
    }
    return {
      facts: [...tunnels].map(([name, value]): StatedFact => ({ topic: 'probe-peer', key: name, member: '', value })),
    };
  },
);

/** Nodes of a cluster ask each other, for addresses of Services that one of them announces. */
export const NODE_PROBERS: Family = headerFamily(
  { name: 'prober among nodes', slice: 'services', subject: 'host' },
  (_unit, { routerIds }, reader) => {
    const networks = routerIds.flatMap((id) => reader.sortedFacts('leg-of', id).map(({ value }) => value.networkId));
    const nodes = new Set(portsOfNode(reader, new Set(networks)).map(({ networkId }) => networkId));
    const tunnels = new Map<string, number>();
    for (const id of nodes) for (const [name, { value }] of reader.facts('host-in', id)) tunnels.set(name, value);
    return {
      facts: [...tunnels].map(([name, value]): StatedFact => ({ topic: 'probe-peer', key: name, member: '', value })),
    };
  },
);

/** A host whose probes are answered, and whose answers are heard. */
export const PROBE_PEERS: Family = topicFamily(
  { name: 'probe peer', topic: 'probe-peer', subject: 'host' },
  ({ scope: name }, reader) => {
    const remote = parseAddress(name);
    const tunnel = reader.facts('probe-peer', name).get('')?.value;
    if (remote === undefined || tunnel === undefined) return {};
    const value = { net: 0, tunnel, flags: CB_PEER_F_PROBE, vif: 0 };
    return { entries: [encodeEntry('cb_peer_2', { wireId: 0, remote }, value)] };
  },
);
