import type { Announced } from '../plan/entrances.ts';

/**
 * One that several Services have may be where all of them have endpoints; where there is no such host, it is where the first has. One that has none anywhere does not count while another has.
 */
export function merged(all: Iterable<Announced>): ReadonlyMap<string, Announced> {
  const byAddress = new Map<string, Announced>();
  const isNowhere = ({ hosts }: Announced): boolean => hosts?.length === 0;
  const order = (a: Announced, b: Announced): number =>
    Number(isNowhere(a)) - Number(isNowhere(b)) || (a.service < b.service ? -1 : 1);
  for (const one of [...all].sort(order)) {
    const { hosts } = byAddress.get(one.address) ?? one;
    const both = hosts === undefined ? one.hosts : hosts.filter((host) => one.hosts?.includes(host) ?? true);
    const isFirst = !byAddress.has(one.address);
    if (isFirst) byAddress.set(one.address, one);
    else if (both === undefined || both.length > 0) byAddress.set(one.address, { ...one, hosts: both });
  }
  return byAddress;
}
