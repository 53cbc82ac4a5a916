/** At which ports a rule of a network policy lets in, or out; of all kinds of policies. */
export const POLICY_PORTS = {
  type: 'list',
  nullable: true,
  default: null,
  maxLength: 1000,
  description: 'At which ports of who receives; null: at all, with any protocol. An empty list is none.',
  items: {
    type: 'object',
    properties: {
      protocol: { type: 'string', values: ['TCP', 'UDP', 'SCTP'], default: 'TCP' },
      port: {
        type: 'integer',
        nullable: true,
        default: null,
        minimum: 1,
        maximum: 65_535,
        description: 'Null: all ports of the protocol, unless a name is given.',
      },
      end_port: {
        type: 'integer',
        nullable: true,
        default: null,
        minimum: 1,
        maximum: 65_535,
        description: 'The last of a range that begins with port; null: port alone.',
      },
      port_name: {
        type: 'string',
        nullable: true,
        default: null,
        minLength: 1,
        maxLength: 63,
        description: 'The port that who receives calls by this name; null: it is given by number.',
      },
    },
  },
} as const;
