import type { SubnetState, Wire } from '@cable/model';
import { type NetworkRow, type SubnetRow, sortedById } from '../compiler-tables.ts';
import { defineKind, type Kind } from '../kind.ts';

/** One network with its subnets. */
export const networkKind: Kind = defineKind({
  name: 'network',
  header: (reader, id) => {
    const network = reader.get('network', id);
    if (network === undefined) return undefined;
    const value = {
      id,
      name: network.name,
      projectId: network.project_id,
      adminStateUp: network.admin_state_up,
      ...carriedBy(network),
      mtuBytes: network.mtu,
      // Where no network is declared to lead outside, none does.
      ...(network['router:external'] === true ? ({ external: true } as const) : {}),
      ...(network.dns_domain === '' ? {} : { dnsDomain: network.dns_domain }),
      subnets: sortedById(reader.by('subnet', 'network_id', id)).map(subnetState),
    };
    const balances = reader.by('loadbalancer', 'vip_network_id', id).length > 0;
    return { value, refs: balances ? [`balancers:${id}`] : [] };
  },
});

function carriedBy(network: NetworkRow): { readonly vni: number; readonly wire?: Wire } {
  const { 'provider:physical_network': physicalNetwork, 'provider:segmentation_id': segmentationId } = network;
  if (network['provider:network_type'] === 'vxlan' || physicalNetwork === null) return { vni: segmentationId ?? 0 };
  return { vni: network.vni ?? 0, wire: { physicalNetwork, segmentationId } };
}

function subnetState(subnet: SubnetRow): SubnetState {
  const { ipv6_ra_mode: ipv6RaMode, ipv6_address_mode: ipv6AddressMode } = subnet;
  return {
    id: subnet.id,
    cidr: subnet.cidr,
    ipVersion: subnet.ip_version,
    gatewayIp: subnet.gateway_ip,
    enableDhcp: subnet.enable_dhcp,
    dnsNameservers: [...subnet.dns_nameservers],
    hostRoutes: subnet.host_routes.map(({ destination, nexthop }) => ({ destination, nexthop })),
    ...(ipv6RaMode === null ? {} : { ipv6RaMode }),
    ...(ipv6AddressMode === null ? {} : { ipv6AddressMode }),
    ...(subnet['cable:nat_outgoing'] === false ? { natOutgoing: false as const } : {}),
  };
}
