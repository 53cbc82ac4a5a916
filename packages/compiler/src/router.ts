import type { RouterInterface, RouterSlice } from '@cable/model';
import type { CompilerTables, PortRow } from './tables.ts';
import { sortedById } from './tables.ts';

type RouterTables = Pick<CompilerTables, 'router' | 'router_interface' | 'subnet'>;

/** The router with its interfaces, one for each address of each of its ports; undefined: no such router. */
export function routerSlice(tables: RouterTables, id: string): RouterSlice | undefined {
  const router = tables.router.get(id);
  if (router === undefined) return undefined;
  return {
    kind: 'router',
    id,
    name: router.name,
    adminStateUp: router.admin_state_up,
    interfaces: sortedById(tables.router_interface.by('device_id', id)).flatMap((port) => interfaces(tables, port)),
    routes: router.routes.map(({ destination, nexthop }) => ({ destination, nexthop })),
  };
}

/** Ids of the networks in which the router has an interface. */
export function routerNetworks(tables: Pick<CompilerTables, 'router_interface'>, routerId: string): Set<string> {
  return new Set(tables.router_interface.by('device_id', routerId).map((port) => port.network_id));
}

function interfaces(tables: RouterTables, port: PortRow): RouterInterface[] {
  const found: RouterInterface[] = [];
  for (const ip of port.fixed_ips) {
    const subnet = tables.subnet.get(ip.subnet_id);
    if (subnet === undefined) continue;
    found.push({
      portId: port.id,
      networkId: port.network_id,
      subnetId: subnet.id,
      cidr: subnet.cidr,
      ipAddress: ip.ip_address,
      macAddress: port.mac_address,
    });
  }
  return found;
}
