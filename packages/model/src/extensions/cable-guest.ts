/** What DHCP and metadata tell the guest of a port. */
export const cableGuestExtension = {
  alias: 'cable-guest',
  name: 'Host name and user data of a port’s guest',
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
    },
  },
} as const;
