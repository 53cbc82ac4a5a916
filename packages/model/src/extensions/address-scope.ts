import type { Resource } from '../declaration.ts';
import { addressScopeResource } from '../resources/address-scope.ts';

/** Scopes of addresses, within which nothing is translated and between which nothing is routed. */
export const addressScopeExtension = {
  alias: 'address-scope',
  name: 'Address scope',
  description: 'Scopes of addresses: within one no address is translated, between two nothing is routed.',
  updated: '2026-11-28T00:00:00-00:00',
  requires: ['subnet_allocation', 'router', 'ext-gw-mode'],
  resources: [addressScopeResource] as readonly Resource[],
  attributes: {
    subnetpool: {
      address_scope_id: {
        type: 'uuid',
        nullable: true,
        write: 'both',
        default: null,
        reference: { type: 'address_scope', onDelete: 'restrict' },
        example: '8c1f4a6e-2d3b-4f50-9a7c-6e5d4c3b2a19',
        description: 'The scope of its addresses; null: none.',
      },
    },
    network: {
      ipv4_address_scope: {
        type: 'uuid',
        nullable: true,
        computed: true,
        filter: false,
        sort: false,
        example: '8c1f4a6e-2d3b-4f50-9a7c-6e5d4c3b2a19',
        description: 'The scope of its IPv4 subnets; null: none.',
      },
      ipv6_address_scope: {
        type: 'uuid',
        nullable: true,
        computed: true,
        filter: false,
        sort: false,
        example: null,
        description: 'The scope of its IPv6 subnets; null: none.',
      },
    },
  },
} as const;
