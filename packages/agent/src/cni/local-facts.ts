import type { LocalPort, NetworkHeader } from '@cable/model';
import type { NetworkWays } from './network-ways.ts';
import { deviceIdOf, type PodPort } from './pod-port.ts';
import type { CniRequest } from './request.ts';
import type { CniApi, NetworkFacts, SubnetFacts } from './server-api.ts';

/** What the host has been sent, as far as it is needed here. Where nothing else is said, an answer is one lookup, however much the host carries. */
export type LocalFacts = {
  /** True: what is known here is whole and recent. */
  synced(): boolean;
  /** Header of `network:<id>`; undefined: the host does not carry that network. */
  network(id: string): NetworkHeader | undefined;
  /** This host's port of that id, which may be one that is to come here, or has left, with a virtual machine; undefined: it has none. */
  port(id: string): LocalPort | undefined;
  /** This host's ports with that `device_id`, those of pods too that are to come here, or have left. */
  portsByDeviceId(deviceId: string): readonly LocalPort[];
  /** What is reached by the routers of a network. As many steps as the host carries routers. */
  ways(networkId: string): NetworkWays;
  /** Calls `onChange` after each change of one of these, that one comes and goes included. Answers what ends it. */
  watch(deviceId: string, onChange: () => void): () => void;
  /** Why no port can be programmed here now; null: nothing is known against it. */
  unready(): string | null;
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
      return [networkOf(known)];
    },
    subnets: async (query) => {
      const known = query['name'] === undefined ? facts.network(query['network_id'] ?? '') : undefined;
      return known === undefined ? api.subnets(query) : subnetsOf(known);
    },
    ports: async (query) => (facts.portsByDeviceId(deviceIdOf(request)).length > 0 ? api.ports(query) : []),
  };
}

function networkOf({ id, projectId, mtuBytes }: NetworkHeader): NetworkFacts {
  return { id, project_id: projectId, mtu: mtuBytes };
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

/** A port of this host with what its link needs to know; undefined: its network has not come. */
export function podPortOf(port: LocalPort, facts: Pick<LocalFacts, 'network'>): PodPort | undefined {
  const network = facts.network(port.networkId);
  if (network === undefined) return undefined;
  return {
    port: {
      id: port.id,
      network_id: port.networkId,
      mac_address: port.macAddress,
      device_id: port.deviceId,
      fixed_ips: port.fixedIps.map(({ subnetId, ipAddress }) => ({ subnet_id: subnetId, ip_address: ipAddress })),
      ...(port.defaultRoute === undefined ? {} : { 'cable:default_route': port.defaultRoute }),
    },
    network: networkOf(network),
    subnets: subnetsOf(network),
  };
}
