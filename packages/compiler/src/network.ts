import type { Endpoint, NetworkSlice, SubnetState } from '@cable/model';
import type { CompilerTables, PortRow, SubnetRow } from './tables.ts';
import { compareText, hostOf, isBound, sortedById } from './tables.ts';

type NetworkTables = Pick<CompilerTables, 'network' | 'subnet' | 'port' | 'router_interface' | 'host'>;

/**
 * The network with its subnets and endpoints; undefined: no such network.
 * A port that is administratively down stays an endpoint: its own host drops for it, so that setting it up again
 * changes one host and not all that carry the network.
 */
export function networkSlice(tables: NetworkTables, id: string): NetworkSlice | undefined {
  const network = tables.network.get(id);
  if (network === undefined) return undefined;
  return {
    kind: 'network',
    id,
    name: network.name,
    projectId: network.project_id,
    vni: network['provider:segmentation_id'],
    mtuBytes: network.mtu,
    subnets: sortedById(tables.subnet.by('network_id', id)).map(subnetState),
    endpoints: sortedById(tables.port.by('network_id', id).filter(isBound)).map((port) => endpoint(tables, port)),
    routers: networkRouters(tables, id),
  };
}

/** Ids of the routers with an interface in the network, sorted. */
export function networkRouters(tables: Pick<CompilerTables, 'router_interface'>, networkId: string): string[] {
  const routers = tables.router_interface.by('network_id', networkId).map((port) => port.device_id);
  return [...new Set(routers)].filter((id) => id !== '').sort(compareText);
}

/** The bound port as other hosts need it. */
export function endpoint(tables: Pick<CompilerTables, 'host'>, port: PortRow): Endpoint {
  const host = hostOf(port);
  return {
    portId: port.id,
    macAddress: port.mac_address,
    ipAddresses: port.fixed_ips.map((ip) => ip.ip_address),
    host,
    underlay: tables.host.get(host)?.underlay ?? null,
  };
}

function subnetState(subnet: SubnetRow): SubnetState {
  return {
    id: subnet.id,
    cidr: subnet.cidr,
    ipVersion: subnet.ip_version,
    gatewayIp: subnet.gateway_ip,
    enableDhcp: subnet.enable_dhcp,
    dnsNameservers: [...subnet.dns_nameservers],
    hostRoutes: subnet.host_routes.map(({ destination, nexthop }) => ({ destination, nexthop })),
  };
}
