import {
  type AnyObject,
  CableError,
  cidrContains,
  cidrsOverlap,
  formatIp,
  type IpAddress,
  type IpPrefix,
  ipBits,
  lastIp,
  type Port,
  parseCidr,
  parseIp,
  type Subnet,
} from '@cable/model';
import { type Broken, type Contribution, contribute } from '../engine/module.ts';
import type { Look, View } from '../engine/view.ts';
import { addressClaim } from './port-claims.ts';
import { overlaps, PREFIX_ORDER } from './subnet-prefixes.ts';

type Pool = Subnet['allocation_pools'][number];
type Range = { readonly start: bigint; readonly end: bigint };

/** Subnets: gateway, allocation pools, no overlap within a network. */
export const subnetModule: Contribution<AnyObject> = contribute<Subnet>({
  derive: (_planning, given) => {
    const prefix = prefixOf(given.cidr ?? '');
    if (prefix.base.version !== given.ip_version) {
      throw invalid(`'cidr' '${given.cidr}' does not match the ip_version '${given.ip_version}'`);
    }
    checkPrefix(prefix);
    const gateway = given.gateway_ip === undefined ? defaultGateway(prefix) : given.gateway_ip;
    return { gateway_ip: gateway, allocation_pools: given.allocation_pools ?? defaultPools(prefix, gateway) };
  },
  check: (view, subnet, before) => {
    const prefix = prefixOf(subnet.cidr);
    if (before === undefined) refuseOverlap(view, subnet);
    else if (subnet.gateway_ip !== before.gateway_ip) refuseGatewayInUse(view, before);
    if (subnet.gateway_ip !== null && subnet.gateway_ip !== before?.gateway_ip) checkGateway(prefix, subnet.gateway_ip);
    checkPools(prefix, subnet.allocation_pools, subnet.gateway_ip);
    checkRoutes(prefix, subnet.host_routes, subnet.dns_nameservers);
  },
  broken: brokenSubnet,
  inUse: (subnet, holder) =>
    holder !== 'port'
      ? undefined
      : new CableError(
          'InUse',
          `Unable to complete operation on subnet ${subnet.id}: One or more ports have an IP allocation from this subnet.`,
          { label: 'Subnet' },
        ),
});

/** The prefix of a stored subnet. */
export function prefixOf(cidr: string): IpPrefix {
  const prefix = parseCidr(cidr);
  if (prefix === undefined) throw new Error(`stored cidr ${cidr} is not one`);
  return prefix;
}

/** True when a machine may have the address: it is in the prefix and neither its first nor last (IPv4, up to /30). */
export function isHostAddress(prefix: IpPrefix, ip: IpAddress): boolean {
  const { start, end } = hostRange(prefix);
  return cidrContains(prefix, ip) && ip.value >= start && ip.value <= end;
}

/** The addresses that machines may have. */
function hostRange(prefix: IpPrefix): Range {
  const [first, last] = [prefix.base.value, lastIp(prefix).value];
  return prefix.prefixLength >= ipBits(prefix.base) - 1
    ? { start: first, end: last }
    : { start: first + 1n, end: last - 1n };
}

function checkPrefix(prefix: IpPrefix): void {
  const reserved = ['0.0.0.0/8', '127.0.0.0/8', '169.254.0.0/16', '224.0.0.0/3'].find((one) =>
    cidrsOverlap(prefixOf(one), prefix),
  );
  if (reserved !== undefined) {
    throw invalid(`the prefix overlaps ${reserved}, which machines cannot have addresses of`);
  }
}

/** Each subnet revises its network, so two that overlap cannot be made at once. Those that are there do not, so what overlaps this one lies beside it. */
function refuseOverlap(view: View, subnet: Subnet): void {
  const beside = view.parts('network', subnet.network_id, (look) => look.beside('subnet', PREFIX_ORDER, subnet));
  const overlapping = beside.find((other) => overlaps(other, subnet));
  if (overlapping === undefined) return;
  throw invalid(
    `Requested subnet with cidr for network: ${subnet.network_id} overlaps with another subnet (${overlapping.cidr})`,
  );
}

function defaultGateway(prefix: IpPrefix): string | null {
  const { start } = hostRange(prefix);
  return prefix.prefixLength === ipBits(prefix.base) ? null : formatIp({ version: prefix.base.version, value: start });
}

