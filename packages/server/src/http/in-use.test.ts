import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BUILT_IN_RESOURCES, defineResource } from '@cable/model';
import { refused, startHarness } from '../testing/harness.ts';

const reference = (type: string) =>
  ({ type: 'uuid', nullable: true, reference: { type, onDelete: 'restrict' } }) as const;

const depot = defineResource({
  ...{ type: 'depot', name: 'depot', plural: 'depots', label: 'Depot', prefix: '/v2.0', path: 'depots' },
  ...{ description: 'Refers to others.', standard: true, stored: true },
  verbs: ['list', 'show', 'create', 'update', 'delete'],
  attributes: {
    network_id: { ...reference('network'), write: 'create' },
    subnet_id: { ...reference('subnet'), write: 'create' },
    security_group_id: { ...reference('security_group'), write: 'create' },
  },
});

test('whoever cannot delete what an extension’s object uses is told by what it is used', async (t) => {
  const { create, send } = await startHarness(t, { resources: [...BUILT_IN_RESOURCES, depot] });
  const network = await create('network', {});
  const subnet = await create('subnet', { network_id: network['id'], ip_version: 4, cidr: '10.0.0.0/24' });
  const group = await create('security_group', { name: 'g' });
  for (const [path, type, one] of [
    ['networks', 'network', network],
    ['subnets', 'subnet', subnet],
    ['security-groups', 'security_group', group],
  ] as const) {
    await create('depot', { [`${type}_id`]: one['id'] });
    const label = { network: 'Network', subnet: 'Subnet', security_group: 'SecurityGroup' }[type];
    const message = await refused(send('DELETE', `/v2.0/${path}/${one['id']}`), 409, `${label}InUse`);
    assert.match(message, /in use by depots\.$/);
  }
});
