import { CableError, cidrContains, type Port, parseIp, type Subnet } from '@cable/model';
import type { Planning } from '../engine/context.ts';
import { allocateAddress } from './allocate.ts';
import { isHostAddress, prefixOf } from './subnet.ts';

type FixedIp = Port['fixed_ips'][number];

/**
 * The addresses of a port. `wanted` undefined: one of any subnet of the network that has one free, none when there is no subnet.
 * A wanted entry names a subnet, an address, both or (any) neither; one that names a subnet keeps what `kept` has in it.
 */
export function chooseAddresses(
  planning: Planning,
  networkId: string,
  wanted: readonly Partial<FixedIp>[] | undefined,
  kept: readonly FixedIp[],
): readonly FixedIp[] {
  const subnets = [...planning.plan.by('subnet', 'network_id', networkId)].sort((a, b) =>
    a.created_at < b.created_at || (a.created_at === b.created_at && a.id < b.id) ? -1 : 1,
  );
  if (wanted === undefined) return subnets.length === 0 ? [] : [allocateAny(planning, networkId, subnets)];
  const chosen: FixedIp[] = [];
  for (const entry of wanted) {
    const one = chooseOne(planning, networkId, subnets, entry, () =>
      kept.find((old) => old.subnet_id === entry.subnet_id && !chosen.some((other) => isSame(old, other))),
    );
    if (chosen.some((other) => isSame(one, other))) {
      throw invalid(`Duplicate fixed IP address ${one.ip_address} in the request`);
    }
    chosen.push(one);
  }
  return chosen;
}

function chooseOne(
  planning: Planning,
  networkId: string,
  subnets: readonly Subnet[],
  entry: Partial<FixedIp>,
  keptAddress: () => FixedIp | undefined,
): FixedIp {
  if (entry.subnet_id === undefined) {
    if (entry.ip_address === undefined) return allocateAny(planning, networkId, subnets);
    return inAnySubnet(subnets, entry.ip_address);
  }
  const subnet = subnets.find((one) => one.id === entry.subnet_id);
  if (subnet === undefined) {
    throw invalid(
      `Failed to create port on network ${networkId}, because fixed_ips included invalid subnet ${entry.subnet_id}`,
    );
  }
  if (entry.ip_address !== undefined) return inSubnet(subnet, entry.ip_address);
  return keptAddress() ?? allocateAny(planning, networkId, [subnet]);
}

function inAnySubnet(subnets: readonly Subnet[], address: string): FixedIp {
  const ip = parseIp(address);
  const subnet = subnets.find((one) => ip !== undefined && cidrContains(prefixOf(one.cidr), ip));
  if (subnet !== undefined) return inSubnet(subnet, address);
  throw new CableError(
    'InvalidIpForNetwork',
    `IP address ${address} is not a valid IP for any of the subnets on the specified network.`,
  );
}

function inSubnet(subnet: Subnet, address: string): FixedIp {
  const ip = parseIp(address);
  if (ip !== undefined && isHostAddress(prefixOf(subnet.cidr), ip))
    return { subnet_id: subnet.id, ip_address: address };
  throw new CableError('InvalidIpForSubnet', `IP address ${address} is not a valid IP for the specified subnet.`);
}

function allocateAny(planning: Planning, networkId: string, subnets: readonly Subnet[]): FixedIp {
  for (const subnet of subnets) {
    const ip = allocateAddress(planning, subnet, prefixOf(subnet.cidr));
    if (ip !== undefined) return { subnet_id: subnet.id, ip_address: ip };
  }
  throw new CableError('IpAddressGenerationFailure', `No more IP addresses available on network ${networkId}.`);
}

function isSame(a: FixedIp, b: FixedIp): boolean {
  return a.subnet_id === b.subnet_id && a.ip_address === b.ip_address;
}

function invalid(reason: string): CableError {
  return new CableError('InvalidInput', `Invalid input for operation: ${reason}.`);
}
