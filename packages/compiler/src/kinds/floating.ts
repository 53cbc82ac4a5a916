import type { FloatingAddress } from '@cable/model';
import {
  type FloatingIpRow,
  type HostRow,
  hostOf,
  isBound,
  type NetworkRow,
  type PortRow,
} from '../compiler-tables.ts';
import { defineKind, type Kind, type NodeKey } from '../kind.ts';
import type { Reader } from '../reader.ts';

/** The floating IPs that lead through a router, and outside by the host of its gateway: those whose port's host does not answer for them itself. */
export const floatingKind: Kind = defineKind({
  name: 'floating',
  header: (reader, id) => (reader.get('router', id) === undefined ? undefined : { value: { routerId: id }, refs: [] }),
  items: {
    table: 'floatingip',
    index: 'router_id',
    sourceKeys: (id) => [id],
    compute: (reader, floating) => {
      const port = floating.port_id === null ? undefined : reader.get('port', floating.port_id);
      if (port === undefined || answersItself(reader, floating, port)) return [];
      const value = addressOf(reader, floating, port);
      return value === undefined ? [] : [{ key: floating.id, value, refs: policyRefs(value) }];
    },
  },
});

/** The floating IPs of ports that a host carries, for which it answers itself. */
export const floatsKind: Kind = defineKind({
  name: 'floats',
  header: (reader, id) => (mayAnswer(reader.get('host', id)) ? { value: { host: id }, refs: [] } : undefined),
  items: {
    table: 'port',
    index: 'binding:host_id',
    sourceKeys: (id) => [id],
    compute: (reader, port) =>
      reader.by('floatingip', 'port_id', port.id).flatMap((floating) => {
        const { id, router_id: routerId, floating_network_id: networkId } = floating;
        const address = addressOf(reader, floating, port);
        if (routerId === null || address?.macAddress === undefined || !answersItself(reader, floating, port)) return [];
        const value = { ...address, macAddress: address.macAddress, routerId };
        const refs: NodeKey[] = [`network:${networkId}`, `router:${routerId}`, ...policyRefs(value)];
        return [{ key: `${port.id}/${id}`, value, refs }];
      }),
  },
});

/** Whether the host may answer for floating IPs of its ports: it is on some physical network, and its agent knows how. */
export function mayAnswer(host: HostRow | undefined): boolean {
  return host !== undefined && Object.keys(host.bridge_mappings ?? {}).length > 0 && isAble(host);
}

function isAble(host: HostRow): boolean {
  return host.features?.includes('floats') ?? false;
}

/** True when what the floating IP stands for is reached by the uplink of its port's host: its router is distributed, and that host is on the physical network. */
function answersItself(reader: Reader, floating: FloatingIpRow, port: PortRow): boolean {
  if (!isBound(port) || !isDistributed(reader, floating)) return false;
  const host = reader.get('host', hostOf(port));
  return mayAnswer(host) && isOn(host, reader.get('network', floating.floating_network_id));
}

/** A router that was stored before there was a choice says nothing. */
function isDistributed(reader: Reader, { router_id: routerId }: FloatingIpRow): boolean {
  return routerId === null || reader.get('router', routerId)?.distributed !== false;
}

/** True for a host on the physical network that carries the network. */
export function isOn(host: HostRow | undefined, network: NetworkRow | undefined): boolean {
  const physical = physicalNetworkOf(network);
  return physical !== null && Object.hasOwn(host?.bridge_mappings ?? {}, physical);
}

/** Null: it is tunnelled, and so leads nowhere. */
function physicalNetworkOf(network: NetworkRow | undefined): string | null {
  if (network === undefined || network['provider:network_type'] === 'vxlan') return null;
  return network['provider:physical_network'];
}

function addressOf(reader: Reader, floating: FloatingIpRow, port: PortRow): FloatingAddress | undefined {
  const { fixed_ip_address: fixedIp } = floating;
  if (fixedIp === null) return undefined;
  const outside = reader.get('port', floating.floating_port_id);
  return {
    networkId: floating.floating_network_id,
    floatingIp: floating.floating_ip_address,
    portId: port.id,
    innerNetworkId: port.network_id,
    fixedIp,
    ...(outside === undefined ? {} : { macAddress: outside.mac_address }),
    ...policyOf(floating),
  };
}

/** The QoS policy of what is translated to and from an address outside. One that was stored before there were such says nothing. */
export function policyOf({ qos_policy_id: id = null }: { readonly qos_policy_id?: string | null }): {
  readonly qosPolicyId?: string;
} {
  return id === null ? {} : { qosPolicyId: id };
}

/** What who has a policy refers to. */
export function policyRefs({ qosPolicyId }: { readonly qosPolicyId?: string }): readonly NodeKey[] {
  return qosPolicyId === undefined ? [] : [`qos:${qosPolicyId}`];
}
