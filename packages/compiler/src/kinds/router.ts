import type { GatewayHost, RouterGateway, RouterInterface } from '@cable/model';
import { hostOf, type PortRow, type RouterRow } from '../compiler-tables.ts';
import { type ComputedItem, defineKind, type Kind, type NodeKey } from '../kind.ts';
import type { Reader } from '../reader.ts';
import { policyOf, policyRefs } from './floating.ts';
import { centralizedOf } from './gateway-nodes.ts';
import { policyRoutesOf } from './policy-routes.ts';
import { translates } from './scopes.ts';

/** One router; an interface for each address of each of its ports whose subnet exists. */
export const routerKind: Kind = defineKind({
  name: 'router',
  header: (reader, id) => {
    const router = reader.get('router', id);
    if (router === undefined) return undefined;
    const routes = router.routes.map(({ destination, nexthop }) => ({ destination, nexthop }));
    const way = gateway(reader, router);
    const policies = policyRoutesOf(reader, id);
    const centralized = centralizedOf(reader, router);
    const value = {
      ...{ id, name: router.name, adminStateUp: router.admin_state_up, routes },
      ...(policies.length === 0 ? {} : { policies }),
      ...(router['cable:node_egress'] === true ? { nodeEgress: true as const } : {}),
      ...(centralized.length === 0 ? {} : { centralized }),
    };
    return way === undefined ? { value, refs: [] } : { value: { ...value, gateway: way }, refs: policyRefs(way) };
  },
  items: { table: 'router_interface', index: 'device_id', sourceKeys: (id) => [id], compute: interfaces },
});

/** Undefined: there is none, or it has no address. */
function gateway(reader: Reader, router: RouterRow): RouterGateway | undefined {
  const { external_gateway_info: info = null, gateway_port_id: portId = null, transit_vni: transitVni = null } = router;
  const port = info === null || portId === null ? undefined : reader.get('port', portId);
  if (info === null || port === undefined || transitVni === null || port.fixed_ips.length === 0) return undefined;
  const host = hostOf(port);
  const limited: typeof info & { readonly qos_policy_id?: string | null } = info;
  const standbys = port.standby_hosts.map((one): GatewayHost => ({ host: one, underlay: underlayOf(reader, one) }));
  return {
    portId: port.id,
    networkId: port.network_id,
    macAddress: port.mac_address,
    fixedIps: port.fixed_ips.map((ip) => ({ subnetId: ip.subnet_id, ipAddress: ip.ip_address })),
    enableSnat: translates(reader, router, port),
    ...(isLeased(reader, router, host) ? { leased: true } : {}),
    ...policyOf(limited),
    transitVni,
    host,
    underlay: underlayOf(reader, host),
    ...(standbys.length === 0 ? {} : { standbys }),
  };
}

function underlayOf(reader: Reader, host: string): string | null {
  return host === '' ? null : (reader.get('host', host)?.underlay ?? null);
}

/** Whether ports of the router's addresses are leased: as it is set, or as some ports have addresses of their own, where the gateway's host knows how. */
function isLeased(reader: Reader, router: RouterRow, host: string): boolean {
  const isWanted =
    (router['cable:snat'] ?? 'shared') !== 'shared' || reader.by('router_egress', 'router_id', router.id).length > 0;
  return isWanted && host !== '' && (reader.get('host', host)?.features?.includes('blocks') ?? false);
}

type InterfaceItem = ComputedItem & { readonly value: RouterInterface };

function interfaces(reader: Reader, port: PortRow): readonly InterfaceItem[] {
  const refs: readonly NodeKey[] = [`network:${port.network_id}`, `endpoints:${port.network_id}`];
  return port.fixed_ips.flatMap((ip) => {
    const subnet = reader.get('subnet', ip.subnet_id);
    if (subnet === undefined) return [];
    const value: RouterInterface = {
      portId: port.id,
      networkId: port.network_id,
      subnetId: subnet.id,
      cidr: subnet.cidr,
      ipAddress: ip.ip_address,
      macAddress: port.mac_address,
    };
    return [{ key: `${port.id}/${ip.ip_address}`, value, refs }];
  });
}
