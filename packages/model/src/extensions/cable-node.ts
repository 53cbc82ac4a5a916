/** What Kubernetes says of the node whose port it is. */
export const cableNodeExtension = {
  alias: 'cable-node',
  name: 'Nodes of Kubernetes clusters',
  description: 'Of the port of a node: its zone, and whether it announces addresses of Services.',
  updated: '2026-11-30T00:00:00-00:00',
  requires: ['cable-kubernetes'],
  attributes: {
    port: {
      'cable:zone': {
        type: 'string',
        write: 'both',
        writeBy: 'admin',
        default: '',
        maxLength: 255,
        example: 'eu-1a',
        description:
          'Of the port of a node (device_owner kubernetes:node): the zone that it is in. Endpoints of Services with hints of that zone are for clients on its host; empty: with hints of the availability zone of the host.',
      },
      'cable:announces': {
        type: 'boolean',
        write: 'both',
        writeBy: 'admin',
        default: true,
        description:
          'Of the port of a node (device_owner kubernetes:node): false: its host announces no address of a Service on its links.',
      },
    },
  },
} as const;
