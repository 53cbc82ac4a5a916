import type { NetworkSlice, Slice, SliceKey } from '@cable/model';
import { deviceIdOf } from './pod-port.ts';
import type { CniRequest } from './request.ts';
import type { CniApi, SubnetFacts } from './server-api.ts';

/** What the host has been sent. `synced`: it is whole and recent. */
export type LocalFacts = { readonly synced: boolean; readonly slices: ReadonlyMap<SliceKey, Slice> };

/**
 * The API for one ADD that answers from the host's own state what that state surely knows: a network named by id that this host carries
 * already, and that no port of the interface is bound here. So the ADD of a pod in a network that is in use costs one request, the
 * port's creation. Should the state lag behind an earlier ADD of the same interface, that ADD's port is left to DEL, which asks the server.
 */
export function localFirst(api: CniApi, facts: LocalFacts, host: string, request: CniRequest): CniApi {
  if (!facts.synced) return api;
  const network = (id: string | undefined): NetworkSlice | undefined => {
    const slice = facts.slices.get(`network:${id ?? ''}`);
    return slice?.kind === 'network' ? slice : undefined;
  };
  return {
    ...api,
    networks: async (query) => {
      const known = network(query['id']);
      if (known === undefined) return api.networks(query);
      return [{ id: known.id, project_id: known.projectId, mtu: known.mtuBytes }];
    },
    subnets: async (query) => {
      const known = query['name'] === undefined ? network(query['network_id']) : undefined;
      return known === undefined ? api.subnets(query) : subnetsOf(known);
    },
    ports: async (query) => (hasPort(facts, host, request) ? api.ports(query) : []),
  };
}

function subnetsOf(network: NetworkSlice): readonly SubnetFacts[] {
  return network.subnets.map((subnet) => ({
    id: subnet.id,
    cidr: subnet.cidr,
    gateway_ip: subnet.gatewayIp,
    dns_nameservers: subnet.dnsNameservers,
    host_routes: subnet.hostRoutes,
  }));
}

function hasPort(facts: LocalFacts, host: string, request: CniRequest): boolean {
  const slice = facts.slices.get(`host:${host}`);
  if (slice?.kind !== 'host') return true;
  const deviceId = deviceIdOf(request);
  return slice.ports.some((port) => port.deviceId === deviceId);
}
