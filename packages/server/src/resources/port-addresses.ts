import {
  type AnyObject,
  CableError,
  eui64Ip,
  formatIp,
  type Mac,
  type Port,
  parseIp,
  parseMac,
  portResource,
  type Subnet,
} from '@cable/model';
import type { Planning } from '../engine/context.ts';
import { FOLLOWED } from '../engine/hidden.ts';
import { allocateAddress } from './allocate.ts';
import { isServiceOwner } from './device-owners.ts';
import { isAutomatic } from './subnet-modes.ts';
import { isPortAddress, prefixOf } from './subnet-range.ts';
import { noneServes, servedSubnets } from './subnet-service-types.ts';

type FixedIp = Port['fixed_ips'][number];

/** What of a port decides about its addresses. */
type Addressed = Pick<Port, 'network_id' | 'mac_address' | 'device_owner'>;

const MOST = portResource.attributes.fixed_ips.maxLength;

/**
 * The addresses of a port. `subnets`: those of its network. `wanted` undefined: one of each version of IP that has subnets other than of SLAAC.
 * A wanted entry names a subnet, an address, or both, and is refused otherwise; one that names a subnet keeps what `kept` has in it. Whatever is wanted, the
 * port also has the EUI-64 address of each subnet of SLAAC, unless it is a router's leg.
 */
export function chooseAddresses(
  planning: Planning,
  port: Addressed,
  subnets: readonly Subnet[],
  wanted: readonly Partial<FixedIp>[] | undefined,
  kept: readonly FixedIp[],
): readonly FixedIp[] {
  const staying = inOrderOfCreation(subnets.filter(isStaying));
  const served = servedSubnets(staying, port.device_owner);
  if (served.length === 0 && staying.length > 0 && kept.length === 0 && wanted?.length !== 0) {
    throw noneServes(port.network_id, port.device_owner);
  }
  // What a port has of a subnet it keeps, whatever ports the subnet has come to be for.
  const all =
    served.length === staying.length
      ? served
      : [
          ...served,
          ...staying.filter(
            ({ id }) => !served.some((one) => one.id === id) && kept.some((one) => one.subnet_id === id),
          ),
        ];
  const automatic = hasAutomatic(port) ? all.filter(isAutomatic) : [];
  const others = automatic.length === 0 ? all : all.filter((one) => !automatic.includes(one));
  const chosen =
    wanted === undefined
      ? chooseDefaults(planning, port, others)
      : chooseWanted({ planning, port, all, automatic, kept }, wanted.filter(isWanted(subnets, kept)));
  const addresses = [...chosen, ...automatic.map((subnet) => automaticAddress(subnet, port.mac_address))];
  if (addresses.length > MOST) {
    throw invalid(
      `a port with the MAC address ${port.mac_address} would have ${addresses.length} addresses, more than ${MOST}`,
    );
  }
  return addresses;
}

/** False for a subnet that is being deleted: nobody gets an address of it. */
function isStaying(subnet: Subnet): boolean {
  return (subnet as AnyObject)[FOLLOWED] !== 'takes';
}

/** False for what a port had of a subnet that is being deleted. */
function isWanted(subnets: readonly Subnet[], kept: readonly FixedIp[]): (one: Partial<FixedIp>) => boolean {
  const going = new Set(subnets.filter((one) => !isStaying(one)).map(({ id }) => id));
  return ({ subnet_id: id = '' }) => !going.has(id) || !kept.some((one) => one.subnet_id === id);
}

/** True when the port has the addresses of subnets of SLAAC. A port of a router or a floating IP has those that it was given. */
export function hasAutomatic({ device_owner: owner }: Pick<Port, 'device_owner'>): boolean {
  return !isServiceOwner(owner);
}

/** The address that a port with this MAC has in a subnet of SLAAC. */
export function automaticAddress(subnet: Pick<Subnet, 'id' | 'cidr'>, mac: string): FixedIp {
  return { subnet_id: subnet.id, ip_address: formatIp(eui64Ip(prefixOf(subnet.cidr), portMac(mac))) };
}

/** A port's MAC has been parsed at the door, or made. */
function portMac(text: string): Mac {
  const mac = parseMac(text);
  if (mac === undefined) throw new Error(`stored mac_address ${text} is not one`);
  return mac;
}

