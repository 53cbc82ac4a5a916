import type { HostSlice, LocalPort, SliceKey, VifKind } from '@cable/model';
import type { CompilerTables, PortRow } from './tables.ts';
import { isBound, sortedById } from './tables.ts';

const MAX_LABEL = 63;

/** The ports a host carries itself. A host without ports, known or not, has an empty slice. */
export function hostSlice(tables: Pick<CompilerTables, 'network' | 'port'>, host: string): HostSlice {
  const ports = tables.port.by('binding:host_id', host).filter(isBound);
  return { kind: 'host', host, ports: sortedById(ports).map((port) => localPort(tables, port)) };
}

/** The port as its own host needs it. It is up only in a network that is up: a network that is down carries nothing. */
export function localPort(tables: Pick<CompilerTables, 'network'>, port: PortRow): LocalPort {
  return {
    id: port.id,
    name: port.name,
    projectId: port.project_id,
    networkId: port.network_id,
    macAddress: port.mac_address,
    adminStateUp: port.admin_state_up && tables.network.get(port.network_id)?.admin_state_up === true,
    vifKind: vifKind(port),
    deviceId: port.device_id,
    deviceOwner: port.device_owner,
    fixedIps: port.fixed_ips.map((ip) => ({ subnetId: ip.subnet_id, ipAddress: ip.ip_address })),
    allowedAddressPairs: port.allowed_address_pairs.map((pair) => ({
      ipAddress: pair.ip_address,
      macAddress: pair.mac_address ?? port.mac_address,
    })),
    portSecurityEnabled: port.port_security_enabled,
    policy: policyKey(port),
    hostname: hostname(port),
    userData: port['cable:user_data'],
  };
}

/** Key of the policy slice a port is subject to; null: port security is off. */
export function policyKey(port: Pick<PortRow, 'port_security_enabled' | 'security_groups'>): SliceKey | null {
  if (!port.port_security_enabled) return null;
  return `policy:${[...new Set(port.security_groups)].sort().join('+')}`;
}

/** Who makes the port's device. */
export function vifKind(port: Pick<PortRow, 'device_owner' | 'binding:vnic_type'>): VifKind {
  if (port.device_owner.startsWith('kubernetes:')) return 'veth';
  return port['binding:vnic_type'] === 'baremetal' ? 'host' : 'tap';
}

/** An RFC 1123 label: the one that was asked for, else the name made to fit, else `host-` and the start of the port's id. */
export function hostname(port: Pick<PortRow, 'id' | 'name' | 'cable:hostname'>): string {
  return label(port['cable:hostname'] ?? '') || label(port.name) || `host-${port.id.slice(0, 8)}`;
}

function label(name: string): string {
  return name
    .toLowerCase()
    .replace(/[^a-z0-9-]+/g, '-')
    .replace(/^-+/, '')
    .slice(0, MAX_LABEL)
    .replace(/-+$/, '');
}
