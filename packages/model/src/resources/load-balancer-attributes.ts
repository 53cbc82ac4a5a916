/** What every resource of the load balancer has, in Octavia's words. */
export const LB_COMMON_ATTRIBUTES = {
  name: {
    type: 'string',
    write: 'both',
    default: '',
    maxLength: 255,
    indexed: true,
    example: 'web',
    description: 'The name; need not be unique.',
  },
  admin_state_up: {
    type: 'boolean',
    write: 'both',
    default: true,
    description: 'False: it takes no part, and takes no new connection.',
  },
  tags: {
    type: 'list',
    write: 'both',
    default: [],
    maxLength: 50,
    filter: false,
    items: { type: 'string', maxLength: 255 },
    example: ['shop'],
    description: 'Words for people and their tools.',
  },
  provisioning_status: {
    type: 'string',
    values: ['ACTIVE'],
    computed: true,
    description: 'Always ACTIVE: what the API has taken is in force, all of it or nothing.',
  },
  operating_status: {
    type: 'string',
    values: ['ONLINE', 'DRAINING', 'OFFLINE', 'DEGRADED', 'ERROR', 'NO_MONITOR'],
    computed: true,
    filter: false,
    sort: false,
    description:
      'OFFLINE: turned off, or no probe has told yet. NO_MONITOR: nobody probes. DRAINING: weight 0. DEGRADED: some parts are in ERROR.',
  },
} as const;