function inOrderOfCreation(subnets: readonly Subnet[]): readonly Subnet[] {
  if (subnets.length < 2) return subnets;
  return [...subnets].sort((a, b) =>
    a.created_at < b.created_at || (a.created_at === b.created_at && a.id < b.id) ? -1 : 1,
  );
}

function chooseDefaults(planning: Planning, { network_id }: Addressed, subnets: readonly Subnet[]): readonly FixedIp[] {
  return [4, 6].flatMap((version) => {
    const candidates = subnets.filter((one) => one.ip_version === version);
    return candidates.length === 0 ? [] : [allocateAny(planning, network_id, candidates)];
  });
}

type Choice = {
  readonly planning: Planning;
  readonly port: Addressed;
  readonly all: readonly Subnet[];
  /** Of `all`, those that give the port an address whatever is wanted. */
  readonly automatic: readonly Subnet[];
  readonly kept: readonly FixedIp[];
};

/** What is wanted besides automatic addresses: those may be named, and are there anyway. */
function chooseWanted(choice: Choice, wanted: readonly Partial<FixedIp>[]): readonly FixedIp[] {
  const { automatic, kept } = choice;
  const chosen: FixedIp[] = [];
  for (const entry of wanted) {
    if (entry.ip_address === undefined && automatic.some(({ id }) => id === entry.subnet_id)) continue;
    const one = chooseOne(choice, entry, () =>
      kept.find((old) => old.subnet_id === entry.subnet_id && !chosen.some((other) => isSame(old, other))),
    );
    if (chosen.some((other) => isSame(one, other))) {
      throw invalid(`Duplicate fixed IP address ${one.ip_address} in the request`);
    }
    chosen.push(one);
  }
  return automatic.length === 0 ? chosen : chosen.filter((one) => !automatic.some(({ id }) => id === one.subnet_id));
}

function chooseOne(choice: Choice, entry: Partial<FixedIp>, keptAddress: () => FixedIp | undefined): FixedIp {
  const { planning, port, all } = choice;
  const { network_id: networkId } = port;
  if (entry.subnet_id === undefined) {
    if (entry.ip_address === undefined) throw invalid('IP allocation requires subnet_id or ip_address');
    return inAnySubnet(choice, entry.ip_address);
  }
  const subnet = all.find((one) => one.id === entry.subnet_id);
  if (subnet === undefined) {
    throw invalid(
      `Failed to create port on network ${networkId}, because fixed_ips included invalid subnet ${entry.subnet_id}`,
    );
  }
  if (entry.ip_address !== undefined) return inSubnet(choice, subnet, entry.ip_address);
  return keptAddress() ?? allocateAny(planning, networkId, [subnet]);
}

function inAnySubnet(choice: Choice, address: string): FixedIp {
  const ip = parseIp(address);
  const owner = choice.port.device_owner;
  const subnet = choice.all.find((one) => ip !== undefined && isPortAddress(prefixOf(one.cidr), ip, owner));
  if (subnet !== undefined) return inSubnet(choice, subnet, address);
  throw new CableError(
    'InvalidIpForNetwork',
    `IP address ${address} is not a valid IP for any of the subnets on the specified network.`,
  );
}

/** The address in the subnet, if the port may have it there. In one of SLAAC there is only one, and the one that it had before its MAC changed is taken for it. */
function inSubnet({ port, automatic, kept }: Choice, subnet: Subnet, address: string): FixedIp {
  const ip = parseIp(address);
  const fixed = { subnet_id: subnet.id, ip_address: address };
  if (ip === undefined || !isPortAddress(prefixOf(subnet.cidr), ip, port.device_owner)) {
    throw new CableError('InvalidIpForSubnet', `IP address ${address} is not a valid IP for the specified subnet.`);
  }
  if (!automatic.includes(subnet)) return fixed;
  const own = automaticAddress(subnet, port.mac_address);
  if (isSame(own, fixed) || kept.some((one) => isSame(one, fixed))) return fixed;
  throw new CableError(
    'AllocationOnAutoAddressSubnet',
    `IPv6 address ${address} cannot be directly assigned to a port on subnet ${subnet.id} as the subnet is configured for automatic addresses`,
    { fields: { ip: address, subnetId: subnet.id } },
  );
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
