/** Another MAC address for a port, whichever. */
export const portMacAddressRegenerateExtension = {
  alias: 'port-mac-address-regenerate',
  name: 'Neutron Port MAC address regenerate',
  description: 'An update of a port’s MAC address to null gives it another one.',
  updated: '2026-11-28T00:00:00-00:00',
  changes: {
    port: {
      mac_address: {
        nullable: true,
        description: 'Unique in the network; by default, and for null, one is made.',
      },
    },
  },
} as const;
