import type { Endpoint } from '@cable/model';
import { CB_ENDPOINT_F_LEFT, CB_ENDPOINT_REMOTE } from '../bpf/abi.gen.ts';
import { parseAddress, parseMac } from './address.ts';
import { endpointEntries, endpointOf } from './endpoint-entries.ts';
import { peerName, type StatedFact } from './topics.ts';
import { tunnelName } from './tunnels.ts';
import { type Family, itemFamily, type PlanReader } from './unit.ts';

/** The tunnel to a host, and what must be stated as long as it is made use of. */
export type OtherTunnel = { readonly tunnel: number; readonly facts: readonly StatedFact[] };

/**
 * Where a port really is that is to come here, or has left: on another host, but this one has a VIF for it. What comes from other hosts for it is sent on if it
 * has left; else they know already that it is here. It stands before what the endpoint itself says.
 */
export const STANDBY_ENDPOINTS: Family = itemFamily(
  { name: 'standby endpoint', slice: 'standby', subject: 'port' },
  ({ item: portId }, { networkId, projectId, left }, reader) => {
    const endpoint = reader.item('endpoints', networkId, portId);
    const network = reader.facts('network', networkId).get('')?.value;
    const vif = reader.facts('vif', portId).get('')?.value;
    const mac = endpoint === undefined ? undefined : parseMac(endpoint.macAddress);
    if (endpoint === undefined || network === undefined || vif === undefined || mac === undefined) return {};
    if (endpoint.host === reader.host) return {};
    const other = tunnelTo(endpoint.underlay, reader);
    if (other === undefined) return {};
    const flags = left ? CB_ENDPOINT_F_LEFT : 0;
    const entry = endpointOf({ kind: CB_ENDPOINT_REMOTE, mac, tunnel: other.tunnel, vif, flags });
    return {
      projectId,
      facts: other.facts,
      entries: endpointEntries(network.net, entry, endpoint.ipAddresses),
    };
  },
);

/** The tunnel to the host where a port of this host may be, too: it has left there, or is to come there. */
export function otherTunnel(networkId: string, portId: string, reader: PlanReader): OtherTunnel | undefined {
  const places = reader.item('endpoints', networkId, portId)?.standby ?? [];
  const place = places.find((one) => one.left) ?? places[0];
  return place === undefined ? undefined : tunnelTo(place.underlay, reader);
}

/** Facts about the other hosts at which an endpoint may be, so that they may send into the network. */
export function standbyFacts(networkId: string, { standby = [] }: Endpoint, reader: PlanReader): StatedFact[] {
  const facts: StatedFact[] = [];
  for (const { host, underlay } of standby) {
    const other = host === reader.host ? undefined : tunnelTo(underlay, reader);
    const name = other?.facts[0]?.key;
    if (other === undefined || name === undefined) continue;
    facts.push(...other.facts, { topic: 'peer', key: peerName(networkId, name), member: '', value: null });
  }
  return facts;
}

/** The tunnel to the host with this underlay address, null: that has none yet. */
export function tunnelTo(underlay: string | null, reader: PlanReader): OtherTunnel | undefined {
  const remote = underlay === null ? undefined : parseAddress(underlay);
  if (underlay === null || remote === undefined) return undefined;
  const name = tunnelName(underlay, remote);
  const tunnel = reader.id('tunnel', name);
  if (tunnel === undefined) return undefined;
  return { tunnel, facts: [{ topic: 'tunnel', key: name, member: '', value: tunnel }] };
}
