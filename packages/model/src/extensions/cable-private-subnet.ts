/** Subnets that keep to themselves. */
export const cablePrivateSubnetExtension = {
  alias: 'cable-private-subnet',
  name: 'Private subnets',
  description:
    'A private subnet exchanges packets with nobody but itself and the prefixes that it names: whatever security groups and network policies say.',
  updated: '2026-11-30T00:00:00-00:00',
  attributes: {
    subnet: {
      'cable:private': {
        type: 'boolean',
        write: 'both',
        default: false,
        indexed: true,
        example: true,
        description:
          'True: what ports with an address in the subnet send to, and receive from, addresses outside of it and of cable:allow_subnets is dropped, in its version of IP. A change ends connections.',
      },
      'cable:allow_subnets': {
        type: 'list',
        maxLength: 256,
        items: { type: 'cidr', hostBits: 'cleared' },
        write: 'both',
        default: [],
        filter: false,
        example: ['10.0.1.0/24'],
        description:
          'Prefixes, of the subnet’s version of IP, with which a private subnet exchanges packets besides. They count where the subnet is private.',
      },
    },
  },
} as const;
