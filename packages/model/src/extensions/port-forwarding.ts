import type { Resource } from '../declaration.ts';
import { portForwardingResource } from '../resources/port-forwarding.ts';

/** Ports of a floating IP that lead inside, single ones and ranges. */
export const portForwardingExtension = {
  alias: 'floating-ip-port-forwarding',
  name: 'Floating IP Port Forwarding',
  description: 'Ports of a floating IP that lead to ports of addresses inside.',
  updated: '2026-11-27T00:00:00-00:00',
  requires: ['fip-port-details', 'quotas'],
  resources: [portForwardingResource] as readonly Resource[],
  columns: { quota: ['port_forwarding'] },
  attributes: {
    quota: {
      port_forwarding: {
        type: 'integer',
        write: 'update',
        minimum: -1,
        maximum: 2147483647,
        filter: false,
        sort: false,
        example: 100,
        description: 'Most port forwardings of floating IPs.',
      },
    },
  },
} as const;

/** Every port forwarding has a `description`, as all objects have. */
export const portForwardingDescriptionExtension = {
  alias: 'floating-ip-port-forwarding-description',
  name: 'Floating IP Port Forwarding new attribute description',
  description: 'Descriptions of port forwardings.',
  updated: '2026-11-27T00:00:00-00:00',
  requires: ['floating-ip-port-forwarding', 'standard-attr-description'],
} as const;

/** `internal_port_range` and `external_port_range`. */
export const portForwardingRangesExtension = {
  alias: 'floating-ip-port-forwarding-port-ranges',
  name: 'Floating IP Port Forwarding support port ranges',
  description: 'Ranges of ports that lead to as many ports, or to one.',
  updated: '2026-11-27T00:00:00-00:00',
  requires: ['floating-ip-port-forwarding'],
} as const;

/** `port_forwardings` of a floating IP. */
export const exposePortForwardingExtension = {
  alias: 'expose-port-forwarding-in-fip',
  name: 'Expose Floating IP port forwardings',
  description: 'The port forwardings of a floating IP, shown with it.',
  updated: '2026-11-27T00:00:00-00:00',
  requires: ['floating-ip-port-forwarding'],
  attributes: {
    floatingip: {
      port_forwardings: {
        type: 'list',
        computed: true,
        filter: false,
        sort: false,
        items: { type: 'dict' },
        example: [
          {
            id: '825ade3c-9760-4880-8080-8fc2dbab9acc',
            protocol: 'tcp',
            external_port: 2222,
            external_port_range: '2222:2222',
            internal_port_id: '7d3f5b21-0a9c-4e8d-b6f7-1c2d3e4f5a6b',
            internal_ip_address: '10.0.0.5',
            internal_port: 22,
            internal_port_range: '22:22',
          },
        ],
        description: 'Its port forwardings.',
      },
    },
  },
} as const;

/** `id` and `internal_port_id` in `port_forwardings`. */
export const portForwardingDetailExtension = {
  alias: 'floating-ip-port-forwarding-detail',
  name: 'Floating IP port forwarding detail',
  description: 'IDs of port forwardings and of their ports, shown with the floating IP.',
  updated: '2026-11-27T00:00:00-00:00',
  requires: ['expose-port-forwarding-in-fip'],
} as const;
