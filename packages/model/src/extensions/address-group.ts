import type { ActionDeclaration, Resource } from '../declaration.ts';
import { addressGroupResource } from '../resources/address-group.ts';

const body = {
  addresses: {
    type: 'list',
    items: { type: 'cidr', hostBits: 'cleared' },
    required: true,
    maxLength: 4096,
    example: ['198.51.100.7/32'],
    description: 'Addresses and prefixes.',
  },
} as const;

/** Addresses under one name. */
export const addressGroupExtension = {
  alias: 'address-group',
  name: 'Address group',
  description: 'Addresses and prefixes that rules of security groups name as one.',
  updated: '2026-11-28T00:00:00-00:00',
  requires: ['security-group'],
  resources: [addressGroupResource] as readonly Resource[],
  actions: {
    address_group: [
      {
        name: 'add_addresses',
        besides: 'ignored',
        description: 'Adds addresses that are not in the group.',
        rule: 'update_address_group',
        body,
        answer: addressGroupResource.attributes,
        answerKey: 'address_group',
      },
      {
        name: 'remove_addresses',
        besides: 'ignored',
        description: 'Removes addresses that are in the group.',
        rule: 'update_address_group',
        body,
        answer: addressGroupResource.attributes,
        answerKey: 'address_group',
      },
    ] as readonly ActionDeclaration[],
  },
} as const;

/** Rules of security groups that name one. */
export const securityGroupsRemoteAddressGroupExtension = {
  alias: 'security-groups-remote-address-group',
  name: 'Remote address group id field for security group rules',
  description: 'Rules whose other side is an address group.',
  updated: '2026-11-28T00:00:00-00:00',
  requires: ['address-group'],
  attributes: {
    security_group_rule: {
      remote_address_group_id: {
        type: 'uuid',
        badValue: { code: 'NotFound', label: 'AddressGroup', message: 'Address group {value} could not be found.' },
        nullable: true,
        write: 'create',
        default: null,
        reference: { type: 'address_group', onDelete: 'restrict' },
        example: '6a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d',
        description: 'The other side’s address group.',
      },
    },
  },
} as const;
