/** How many addresses of a network there are, and how many are taken: made from the tables when it is asked for. */
import { JsonText } from '@cable/api';
import { type AnyObject, parseIp, type Subnet } from '@cable/model';
import { type Contribution, contribute } from '../engine/module.ts';
import type { Tables } from '../tables.ts';
import type { AddressBook } from './address-book.ts';
import { inOrder } from './in-order.ts';

/** A network in a list, before anything is counted. `_versions`: of which subnets count; empty: all. */
type Row = {
  readonly id: string;
  readonly network_id: string;
  readonly network_name: string;
  readonly project_id: string;
  readonly ip_version: readonly number[];
  readonly _versions: readonly string[];
};

/** What is listed of networks is counted for those that are shown. */
export const networkIpAvailabilityModule: Contribution<AnyObject> = contribute<Row>({
  rows: (tables, filters) => {
    const versions = filters.find(({ attribute }) => attribute === 'ip_version')?.values ?? [];
    return [...tables.of('network').values()].map((network) => ({
      ...{ id: network.id, network_id: network.id, network_name: network.name, project_id: network.project_id },
      ip_version: versions.length === 0 ? [] : versionsOf(tables, network.id),
      _versions: versions,
    }));
  },
  present: (tables, { id, _versions: versions }, { addresses, resources }) => {
    const subnets = inOrder(tables.of('subnet').by('network_id', id)).filter(
      (one) => versions.length === 0 || versions.includes(String(one.ip_version)),
    );
    const isDetailed = resources.named('network_ip_availability').attributes[DETAILS] !== undefined;
    const counted = subnets.map((subnet): Counted => {
      const counts = { subnet, total: totalOf(subnet), used: addresses.usedCount(subnet.id) };
      return isDetailed ? { ...counts, details: detailsOf(subnet, addresses) } : counts;
    });
    const details = counted.flatMap((one) => one.details ?? []);
    return {
      total_ips: new JsonText(String(counted.reduce((sum, { total }) => sum + total, 0n))),
      used_ips: counted.reduce((sum, { used }) => sum + used, 0),
      subnet_ip_availability: new JsonText(`[${counted.map(textOf).join(',')}]`),
      ...(isDetailed ? { [DETAILS]: new JsonText(detailsText(details)) } : {}),
    };
  },
});

/** Of Neutron's extension network-ip-availability-details. */
const DETAILS = 'ip_availability_details';

type Counted = {
  readonly subnet: Subnet;
  readonly total: bigint;
  readonly used: number;
  /** Undefined: they are not shown. */
  readonly details?: Details;
};

/** Of the prefix, and of the pools. */
type Details = {
  readonly total: bigint;
  readonly used: number;
  readonly totalInPools: bigint;
  readonly usedInPools: number;
};

function detailsOf(
  { id, cidr, ip_version: version, allocation_pools: pools }: Subnet,
  addresses: AddressBook,
): Details {
  const size = sizeOf(cidr, version);
  const ranges = pools.flatMap(({ start, end }) => {
    const [first, last] = [parseIp(start)?.value, parseIp(end)?.value];
    return first === undefined || last === undefined ? [] : [{ first, last }];
  });
  return {
    // A prefix of one or two addresses has none that is between its ends.
    total: version === 6 ? size : size > 2n ? size - 2n : 0n,
    used: addresses.usedCount(id),
    totalInPools: ranges.reduce((sum, { first, last }) => sum + last - first + 1n, 0n),
    usedInPools: addresses.usedWithin(id, ranges),
  };
}

/** The sums of some. */
function detailsText(details: readonly Details[]): string {
  const sum = (of: (one: Details) => bigint): bigint => details.reduce((all, one) => all + of(one), 0n);
  const numbers = {
    total_ips_in_subnet: sum(({ total }) => total),
    total_ips_in_allocation_pool: sum(({ totalInPools }) => totalInPools),
    used_ips_in_subnet: sum(({ used }) => BigInt(used)),
    used_ips_in_allocation_pool: sum(({ usedInPools }) => BigInt(usedInPools)),
  };
  return `{${Object.entries(numbers)
    .map(([name, value]) => `"${name}":${value}`)
    .join(',')}}`;
}

function sizeOf(cidr: string, version: 4 | 6): bigint {
  return 1n << BigInt((version === 4 ? 32 : 128) - Number(cidr.split('/')[1]));
}

function versionsOf(tables: Tables, networkId: string): readonly number[] {
  return [
    ...new Set(
      tables
        .of('subnet')
        .by('network_id', networkId)
        .map((one) => one.ip_version),
    ),
  ];
}

/** Of the pools; those of a whole prefix where there are none, as Neutron has it. */
function totalOf({ allocation_pools: pools, cidr, ip_version: version }: Subnet): bigint {
  if (pools.length === 0) return sizeOf(cidr, version);
  return pools.reduce((sum, { start, end }) => {
    const [first, last] = [parseIp(start)?.value, parseIp(end)?.value];
    return first === undefined || last === undefined ? sum : sum + last - first + 1n;
  }, 0n);
}

/** A number of IPv6 addresses is larger than JavaScript's numbers are exact. */
function textOf({ subnet, total, used, details }: Counted): string {
  const { id, name, cidr, ip_version: version } = subnet;
  const plain = JSON.stringify({ subnet_id: id, subnet_name: name, cidr, ip_version: version, used_ips: used });
  const more = details === undefined ? '' : `,"${DETAILS}":${detailsText([details])}`;
  return `${plain.slice(0, -1)},"total_ips":${total}${more}}`;
}
