/** Which VPC a network is of, and groups and shares that nobody needs any more. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ApiError, type Client } from '@cable/api';
import type { ClusterNetworks } from './cluster-networks.ts';
import { Legs } from './legs.ts';

type Row = Readonly<Record<string, unknown>> & { readonly id: string };

const NETWORKS: ClusterNetworks = {
  pods: { networkId: 'net-pods', subnetIds: [] },
  nodes: { networkId: 'net-nodes', subnetIds: [] },
  routerId: 'router-cluster',
};

/** A server that has those rows; `refused`: IDs that are in use. */
function bed(rows: Readonly<Record<string, Row[]>>, refused: readonly string[] = []) {
  const asked: string[] = [];
  let ids = 0;
  const client = {
    list: async (type: string, query: Readonly<Record<string, unknown>>) => {
      const fits = (row: Row): boolean =>
        Object.entries(query).every(([name, value]) => row[name] === undefined || row[name] === value);
      return (rows[type] ?? []).filter(fits);
    },
    create: async (type: string, body: object) => {
      const row = { ...body, id: `made-${++ids}` };
      asked.push(`create ${type} ${JSON.stringify(body)}`);
      rows[type]?.push(row);
      return row;
    },
    delete: async (type: string, id: string) => {
      asked.push(`delete ${type} ${id}`);
      if (refused.includes(id)) throw new ApiError(409, 'InUse', 'it is in use', '');
      const of = rows[type] ?? [];
      const at = of.findIndex((row) => row.id === id);
      if (at >= 0) of.splice(at, 1);
    },
  } as unknown as Client;
  const legs = new Legs({
    ...{ cable: { own: client, as: () => client }, cluster: 'prod', networks: () => NETWORKS },
    ...{ joinCidrs: ['100.64.0.0/16'], legCidrs: [] },
  });
  return { legs, asked };
}

const leg = (router: string, project: string, address: string): Row => ({
  ...{ id: `leg-${router}`, device_id: router, project_id: project, network_id: 'net-1' },
  fixed_ips: [{ ip_address: address }],
});

/** No project is gone. */
const isThere = (): boolean => false;

test('of several routers a network is of that which its owner has made the gateway, whoever else joins it', async () => {
  const subnet = { id: 's', network_id: 'net-1', cidr: '10.1.0.0/24', gateway_ip: '10.1.0.1', project_id: 'owner' };
  for (const [interfaces, vpc] of [
    [[leg('b', 'owner', '10.1.0.1'), leg('a', 'guest', '10.1.0.9')], 'b'],
    [[leg('b', 'owner', '10.1.0.1'), leg('a', 'owner', '10.1.0.9')], 'b'],
    [[leg('b', 'owner', '10.1.0.8'), leg('a', 'guest', '10.1.0.1')], 'b'],
    [[leg('b', 'guest', '10.1.0.1'), leg('a', 'guest', '10.1.0.9')], 'b'],
    [[leg('b', 'owner', '10.1.0.8'), leg('a', 'owner', '10.1.0.9')], 'a'],
    [[], 'net-1'],
  ] as const) {
    const { legs } = bed({ port: [...interfaces], subnet: [subnet] });
    assert.equal((await legs.vpcOf('net-1', 'owner'))?.id, vpc);
  }
  const { legs } = bed({
    port: [leg('a', 'guest', '10.1.0.1'), leg('router-cluster', 'prod.', '10.1.0.9')],
    subnet: [subnet],
  });
  assert.equal(await legs.vpcOf('net-1', 'owner'), undefined);
});

test('a group that a pod asks for while groups are swept stays, and one that went is made anew at once', async () => {
  const groups: Row[] = [{ id: 'old', name: 'kubernetes vpc b', project_id: 'prod.' }];
  const { legs, asked } = bed({ security_group: groups, security_group_rule: [], rbac_policy: [] });
  const vpc = { id: 'b', cidrs: [] };
  const groupsOf = (): Promise<readonly string[]> => legs.groupsOf(vpc, 'prod.shop', { ids: [], isStateless: false });
  // Between the sweep's look at what is used and its deletes.
  let during: Promise<readonly string[]> | undefined;
  await legs.sweep(() => {
    during ??= groupsOf();
    return false;
  }, isThere);
  assert.deepEqual(await during, ['old']);
  assert.ok(!asked.includes('delete security_group old'));
  await legs.sweep(() => false, isThere);
  assert.ok(asked.includes('delete security_group old'));
  const [made] = await groupsOf();
  assert.match(made ?? '', /^made-/);
});

test('the network of pods is shared with no project of OpenStack’s, and shares of before are taken back where nobody uses them', async () => {
  const share = (id: string, project: string, target: string): Row => ({
    ...{ id, project_id: project, target_tenant: target, object_id: 'net-pods' },
  });
  const policies = [
    share('all', 'prod.', 'prod.*'),
    share('left', 'prod.', 'f0e1'),
    share('used', 'prod.', 'd2c3'),
    share('wanted', 'admin', 'f0e1'),
  ];
  const { legs, asked } = bed({ security_group: [], security_group_rule: [], rbac_policy: policies }, ['used']);
  await legs.groupsOf({ id: 'b', cidrs: [] }, 'f0e1', { ids: [], isStateless: false });
  assert.ok(!asked.some((line) => line.startsWith('create rbac_policy') && line.includes('"network"')));
  await legs.sweep(() => true, isThere);
  assert.deepEqual(
    policies.map(({ id }) => id).filter((id) => !id.startsWith('made')),
    ['all', 'used', 'wanted'],
  );
});

test('what is shared with the projects of namespaces that are gone is taken back, as soon as their ports let it', async () => {
  const group = (name: string): Row => ({ id: name, name: `kubernetes ${name}`, project_id: 'prod.' });
  const share = (id: string, target: string): Row => ({
    ...{ id, project_id: 'prod.', target_tenant: target, object_id: 'nodes', object_type: 'security_group' },
  });
  const policies = [share('there', 'prod.shop'), share('gone', 'prod.gone'), share('plugged', 'prod.old')];
  const refused = ['plugged'];
  const { legs } = bed({ security_group: [group('nodes')], security_group_rule: [], rbac_policy: policies }, refused);
  const ids = (): readonly string[] => policies.map(({ id }) => id);
  await legs.sweep(
    () => true,
    (project) => project !== 'prod.shop',
  );
  assert.deepEqual(ids(), ['there', 'plugged']);
  // The namespace is there again.
  await legs.groupsOf({ id: 'b', cidrs: [] }, 'prod.gone', { ids: ['own'], isStateless: false });
  assert.equal(policies.filter((one) => one['target_tenant'] === 'prod.gone').length, 1);
});
