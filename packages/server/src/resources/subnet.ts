import {
  type AnyObject,
  CableError,
  cidrContains,
  cidrsOverlap,
  formatCidr,
  type IpPrefix,
  isMachineAddress,
  type Port,
  parseCidr,
  parseIp,
  type Subnet,
} from '@cable/model';
import { type Broken, type Contribution, contribute } from '../engine/module.ts';
import type { Look, View } from '../engine/view.ts';
import { addressClaim } from './port-claims.ts';
import { checkModes } from './subnet-modes.ts';
import { IPV6_MIN_MTU, mtuTooSmall } from './subnet-mtu.ts';
import { overlaps, PREFIX_ORDER } from './subnet-prefixes.ts';
import { defaultGateway, defaultPools, isPortAddress, prefixOf, type Range } from './subnet-range.ts';

type Pool = Subnet['allocation_pools'][number];

/** Subnets: gateway, allocation pools, no overlap within a network. */
export const subnetModule: Contribution<AnyObject> = contribute<Subnet>({
  derive: (_planning, given) => {
    const { cidr = '' } = given;
    const prefix = prefixOf(cidr);
    const { version } = prefix.base;
    if (given.ip_version !== undefined && given.ip_version !== version) throw mismatch('cidr', cidr, given.ip_version);
    checkPrefix(prefix);
    const gateway = given.gateway_ip === undefined ? defaultGateway(prefix) : given.gateway_ip;
    return {
      ip_version: version,
      gateway_ip: gateway,
      allocation_pools: given.allocation_pools?.length ? given.allocation_pools : defaultPools(prefix, gateway),
    };
  },
  check: (view, subnet, before) => {
    const prefix = prefixOf(subnet.cidr);
    checkModes(subnet, before);
    if (before === undefined) {
      refuseOverlap(view, subnet);
      refuseSmallMtu(view, subnet);
    }
    if (before !== undefined && subnet.gateway_ip !== before.gateway_ip) refuseGatewayInUse(view, before);
    if (subnet.gateway_ip !== null && subnet.gateway_ip !== before?.gateway_ip) checkGateway(prefix, subnet.gateway_ip);
    checkPools(prefix, subnet);
    checkNumbers(subnet, before);
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

/** Prefixes that no subnet may touch, with the reason. */
const RESERVED: readonly (readonly [string, string])[] = [
  ['0.0.0.0/8', 'which machines cannot have addresses of'],
  ['127.0.0.0/8', 'which machines cannot have addresses of'],
  ['169.254.0.0/16', 'which machines cannot have addresses of'],
  ['224.0.0.0/3', 'which machines cannot have addresses of'],
  ['::/128', 'which is no machine’s address'],
  ['::1/128', 'which is every machine’s own'],
  ['::ffff:0:0/96', 'which is IPv4 in IPv6 form: give it as IPv4'],
  ['fe80::/10', 'of which each port has an address anyway, and the metadata service fe80::a9fe:a9fe'],
  ['ff00::/8', 'which are addresses of groups'],
];

function checkPrefix(prefix: IpPrefix): void {
  const [range, reason] = RESERVED.find(([one]) => cidrsOverlap(prefixOf(one), prefix)) ?? [];
  if (range !== undefined) throw invalid(`the prefix overlaps ${range}, ${reason}`);
}

/** Each subnet revises its network, so two that overlap cannot be made at once. Those that are there do not, so what overlaps this one lies beside it. */
function refuseOverlap(view: View, subnet: Subnet): void {
  const beside = view.parts('network', subnet.network_id, (look) => look.beside('subnet', PREFIX_ORDER, subnet));
  const overlapping = beside.find((other) => overlaps(other, subnet));
  if (overlapping === undefined) return;
  throw new CableError(
    'InvalidInput',
    `Invalid input for operation: Requested subnet with cidr: ${subnet.cidr} for network: ${subnet.network_id} overlaps with another subnet.`,
    { detail: `Choose a prefix that has no address of ${overlapping.cidr}.` },
  );
}

/** Where guests reach the metadata service. */
const METADATA_ADDRESSES = ['169.254.169.254', 'fe80::a9fe:a9fe'];

/** It may lie outside of the prefix, as in Neutron: guests get a route on the link to it. */
function checkGateway(prefix: IpPrefix, gateway: string): void {
  const ip = parseIp(gateway);
  if (ip === undefined) throw invalid(`Gateway ${gateway} is not valid on subnet`);
  if (ip.version !== prefix.base.version) throw mismatch('gateway_ip', gateway, prefix.base.version);
  if (METADATA_ADDRESSES.includes(gateway)) throw invalid(`Gateway ${gateway} is the address of the metadata service`);
  const isFit = ip.version === 6 || !cidrContains(prefix, ip) ? isMachineAddress(ip) : isPortAddress(prefix, ip, '');
  if (!isFit) throw invalid(`Gateway ${gateway} is not valid on subnet`);
}

function checkPools(prefix: IpPrefix, { allocation_pools: pools, gateway_ip: gateway, cidr }: Subnet): void {
  const ranges = pools.map((pool) => checkPool(prefix, pool));
  const gatewayValue = gateway === null ? undefined : parseIp(gateway)?.value;
  for (const [index, range] of ranges.entries()) {
    const pool = `${pools[index]?.start}-${pools[index]?.end}`;
    const overlapping = ranges.findIndex(
      (other, at) => at > index && other.start <= range.end && range.start <= other.end,
    );
    if (overlapping >= 0) {
      const other = `${pools[overlapping]?.start}-${pools[overlapping]?.end}`;
      throw new CableError(
        'OverlappingAllocationPools',
        `Found overlapping allocation pools: ${pool} ${other} for subnet ${cidr}.`,
      );
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
  const { version } = prefix.base;
  if (start?.version !== version || end?.version !== version) {
    throw new CableError('InvalidAllocationPool', `The allocation pool ${text} is not valid.`);
  }
  if (start.value > end.value) {
    throw new CableError(
      'InvalidAllocationPool',
      `The allocation pool {'start': '${pool.start}', 'end': '${pool.end}'} is not valid.`,
    );
  }
  if (!isPortAddress(prefix, start, '') || !isPortAddress(prefix, end, '')) {
    throw new CableError(
      'OutOfBoundsAllocationPool',
      `The allocation pool ${text} spans beyond the subnet cidr ${formatCidr(prefix)}.`,
    );
  }
  return { start: start.value, end: end.value };
}

/** Of name servers and of routes, as far as they are given. */
const MOST_SERVERS = 20;
const MOST_ROUTES = 64;

function checkNumbers(subnet: Subnet, before: Subnet | undefined): void {
  const of = before === undefined ? 'new subnet' : subnet.id;
  if (subnet.dns_nameservers.length > MOST_SERVERS) {
    throw new CableError(
      'DNSNameServersExhausted',
      `Unable to complete operation for ${of}. The number of DNS nameservers exceeds the limit ${MOST_SERVERS}.`,
    );
  }
  if (subnet.host_routes.length > MOST_ROUTES) {
    throw new CableError(
      'HostRoutesExhausted',
      `Unable to complete operation for ${of}. The number of host routes exceeds the limit ${MOST_ROUTES}.`,
    );
  }
}

function checkRoutes(prefix: IpPrefix, routes: Subnet['host_routes'], servers: readonly string[]): void {
  const { version } = prefix.base;
  for (const { destination, nexthop } of routes) {
    if (parseIp(nexthop)?.version !== version) throw mismatch('nexthop', nexthop, version);
    if (parseCidr(destination)?.base.version !== version) throw mismatch('destination', destination, version);
  }
  const foreign = servers.find((server) => parseIp(server)?.version !== version);
  if (foreign !== undefined) throw mismatch('dns_nameserver', foreign, version);
}

/** A link of IPv6 carries packets of 1280 bytes (RFC 8200 §5). Each subnet revises its network, and so does a change of its MTU. */
function refuseSmallMtu(view: View, subnet: Subnet): void {
  const network = subnet.ip_version === 6 ? view.rely('network', subnet.network_id) : undefined;
  if (network !== undefined && network.mtu < IPV6_MIN_MTU) throw mtuTooSmall(network.id);
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

function* brokenSubnet(look: Look, subnet: Subnet): Iterable<Broken> {
  const network = look.get('network', subnet.network_id);
  if (subnet.ip_version === 6 && network !== undefined && network.mtu < IPV6_MIN_MTU) {
    yield { rule: 'a network with IPv6 has an MTU of 1280 or more', detail: mtuTooSmall(network.id).message };
  }
  // Among subnets that overlap there are always two that lie beside one another, so something is told.
  for (const other of look.beside('subnet', PREFIX_ORDER, subnet)) {
    if (other.id <= subnet.id || !overlaps(other, subnet)) continue;
    yield { rule: 'subnets of a network do not overlap', detail: `${subnet.cidr} and ${other.cidr} of ${other.id}` };
  }
}

function mismatch(name: string, text: string, version: number): CableError {
  return invalid(`${name} '${text}' does not match the ip_version '${version}'`);
}

function invalid(reason: string): CableError {
  return new CableError('InvalidInput', `Invalid input for operation: ${reason}.`);
}
