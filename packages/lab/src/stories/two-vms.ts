/** Two hosts with a VM each in one network: what most stories need. Their worlds take it apart and add to it. */
export const TWO_VMS = {
  hosts: { h1: {}, h2: {} },
  projects: ['blue'],
  networks: { blue: { project: 'blue', cidr: '10.10.0.0/24' } },
  groups: { blue: { project: 'blue', allow: ['ping', 'service'] } },
  guests: {
    vm1: { kind: 'vm', dhcp: 'udhcpc', host: 'h1', network: 'blue', group: 'blue' },
    vm2: { kind: 'vm', dhcp: 'udhcpc', host: 'h2', network: 'blue', group: 'blue' },
  },
} as const;
