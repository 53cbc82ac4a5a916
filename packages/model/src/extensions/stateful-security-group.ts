/** Groups whose rules are asked about each packet, whatever was before. */
export const statefulSecurityGroupExtension = {
  alias: 'stateful-security-group',
  name: 'Stateful security group',
  description: 'Security groups may be stateless: each packet needs a rule of its own direction.',
  updated: '2026-11-26T00:00:00-00:00',
  requires: ['security-group'],
  attributes: {
    security_group: {
      stateful: {
        type: 'boolean',
        write: 'both',
        default: true,
        description:
          'False: each packet needs a rule of its own direction, an answer too, and none needs one before it. All groups of a port are of one kind.',
      },
    },
  },
} as const;
