import type { Client } from '@cable/api';
import type { Lab } from '../../lab.ts';

/** A VM, and whoever administers it over a Neutron network; all other networks and guests are made by checks. */
export const MANY_WORLD = {
  stores: ['lmdb', 'etcd'],
  servers: 1,
  hosts: { h1: {}, h2: {} },
  projects: ['7d3f5b210a9c4e8db6f71c2d3e4f5a6b'],
  networks: { admin: { project: '7d3f5b210a9c4e8db6f71c2d3e4f5a6b', cidr: '10.10.0.0/24' } },
  groups: { open: { project: '7d3f5b210a9c4e8db6f71c2d3e4f5a6b', allow: ['ping', 'service'] } },
  guests: {
    vm: { kind: 'vm', dhcp: 'udhcpc', host: 'h1', network: 'admin', group: 'open' },
    desk: { kind: 'vm', dhcp: 'udhcpc', host: 'h2', network: 'admin', group: 'open' },
  },
} as const;

/** As those of Keystone: protons of format 1.0 know no others. */
export const PROJECT: ManyWorld['projects'][0] = MANY_WORLD.projects[0];

export type ManyWorld = typeof MANY_WORLD;
export type ManyLab = Lab<ManyWorld>;

/** The project's client of the API. */
export function tenant(lab: ManyLab): Client {
  return lab.tenants[PROJECT];
}

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
