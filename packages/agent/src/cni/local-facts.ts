import type { LocalPort, NetworkHeader } from '@cable/model';
import { deviceIdOf } from './pod-port.ts';
import type { CniRequest } from './request.ts';
import type { CniApi, SubnetFacts } from './server-api.ts';

/** What the host has been sent, as far as it is needed here. Each answer is one lookup, however much the host carries. */
export type LocalFacts = {
  /** True: what is known here is whole and recent. */
  synced(): boolean;
  /** Header of `network:<id>`; undefined: the host does not carry that network. */
  network(id: string): NetworkHeader | undefined;
  /** This host's ports with that `device_id`. */
  portsByDeviceId(deviceId: string): readonly Pick<LocalPort, 'id'>[];
};

/**
 * The API for one ADD that answers from the host's own state what that state surely knows: a network named by id that this host carries
 * already, and that no port of the interface is bound here. So the ADD of a pod in a network that is in use costs one request, the
 * port's creation. Should the state lag behind an earlier ADD of the same interface, that ADD's port is left to DEL, which asks the server.
 */
export function localFirst(api: CniApi, facts: LocalFacts, request: CniRequest): CniApi {
  if (!facts.synced()) return api;
  return {
    ...api,
    networks: async (query) => {
      const known = facts.network(query['id'] ?? '');
      if (known === undefined) return api.networks(query);
      return [{ id: known.id, project_id: known.projectId, mtu: known.mtuBytes }];
    },
    subnets: async (query) => {
      const known = query['name'] === undefined ? facts.network(query['network_id'] ?? '') : undefined;
      return known === undefined ? api.subnets(query) : subnetsOf(known);
    },
    ports: async (query) => (facts.portsByDeviceId(deviceIdOf(request)).length > 0 ? api.ports(query) : []),
  };
}

function subnetsOf(network: NetworkHeader): readonly SubnetFacts[] {
  return network.subnets.map((subnet) => ({
    id: subnet.id,
    cidr: subnet.cidr,
    gateway_ip: subnet.gatewayIp,
    dns_nameservers: subnet.dnsNameservers,
    host_routes: subnet.hostRoutes,
  }));
}
