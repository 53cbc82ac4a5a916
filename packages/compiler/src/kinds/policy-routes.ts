/** Policy routes of a router, as its hosts ask them. */
import { cidrContains, type PolicyRoute, parseCidr, parseIpOrCidr } from '@cable/model';
import { compareText, type RouterPolicyRow } from '../compiler-tables.ts';
import { protocolNumber } from '../protocol.ts';
import type { Reader } from '../reader.ts';

/** In the order in which they are asked. */
export function policyRoutesOf(reader: Reader, routerId: string): readonly PolicyRoute[] {
  return [...reader.by('router_policy', 'router_id', routerId)]
    .sort((a, b) => b.priority - a.priority || compareText(a.id, b.id))
    .map((row) => policyRoute(reader, row));
}

function policyRoute(reader: Reader, row: RouterPolicyRow): PolicyRoute {
  const { id, name, action, next_hop: nextHop, destination_ip_prefix: destination } = row;
  const subnet = row.subnet_id === null ? undefined : reader.get('subnet', row.subnet_id);
  const source = narrower(row.source_ip_prefix, subnet?.cidr ?? null);
  const ipVersion = versionOf(source ?? destination ?? nextHop);
  const protocol = protocolNumber(row.protocol, ipVersion === 6 ? 'IPv6' : 'IPv4');
  return {
    id,
    name,
    action,
    ...(nextHop === null ? {} : { nextHop }),
    ...(ipVersion === undefined ? {} : { ipVersion }),
    ...(subnet === undefined ? {} : { networkId: subnet.network_id }),
    ...(source === null ? {} : { source }),
    ...(destination === null ? {} : { destination }),
    ...(protocol === null || protocol === undefined ? {} : { protocol }),
    ...rangeOf('ports', row.port_range_min, row.port_range_max),
    ...rangeOf('sourcePorts', row.source_port_range_min, row.source_port_range_max),
  };
}

/** Of two prefixes that lie in one another the smaller. */
function narrower(one: string | null, other: string | null): string | null {
  const [a, b] = [one === null ? undefined : parseIpOrCidr(one), other === null ? undefined : parseCidr(other)];
  if (a === undefined || b === undefined) return one ?? other;
  return a.base.version === b.base.version && cidrContains(a, b.base) && a.prefixLength <= b.prefixLength ? other : one;
}

function versionOf(text: string | null): 4 | 6 | undefined {
  return text === null ? undefined : parseIpOrCidr(text)?.base.version;
}

function rangeOf(
  name: 'ports' | 'sourcePorts',
  min: number | null,
  max: number | null,
): Pick<PolicyRoute, 'ports' | 'sourcePorts'> {
  return min === null || max === null ? {} : { [name]: [min, max] };
}
