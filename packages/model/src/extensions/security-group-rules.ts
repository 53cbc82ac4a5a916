/** The prefix of a rule as what it stands for. */
export const securityGroupsNormalizedCidrExtension = {
  alias: 'security-groups-normalized-cidr',
  name: 'Normalized CIDR field for security group rules',
  description: 'Shows the prefix of a security group rule without the host bits that it was given with.',
  updated: '2026-11-28T00:00:00-00:00',
  requires: ['security-group'],
  attributes: {
    security_group_rule: {
      normalized_cidr: {
        type: 'cidr',
        nullable: true,
        computed: true,
        example: '198.51.100.0/24',
        description: 'The other side’s prefix, its host bits zero.',
      },
    },
  },
} as const;

/** Whether a rule is of a default group. */
export const securityGroupsRulesBelongsToDefaultSgExtension = {
  alias: 'security-groups-rules-belongs-to-default-sg',
  name: 'Security group rule belongs to the default group',
  description: 'Says of each security group rule whether its group is a project’s default one.',
  updated: '2026-11-28T00:00:00-00:00',
  requires: ['security-group'],
  attributes: {
    security_group_rule: {
      belongs_to_default_sg: {
        type: 'boolean',
        computed: true,
        sort: false,
        description: 'True: its group is the default one of its project.',
      },
    },
  },
} as const;
