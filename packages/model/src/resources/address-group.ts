/** Neutron's address group: addresses that rules of security groups name as their remote. */
export const addressGroupResource = {
  name: 'address_group',
  plural: 'address_groups',
  label: 'AddressGroup',
  prefix: '/v2.0',
  path: 'address-groups',
  description:
    'Addresses and prefixes that rules of security groups name as one: a change of it changes what those allow.',
  updateHidesShared: true,
  verbs: ['list', 'show', 'create', 'update', 'delete'],
  standard: true,
  stored: true,
  columns: ['id', 'name', 'description', 'addresses'],
  attributes: {
    name: {
      type: 'string',
      write: 'both',
      default: '',
      maxLength: 255,
      indexed: true,
      example: 'offices',
      description: 'The name; need not be unique.',
    },
    addresses: {
      type: 'list',
      items: { type: 'cidr', hostBits: 'cleared', needsLength: true },
      write: 'create',
      nullAsAbsent: true,
      default: [],
      maxLength: 4096,
      filter: false,
      example: ['198.51.100.0/24', '2001:db8::7/128'],
      description: 'The addresses, as prefixes.',
    },
  },
  hidden: {
    shared_with: {
      type: 'list',
      items: { type: 'string' },
      default: [],
      indexed: true,
      description: 'Projects that may use the object (access_as_shared); *: every one.',
    },
  },
} as const;
