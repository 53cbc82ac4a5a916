import type { ActionDeclaration, Attribute, Resource } from '../declaration.ts';
import { trunkResource } from '../resources/trunk.ts';

type Actions = Readonly<Record<string, readonly ActionDeclaration[]>>;

const { items, example }: Attribute = trunkResource.attributes.sub_ports;
const SUB_PORTS = { items: items as Attribute, example };

/** Several ports by one interface. */
export const trunkExtension = {
  alias: 'trunk',
  name: 'Trunk Extension',
  description: 'Several ports by one interface, told apart by VLAN tags.',
  updated: '2026-01-01T00:00:00-00:00',
  resources: [trunkResource] as readonly Resource[],
  actions: {
    trunk: [
      {
        name: 'add_subports',
        besides: 'ignored',
        description: 'Adds sub-ports.',
        body: {
          sub_ports: {
            type: 'list',
            required: true,
            maxLength: 4094,
            distinct: ['port_id', 'segmentation_id'],
            items: SUB_PORTS.items,
            example: SUB_PORTS.example,
            description: 'The ports and their tags.',
          },
        },
      },
      {
        name: 'remove_subports',
        besides: 'ignored',
        description: 'Removes sub-ports; the ports stay.',
        body: {
          sub_ports: {
            type: 'list',
            required: true,
            maxLength: 4094,
            items: {
              type: 'object',
              besides: 'ignored',
              properties: {
                port_id: { type: 'uuid', required: true, description: 'The port.' },
                segmentation_type: { type: 'string', description: 'Not looked at.' },
                segmentation_id: { type: 'integer', description: 'Not looked at.' },
              },
            },
            example: [{ port_id: '7d3f5b21-0a9c-4e8d-b6f7-1c2d3e4f5a6b' }],
            description: 'The ports.',
          },
        },
      },
      {
        name: 'get_subports',
        description: 'Shows the sub-ports.',
        method: 'GET',
        answer: {
          sub_ports: {
            type: 'list',
            items: SUB_PORTS.items,
            example: SUB_PORTS.example,
            description: 'The ports and their tags.',
          },
        },
      },
    ],
  } as Actions,
} as const;

/** A parent port tells of its trunk. */
export const trunkPortDetailsExtension = {
  alias: 'trunk-details',
  name: 'Trunk port details',
  description: 'A trunk’s parent port shows the trunk and its sub-ports.',
  updated: '2026-01-01T00:00:00-00:00',
  requires: ['trunk'],
  attributes: {
    port: {
      trunk_details: {
        type: 'object',
        computed: true,
        filter: false,
        sort: false,
        properties: {
          trunk_id: { type: 'uuid', description: 'The trunk.' },
          sub_ports: {
            type: 'list',
            items: {
              type: 'object',
              properties: {
                port_id: { type: 'uuid', description: 'The port.' },
                segmentation_type: { type: 'string', description: 'vlan' },
                segmentation_id: { type: 'integer', description: 'The tag.' },
                mac_address: { type: 'mac', description: 'MAC address of the port.' },
              },
            },
            description: 'The sub-ports.',
          },
        },
        example: {
          trunk_id: '1c6f9a52-7e0b-4a59-8f43-6d2c9e1b7a08',
          sub_ports: [
            {
              port_id: '7d3f5b21-0a9c-4e8d-b6f7-1c2d3e4f5a6b',
              segmentation_type: 'vlan',
              segmentation_id: 101,
              mac_address: 'fa:16:3e:4c:2c:30',
            },
          ],
        },
        description: 'The trunk whose parent the port is, with its sub-ports; absent from other ports.',
      },
    },
  },
} as const;
