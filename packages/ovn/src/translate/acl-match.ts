/** What a rule of a security group matches, in OVN's language of expressions (ovn-sb(5), Logical_Flow). Nothing that a tenant wrote comes into it as it is. */
import { protocolNumber } from '@cable/compiler';
import { addressGroupSetName, groupName, membersSetName } from './names.ts';
import type { SecurityGroupRule } from './neutron.ts';

/** The expression; undefined: the rule names a protocol that there is not. */
export function matchOf(groupId: string, rule: SecurityGroupRule): string | undefined {
  const protocol = protocolMatch(rule);
  if (protocol === undefined) return undefined;
  const { version, direction } = rule;
  const ip = `ip${version}`;
  const remote = `${ip}.${direction === 'ingress' ? 'src' : 'dst'}`;
  const port = direction === 'ingress' ? 'outport' : 'inport';
  return [`${port} == @${groupName(groupId)}`, ip, ...remoteMatch(remote, rule), ...protocol].join(' && ');
}

function remoteMatch(remote: string, rule: SecurityGroupRule): readonly string[] {
  const { remotePrefix, remoteGroup, remoteAddressGroup, version } = rule;
  const isAll = remotePrefix?.endsWith('/0') === true;
  return [
    ...(remotePrefix === null || isAll ? [] : [`${remote} == ${remotePrefix}`]),
    ...(remoteGroup === null ? [] : [`${remote} == $${membersSetName(remoteGroup, version)}`]),
    ...(remoteAddressGroup === null ? [] : [`${remote} == $${addressGroupSetName(remoteAddressGroup, version)}`]),
  ];
}

const WITH_PORTS: ReadonlyMap<number, string> = new Map([
  [6, 'tcp'],
  [17, 'udp'],
  [132, 'sctp'],
]);

function protocolMatch({ protocol, version, portMin, portMax }: SecurityGroupRule): readonly string[] | undefined {
  const number = protocolNumber(protocol, version === 4 ? 'IPv4' : 'IPv6');
  if (number === undefined) return undefined;
  if (number === null) return [];
  const name = WITH_PORTS.get(number);
  if (name !== undefined) return [name, ...portMatch(`${name}.dst`, portMin, portMax)];
  if (number === 1 || number === 58) return icmpMatch(number === 1 ? 'icmp4' : 'icmp6', portMin, portMax);
  return [`ip.proto == ${number}`];
}

function portMatch(field: string, min: number | null, max: number | null): readonly string[] {
  const from = min ?? 0;
  const to = max ?? min ?? 65_535;
  if (from <= 1 && to === 65_535) return [];
  return from === to ? [`${field} == ${from}`] : [`${field} >= ${from}`, `${field} <= ${to}`];
}

/** A rule's ports are type and code of ICMP. */
function icmpMatch(name: string, type: number | null, code: number | null): readonly string[] {
  return [
    name,
    ...(type === null ? [] : [`${name}.type == ${type}`]),
    ...(type === null || code === null ? [] : [`${name}.code == ${code}`]),
  ];
}
