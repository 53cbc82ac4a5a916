import type { Gateway } from '@cable/model';
import type { PortRow } from '../compiler-tables.ts';
import { type ComputedItem, defineKind, type Kind, type NodeKey } from '../kind.ts';

/** The routers whose gateway a host is. There is none where the host is no gateway. */
export const gatewaysKind: Kind = defineKind({
  name: 'gateways',
  header: (reader, id) =>
    reader.by('router_gateway', 'binding:host_id', id).length === 0 ? undefined : { value: { host: id }, refs: [] },
  items: {
    table: 'router_gateway',
    index: 'binding:host_id',
    sourceKeys: (id) => [id],
    compute: (_reader, port) => [gatewayOf(port)],
  },
});

/** The routers whose gateway a host is to be when the one that they have does not answer. There is none where the host is no standby. */
export const sparesKind: Kind = defineKind({
  name: 'spares',
  header: (reader, id) =>
    reader.by('router_gateway', 'standby_hosts', id).length === 0 ? undefined : { value: { host: id }, refs: [] },
  items: {
    table: 'router_gateway',
    index: 'standby_hosts',
    sourceKeys: (id) => [id],
    compute: (_reader, port) => [gatewayOf(port)],
  },
});

type GatewayItem = ComputedItem & { readonly value: Gateway };

function gatewayOf(port: PortRow): GatewayItem {
  return { key: port.id, value: { routerId: port.device_id, networkId: port.network_id }, refs: references(port) };
}

/** What it passes between: the external network, and the networks that the router says. */
function references({ device_id: routerId, network_id: networkId }: PortRow): readonly NodeKey[] {
  const own = [`floating:${routerId}`, `forwards:${routerId}`, `blocks:${routerId}`] as const;
  return [`network:${networkId}`, `router:${routerId}`, ...own];
}
