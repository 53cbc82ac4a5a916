/** The cloud that is measured: hosts, networks, ports and group memberships, laid out the same way each time. */

export type WorldSize = {
  readonly name: string;
  readonly hosts: number;
  readonly ports: number;
  readonly networks: number;
  /** Ports that are members of their network's security group, whose rules name it as remote. */
  readonly memberships: number;
};

export const WORLDS: readonly WorldSize[] = [
  { name: 'small', hosts: 100, ports: 5000, networks: 100, memberships: 2500 },
  { name: 'thousand', hosts: 1000, ports: 100_000, networks: 2000, memberships: 50_000 },
  { name: 'five-thousand', hosts: 5000, ports: 250_000, networks: 5000, memberships: 125_000 },
  { name: 'worst-network', hosts: 1000, ports: 10_000, networks: 1, memberships: 0 },
  { name: 'worst-group', hosts: 1000, ports: 10_000, networks: 1, memberships: 10_000 },
  { name: 'one-network', hosts: 5000, ports: 100_000, networks: 1, memberships: 0 },
];

export type ScaleHost = { readonly host: string; readonly underlay: string };

/** A port before it is made. `network` and `host` are indexes. */
export type PortWish = { readonly network: number; readonly host: number; readonly isMember: boolean };

export type World = {
  readonly size: WorldSize;
  readonly hosts: readonly ScaleHost[];
  readonly ports: readonly PortWish[];
  /** Hosts with a port in each network: those that need to hear of a change in it. */
  readonly hostsOf: readonly ReadonlySet<number>[];
};

/** Spreads the ports of each network over the hosts at random, with the same number on each host. */
export function createWorld(size: WorldSize): World {
  const random = seeded(size.ports);
  const places = Array.from({ length: size.ports }, (_, index) => index % size.hosts);
  for (let index = places.length - 1; index > 0; index -= 1) {
    const other = Math.floor(random() * (index + 1));
    const here = places[index] ?? 0;
    places[index] = places[other] ?? 0;
    places[other] = here;
  }
  const every = size.memberships === 0 ? 0 : size.ports / size.memberships;
  const ports = places.map((host, index): PortWish => {
    const round = Math.floor(index / size.networks);
    return { network: index % size.networks, host, isMember: every > 0 && round % every < 1 };
  });
  const hostsOf = Array.from({ length: size.networks }, () => new Set<number>());
  for (const { network, host } of ports) hostsOf[network]?.add(host);
  return { size, hosts: Array.from({ length: size.hosts }, (_, index) => hostAt(index)), ports, hostsOf };
}

/** The host with this number. */
export function hostAt(index: number): ScaleHost {
  const underlay = `10.${128 + (index >> 16)}.${(index >> 8) & 255}.${index & 255}`;
  return { host: `scale-${String(index).padStart(5, '0')}`, underlay };
}

/** Numbers from 0 to 1 that look random and are the same for the same seed (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
