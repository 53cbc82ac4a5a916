/** What DHCP and metadata tell the guest of a port. */
export const cableGuestExtension = {
  alias: 'cable-guest',
  name: 'Host name, keys, user and vendor data of a port’s guest',
  description: 'What DHCP and metadata tell the guest of a port.',
  updated: '2026-01-01T00:00:00-00:00',
  attributes: {
    port: {
      'cable:hostname': {
        type: 'hostname',
        nullable: true,
        write: 'both',
        default: null,
        maxLength: 63,
        example: 'web-1',
        description: 'Host name told to the guest (RFC 1123 label); null: made from the name or the ID.',
      },
      'cable:user_data': {
        type: 'base64',
        nullable: true,
        write: 'both',
        default: null,
        maxLength: 87384,
        filter: false,
        sort: false,
        example: 'I2Nsb3VkLWNvbmZpZwo=',
        description: 'User data for the guest, in base64, given out by metadata; at most 64 KiB.',
      },
      'cable:public_keys': {
        type: 'list',
        maxLength: 16,
        write: 'both',
        default: [],
        filter: false,
        items: {
          type: 'object',
          properties: {
            name: { type: 'string', required: true, minLength: 1, maxLength: 255 },
            public_key: { type: 'string', required: true, minLength: 1, maxLength: 8192 },
          },
        },
        example: [{ name: 'ann', public_key: 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA ann@example.org' }],
        description: 'Public keys for logging in, in OpenSSH’s form, given out by metadata.',
      },
      'cable:vendor_data': {
        type: 'dict',
        nullable: true,
        write: 'both',
        default: null,
        example: { 'cloud-init': '#cloud-config\n{}' },
        description: 'Given out by metadata as vendor_data.json; null: none.',
      },
    },
  },
} as const;
