/** Address scopes: where no address is translated. */
import { parseIp } from '@cable/model';
import type { PortRow, RouterRow, SubnetRow } from '../compiler-tables.ts';
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
  const outside = scopeOfPort(reader, gateway, 4) ?? null;
  return outside === null || scopeInside(reader, id, 4) !== outside;
}

/** The scope of what a router is in by its interfaces, which is one for a version of IP; null: none; undefined: it is in nothing of that version. */
export function scopeInside(reader: ScopeReader, routerId: string, version: 4 | 6): string | null | undefined {
  for (const leg of reader.by('router_interface', 'device_id', routerId)) {
    const scope = scopeOfPort(reader, leg, version);
    if (scope !== undefined) return scope;
  }
  return undefined;
}

/** The scope of a subnet; null: none. */
export function scopeOfSubnet(reader: ScopeReader, { subnetpool_id: id = null }: SubnetRow): string | null {
  return id === null ? null : (reader.get('subnetpool', id)?.address_scope_id ?? null);
}

/** Undefined: the port has no address of that version. */
function scopeOfPort(reader: ScopeReader, port: PortRow, version: 4 | 6): string | null | undefined {
  const fixed = port.fixed_ips.find(({ ip_address: address }) => parseIp(address)?.version === version);
  if (fixed === undefined) return undefined;
  const subnet = reader.get('subnet', fixed.subnet_id);
  return subnet === undefined ? null : scopeOfSubnet(reader, subnet);
}
