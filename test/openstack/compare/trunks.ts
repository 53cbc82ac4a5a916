import type { Subject } from '../compare-cases.ts';
import { RED } from './ports.ts';
import { NOBODY, TEXTS, TRUES, UUIDS } from './values.ts';

const sub = (more: object): unknown => [{ port_id: '$child', segmentation_type: 'vlan', segmentation_id: 7, ...more }];
const SUB_PORTS: readonly unknown[] = [
  ...[sub({}), sub({ segmentation_id: '7' }), sub({ segmentation_id: 0 }), sub({ segmentation_id: 1 })],
  ...[4094, 4095, -1, null, 'x', 7.5, true].map((segmentation_id) => sub({ segmentation_id })),
  ...['VLAN', 'inherit', 'gre', null, 1].map((segmentation_type) => sub({ segmentation_type })),
  ...['$parent', NOBODY, 'x', null].map((port_id) => sub({ port_id })),
  ...[[{ port_id: '$child' }], [{ segmentation_id: 7 }], [{ port_id: '$child', segmentation_id: 7 }]],
  ...[[{ port_id: '$child', segmentation_type: 'vlan' }], sub({ x: 1 }), sub({}), ['$child'], { port_id: '$child' }],
  [
    { port_id: '$child', segmentation_type: 'vlan', segmentation_id: 7 },
    { port_id: '$child', segmentation_type: 'vlan', segmentation_id: 8 },
  ],
  [
    { port_id: '$child', segmentation_type: 'vlan', segmentation_id: 7 },
    { port_id: '$second', segmentation_type: 'vlan', segmentation_id: 7 },
  ],
];

export const TRUNKS: Subject = {
  name: 'trunks',
  path: '/trunks',
  key: 'trunk',
  before: [
    ...RED,
    ...['parent', 'child', 'second', 'third'].map((keep) => ({
      ...{ do: 'POST /ports', body: { port: { network_id: '$red', name: keep } }, keep },
    })),
  ],
  base: { port_id: '$parent' },
  attributes: {
    port_id: ['$parent', ...UUIDS],
    sub_ports: SUB_PORTS,
    name: TEXTS,
    description: TEXTS,
    admin_state_up: TRUES,
    status: ['ACTIVE'],
    tags: [['a']],
  },
  more: [
    { do: 'POST /trunks', body: { trunk: { port_id: '$parent' } }, keep: 'trunk' },
    { do: 'POST /trunks', body: { trunk: { port_id: '$parent' } } },
    ...[...SUB_PORTS, undefined, null, [], {}, [1]].flatMap((sub_ports) => [
      { do: 'PUT /trunks/$trunk/add_subports', body: { sub_ports } },
      { do: 'GET /ports/$child' },
      { do: 'GET /trunks/$trunk/get_subports' },
      { do: 'PUT /trunks/$trunk/remove_subports', body: { sub_ports } },
      { do: 'PUT /trunks/$trunk/remove_subports', body: { sub_ports: [{ port_id: '$child' }] } },
    ]),
    { do: 'PUT /trunks/$trunk/add_subports', body: [] },
    { do: 'PUT /trunks/$trunk/remove_subports', body: {} },
    { do: 'PUT /trunks/$trunk/add_subports', body: { sub_ports: sub({}) } },
    { do: 'GET /ports/$child' },
    { do: 'GET /ports/$parent' },
    { do: 'DELETE /ports/$child' },
    { do: 'DELETE /ports/$parent' },
    { as: 'other', do: 'GET /trunks/$trunk/get_subports' },
    { do: `GET /trunks/${NOBODY}/get_subports` },
    { do: 'DELETE /trunks/$trunk' },
    { do: 'GET /ports/$child' },
  ],
};
