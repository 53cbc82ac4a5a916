import type { Lab } from '../../lab.ts';

/** A VM, and whoever administers it over a Neutron network; all other networks and guests are made by checks. */
export const MANY_WORLD = {
  stores: ['lmdb', 'etcd'],
  servers: 1,
  hosts: { h1: {}, h2: {} },
  projects: ['blue'],
  networks: { admin: { project: 'blue', cidr: '10.10.0.0/24' } },
  groups: { blue: { project: 'blue', allow: ['ping', 'service'] } },
  guests: {
    vm: { kind: 'vm', dhcp: 'udhcpc', host: 'h1', network: 'admin', group: 'blue' },
    desk: { kind: 'vm', dhcp: 'udhcpc', host: 'h2', network: 'admin', group: 'blue' },
  },
} as const;

export type ManyWorld = typeof MANY_WORLD;
export type ManyLab = Lab<ManyWorld>;

/** What a check makes for those after it. */
export type Part<T> = {
  set(lab: ManyLab, made: T): void;
  /** Undefined: it was not made. */
  find(lab: ManyLab): T | undefined;
  /** Throws when it was not made. */
  of(lab: ManyLab): T;
};

/** `what`: as it is called when it lacks. */
export function part<T>(what: string): Part<T> {
  const made = new WeakMap<object, T>();
  const find = ({ ledger }: ManyLab): T | undefined => made.get(ledger);
  return {
    set: ({ ledger }, value) => {
      made.set(ledger, value);
    },
    find,
    of: (lab) => {
      const found = find(lab);
      if (found === undefined) throw new Error(`${what} was not made: an earlier check failed, or was left out`);
      return found;
    },
  };
}
