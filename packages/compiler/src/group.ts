import type { GroupSlice } from '@cable/model';
import type { CompilerTables, PortRow } from './tables.ts';
import { sortedById } from './tables.ts';

type GroupMember = GroupSlice['members'][number];

/** The addresses behind a security group: those of all its ports, bound or not. A group without ports has no members. */
export function groupSlice(tables: Pick<CompilerTables, 'port'>, id: string): GroupSlice {
  return { kind: 'group', id, members: sortedById(tables.port.by('security_groups', id)).map(groupMember) };
}

/** The port as a member of its groups. */
export function groupMember(port: PortRow): GroupMember {
  const addresses = [
    ...port.fixed_ips.map((ip) => ip.ip_address),
    ...port.allowed_address_pairs.map((pair) => pair.ip_address),
  ];
  return { portId: port.id, networkId: port.network_id, addresses: [...new Set(addresses)] };
}
