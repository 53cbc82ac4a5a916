/** Each rule is broken in the raw keys, and found. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Op } from '@cable/store';
import { DERIVED, objectKey, underlayKey } from '../keys.ts';
import { assertInvariants, type Harness, type Json, startHarness } from '../testing/harness.ts';
import { checkStore } from './check.ts';

const AT = '2026-01-01T00:00:00Z';

type Cloud = Readonly<Record<'network' | 'subnet' | 'port' | 'router' | 'leg' | 'group', Json>>;

async function makeCloud({ create, send }: Harness): Promise<Cloud> {
  const network = await create('network', { shared: true, project_id: 'owner' });
  const subnet = await create('subnet', { network_id: network['id'], cidr: '10.0.0.0/24', ip_version: 4 });
  const port = await create('port', { network_id: network['id'], project_id: 'tenant', 'binding:host_id': 'h 1' });
  const router = await create('router', {});
  const attach = { subnet_id: subnet['id'] };
  const attached = await send('PUT', `/v2.0/routers/${router['id']}/add_router_interface`, attach);
  const leg = (await send('GET', `/v2.0/ports/${attached.body['port_id']}`)).body['port'] as Json;
  const group = await create('security_group', { project_id: 'tenant' });
  return { network, subnet, port, router, leg, group };
}

/** Changes stored objects without their keys. */
type Break = (cloud: Cloud, rewrite: (type: string, object: Json, changes: object) => Op) => readonly Op[];

const BREAKS: Readonly<Record<string, Break>> = {
  'an address that two ports have': ({ port, leg }, rewrite) => [
    rewrite('port', port, { fixed_ips: leg['fixed_ips'] }),
  ],
  'a MAC that two ports have': ({ port, leg }, rewrite) => [rewrite('port', port, { mac_address: leg['mac_address'] })],
  'an address out of its subnet': ({ port, subnet }, rewrite) => [
    rewrite('port', port, { fixed_ips: [{ subnet_id: subnet['id'], ip_address: '10.9.0.1' }] }),
  ],
  'a port without the address of a subnet of SLAAC': ({ subnet }, rewrite) => [
    rewrite('subnet', { ...subnet, id: '00000000-0000-4000-8000-000000000001' } as unknown as Json, {
      cidr: '2001:db8::/64',
      ip_version: 6,
      ipv6_ra_mode: 'slaac',
    }),
  ],
  'an MTU that is too small for IPv6': ({ subnet, network }, rewrite) => [
    rewrite('network', network, { mtu: 1279 }),
    rewrite('subnet', { ...subnet, id: '00000000-0000-4000-8000-000000000001' } as unknown as Json, {
      cidr: '2001:db8::/64',
      ip_version: 6,
    }),
  ],
  'a network un-shared under a port': ({ network }, rewrite) => [rewrite('network', network, { shared_with: [] })],
  'a network that is shared without a policy': ({ network }, rewrite) => [
    rewrite('network', network, { shared_with: ['*', 'p'] }),
  ],
  'a network that leads outside for nobody': ({ network }, rewrite) => [
    rewrite('network', network, { 'router:external': true }),
  ],
  'a policy about nothing': () => [putPolicy({ object_id: '00000000-0000-4000-8000-000000000009' })],
  'a policy that its object does not know': ({ network }) => [putPolicy({ object_id: network['id'] })],
  'a network that is gone': ({ network }) => [{ kind: 'delete', key: objectKey('network', String(network['id'])) }],
  'a group of rules that is gone': ({ group }) => [
    { kind: 'delete', key: objectKey('security_group', String(group['id'])) },
  ],
  'a port with a stateful and a stateless group': ({ port, group }, rewrite) => [
    rewrite('security_group', group, { stateful: false }),
    rewrite('port', port, { security_groups: [...(port['security_groups'] ?? []), group['id']] }),
  ],
  'a second default group': ({ group }, rewrite) => [rewrite('security_group', group, { name: 'default' })],
  'a gateway changed under its leg': ({ subnet }, rewrite) => [rewrite('subnet', subnet, { gateway_ip: '10.0.0.77' })],
  'a route into nowhere': ({ router }, rewrite) => [
    rewrite('router', router, { routes: [{ destination: '10.7.0.0/16', nexthop: '10.8.0.1' }] }),
  ],
  'a subnet over another': ({ subnet }, rewrite) => [
    rewrite('subnet', { ...subnet, id: '00000000-0000-4000-8000-000000000001' } as unknown as Json, {
      cidr: '10.0.0.0/16',
    }),
  ],
  'a text that is no object': ({ port }) => [
    { kind: 'put', key: objectKey('port', String(port['id'])), value: '{"id":' },
  ],
  'an object of no type': () => [{ kind: 'put', key: objectKey('chassis', 'x'), value: '{"id":"x"}' }],
  'two hosts with one underlay address': () => [putHost('a'), putHost('b'), claimUnderlay('a')],
  'a host of an unfinished rename without the host that it is of': () => [putHost('b', { _renamed_from: 'a' })],
  'a host of an unfinished rename whose old host is not marked': () => [
    ...[putHost('a'), putHost('b', { _renamed_from: 'a' }), claimUnderlay('a')],
  ],
  'a host of an unfinished rename whose old host gets another name': () => [
    ...[putHost('a', { _renamed_to: 'b' }), putHost('b', { _renamed_from: 'a' }), claimUnderlay('a')],
    putHost('c', { _renamed_from: 'a' }),
  ],
  'a host that is being renamed to one that is not there': () => [
    ...[putHost('a', { _renamed_to: 'b' }), claimUnderlay('a')],
  ],
  'a host that is being renamed to one that is another': () => [
    ...[putHost('a', { _renamed_to: 'b' }), claimUnderlay('a')],
    ...[putHost('b', { underlay: '192.0.2.2' }), claimUnderlay('b', '192.0.2.2')],
  ],
  'a host that is being renamed to one with another address': () => [
    ...[putHost('a', { _renamed_to: 'b' }), claimUnderlay('a')],
    putHost('b', { underlay: '192.0.2.2', _renamed_from: 'a' }),
  ],
  'a key without an object': () => [{ kind: 'put', key: `${DERIVED}claim/vni/99`, value: 'nobody' }],
};

