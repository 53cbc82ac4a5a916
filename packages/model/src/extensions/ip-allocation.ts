/** Whether a port has its addresses from the start. */
export const ipAllocationExtension = {
  alias: 'ip_allocation',
  name: 'IP Allocation',
  description: 'Ports show whether they were given addresses when they were made.',
  updated: '2026-11-28T00:00:00-00:00',
  attributes: {
    port: {
      ip_allocation: {
        type: 'string',
        values: ['immediate', 'none'],
        default: 'immediate',
        description:
          'immediate: the port was given addresses when it was made, if its network had any; none: it asked for none.',
      },
    },
  },
} as const;
