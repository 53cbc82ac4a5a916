import type { Resource } from '../declaration.ts';
import { segmentResource } from '../resources/segment.ts';

/** The segment of each network. */
export const segmentExtension = {
  alias: 'segment',
  name: 'Segment',
  description: 'Shows the segment of each network, and gives it a name.',
  updated: '2026-11-28T00:00:00-00:00',
  requires: ['provider'],
  resources: [segmentResource] as readonly Resource[],
  attributes: {
    subnet: {
      segment_id: {
        type: 'uuid',
        nullable: true,
        write: 'create',
        default: null,
        description: 'Null: the subnet is of the whole network, for a network is one segment. Nothing else is taken.',
      },
    },
  },
} as const;

/** When a segment was made and changed: its network's times and revision, since it is a part of that. */
export const standardAttrSegmentExtension = {
  alias: 'standard-attr-segment',
  name: 'Standard Attribute Segment Extension',
  description: 'Segments have the times and the revision number of their networks.',
  updated: '2026-11-28T00:00:00-00:00',
  requires: ['segment'],
  attributes: {
    segment: {
      created_at: {
        type: 'timestamp',
        example: '2026-11-28T12:00:00Z',
        description: 'When its network was made.',
      },
      updated_at: {
        type: 'timestamp',
        example: '2026-11-28T12:00:00Z',
        description: 'When its network, or what is said of it, was last changed.',
      },
      revision_number: { type: 'integer', example: 1, description: 'That of its network.' },
    },
  },
} as const;

/** A network as a list of what carries it. */
export const multiProviderExtension = {
  alias: 'multi-provider',
  name: 'Multi Provider Network',
  description: 'How a new network is carried may be given as a list of segments, of which there is one.',
  updated: '2026-11-28T00:00:00-00:00',
  requires: ['provider'],
  attributes: {
    network: {
      segments: {
        type: 'list',
        maxLength: 64,
        items: {
          type: 'object',
          properties: {
            'provider:network_type': { type: 'string', values: ['vxlan', 'vlan', 'flat'] },
            'provider:physical_network': { type: 'string', nullable: true, maxLength: 64, maxBytes: 64 },
            'provider:segmentation_id': { type: 'integer', nullable: true, minimum: 1, maximum: 16777215 },
          },
        },
        write: 'both',
        writeBy: 'admin',
        input: true,
        filter: false,
        sort: false,
        example: [{ 'provider:network_type': 'vxlan', 'provider:segmentation_id': 4242 }],
        description: 'What carries the network, in place of provider:*; one segment.',
      },
    },
  },
} as const;

/** Whether all ports of a network are neighbours. */
export const l2AdjacencyExtension = {
  alias: 'l2_adjacency',
  name: 'L2 Adjacency',
  description: 'Shows that all ports of a network reach each other without a router.',
  updated: '2026-11-28T00:00:00-00:00',
  attributes: {
    network: {
      l2_adjacency: {
        type: 'boolean',
        computed: true,
        filter: false,
        sort: false,
        example: true,
        description: 'True, since a network is one segment.',
      },
    },
  },
} as const;
