import type { Resource } from '../declaration.ts';
import { availabilityZoneResource } from '../resources/availability-zone.ts';

/** Zones that hosts are in. */
export const availabilityZoneExtension = {
  alias: 'availability_zone',
  name: 'Availability Zone',
  description: 'Zones that hosts are in.',
  updated: '2026-11-28T00:00:00-00:00',
  requires: ['agent'],
  resources: [availabilityZoneResource] as readonly Resource[],
  attributes: {
    agent: {
      availability_zone: {
        type: 'string',
        computed: true,
        example: 'az1',
        description: 'Zone that the host is in (--availability-zone).',
      },
    },
  },
} as const;

/** Lists of zones can be filtered. */
export const availabilityZoneFilterExtension = {
  alias: 'availability_zone_filter',
  name: 'Availability Zone Filter Extension',
  description: 'Lists of zones by name, resource and state.',
  updated: '2026-11-28T00:00:00-00:00',
  requires: ['availability_zone'],
} as const;

/** Where a network is. */
export const networkAvailabilityZoneExtension = {
  alias: 'network_availability_zone',
  name: 'Network Availability Zone',
  description: 'Zones of the hosts that serve a network.',
  updated: '2026-11-28T00:00:00-00:00',
  requires: ['availability_zone'],
  attributes: {
    network: {
      availability_zone_hints: {
        type: 'list',
        items: { type: 'string', maxLength: 255 },
        write: 'create',
        default: [],
        example: ['az1'],
        description: 'Zones that the network is for. Each host serves the ports that it has, whatever its zone.',
      },
      availability_zones: {
        type: 'list',
        items: { type: 'string' },
        computed: true,
        filter: false,
        example: ['az1'],
        description: 'Zones of the hosts that have ports of the network, and answer DHCP there.',
      },
    },
  },
} as const;

/** Where a router's gateway is. */
export const routerAvailabilityZoneExtension = {
  alias: 'router_availability_zone',
  name: 'Router Availability Zone',
  description: 'Zones that the gateway of a router may be in.',
  updated: '2026-11-28T00:00:00-00:00',
  requires: ['router', 'availability_zone'],
  attributes: {
    router: {
      availability_zone_hints: {
        type: 'list',
        items: { type: 'string', maxLength: 255 },
        write: 'create',
        default: [],
        example: ['az1'],
        description: 'Zones of the hosts that the gateway may be on; empty: any.',
      },
      availability_zones: {
        type: 'list',
        items: { type: 'string' },
        computed: true,
        filter: false,
        example: ['az1'],
        description: 'Zones of the gateway’s host and of its standbys.',
      },
    },
  },
} as const;
