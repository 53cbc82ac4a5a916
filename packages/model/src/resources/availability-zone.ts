import type { Resource } from '../declaration.ts';

/** Neutron's availability zone: a name that hosts have in common. One of each resource that it is for. */
export const availabilityZoneResource: Resource = {
  name: 'availability_zone',
  plural: 'availability_zones',
  label: 'AvailabilityZone',
  prefix: '/v2.0',
  path: 'availability_zones',
  key: 'name',
  description: 'Hosts that have a name in common, as operators choose it.',
  verbs: ['list'],
  standard: false,
  stored: false,
  columns: ['name', 'resource', 'state'],
  attributes: {
    name: { type: 'string', computed: true, maxBytes: 1020, example: 'az1', description: 'The name.' },
    resource: {
      type: 'string',
      values: ['network', 'router'],
      computed: true,
      description: 'What can be in it. network: every host answers DHCP; router: gateways may be on a host of it.',
    },
    state: {
      type: 'string',
      values: ['available', 'unavailable'],
      computed: true,
      description: 'unavailable: of its hosts none takes anything, as their agents are all set down.',
    },
  },
};
