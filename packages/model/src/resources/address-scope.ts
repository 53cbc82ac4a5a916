/** Neutron's address scope: pools whose addresses do not overlap, so that what is in it needs no translation. */
export const addressScopeResource = {
  name: 'address_scope',
  plural: 'address_scopes',
  label: 'AddressScope',
  prefix: '/v2.0',
  path: 'address-scopes',
  description: 'Subnet pools whose addresses do not overlap: what is within one scope is routed without translation.',
  verbs: ['list', 'show', 'create', 'update', 'delete'],
  standard: true,
  stored: true,
  sharedBy: 'shared',
  columns: ['id', 'name', 'ip_version', 'shared'],
  attributes: {
    name: {
      type: 'string',
      write: 'both',
      default: '',
      maxLength: 255,
      indexed: true,
      example: 'campus',
      description: 'The name; need not be unique.',
    },
    ip_version: {
      type: 'integer',
      values: [4, 6],
      write: 'create',
      required: true,
      example: 4,
      description: 'Version of IP of its pools.',
    },
    shared: {
      type: 'boolean',
      write: 'both',
      writeBy: 'admin',
      default: false,
      grantedBy: 'shared_with',
      sort: false,
      description:
        'True: the caller’s project may have its pools in the scope, as it is shared with it or with every one. Given: with every one.',
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
