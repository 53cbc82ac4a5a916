/** What OVN can, and what it cannot do of Neutron's objects: said before an object is written. */
import { protocolNumber } from '@cable/compiler';
import { ovnOption } from '../translate/dhcp.ts';
import { type Port, parseObject, type ResourceName, type SecurityGroup } from '../translate/neutron.ts';

/** `vxlan` and `gre` are no types here: OVN chooses how hosts are reached, and tells no VNI. */
export const NETWORK_TYPES: readonly string[] = ['geneve', 'vlan', 'flat'];

/** Attributes that change packets, and that this back end does not make rows of: it refuses them, where they have a value. */
const UNABLE: Readonly<Partial<Record<ResourceName, readonly string[]>>> = {
  network: ['qos_policy_id', 'vlan_transparent'],
  port: ['qos_policy_id', 'trunk_details'],
  subnet: ['segment_id'],
  floatingip: ['qos_policy_id'],
};

/** Why the object cannot be realised, beginning with the attribute; undefined: it can. */
export function refusalOf(resource: ResourceName, object: unknown): string | undefined {
  const parsed = parseObject(resource, object);
  if (!parsed.ok) return parsed.reason;
  const given = object as Readonly<Record<string, unknown>>;
  const unable = (UNABLE[resource] ?? []).find((name) => Boolean(given[name]));
  if (unable !== undefined) return `${unable}: OVN's back end does not do this yet: leave it out`;
  if (resource === 'network') return networkRefusal(given);
  if (resource === 'port') return portRefusal(parsed.value as Port, given);
  return resource === 'security_group' ? groupRefusal(parsed.value as SecurityGroup) : undefined;
}

function networkRefusal(given: Readonly<Record<string, unknown>>): string | undefined {
  const type = given['provider:network_type'] ?? 'geneve';
  if (!NETWORK_TYPES.includes(String(type)))
    return `provider:network_type: ${String(type).slice(0, 40)} is none of ${NETWORK_TYPES.join(', ')}`;
  const isPhysical = type !== 'geneve';
  if (isPhysical && typeof given['provider:physical_network'] !== 'string')
    return `provider:physical_network: a network of type ${type} needs one`;
  return undefined;
}

function portRefusal(port: Port, given: Readonly<Record<string, unknown>>): string | undefined {
  const kind = given['binding:vnic_type'] ?? 'normal';
  if (kind !== 'normal') return `binding:vnic_type: ${String(kind).slice(0, 40)}: OVN plugs normal alone`;
  for (const { version, name, value } of port.dhcpOptions) {
    if (name === 'dhcp_disabled') continue;
    const option = ovnOption(version, name, value);
    if (typeof option === 'string') return `extra_dhcp_opts: ${option}`;
  }
  return undefined;
}

function groupRefusal({ rules }: SecurityGroup): string | undefined {
  const bad = rules.find(
    ({ protocol, version }) => protocolNumber(protocol, version === 4 ? 'IPv4' : 'IPv6') === undefined,
  );
  return bad === undefined ? undefined : `protocol: ${bad.protocol} of rule ${bad.id} is no protocol of IP`;
}
