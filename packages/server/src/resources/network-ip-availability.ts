/** How many addresses of a network there are, and how many are taken: made from the tables when it is asked for. */
import { JsonText } from '@cable/api';
import { type AnyObject, parseIp, type Subnet } from '@cable/model';
import { type Contribution, contribute } from '../engine/module.ts';
import type { Tables } from '../tables.ts';
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
  present: (tables, { id, _versions: versions }, { addresses }) => {
    const subnets = inOrder(tables.of('subnet').by('network_id', id)).filter(
      (one) => versions.length === 0 || versions.includes(String(one.ip_version)),
    );
    const counted = subnets.map((subnet) => ({ subnet, total: totalOf(subnet), used: addresses.usedCount(subnet.id) }));
    return {
      total_ips: new JsonText(String(counted.reduce((sum, { total }) => sum + total, 0n))),
      used_ips: counted.reduce((sum, { used }) => sum + used, 0),
      subnet_ip_availability: new JsonText(`[${counted.map(textOf).join(',')}]`),
    };
  },
});

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
  if (pools.length === 0) return 1n << BigInt((version === 4 ? 32 : 128) - Number(cidr.split('/')[1]));
  return pools.reduce((sum, { start, end }) => {
    const [first, last] = [parseIp(start)?.value, parseIp(end)?.value];
    return first === undefined || last === undefined ? sum : sum + last - first + 1n;
  }, 0n);
}

/** A number of IPv6 addresses is larger than JavaScript's numbers are exact. */
function textOf({
  subnet,
  total,
  used,
}: {
  readonly subnet: Subnet;
  readonly total: bigint;
  readonly used: number;
}): string {
  const { id, name, cidr, ip_version: version } = subnet;
  const plain = JSON.stringify({ subnet_id: id, subnet_name: name, cidr, ip_version: version, used_ips: used });
  return `${plain.slice(0, -1)},"total_ips":${total}}`;
}