function checkGateway(prefix: IpPrefix, gateway: string): void {
  const ip = parseIp(gateway);
  if (ip === undefined || !isHostAddress(prefix, ip)) throw invalid(`Gateway ${gateway} is not valid on subnet`);
}

/** Everything that machines may have but the gateway. */
function defaultPools(prefix: IpPrefix, gateway: string | null): readonly Pool[] {
  const all = hostRange(prefix);
  const skip = gateway === null ? undefined : parseIp(gateway)?.value;
  const ranges =
    skip === undefined
      ? [all]
      : [
          { start: all.start, end: skip - 1n },
          { start: skip + 1n, end: all.end },
        ];
  const text = (value: bigint): string => formatIp({ version: prefix.base.version, value });
  return ranges
    .filter((range) => range.start <= range.end)
    .map(({ start, end }) => ({ start: text(start), end: text(end) }));
}

function checkPools(prefix: IpPrefix, pools: readonly Pool[], gateway: string | null): void {
  const ranges = pools.map((pool) => checkPool(prefix, pool));
  const gatewayValue = gateway === null ? undefined : parseIp(gateway)?.value;
  for (const [index, range] of ranges.entries()) {
    const pool = `${pools[index]?.start}-${pools[index]?.end}`;
    const overlapping = ranges.some(
      (other, at) => at !== index && other.start <= range.end && range.start <= other.end,
    );
    if (overlapping) {
      throw new CableError('OverlappingAllocationPools', `Found overlapping allocation pools: ${pool} for subnet.`);
    }
    if (gatewayValue !== undefined && gatewayValue >= range.start && gatewayValue <= range.end) {
      throw new CableError(
        'GatewayConflictWithAllocationPools',
        `Gateway ip ${gateway} conflicts with allocation pool ${pool}.`,
      );
    }
  }
}

function checkPool(prefix: IpPrefix, pool: Pool): Range {
  const [start, end] = [parseIp(pool.start), parseIp(pool.end)];
  const text = `${pool.start}-${pool.end}`;
  if (start === undefined || end === undefined || start.version !== end.version || start.value > end.value) {
    throw new CableError('InvalidAllocationPool', `The allocation pool ${text} is not valid.`);
  }
  if (!isHostAddress(prefix, start) || !isHostAddress(prefix, end)) {
    throw new CableError('OutOfBoundsAllocationPool', `The allocation pool ${text} spans beyond the subnet cidr.`);
  }
  return { start: start.value, end: end.value };
}

function checkRoutes(prefix: IpPrefix, routes: Subnet['host_routes'], servers: readonly string[]): void {
  const { version } = prefix.base;
  for (const { destination, nexthop } of routes) {
    if (parseCidr(destination)?.base.version !== version || parseIp(nexthop)?.version !== version) {
      throw invalid(`host route ${destination} via ${nexthop} is not of the subnet's version of IP`);
    }
  }
  const foreign = servers.find((server) => parseIp(server)?.version !== version);
  if (foreign !== undefined) throw invalid(`name server ${foreign} is not of the subnet's version of IP`);
}

/** Whoever makes a router's leg compares the subnet; and here the holder of the gateway's address is compared, or that there is none. */
function refuseGatewayInUse(view: View, subnet: Subnet): void {
  if (subnet.gateway_ip === null) return;
  const holder = view.holder(addressClaim(subnet.id, subnet.gateway_ip));
  const port = holder === undefined ? undefined : view.rely('port', holder);
  if (port === undefined || !isLeg(port)) return;
  throw new CableError(
    'GatewayIpInUse',
    `Current gateway ip ${subnet.gateway_ip} already in use by port ${port.id}. Unable to update.`,
  );
}

function isLeg(port: Pick<Port, 'device_owner'>): boolean {
  return port.device_owner.startsWith('network:router_interface');
}

/** Among subnets that overlap there are always two that lie beside one another, so something is told. */
function* brokenSubnet(look: Look, subnet: Subnet): Iterable<Broken> {
  for (const other of look.beside('subnet', PREFIX_ORDER, subnet)) {
    if (other.id <= subnet.id || !overlaps(other, subnet)) continue;
    yield { rule: 'subnets of a network do not overlap', detail: `${subnet.cidr} and ${other.cidr} of ${other.id}` };
  }
}

function invalid(reason: string): CableError {
  return new CableError('InvalidInput', `Invalid input for operation: ${reason}.`);
}
