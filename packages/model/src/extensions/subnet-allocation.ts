import type { ActionDeclaration, Attribute, Resource } from '../declaration.ts';
import { subnetPoolResource } from '../resources/subnet-pool.ts';

/** Subnets that are taken from pools. */
export const subnetAllocationExtension = {
  alias: 'subnet_allocation',
  name: 'Subnet Allocation',
  description: 'Subnets are taken from pools, by prefix or by length.',
  updated: '2026-11-28T00:00:00-00:00',
  requires: ['quotas'],
  resources: [subnetPoolResource] as readonly Resource[],
  columns: { quota: ['subnetpool'] },
  attributes: {
    subnet: {
      subnetpool_id: {
        type: 'uuid',
        nullable: true,
        write: 'create',
        default: null,
        reference: { type: 'subnetpool', onDelete: 'restrict' },
        refuses: {
          prefix_delegation:
            'Cable asks no other router for prefixes (there is no prefix delegation): name a pool, or give a cidr',
        },
        example: '6f0d2a8c-3b1e-4c57-9e2d-0a4b5c6d7e8f',
        description: 'The pool that the prefix is taken from; null: none.',
      },
      prefixlen: {
        type: 'integer',
        write: 'create',
        input: true,
        minimum: 0,
        maximum: 128,
        filter: false,
        sort: false,
        example: 26,
        description: 'Length of a prefix that is free in the pool; by default the pool’s default_prefixlen.',
      },
    },
    quota: {
      subnetpool: {
        type: 'integer',
        write: 'update',
        minimum: -1,
        maximum: 2147483647,
        filter: false,
        sort: false,
        example: 10,
        description: 'Most subnet pools.',
      },
    },
  },
} as const;

/** One pool of each version of IP is what subnets are taken from by default. */
export const defaultSubnetpoolsExtension = {
  alias: 'default-subnetpools',
  name: 'Default Subnetpools',
  description: 'Subnets are taken from the default pool when they ask for that.',
  updated: '2026-11-28T00:00:00-00:00',
  requires: ['subnet_allocation'],
  attributes: {
    subnet: {
      use_default_subnetpool: {
        type: 'boolean',
        write: 'create',
        input: true,
        default: false,
        filter: false,
        sort: false,
        description: 'True: the prefix is taken from the default pool of the version of IP.',
      },
    },
  },
} as const;

const PREFIXES: Attribute = {
  type: 'list',
  maxLength: subnetPoolResource.attributes.prefixes.maxLength,
  items: { type: 'cidr', hostBits: 'cleared', needsLength: true },
  example: ['10.1.0.0/16'],
};

function prefixAction(name: string, description: string): ActionDeclaration {
  return {
    name,
    description,
    besides: 'ignored',
    body: { prefixes: { ...PREFIXES, required: true, description: 'The prefixes.' } },
    answer: { prefixes: { ...PREFIXES, description: 'All prefixes of the pool.' } },
  };
}

/** Some prefixes of a pool more, or less, whatever others there are. */
export const subnetpoolPrefixOpsExtension = {
  alias: 'subnetpool-prefix-ops',
  name: 'Subnet Pool Prefix Operations',
  description: 'Adds prefixes to a subnet pool, or removes some that no subnet has.',
  updated: '2026-11-28T00:00:00-00:00',
  requires: ['subnet_allocation'],
  actions: {
    subnetpool: [
      prefixAction('add_prefixes', 'Adds prefixes to the pool.'),
      prefixAction('remove_prefixes', 'Removes prefixes of which no subnet has an address.'),
    ] as readonly ActionDeclaration[],
  },
} as const;

/** Subnets that are there become those of a pool. */
export const subnetOnboardExtension = {
  alias: 'subnet_onboard',
  name: 'Subnet Onboard',
  description: 'Subnets that are there become those of a pool.',
  updated: '2026-11-28T00:00:00-00:00',
  requires: ['subnet_allocation'],
  actions: {
    subnetpool: [
      {
        name: 'onboard_network_subnets',
        besides: 'ignored',
        description: 'Makes all subnets of a network that have the pool’s version of IP subnets of the pool.',
        body: { network_id: { type: 'uuid', required: true, description: 'The network.' } },
      },
    ] as readonly ActionDeclaration[],
  },
} as const;
