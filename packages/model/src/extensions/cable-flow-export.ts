/** Which flows hosts tell a collector of. */
export const cableFlowExportExtension = {
  alias: 'cable-flow-export',
  name: 'Flow export',
  description: 'Begins, ends and counts of the flows of ports, told to the collector of their host.',
  updated: '2026-11-27T00:00:00-00:00',
  attributes: {
    port: {
      'cable:flow_export': {
        type: 'integer',
        nullable: true,
        write: 'both',
        writeBy: 'admin',
        default: null,
        minimum: 0,
        maximum: 65535,
        filter: false,
        sort: false,
        example: 1,
        description: 'One of so many of its flows is exported: 1: all; 0: none; null: as its network says.',
      },
    },
    network: {
      'cable:flow_export': {
        type: 'integer',
        nullable: true,
        write: 'both',
        writeBy: 'admin',
        default: null,
        minimum: 0,
        maximum: 65535,
        filter: false,
        sort: false,
        example: 1,
        description: 'The same for its ports that do not say it themselves; null: none.',
      },
    },
  },
} as const;
