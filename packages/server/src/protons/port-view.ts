/** A proton's port as Neutron shows it, with the network and the subnets that are made up for it. */
import { createHash } from 'node:crypto';
import { type AnyObject, formatCidr, type PortOwner, parseCidr, parseIp, parseIpOrCidr } from '@cable/model';
import { markMade } from '../engine/arbiter.ts';

/** An address of a port. */
export type FixedIp = PortOwner['fixed_ips'][number];

/** RFC 9562, version 5 in form: the same id for the same name, on every server. */
export function madeUpId(name: string): string {
  const hex = createHash('sha256').update(`cable proton ${name}`).digest('hex');
  const variant = ((Number.parseInt(hex.charAt(16), 16) & 3) | 8).toString(16);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-5${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

/** Id of the network that a project's ports of a proton are on, for Neutron's clients. */
export function networkIdOf(proton: string, projectId: string): string {
  return madeUpId(`network ${proton} ${projectId}`);
}

/** An address with its subnet. `prefix`: the subnet's length; null: the address alone. Undefined: it is no address. */
export function fixedIp(
  { proton, projectId }: { readonly proton: string; readonly projectId: string },
  address: string,
  prefix: number | null,
  gateway: string | null,
): FixedIp | undefined {
  const given = parseIpOrCidr(prefix === null || address.includes('/') ? address : `${address}/${prefix}`);
  const ip = parseIp(address.split('/')[0] ?? '');
  if (given === undefined || ip === undefined) return undefined;
  const cidr = formatCidr(given);
  const subnet_id = madeUpId(`subnet ${proton} ${projectId} ${cidr} ${gateway ?? ''}`);
  return { subnet_id, ip_address: address.split('/')[0] ?? '', cidr, gateway_ip: gateway };
}

const DATES = { created_at: '2026-01-01T00:00:00Z', updated_at: '2026-01-01T00:00:00Z', revision_number: 1 } as const;

/** What Neutron's `port` has, from the proton's port and its row among all ports. */
export function neutronPort(port: AnyObject, owner: PortOwner): AnyObject {
  const { vif_type, vif_details, phase } = owner;
  return markMade({
    id: owner.id,
    ...{ name: textOf(port['name']), project_id: owner.project_id, description: '', tags: [] },
    network_id: owner.network_id,
    mac_address: textOf(port['mac_address']),
    admin_state_up: port['admin_state_up'] !== false,
    status: statusOf(owner),
    fixed_ips: owner.fixed_ips.map(({ subnet_id, ip_address }) => ({ subnet_id, ip_address })),
    ...{ device_id: owner.device_id, device_owner: owner.device_owner },
    'binding:host_id': owner.host_id,
    'binding:vnic_type': textOf(port['vnic_type']) || 'normal',
    'binding:profile': recordOf(port['profile']),
    'binding:vif_type': vif_type ?? 'unbound',
    'binding:vif_details': vif_details,
    ...{ security_groups: [], allowed_address_pairs: [], extra_dhcp_opts: [], 'cable:cluster': null },
    ...{ inactive_bindings: owner.inactive_bindings, standby_hosts: owner.standby_hosts },
    ...{ port_security_enabled: false, binding_failed: phase === 'Failed' },
    ip_allocation: owner.fixed_ips.length === 0 ? 'none' : 'immediate',
    ...{ created_at: textOf(port['created_at']), updated_at: textOf(port['updated_at']) },
    revision_number: Number(port['revision_number'] ?? 1),
  });
}

/** What its host says, else how far its binding is. */
export function statusOf({ phase, status }: Pick<PortOwner, 'phase' | 'status'>): 'ACTIVE' | 'DOWN' {
  return status ?? (phase === 'Bound' ? 'ACTIVE' : 'DOWN');
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

/** An object, or one as JSON text. */
export function recordOf(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value === 'string' && value.trimStart().startsWith('{')) {
    try {
      return recordOf(JSON.parse(value));
    } catch {
      return {};
    }
  }
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Readonly<Record<string, unknown>>)
    : {};
}

/** The network of a project's ports of a proton, which that project sees. */
export function neutronNetwork({ proton, project_id, network_id }: PortOwner, mtu: number): AnyObject {
  return markMade({
    ...{ id: network_id, name: proton, description: `Stands for the proton ${proton}.`, project_id },
    ...{
      status: 'ACTIVE',
      admin_state_up: true,
      mtu,
      subnets: [],
      shared: false,
      shared_with: [],
      'router:external': false,
    },
    ...{ availability_zones: [], availability_zone_hints: [], tags: [], port_security_enabled: false, ...DATES },
  });
}

/** A subnet of it. */
export function neutronSubnet(owner: PortOwner, { subnet_id, cidr, gateway_ip }: FixedIp): AnyObject {
  const { proton, project_id, network_id } = owner;
  return markMade({
    ...{ id: subnet_id, name: `${proton} ${cidr}`, description: '', project_id, network_id },
    ...{ ip_version: parseCidr(cidr)?.base.version ?? 4, cidr, gateway_ip, enable_dhcp: false, allocation_pools: [] },
    ...{
      dns_nameservers: [],
      host_routes: [],
      ipv6_ra_mode: null,
      ipv6_address_mode: null,
      tags: [],
      service_types: [],
    },
    ...{ subnetpool_id: null, segment_id: null, shared: false, ...DATES },
  });
}
