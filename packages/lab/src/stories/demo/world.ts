import type { Lab } from '../../lab.ts';

/** Two hosts and a physical machine; a tenant with a router, and another with the same addresses. */
export const DEMO_WORLD = {
  stores: ['lmdb', 'etcd'],
  servers: 1,
  hosts: { h1: {}, h2: {}, pm1: {} },
  projects: ['blue', 'red'],
  networks: {
    blue: { project: 'blue', cidr: '10.10.0.0/24' },
    'blue-back': { project: 'blue', cidr: '10.20.0.0/24' },
    red: { project: 'red', cidr: '10.10.0.0/24' },
  },
  routers: { 'blue-router': { project: 'blue', networks: ['blue', 'blue-back'] } },
  groups: {
    blue: { project: 'blue', allow: ['ping', 'service'] },
    red: { project: 'red', allow: ['ping', 'service'] },
    clients: { project: 'blue', allow: [] },
  },
  guests: {
    vm1: { kind: 'vm', dhcp: 'udhcpc', host: 'h1', network: 'blue', group: 'blue', userData: '#cloud-config for vm1' },
    vm2: { kind: 'vm', dhcp: 'dhclient', host: 'h2', network: 'blue-back', group: 'blue' },
    pod1: { kind: 'pod', host: 'h2', network: 'blue', group: 'blue' },
    machine: { kind: 'machine', host: 'pm1', network: 'blue', group: 'blue' },
    red1: { kind: 'vm', dhcp: 'udhcpc', host: 'h1', network: 'red', group: 'red', sameAddressAs: 'vm1' },
    red2: { kind: 'vm', dhcp: 'udhcpc', host: 'h2', network: 'red', group: 'red', sameAddressAs: 'pod1' },
  },
  realMachines: { qemu1: { host: 'h2', network: 'blue', group: 'blue', userData: 'for qemu1' } },
} as const;

export type DemoWorld = typeof DEMO_WORLD;
export type DemoLab = Lab<DemoWorld>;
