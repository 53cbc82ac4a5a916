/** What DHCP tells the guest of a port besides what its subnets say. */
export const extraDhcpOptExtension = {
  alias: 'extra_dhcp_opt',
  name: 'Neutron Extra DHCP options',
  description: 'Further DHCP options of ports, e.g. for PXE: tftp-server, server-ip-address, bootfile-name.',
  updated: '2026-11-26T00:00:00-00:00',
  attributes: {
    port: {
      extra_dhcp_opts: {
        type: 'list',
        maxLength: 64,
        write: 'both',
        default: [],
        filter: false,
        items: {
          type: 'object',
          properties: {
            opt_name: { type: 'string', required: true, minLength: 1, maxLength: 64 },
            opt_value: { type: 'string', required: true, nullable: true, maxLength: 255 },
            ip_version: { type: 'integer', values: [4, 6] },
          },
        },
        example: [{ opt_name: 'bootfile-name', opt_value: 'pxelinux.0', ip_version: 4 }],
        description:
          'DHCP options by dnsmasq’s name or by number. An update changes those that it names; the value null removes one.',
      },
    },
  },
} as const;
