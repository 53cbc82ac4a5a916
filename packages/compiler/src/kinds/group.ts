import { type GroupMember, isOneAddress } from '@cable/model';
import { isBound, type PortRow } from '../compiler-tables.ts';
import { defineKind, type Kind } from '../kind.ts';

/**
 * The addresses behind an address group, which are what it says, or behind a security group: those of its bound ports, because no other can send. An allowed address pair that is a prefix is none of them: who may send from
 * everywhere must not make everybody a member. It always exists, maybe without members.
 */
export const groupKind: Kind = defineKind({
  name: 'group',
  header: (reader, id) => {
    const addresses = reader.get('address_group', id)?.addresses;
    return { value: addresses === undefined ? { id } : { id, addresses }, refs: [] };
  },
  items: {
    table: 'port',
    index: 'security_groups',
    sourceKeys: (id) => [id],
    compute: (_reader, port) => (isBound(port) ? [{ key: port.id, value: groupMember(port), refs: [] }] : []),
  },
});

/** The port with the addresses that count as a member's. */
export function groupMember(port: PortRow): GroupMember {
  const addresses = [
    ...port.fixed_ips.map((ip) => ip.ip_address),
    ...port.allowed_address_pairs.map((pair) => pair.ip_address).filter(isOneAddress),
  ];
  return { portId: port.id, networkId: port.network_id, addresses: [...new Set(addresses)] };
}