const putPolicy = (more: object): Op => {
  const id = '00000000-0000-4000-8000-000000000001';
  const policy = {
    id,
    object_type: 'network',
    action: 'access_as_shared',
    target_tenant: 'p',
    project_id: 'q',
    ...more,
  };
  return { kind: 'put', key: objectKey('rbac_policy', id), value: JSON.stringify(policy) };
};

const putHost = (id: string, more: object = {}): Op => {
  const host = { id, underlay: '192.0.2.1', agent_version: '1', created_at: AT, updated_at: AT, ...more };
  return { kind: 'put', key: objectKey('host', id), value: JSON.stringify(host) };
};

const claimUnderlay = (id: string, underlay = '192.0.2.1'): Op => ({
  kind: 'put',
  key: underlayKey(underlay),
  value: id,
});

test('a host that is being renamed is no breach', async (t) => {
  const { store, server } = await startHarness(t);
  const ops = [putHost('a', { _renamed_to: 'b' }), putHost('b', { _renamed_from: 'a' }), claimUnderlay('a')];
  await server.tables.waitFor((await store.txn([], ops)).revision);
  await assertInvariants(server);
});

for (const [name, breaks] of Object.entries(BREAKS)) {
  test(`the check finds ${name}`, async (t) => {
    const harness = await startHarness(t);
    const { store, server } = harness;
    const cloud = await makeCloud(harness);
    await assertInvariants(server);
    const stored = new Map((await store.list('/cable/o/')).kvs.map((kv) => [kv.key, JSON.parse(kv.value) as object]));
    const ops = breaks(cloud, (type, object, changes) => {
      const key = objectKey(type, String(object['id']));
      return { kind: 'put', key, value: JSON.stringify({ ...object, ...stored.get(key), ...changes }) };
    });
    const { revision } = await store.txn([], ops);
    await server.tables.waitFor(revision);
    assert.notDeepEqual((await checkStore(server.deps)).violations, []);
  });
}

test('the check finds every key that is lost, and every one that says something else', async (t) => {
  const harness = await startHarness(t);
  const { store, server } = harness;
  await makeCloud(harness);
  const keys = (await store.list(DERIVED)).kvs;
  assert.ok(keys.length > 12);
  for (const { key, value } of keys) {
    await store.txn([], [{ kind: 'delete', key }]);
    assert.match(JSON.stringify((await checkStore(server.deps)).violations), /there is no key/, key);
    await store.txn([], [{ kind: 'put', key, value: 'another' }]);
    assert.match(JSON.stringify((await checkStore(server.deps)).violations), /says \\"another\\"/, key);
    await store.txn([], [{ kind: 'put', key, value }]);
  }
  await assertInvariants(server);
});

test('a port that an admin makes for a project in a network that it does not see is no breach', async (t) => {
  const { create, send, server } = await startHarness(t);
  const network = await create('network', { project_id: 'owner' });
  const port = await create('port', { network_id: network['id'], project_id: 'tenant' });
  const dhcp = { network_id: network['id'], project_id: 'tenant', device_owner: 'network:dhcp' };
  const other = await create('port', dhcp);
  const nova = { port: { device_owner: 'compute:nova' } };
  assert.equal((await send('PUT', `/v2.0/ports/${other['id']}`, nova)).status, 200);
  assert.ok(!Object.keys(port).some((name) => name.startsWith('_')));
  await assertInvariants(server);
});
