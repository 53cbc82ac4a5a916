import type { Lab } from '../../lab.ts';

/** Two hosts with a VM each in one network, and a tenant with the same addresses. */
export const GUEST_SERVICES_WORLD = {
  stores: ['lmdb', 'etcd'],
  servers: 1,
  hosts: { h1: {}, h2: {} },
  projects: ['blue', 'red'],
  networks: {
    blue: { project: 'blue', cidr: '10.10.0.0/24' },
    red: { project: 'red', cidr: '10.10.0.0/24' },
  },
  groups: {
    blue: { project: 'blue', allow: ['ping', 'service'] },
    red: { project: 'red', allow: ['ping'] },
  },
  guests: {
    vm1: { kind: 'vm', dhcp: 'udhcpc', host: 'h1', network: 'blue', group: 'blue', userData: '#cloud-config for vm1' },
    vm2: { kind: 'vm', dhcp: 'dhclient', host: 'h2', network: 'blue', group: 'blue' },
    red1: { kind: 'vm', dhcp: 'udhcpc', host: 'h1', network: 'red', group: 'red', sameAddressAs: 'vm1' },
  },
} as const;

export type GuestServicesWorld = typeof GUEST_SERVICES_WORLD;
export type GuestServicesLab = Lab<GuestServicesWorld>;

/** The name of vm1, and of red1 in its own network. */
export const SHARED_NAME = 'web';
export const DOMAIN = 'corp.example.';
/** The instance that vm2 is to Nova. */
export const INSTANCE = '1c6f9a52-7e0b-4a59-8f43-6d2c9e1b7a08';
