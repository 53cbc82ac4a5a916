/** Security groups: a port group with rules, and the sets of their ports' addresses. */
import { isOneAddress } from '@cable/model';
import { matchOf } from './acl-match.ts';
import { addressGroupSetName, DROP_GROUP, groupName, membersSetName } from './names.ts';
import type { Objects, SecurityGroup, SecurityGroupRule } from './neutron.ts';
import { type WantedRow, wantedRow } from './wanted-row.ts';
import type { WorldReader } from './world.ts';

/** As Neutron's own driver has it: what a rule allows is above what is dropped otherwise. */
const DROP = 1001;
const ALLOW = 1002;
/** Guests do not answer for the DHCP server, whatever their rules allow. */
const NEVER = 1003;

/** The key of the group of `DROP_GROUP`. */
export const DROP_KEY = 'drop';

/** The group of ports whose traffic is dropped where no rule allows it. */
export function dropRows(): readonly WantedRow[] {
  const acl = (name: string, priority: number, direction: string, match: string, action: string): WantedRow =>
    wantedRow('ACL', `${DROP_KEY}#${name}`, {
      columns: { priority, direction, match, action },
      holders: [{ key: DROP_KEY, column: 'acls' }],
    });
  const from = `inport == @${DROP_GROUP}`;
  const to = `outport == @${DROP_GROUP}`;
  return [
    wantedRow('Port_Group', DROP_KEY, { columns: { name: DROP_GROUP } }),
    acl('from', DROP, 'from-lport', `${from} && ip`, 'drop'),
    acl('to', DROP, 'to-lport', `${to} && ip`, 'drop'),
    // Every guest may ask for its address, as with Neutron's other drivers.
    acl('dhcp4', ALLOW, 'from-lport', `${from} && ip4 && udp.src == 68 && udp.dst == 67`, 'allow'),
    acl('dhcp6', ALLOW, 'from-lport', `${from} && ip6 && udp.src == 546 && udp.dst == 547`, 'allow'),
    acl('server4', NEVER, 'from-lport', `${from} && ip4 && udp.src == 67 && udp.dst == 68`, 'drop'),
    acl('server6', NEVER, 'from-lport', `${from} && ip6 && udp.src == 547 && udp.dst == 546`, 'drop'),
  ];
}

/** A rule whose other group is not there yet allows nothing. */
export function securityGroupRows(key: string, group: SecurityGroup, read: WorldReader): readonly WantedRow[] {
  const ids = { 'neutron:security_group_name': group.name, 'cable:revision': String(group.revision) };
  const rules = group.rules.filter((rule) => isReadable(rule, read));
  return [
    wantedRow('Port_Group', key, { columns: { name: groupName(group.id) }, ids }),
    ...rules.flatMap((rule) => ruleRows(key, group, rule)),
  ];
}

function isReadable({ remoteGroup, remoteAddressGroup }: SecurityGroupRule, read: WorldReader): boolean {
  if (remoteGroup !== null && read.get('security_group', remoteGroup) === undefined) return false;
  return remoteAddressGroup === null || read.get('address_group', remoteAddressGroup) !== undefined;
}

function ruleRows(key: string, group: SecurityGroup, rule: SecurityGroupRule): readonly WantedRow[] {
  const match = matchOf(group.id, rule);
  if (match === undefined) return [];
  const columns = {
    priority: ALLOW,
    direction: rule.direction === 'ingress' ? 'to-lport' : 'from-lport',
    match,
    action: group.isStateful ? 'allow-related' : 'allow-stateless',
  };
  return [wantedRow('ACL', `${key}#${rule.id}`, { columns, holders: [{ key, column: 'acls' }] })];
}

/** The sets that rules name whose other side is the group: addresses of its ports, and those that they may have besides. */
export function memberRows(key: string, group: SecurityGroup, read: WorldReader): readonly WantedRow[] {
  const addresses = read.portsOf('group', group.id).flatMap(addressesOf);
  return setRows(key, addresses, (version) => membersSetName(group.id, version));
}

/** The sets that rules name whose other side is the address group. */
export function addressGroupRows(key: string, group: Objects['address_group']): readonly WantedRow[] {
  const ids = { 'cable:revision': String(group.revision) };
  return setRows(key, group.prefixes, (version) => addressGroupSetName(group.id, version), ids);
}

function addressesOf({ fixedIps, pairs }: Objects['port']): readonly string[] {
  return [...fixedIps.map(({ address }) => address), ...pairs.map(({ prefix }) => prefix).filter(isOneAddress)];
}

function setRows(
  key: string,
  addresses: readonly string[],
  nameOf: (version: 4 | 6) => string,
  ids: Readonly<Record<string, string>> = {},
): readonly WantedRow[] {
  return ([4, 6] as const).map((version) =>
    wantedRow('Address_Set', `${key}#${version}`, {
      columns: { name: nameOf(version), addresses: addresses.filter((one) => one.includes(':') === (version === 6)) },
      ids,
    }),
  );
}
