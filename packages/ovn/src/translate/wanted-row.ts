/** Rows that are to be in the Northbound database. */
import { type Atom, type Datum, mapOf, setOf } from '../ovsdb/datum.ts';

/** The tables that rows are made in. */
export type NorthboundTable =
  | 'Logical_Switch'
  | 'Logical_Switch_Port'
  | 'DHCP_Options'
  | 'Port_Group'
  | 'ACL'
  | 'Address_Set'
  | 'Logical_Router'
  | 'Logical_Router_Port'
  | 'Gateway_Chassis'
  | 'Logical_Router_Static_Route'
  | 'NAT';

/** The columns that are written or read. */
export const NORTHBOUND_TABLES: Readonly<Record<NorthboundTable, readonly string[]>> = {
  Logical_Switch: ['name', 'ports', 'external_ids'],
  Logical_Switch_Port: [
    ...['name', 'type', 'options', 'tag', 'addresses', 'port_security', 'enabled', 'up'],
    ...['dhcpv4_options', 'dhcpv6_options', 'external_ids'],
  ],
  DHCP_Options: ['cidr', 'options', 'external_ids'],
  Port_Group: ['name', 'ports', 'acls', 'external_ids'],
  ACL: ['priority', 'direction', 'match', 'action', 'external_ids'],
  Address_Set: ['name', 'addresses', 'external_ids'],
  Logical_Router: ['name', 'enabled', 'options', 'ports', 'static_routes', 'nat', 'external_ids'],
  Logical_Router_Port: ['name', 'mac', 'networks', 'options', 'ipv6_ra_configs', 'gateway_chassis', 'external_ids'],
  Gateway_Chassis: ['name', 'chassis_name', 'priority', 'external_ids'],
  Logical_Router_Static_Route: ['ip_prefix', 'nexthop', 'external_ids'],
  NAT: ['type', 'external_ip', 'external_mac', 'logical_ip', 'logical_port', 'external_ids'],
};

/** Columns by which a row holds others, strongly or weakly: others may have put theirs there, too. */
export const HOLDING: Readonly<Partial<Record<NorthboundTable, readonly string[]>>> = {
  Logical_Switch: ['ports'],
  Port_Group: ['ports', 'acls'],
  Logical_Router: ['ports', 'static_routes', 'nat'],
  Logical_Router_Port: ['gateway_chassis'],
};

/** Tables whose rows stay without a row that holds them (`isRoot` of the schema). */
export const ROOTS: readonly NorthboundTable[] = [
  'Logical_Switch',
  'DHCP_Options',
  'Port_Group',
  'Address_Set',
  'Logical_Router',
];

/** Keys of `external_ids` that are ours; others are somebody else's, and stay. */
export const OWN_IDS: RegExp = /^(?:cable:|neutron:)/;

/** The key that says that a row is ours, and which one it is. */
export const ROW_ID = 'cable:row';

/** The key that says of which revision of its object a row is. */
export const REVISION_ID = 'cable:revision';

/** A row, as it is to be. */
export type WantedRow = {
  /** What it is: its unit, and behind `#` which part of it. No two rows have the same. */
  readonly key: string;
  readonly table: NorthboundTable;
  /** Columns that are ours, all of each. */
  readonly columns: Readonly<Record<string, Datum>>;
  /** Columns that point to rows, by these rows' keys. */
  readonly refs: Readonly<Record<string, readonly string[]>>;
  readonly ids: Readonly<Record<string, string>>;
  /** Rows that hold it, and by which of their columns. */
  readonly holders: readonly Holder[];
};

export type Holder = { readonly key: string; readonly column: string };

type Given = {
  readonly columns: Readonly<Record<string, Atom | readonly Atom[] | Readonly<Record<string, string>>>>;
  readonly refs?: WantedRow['refs'];
  readonly ids?: Readonly<Record<string, string>>;
  readonly holders?: readonly Holder[];
};

/** A row of values as they are written in a program: a list is a set, an object a map. */
export function wantedRow(
  table: NorthboundTable,
  key: string,
  { columns, refs = {}, ids = {}, holders = [] }: Given,
): WantedRow {
  const data = Object.entries(columns).map(([name, value]): [string, Datum] => [name, datumOf(value)]);
  return { key, table, columns: Object.fromEntries(data), refs, ids: { ...ids, [ROW_ID]: key }, holders };
}

/** The unit of which a row is a part. */
export function unitOf(key: string): string {
  const end = key.indexOf('#');
  return end < 0 ? key : key.slice(0, end);
}

function datumOf(value: Atom | readonly Atom[] | Readonly<Record<string, string>>): Datum {
  if (typeof value !== 'object') return setOf([value]);
  return Array.isArray(value) ? setOf(value as readonly Atom[]) : mapOf(value as Readonly<Record<string, string>>);
}
