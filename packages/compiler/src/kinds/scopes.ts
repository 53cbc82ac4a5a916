/** Address scopes: where no address is translated. */
import { parseIp } from '@cable/model';
import type { PortRow, RouterRow } from '../compiler-tables.ts';
import type { Reader } from '../reader.ts';

/** What is looked at to tell. */
export type ScopeReader = Pick<Reader, 'get' | 'by'>;

/** True when what leaves by the router's gateway has an address of the router, as it is set: within an address scope nothing is translated. */
export function translates(
  reader: ScopeReader,
  { id, external_gateway_info: info = null }: RouterRow,
  gateway: PortRow,
): boolean {
  if (info?.enable_snat !== true) return false;
  const outside = scopeOf(reader, gateway);
  if (outside === null) return true;
  // All legs of a version of IP are of one scope.
  const leg = reader.by('router_interface', 'device_id', id).find(hasIpv4);
  return leg === undefined || scopeOf(reader, leg) !== outside;
}

/** The scope of the IPv4 addresses of a router's port; null: none. */
function scopeOf(reader: ScopeReader, port: PortRow): string | null {
  const subnetId = port.fixed_ips.find((fixed) => isIpv4(fixed.ip_address))?.subnet_id;
  const poolId = subnetId === undefined ? null : (reader.get('subnet', subnetId)?.subnetpool_id ?? null);
  return poolId === null ? null : (reader.get('subnetpool', poolId)?.address_scope_id ?? null);
}

function hasIpv4(port: PortRow): boolean {
  return port.fixed_ips.some((fixed) => isIpv4(fixed.ip_address));
}

function isIpv4(text: string): boolean {
  return parseIp(text)?.version === 4;
}
