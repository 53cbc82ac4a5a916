import type { RouterInterface } from '@cable/model';
import type { PortRow } from '../compiler-tables.ts';
import { type ComputedItem, defineKind, type Kind, type NodeKey } from '../kind.ts';
import type { Reader } from '../reader.ts';

/** One router; an interface for each address of each of its ports whose subnet exists. */
export const routerKind: Kind = defineKind({
  name: 'router',
  header: (reader, id) => {
    const router = reader.get('router', id);
    if (router === undefined) return undefined;
    const routes = router.routes.map(({ destination, nexthop }) => ({ destination, nexthop }));
    return { value: { id, name: router.name, adminStateUp: router.admin_state_up, routes }, refs: [] };
  },
  items: { table: 'router_interface', index: 'device_id', sourceKeys: (id) => [id], compute: interfaces },
});

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
