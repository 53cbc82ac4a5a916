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
  type Network,
  parseCidr,
  parseIp,
  type Subnet,
} from '@cable/model';
import type { WriteContext } from '../engine/context.ts';
import { defineHooks, type ResourceHooks } from '../engine/module.ts';
import { canWrite } from '../engine/visibility.ts';

type Pool = Subnet['allocation_pools'][number];
type Range = { readonly start: bigint; readonly end: bigint };

/** Subnets: gateway, allocation pools, no overlap within a network. */
export const subnetHooks: ResourceHooks<AnyObject> = defineHooks<Subnet>({
  create: (context, given) => {
    const prefix = prefixOf(given.cidr ?? '');
    if (prefix.base.version !== given.ip_version) {
      throw invalid(`'cidr' '${given.cidr}' does not match the ip_version '${given.ip_version}'`);
    }
    checkPrefix(prefix);
    checkNetwork(context, given.id, given.network_id ?? '', prefix);
    const gateway = given.gateway_ip === undefined ? defaultGateway(prefix) : given.gateway_ip;
    if (gateway !== null) checkGateway(prefix, gateway);
    const pools = given.allocation_pools ?? defaultPools(prefix, gateway);
    checkPools(prefix, pools, gateway);
    checkRoutes(prefix, given.host_routes ?? [], given.dns_nameservers ?? []);
    return { gateway_ip: gateway, allocation_pools: pools };
  },
  update: (context, before, after) => {
    const prefix = prefixOf(after.cidr);
    if (after.gateway_ip !== before.gateway_ip) {
      refuseGatewayInUse(context, before);
      if (after.gateway_ip !== null) checkGateway(prefix, after.gateway_ip);
    }
    checkPools(prefix, after.allocation_pools, after.gateway_ip);
    checkRoutes(prefix, after.host_routes, after.dns_nameservers);
    return {};
  },
  inUse: (subnet) =>
    new CableError(
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

function checkNetwork(context: WriteContext, subnetId: string, networkId: string, prefix: IpPrefix): void {
  const network = context.plan.get('network', networkId) as Network | undefined;
  if (network !== undefined && !canWrite(network, context.caller)) {
    throw new CableError('PolicyNotAuthorized', 'rule:create_subnet is disallowed by policy');
  }
  const others = context.tables.of('subnet').by('network_id', networkId);
  const planned = context.plan.createdOf('subnet') as readonly Subnet[];
  for (const other of [...others, ...planned.filter((one) => one.network_id === networkId)]) {
    if (other.id !== subnetId && cidrsOverlap(prefixOf(other.cidr), prefix)) {
      throw invalid(
        `Requested subnet with cidr for network: ${networkId} overlaps with another subnet (${other.cidr})`,
      );
    }
  }
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

function refuseGatewayInUse({ tables }: WriteContext, subnet: Subnet): void {
  const holder = tables
    .of('port')
    .by('fixed_ips.subnet_id', subnet.id)
    .find(
      (port) =>
        port.device_owner.startsWith('network:router_interface') &&
        port.fixed_ips.some((one) => one.subnet_id === subnet.id && one.ip_address === subnet.gateway_ip),
    );
  if (holder === undefined) return;
  throw new CableError(
    'GatewayIpInUse',
    `Current gateway ip ${subnet.gateway_ip} already in use by port ${holder.id}. Unable to update.`,
  );
}

function invalid(reason: string): CableError {
  return new CableError('InvalidInput', `Invalid input for operation: ${reason}.`);
}
