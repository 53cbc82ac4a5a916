import type { ExtraDhcpOpt, LocalPort, PublicKey, SliceKey, VifKind } from '@cable/model';
import { deviceOn, hasLeft, hostOf, isBound, type PortRow } from '../compiler-tables.ts';
import { defineKind, type Kind, type NodeKey } from '../kind.ts';
import type { Reader } from '../reader.ts';
import { mayAnswer } from './floating.ts';
import { hostPoliciesOf } from './host-policies.ts';
import { hasLogs, LOGS } from './logs.ts';
import { NO_POLICIES, networkPoliciesOf, withPrivateSubnets } from './network-policies.ts';
import { privateSubnetsOf } from './private-subnets.ts';
import { hasWires, pseudowiresOf } from './pseudowires.ts';
import { tapsOf } from './taps.ts';

const MAX_LABEL = 63;

/** `device_owner` of a trunk's sub-port. */
const TRUNK_SUBPORT = 'trunk:subport';

/** `device_owner` of the port of a Kubernetes node, which is its host’s own. */
const NODE_OWNER = 'kubernetes:node';

/** Of no group: nothing passes. */
const CLOSED: SliceKey = 'policy:';

/** What a host carries itself: the ports bound to it. It always exists, maybe without ports. */
export const hostKind: Kind = defineKind({
  name: 'host',
  header: (reader, id) => {
    const refs: NodeKey[] = [`gateways:${id}`, `spares:${id}`];
    if (reader.by('port', 'standby_hosts', id).some(isBound)) refs.push(`standby:${id}`);
    if (mayAnswer(reader.get('host', id))) refs.push(`floats:${id}`);
    if (hasLogs(reader)) refs.push(LOGS);
    if (reader.by('snat_lease', 'host_id', id).length > 0) refs.push(`leases:${id}`);
    const policies = hostPoliciesOf(reader, id);
    if (policies === undefined) return { value: { host: id }, refs };
    return { value: { host: id, policies }, refs: [...refs, policies] };
  },
  items: {
    table: 'port',
    index: 'binding:host_id',
    sourceKeys: (id) => [id],
    compute: (reader, port) => {
      if (!isBound(port)) return [];
      const value = portOf(reader, port);
      const wires = pseudowiresOf(reader, port);
      const given = wires.isClosed ? { ...value, policy: CLOSED } : value;
      return [{ key: port.id, value: given, refs: [...references(given), ...wires.refs] }];
    },
  },
});

/** What a host programs that the port is to come to, or that it has left. It always exists, maybe without ports. */
export const standbyKind: Kind = defineKind({
  name: 'standby',
  header: (_reader, id) => ({ value: { host: id }, refs: [] }),
  items: {
    table: 'port',
    index: 'standby_hosts',
    sourceKeys: (id) => [id],
    compute: (reader, port, id) => {
      if (!isBound(port)) return [];
      const given = { ...portOf(reader, port), ...ofPod(port, id), left: hasLeft(port, id) };
      // Its wires come with the port: until then nothing goes past them.
      const value = hasWires(reader, port) ? { ...given, policy: CLOSED } : given;
      return [{ key: port.id, value, refs: references(value) }];
    },
  },
});

/** A virtual machine that moves has a pod on each of its hosts. */
function ofPod(port: PortRow, host: string): Partial<Pick<LocalPort, 'deviceId'>> {
  const deviceId = deviceOn(port, host);
  return deviceId === port.device_id ? {} : { deviceId };
}

function portOf(reader: Reader, port: PortRow): LocalPort {
  const flowExport = flowExportOf(reader, port);
  return {
    ...subPort(reader, port, localPort(port, qosPolicyOf(reader, port))),
    ...tapsOf(reader, port),
    ...networkPolicies(reader, port),
    ...(flowExport === 0 ? {} : { flowExport }),
  };
}

/** Who does not know network policies lets a pod that has some pass nothing; who does not know private subnets lets what is in one meet its node alone. */
function networkPolicies(reader: Reader, port: PortRow): Partial<Pick<LocalPort, 'policy' | 'networkPolicies'>> {
  const key = networkPoliciesOf(reader, port);
  const privateIn = privateSubnetsOf(reader, port);
  if (key === undefined && privateIn === undefined) return {};
  const known = reader.get('host', hostOf(port))?.features ?? [];
  if (!known.includes('network-policies')) return { policy: CLOSED };
  const isUnknown =
    key === NO_POLICIES ||
    (key?.includes('|') === true && !known.includes('network-policy-tiers')) ||
    (privateIn !== undefined && !known.includes('private-subnets'));
  if (isUnknown) return { networkPolicies: NO_POLICIES };
  const all = privateIn === undefined ? key : withPrivateSubnets(key, privateIn);
  return all === undefined ? {} : { networkPolicies: all };
}

/** The port's own word, else its network's. */
function flowExportOf(reader: Reader, port: PortRow): number {
  return port['cable:flow_export'] ?? reader.get('network', port.network_id)?.['cable:flow_export'] ?? 0;
}

