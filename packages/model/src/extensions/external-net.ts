/** Networks that lead outside. */
export const externalNetExtension = {
  alias: 'external-net',
  name: 'Neutron external network',
  description: 'Networks that lead outside: every project may give its routers a gateway there, and take floating IPs.',
  updated: '2026-11-26T00:00:00-00:00',
  attributes: {
    network: {
      'router:external': {
        type: 'boolean',
        write: 'both',
        writeBy: 'admin',
        default: false,
        indexed: true,
        description:
          'True: the network leads outside; every project sees it, and its routers may have a gateway there.',
      },
    },
  },
} as const;