function references({ networkId, policy, networkPolicies: policies, qosPolicyId }: LocalPort): NodeKey[] {
  const refs: NodeKey[] = [`network:${networkId}`, `endpoints:${networkId}`, `names:${networkId}`, `near:${networkId}`];
  if (policy !== null) refs.push(policy);
  if (policies !== undefined) refs.push(policies);
  if (qosPolicyId !== undefined) refs.push(`qos:${qosPolicyId}`);
  return refs;
}

/** The port's own QoS policy, else its network's, which does not hold for ports of network services; null: none. */
function qosPolicyOf(reader: Reader, port: PortRow): string | null {
  if (port.qos_policy_id !== null || port.device_owner.startsWith('network:')) return port.qos_policy_id;
  return reader.get('network', port.network_id)?.qos_policy_id ?? null;
}

/** The port as its own host needs it. */
function localPort(port: PortRow, qosPolicyId: string | null): LocalPort {
  const {
    'cable:public_keys': publicKeys,
    'cable:vendor_data': vendorData,
    'cable:default_route': defaultRoute,
    'cable:zone': zone,
  } = port;
  return {
    id: port.id,
    name: port.name,
    projectId: port.project_id,
    networkId: port.network_id,
    macAddress: port.mac_address,
    adminStateUp: port.admin_state_up,
    vifKind: vifKind(port),
    deviceId: port.device_id,
    deviceOwner: port.device_owner,
    fixedIps: port.fixed_ips.map((ip) => ({ subnetId: ip.subnet_id, ipAddress: ip.ip_address })),
    allowedAddressPairs: port.allowed_address_pairs.map((pair) => ({
      ipAddress: pair.ip_address,
      macAddress: pair.mac_address,
    })),
    portSecurityEnabled: port.port_security_enabled,
    policy: policyKey(port),
    hostname: hostname(port),
    userData: port['cable:user_data'],
    ...(publicKeys.length === 0 ? {} : { publicKeys: publicKeys.map(publicKey) }),
    ...(vendorData === null ? {} : { vendorData }),
    ...(qosPolicyId === null ? {} : { qosPolicyId }),
    ...(defaultRoute === null ? {} : { defaultRoute }),
    ...(zone === '' ? {} : { zone }),
    ...(port.extra_dhcp_opts.length === 0 ? {} : { extraDhcpOpts: port.extra_dhcp_opts.map(extraDhcpOpt) }),
  };
}

/**
 * The same of a trunk's sub-port: its parent's device is its own, and the machine that has the one has the other. Other ports are passed over without a look at
 * trunks.
 */
function subPort(reader: Reader, port: PortRow, local: LocalPort): LocalPort {
  if (port.device_owner !== TRUNK_SUBPORT) return local;
  const [trunk] = reader.by('trunk', 'sub_ports.port_id', port.id);
  const place = trunk?.sub_ports.find((one) => one.port_id === port.id);
  const parent = trunk === undefined ? undefined : reader.get('port', trunk.port_id);
  if (place === undefined || parent === undefined) return local;
  return {
    ...local,
    vifKind: vifKind(parent),
    deviceId: parent.device_id,
    deviceOwner: parent.device_owner,
    trunk: { parentPortId: parent.id, vlan: place.segmentation_id },
  };
}

function publicKey({ name, public_key }: PortRow['cable:public_keys'][number]): PublicKey {
  return { name, publicKey: public_key };
}

function extraDhcpOpt(option: PortRow['extra_dhcp_opts'][number]): ExtraDhcpOpt {
  return { name: option.opt_name, value: option.opt_value ?? '', ipVersion: option.ip_version };
}

/** Key of the policy slice a port is subject to; null: port security is off, it is open, or it is a pod's without groups, to which Kubernetes lets everything. */
export function policyKey(
  port: Pick<PortRow, 'port_security_enabled' | 'security_groups' | 'cable:cluster' | 'open'>,
): SliceKey | null {
  if (!port.port_security_enabled || port.open === true) return null;
  if (port['cable:cluster'] !== null && port.security_groups.length === 0) return null;
  return `policy:${[...new Set(port.security_groups)].sort().join('+')}`;
}

/** Who makes the port's device. */
export function vifKind(port: Pick<PortRow, 'device_owner' | 'binding:vnic_type'>): VifKind {
  if (port.device_owner === NODE_OWNER) return 'host';
  if (port.device_owner.startsWith('kubernetes:')) return 'veth';
  return port['binding:vnic_type'] === 'baremetal' ? 'host' : 'tap';
}

/** An RFC 1123 label: the one that was asked for, else the first of `dns_name`, else the name made to fit, else `host-` and the start of the port's id. */
export function hostname(port: Pick<PortRow, 'id' | 'name' | 'dns_name' | 'cable:hostname'>): string {
  const [first = ''] = port.dns_name.split('.');
  return label(port['cable:hostname'] ?? '') || label(first) || label(port.name) || `host-${port.id.slice(0, 8)}`;
}

function label(name: string): string {
  return name
    .toLowerCase()
    .replace(/[^a-z0-9-]+/g, '-')
    .replace(/^-+/, '')
    .slice(0, MAX_LABEL)
    .replace(/-+$/, '');
}
