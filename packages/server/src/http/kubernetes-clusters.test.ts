/** Kubernetes clusters: what their controllers may write, and who may change it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { objectKey, underlayKey } from '../keys.ts';
import { assertInvariants, type Harness, type Json, refused, startHarness } from '../testing/harness.ts';

const UID = '0b0e4c1e-55b0-4bd2-9b5e-3a1c6f0d7e21';
const ORIGIN = { 'cable:cluster': 'prod', 'cable:origin': 'Pod/shop/web-1/u1' };
const as = (project: string, epoch?: number, cluster = 'prod'): Record<string, string> => ({
  'x-project-id': project,
  'cable-cluster': cluster,
  ...(epoch === undefined ? {} : { 'cable-epoch': String(epoch) }),
});
const member = (project: string): Record<string, string> => ({ 'x-project-id': project, 'x-roles': 'member,reader' });

function claim({ send }: Harness, epoch: number, holder = 'a', uid = UID) {
  return send('PUT', '/cable/v1/kubernetes-clusters/prod/claim', { uid, holder, epoch }, as('prod.'));
}

function post({ server, send }: Harness, type: string, attributes: object, headers?: Record<string, string>) {
  const { prefix, path, name } = server.deps.resources.named(type);
  return send('POST', `${prefix}/${path}`, { [name]: attributes }, headers);
}

/** A cluster that has been claimed with the epoch 1, a network of it that all its projects see, and a host of it. */
async function cluster(harness: Harness): Promise<{ readonly network: Json }> {
  const { create, send } = harness;
  await create('kubernetes_cluster', { name: 'prod' });
  assert.equal((await claim(harness, 1)).status, 200);
  const network = await create('network', { ...ORIGIN, 'cable:origin': 'Vpc/default' }, as('prod.', 1));
  await create('subnet', { network_id: network['id'], cidr: '10.0.0.0/24' }, as('prod.', 1));
  const share = {
    object_type: 'network',
    object_id: network['id'],
    action: 'access_as_shared',
    target_tenant: 'prod.*',
  };
  await create('rbac_policy', share, as('prod.', 1));
  for (const [name, more] of [
    ['node-1', { cluster: 'prod' }],
    ['elsewhere', {}],
  ] as const) {
    const body = { underlay: name === 'node-1' ? '192.0.2.1' : '192.0.2.2', agentVersion: '1', ...more };
    assert.equal((await send('PUT', `/cable/v1/hosts/${name}`, body)).status, 204);
  }
  return { network };
}

test('a cluster is claimed with a higher epoch each time, and by one Kubernetes alone', async (t) => {
  const harness = await startHarness(t);
  const { create, send } = harness;
  await refused(claim(harness, 1), 404, 'KubernetesClusterNotFound');
  await refused(post(harness, 'kubernetes_cluster', { name: 'Prod.x' }), 400, 'InvalidInput');
  await create('kubernetes_cluster', { name: 'prod' });
  const { body } = await claim(harness, 3);
  assert.deepEqual(body['kubernetes_cluster'] ?? body, {
    id: 'prod',
    name: 'prod',
    description: '',
    uid: UID,
    namespace_projects: [],
    provider_networks: [],
    epoch: 3,
    holder: 'a',
  });
  assert.equal((await claim(harness, 3)).status, 200, 'again, as after an answer that was lost');
  await refused(claim(harness, 3, 'b'), 409, 'ControllerSuperseded');
  await refused(claim(harness, 2), 409, 'ControllerSuperseded');
  await refused(claim(harness, 4, 'b', 'another'), 409, 'HTTPConflict');
  assert.equal((await claim(harness, 4, 'b')).status, 200);
  const other = as('dev.', 1, 'dev');
  const path = '/cable/v1/kubernetes-clusters/prod';
  await refused(
    send('PUT', `${path}/claim`, { uid: UID, holder: 'x', epoch: 9 }, other),
    404,
    'KubernetesClusterNotFound',
  );
  await refused(send('GET', path, undefined, other), 404, 'KubernetesClusterNotFound');
  assert.equal((await send('PUT', path, { kubernetes_cluster: { uid: null } })).status, 200);
  assert.equal((await claim(harness, 5, 'b', 'another')).status, 200, 'made anew under its name');
});

test('a controller whose place another has taken writes nothing', async (t) => {
  const harness = await startHarness(t);
  const { create, send } = harness;
  await create('kubernetes_cluster', { name: 'prod' });
  await refused(post(harness, 'network', {}, as('prod.', 1)), 409, 'ControllerSuperseded');
  await claim(harness, 1);
  const network = await create('network', {}, as('prod.', 1));
  await claim(harness, 2, 'b');
  const path = `/v2.0/networks/${network['id']}`;
  for (const epoch of [1, 3, undefined]) {
    await refused(post(harness, 'network', {}, as('prod.', epoch)), 409, 'ControllerSuperseded');
    await refused(send('PUT', path, { network: { name: 'x' } }, as('prod.', epoch)), 409, 'ControllerSuperseded');
    await refused(send('DELETE', path, undefined, as('prod.', epoch)), 409, 'ControllerSuperseded');
  }
  assert.equal((await send('GET', path, undefined, as('prod.', 1))).status, 200, 'reading is no writing');
  assert.equal((await send('DELETE', path, undefined, as('prod.', 2))).status, 204);
});

test('what a controller has made it alone changes, until its cluster is deleted', async (t) => {
  const harness = await startHarness(t);
  const { create, send } = harness;
  const { network } = await cluster(harness);
  const given = { ...ORIGIN, network_id: network['id'], security_groups: [], device_owner: 'kubernetes:pod' };
  const port = await create('port', given, as('prod.shop', 1));
  const path = `/v2.0/ports/${port['id']}`;
  for (const headers of [undefined, member('prod.shop')]) {
    const refusal = await refused(send('PUT', path, { port: { name: 'x' } }, headers), 409, 'ManagedByKubernetes');
    assert.match(refusal, /^Port \S+ is of Pod shop\/web-1 in Kubernetes cluster prod\.$/);
    await refused(send('DELETE', path, undefined, headers), 409, 'ManagedByKubernetes');
  }
  await refused(send('PUT', path, { port: { name: 'x' } }, member('other')), 404, 'PortNotFound');
  assert.equal((await send('PUT', path, { port: { name: 'x' } }, as('prod.shop', 1))).status, 200);
  await create('kubernetes_cluster', { name: 'dev' });
  await refused(send('DELETE', path, undefined, as('prod.shop', 1, 'dev')), 409, 'ManagedByKubernetes');
  await refused(post(harness, 'port', { ...given, 'cable:cluster': 'dev' }, as('prod.shop', 1)), 400, 'InvalidInput');
  await refused(post(harness, 'port', { ...given, 'cable:origin': null }, as('prod.shop', 1)), 400, 'InvalidInput');
  await refused(post(harness, 'port', { ...given, 'cable:cluster': 'gone' }), 400, 'InvalidInput');
  await refused(post(harness, 'port', given, member('prod.')), 403, 'PolicyNotAuthorized');
  assert.equal((await send('DELETE', '/cable/v1/kubernetes-clusters/prod')).status, 204);
  assert.equal((await send('DELETE', path, undefined, member('prod.shop'))).status, 204);
});

test('parts of what a controller has made are its own, too; whose machine a port of Kubernetes is plugged into others say', async (t) => {
  const harness = await startHarness(t);
  const { create, send } = harness;
  const { network } = await cluster(harness);
  const mine = as('prod.shop', 1);
  const of = (kind: string) => ({ 'cable:cluster': 'prod', 'cable:origin': `${kind}/shop/web/u1` });
  const group = await create('security_group', { ...of('SecurityGroup'), name: 'web' }, mine);
  const rule = { security_group_id: group['id'], direction: 'ingress', protocol: 'tcp' };
  await refused(post(harness, 'security_group_rule', rule), 409, 'ManagedByKubernetes');
  const made = await create('security_group_rule', rule, mine);
  await refused(send('DELETE', `/v2.0/security-group-rules/${made['id']}`), 409, 'ManagedByKubernetes');
  const subnet = { network_id: network['id'], cidr: '10.9.0.0/24' };
  await refused(post(harness, 'subnet', subnet), 409, 'ManagedByKubernetes');
  const policy = await create('qos_policy', { ...of('QosPolicy'), name: 'slow' }, mine);
  const limits = `/v2.0/qos/policies/${policy['id']}/bandwidth_limit_rules`;
  await refused(send('POST', limits, { bandwidth_limit_rule: { max_kbps: 1000 } }), 409, 'ManagedByKubernetes');
  const port = await create('port', { ...of('Port'), network_id: network['id'] }, mine);
  const list = `/v2.0/security-groups?cable:origin=${encodeURIComponent('SecurityGroup/shop/web/u1')}`;
  const seen = async (headers: Record<string, string>) =>
    (await send('GET', list, undefined, headers)).body as { security_groups?: readonly Json[] };
  assert.equal((await seen(as('prod.', 1))).security_groups?.length, 1, 'of all its projects');
  for (const other of [member('prod.'), as('prod.other', 1)]) assert.deepEqual((await seen(other)).security_groups, []);
  const path = `/v2.0/ports/${port['id']}`;
  const plugged = { port: { device_id: 'vm-1', device_owner: 'compute:nova', 'binding:host_id': 'elsewhere' } };
  assert.equal((await send('PUT', path, plugged)).status, 200);
  await refused(send('PUT', path, { port: { name: 'x', device_id: '' } }), 409, 'ManagedByKubernetes');
  await refused(send('DELETE', path), 409, 'ManagedByKubernetes');
});

test('a controller binds ports of pods and nodes to hosts of its cluster, and chooses addresses in what is shared with it', async (t) => {
  const harness = await startHarness(t);
  const { create } = harness;
  const { network } = await cluster(harness);
  const pod = { network_id: network['id'], device_owner: 'kubernetes:pod', security_groups: [] };
  const fixed = { fixed_ips: [{ ip_address: '10.0.0.77' }], mac_address: 'fa:16:3e:00:00:77' };
  const bound = await create('port', { ...pod, ...fixed, 'binding:host_id': 'node-1' }, as('prod.shop', 1));
  assert.deepEqual(
    bound['fixed_ips']?.map((one) => one['ip_address']),
    ['10.0.0.77'],
  );
  await refused(
    post(harness, 'port', { ...pod, 'binding:host_id': 'elsewhere' }, as('prod.shop', 1)),
    400,
    'InvalidInput',
  );
  await refused(
    post(harness, 'port', { ...pod, 'binding:host_id': 'nowhere' }, as('prod.shop', 1)),
    400,
    'InvalidInput',
  );
  const vm = { ...pod, device_owner: 'compute:nova', 'binding:host_id': 'node-1' };
  await refused(post(harness, 'port', vm, as('prod.shop', 1)), 400, 'InvalidInput');
  await refused(post(harness, 'port', pod, as('other.shop', 1)), 404, 'NetworkNotFound');
});

test('a controller prepares, activates and ends bindings of a pod’s port, each for the pod there; what is plugged keeps its own', async (t) => {
  const harness = await startHarness(t);
  const { create, send, server } = harness;
  const { network } = await cluster(harness);
  const node2 = { underlay: '192.0.2.3', agentVersion: '1', cluster: 'prod' };
  await send('PUT', '/cable/v1/hosts/node-2', node2);
  const [source, target] = ['a', 'b'].map((one) => `0b0e4c1e-55b0-4bd2-9b5e-3a1c6f0d7e2${one}:eth0`);
  const controller = as('prod.shop', 1);
  const pod = { network_id: network['id'], device_owner: 'kubernetes:pod', security_groups: [] };
  const origin = { ...ORIGIN, 'cable:origin': 'VirtualMachine/shop/db/u2' };
  const made = { ...pod, ...origin, device_id: source, 'binding:host_id': 'node-1' };
  const port = await create('port', made, controller);
  const path = `/v2.0/ports/${port['id']}`;
  const bind = (host: string, profile: object, headers = controller) =>
    send('POST', `${path}/bindings`, { binding: { host, profile } }, headers);
  const plugged = (host: string, state: string) =>
    send('POST', `/cable/v1/hosts/${host}/status`, {
      revision: 0,
      full: false,
      vifs: [{ portId: port['id'], state, reason: null }],
    });
  const shown = async () => {
    const { body } = await send('GET', path);
    return [body['port']?.['binding:host_id'], body['port']?.['device_id'], body['port']?.['binding:profile']];
  };
  await refused(bind('elsewhere', { device_id: target }), 400, 'InvalidInput');
  await refused(bind('node-2', { device_id: target, pci_slot: '0:1' }), 400, 'InvalidInput');
  await refused(bind('node-2', { device_id: target }, member('prod.shop')), 403, 'PolicyNotAuthorized');
  // Whatever Nova asks for: it is the controller's.
  await refused(send('POST', `${path}/bindings`, { binding: { host: 'node-2' } }), 409, 'ManagedByKubernetes');
  assert.equal((await bind('node-2', { device_id: target })).status, 201);
  for (const host of ['node-1', 'node-2']) await plugged(host, 'up');
  const end = (host: string) => send('DELETE', `${path}/bindings/${host}`, undefined, controller);
  await refused(end('node-2'), 409, 'PortStillPlugged');
  await refused(send('PUT', path, { port: { device_id: target } }, controller), 409, 'PortStillPlugged');
  await refused(send('PUT', path, { port: { 'binding:host_id': 'node-2' } }, controller), 409, 'PortStillPlugged');
  await refused(send('DELETE', path, undefined, controller), 409, 'PortStillPlugged');
  const activate = (host: string) => send('PUT', `${path}/bindings/${host}/activate`, undefined, controller);
  assert.equal((await activate('node-2')).status, 200);
  assert.deepEqual(await shown(), ['node-2', target, {}]);
  const left = (await send('GET', `${path}/bindings/node-1`, undefined, controller)).body['binding'];
  assert.deepEqual([left?.['status'], left?.['profile']], ['INACTIVE', { device_id: source }]);
  // It has failed after all.
  assert.equal((await activate('node-1')).status, 200);
  assert.deepEqual(await shown(), ['node-1', source, {}]);
  assert.equal((await activate('node-2')).status, 200);
  await refused(end('node-1'), 409, 'PortStillPlugged');
  await plugged('node-1', 'down');
  assert.equal((await end('node-1')).status, 204);
  await plugged('node-2', 'down');
  assert.equal((await send('DELETE', path, undefined, controller)).status, 204);
  await assertInvariants(server);
});

test('on its cluster’s network a controller lets no pod send as another', async (t) => {
  const harness = await startHarness(t);
  const { create, send } = harness;
  const { network } = await cluster(harness);
  const pod = { ...ORIGIN, network_id: network['id'], device_owner: 'kubernetes:pod', security_groups: [] };
  const controller = as('prod.shop', 1);
  const port = await create('port', pod, controller);
  for (const chosen of [{ port_security_enabled: false }, { allowed_address_pairs: [{ ip_address: '10.0.0.78' }] }]) {
    await refused(post(harness, 'port', { ...pod, ...chosen }, controller), 403, 'PolicyNotAuthorized');
    const change = send('PUT', `/v2.0/ports/${port['id']}`, { port: chosen }, controller);
    await refused(change, 403, 'PolicyNotAuthorized');
  }
  const own = await create('network', { ...ORIGIN, 'cable:origin': 'Subnet/shop/front/u2' }, controller);
  await create('port', { ...pod, network_id: own['id'], port_security_enabled: false }, controller);
});

test('nobody’s port is taken for that of a pod or a node which it is not', async (t) => {
  const harness = await startHarness(t);
  const { create, send } = harness;
  await cluster(harness);
  const uid = '0b0e4c1e-55b0-4bd2-9b5e-3a1c6f0d7e21';
  const tenant = member('tenant');
  const network = await create('network', {}, tenant);
  const vmOn = async (host: string, more: object = {}) => {
    const vm = { network_id: network['id'], project_id: 'tenant', device_owner: 'compute:nova', ...more };
    const port = await create('port', { ...vm, 'binding:host_id': host });
    return (changes: object, headers?: Record<string, string>) =>
      send('PUT', `/v2.0/ports/${port['id']}`, { port: changes }, headers);
  };
  const [there, elsewhere] = [await vmOn('node-1'), await vmOn('elsewhere')];
  const pods = (device: string) => ({ device_owner: 'kubernetes:pod', device_id: device });
  // As a pod's the agent of the node would plug it into the pod; as a node's into the node itself.
  for (const device of [`${uid}:eth0`, `${uid.replaceAll('-', '')}:net1`])
    await refused(there(pods(device), tenant), 400, 'InvalidInput');
  for (const owner of ['kubernetes:node', 'kubernetes:leg'])
    for (const change of [there, elsewhere])
      await refused(change({ device_owner: owner }, tenant), 400, 'InvalidInput');
  // A runtime alone names containers otherwise, and where no cluster is, nobody looks for pods by their UID.
  assert.equal((await there(pods(`${'0f'.repeat(32)}:eth0`), tenant)).status, 200);
  assert.equal((await elsewhere(pods(`${uid}:eth0`), tenant)).status, 200);
  await refused(elsewhere({ 'binding:host_id': 'node-1' }), 400, 'InvalidInput');
  // A port that Kubernetes has made for somebody's machine is no pod's either.
  const claimed = { ...ORIGIN, 'cable:origin': 'Port/shop/database/u3' };
  const plugged = await vmOn('node-1', claimed);
  await refused(plugged(pods(`${uid}:eth0`), tenant), 400, 'InvalidInput');
});

test('on a network that is not its cluster’s a controller is a member as others are', async (t) => {
  const harness = await startHarness(t);
  const { create } = harness;
  await cluster(harness);
  const network = await create('network', {}, member('tenant'));
  await create('subnet', { network_id: network['id'], cidr: '10.9.0.0/24' }, member('tenant'));
  const share = { object_type: 'network', object_id: network['id'], action: 'access_as_shared' };
  await create('rbac_policy', { ...share, target_tenant: 'prod.shop' }, member('tenant'));
  const pod = { network_id: network['id'], device_owner: 'kubernetes:pod', security_groups: [] };
  const [controller, theirs] = [as('prod.shop', 1), member('prod.shop')];
  for (const chosen of [
    { mac_address: 'fa:16:3e:00:00:77' },
    { fixed_ips: [{ ip_address: '10.9.0.77' }] },
    { port_security_enabled: false },
    { allowed_address_pairs: [{ ip_address: '10.9.0.78' }] },
    { device_owner: 'network:dhcp' },
  ]) {
    for (const headers of [controller, theirs])
      await refused(post(harness, 'port', { ...pod, ...chosen }, headers), 403, 'PolicyNotAuthorized');
  }
  await create('port', { ...pod, 'binding:host_id': 'node-1' }, controller);
  const outside = await create('network', { 'router:external': true });
  for (const headers of [controller, theirs])
    await refused(post(harness, 'port', { ...pod, network_id: outside['id'] }, headers), 403, 'PolicyNotAuthorized');
});

test('in a project of OpenStack’s a controller makes ports of pods in the network of pods, and no others', async (t) => {
  const harness = await startHarness(t);
  const { create, send } = harness;
  await cluster(harness);
  const projects = [{ uid: UID, project_id: 'tenant' }];
  const path = '/cable/v1/kubernetes-clusters/prod';
  assert.equal((await send('PUT', path, { kubernetes_cluster: { namespace_projects: projects } })).status, 200);
  const network = await create('network', { ...ORIGIN, 'cable:origin': 'Network/pods' }, as('prod.', 1));
  const prefix = { network_id: network['id'], cidr: '10.244.0.0/16' };
  await create('subnet', { ...ORIGIN, ...prefix, 'cable:origin': 'Subnet/pods-ipv4' }, as('prod.', 1));
  const controller = as('tenant', 1);
  const port = { ...ORIGIN, network_id: network['id'], security_groups: [] };
  const chosen = { fixed_ips: [{ ip_address: '10.244.0.77' }], mac_address: 'fa:16:3e:00:00:77' };
  await create('port', { ...port, ...chosen, device_owner: 'kubernetes:pod' }, controller);
  await create('port', { ...port, device_owner: 'kubernetes:leg' }, controller);
  const claimed = { ...port, 'cable:origin': 'Port/shop/database/u3' };
  for (const more of [{}, { mac_address: 'fa:16:3e:00:00:78' }, { device_owner: 'compute:nova' }])
    await refused(post(harness, 'port', { ...claimed, ...more }, controller), 403, 'PolicyNotAuthorized');
  // In networks of its own it makes whatever its namespace asks for.
  const own = await create('network', { ...ORIGIN, 'cable:origin': 'Subnet/shop/front/u2' }, controller);
  await create('port', { ...claimed, network_id: own['id'], mac_address: 'fa:16:3e:00:00:79' }, controller);
  await refused(post(harness, 'port', { network_id: network['id'] }, member('tenant')), 404, 'NetworkNotFound');
});

test('actions do not pass by what a controller has made', async (t) => {
  const harness = await startHarness(t);
  const { create, send } = harness;
  const { network } = await cluster(harness);
  const mine = member('prod.shop');
  const router = await create('router', { ...ORIGIN, 'cable:origin': 'Vpc/shop/blue/u2' }, as('prod.shop', 1));
  const routes = { router: { routes: [{ destination: '192.0.2.0/24', nexthop: '10.0.0.9' }] } };
  const path = `/v2.0/routers/${router['id']}`;
  await refused(send('PUT', `${path}/add_extraroutes`, routes, mine), 409, 'ManagedByKubernetes');
  await refused(send('PUT', `${path}/tags/mine`, undefined, mine), 409, 'ManagedByKubernetes');
  const given = { ...ORIGIN, network_id: network['id'], security_groups: [] };
  const port = await create('port', given, as('prod.shop', 1));
  const other = await create('router', {}, mine);
  const attach = { port_id: port['id'] };
  await refused(
    send('PUT', `/v2.0/routers/${other['id']}/add_router_interface`, attach, mine),
    409,
    'ManagedByKubernetes',
  );
});

test('what is shared with all of a cluster is shared with its projects and no others', async (t) => {
  const harness = await startHarness(t);
  const { create, send } = harness;
  const { network } = await cluster(harness);
  const path = `/v2.0/networks/${network['id']}`;
  const sees = async (project: string) => (await send('GET', path, undefined, member(project))).status === 200;
  assert.deepEqual(await Promise.all(['prod.shop', 'prod.', 'prod', 'production.x', 'x'].map(sees)), [
    true,
    true,
    false,
    false,
    false,
  ]);
  const list = await send('GET', '/v2.0/networks?shared=True', undefined, member('prod.shop'));
  assert.equal((list.body['networks'] as unknown as Json[]).length, 1);
  await create('port', { network_id: network['id'] }, member('prod.shop'));
  const found = await send('GET', `/v2.0/rbac-policies?object_id=${network['id']}`);
  const [policy] = found.body['rbac_policies'] ?? [];
  await refused(send('DELETE', `/v2.0/rbac-policies/${policy?.['id']}`), 409, 'RbacPolicyInUse');
  const share = { object_type: 'network', object_id: network['id'], action: 'access_as_shared' };
  await refused(
    post(harness, 'rbac_policy', { ...share, target_tenant: 'dev.*' }, as('prod.', 1)),
    400,
    'InvalidInput',
  );
  await refused(
    post(harness, 'rbac_policy', { ...share, target_tenant: '*' }, as('prod.', 1)),
    403,
    'PolicyNotAuthorized',
  );
  const mine = await create('network', {}, member('prod.shop'));
  const ofMine = { ...share, object_id: mine['id'], target_tenant: 'prod.*' };
  await refused(post(harness, 'rbac_policy', ofMine, member('prod.shop')), 403, 'PolicyNotAuthorized');
  await create('rbac_policy', { ...share, target_tenant: 'prod.shop' }, as('prod.', 1));
  assert.equal(
    (await send('DELETE', `/v2.0/rbac-policies/${policy?.['id']}`)).status,
    204,
    'who uses it has one of its own',
  );
});

test('a controller retires hosts of its cluster that are gone: the address is free, others and living ones stay', async (t) => {
  const harness = await startHarness(t);
  const { send } = harness;
  await cluster(harness);
  const { store, tables } = harness.server.deps;
  const retire = (host: string, headers = as('prod.', 1)) =>
    send('PUT', '/cable/v1/kubernetes-clusters/prod/retire_host', { host }, headers);
  await refused(retire('node-1'), 409, 'HostInUse');
  await refused(retire('elsewhere'), 404, 'HostNotFound');
  await refused(retire('node-1', member('p')), 404, 'KubernetesClusterNotFound');
  // As it is when its agent has been silent for long enough.
  const underlay = '192.0.2.3';
  const gone = { id: 'gone', underlay, agent_version: '1', cluster: 'prod', created_at: '2026-01-01T00:00:00Z' };
  const { revision } = await store.txn(
    [],
    [
      { kind: 'put', key: objectKey('host', 'gone'), value: JSON.stringify({ ...gone, updated_at: null }) },
      { kind: 'put', key: underlayKey(underlay), value: 'gone' },
    ],
  );
  await tables.waitFor(revision, 10_000);
  const body = { underlay, agentVersion: '1', cluster: 'prod' };
  await refused(send('PUT', '/cable/v1/hosts/node-2', body), 409, 'UnderlayAddressInUse');
  await refused(retire('gone', as('prod.', 2)), 409, 'ControllerSuperseded');
  assert.equal((await retire('gone')).status, 204);
  await refused(retire('gone'), 404, 'HostNotFound');
  assert.equal((await send('PUT', '/cable/v1/hosts/node-2', body)).status, 204);
  await assertInvariants(harness.server);
});

test('what Cable made by itself for projects of namespaces that are gone goes, and nothing else', async (t) => {
  const harness = await startHarness(t);
  const { create, send } = harness;
  const { network } = await cluster(harness);
  const admin = { 'x-project-id': 'ops', 'x-roles': 'admin' };
  const groupsOf = (project: string) =>
    [...harness.server.tables.of('security_group').values()].filter((one) => one.project_id === project);
  const sweep = (headers = as('prod.', 1)) =>
    send('PUT', '/cable/v1/kubernetes-clusters/prod/sweep_projects', {}, headers);
  const port = (project: string, headers = as(project, 1)) => {
    const origin = { 'cable:cluster': 'prod', 'cable:origin': `Pod/${project.slice(5)}/web/u1` };
    return create('port', { network_id: network['id'], security_groups: [], ...origin }, headers);
  };
  const namespace = (name: string) =>
    create('kubernetes_namespace', { name: `prod/${name}`, cluster: 'prod', labels: [] }, as('prod.', 1));
  const shop = await namespace('shop');
  const own = await port('prod.shop');
  for (const project of ['prod.busy', 'prod.']) await port(project);
  // Others are another cluster's, given by an administrator, with something that a user made, changed by a user.
  const given = [{ uid: 'u7', project_id: 'prod.given' }];
  assert.equal(
    (await send('PUT', '/cable/v1/kubernetes-clusters/prod', { kubernetes_cluster: { namespace_projects: given } }))
      .status,
    200,
  );
  const others = ['prod2.shop', 'prod.given', 'prod.networks', 'prod.rules', 'prod.groups', 'prod.gone'];
  for (const project of ['prod.', 'prod.shop', 'prod.busy', ...others])
    await send('GET', '/v2.0/security-groups', undefined, member(project));
  await create('network', { project_id: 'prod.networks' }, admin);
  const [changed] = groupsOf('prod.rules');
  const rule = { security_group_id: changed?.id, direction: 'ingress', protocol: 'tcp' };
  await create('security_group_rule', { ...rule, project_id: 'prod.rules' }, admin);
  await create('security_group', { name: 'web', project_id: 'prod.groups' }, admin);

  await refused(sweep(member('p')), 404, 'KubernetesClusterNotFound');
  await refused(sweep(as('prod.', 2)), 409, 'ControllerSuperseded');
  const left = (): readonly string[] =>
    [...harness.server.tables.of('security_group').values()].map((one) => `${one.project_id} ${one.name}`).sort();
  assert.ok(left().includes('prod.gone default'));
  assert.equal((await sweep()).status, 204);
  const kept = ['prod. ', 'prod.busy ', 'prod.given ', 'prod.groups ', 'prod.networks ', 'prod.rules ', 'prod.shop '];
  const wanted = [...kept, 'prod2.shop '].map((one) => `${one}default`);
  assert.deepEqual(left(), [...wanted, 'prod.groups web'].sort());

  assert.equal((await send('DELETE', `/v2.0/ports/${own['id']}`, undefined, as('prod.shop', 1))).status, 204);
  assert.equal((await sweep()).status, 204);
  assert.equal(groupsOf('prod.shop').length, 1, 'its namespace is there');
  const path = `/cable/v1/kubernetes-namespaces/${shop['id']}`;
  assert.equal((await send('DELETE', path, undefined, as('prod.', 1))).status, 204);
  assert.equal((await sweep()).status, 204);
  assert.equal(groupsOf('prod.shop').length, 0);
  const rules = [...harness.server.tables.of('security_group_rule').values()];
  assert.deepEqual(
    rules.filter((one) => one.project_id === 'prod.shop'),
    [],
  );
  assert.equal((await sweep()).status, 204, 'again, it changes nothing');
  await assertInvariants(harness.server);
});

test('of the port of a pod the controller says that another StatefulSet has it, and nobody anything else', async (t) => {
  const harness = await startHarness(t);
  const { create, send } = harness;
  const { network } = await cluster(harness);
  const made = await create(
    'port',
    { ...ORIGIN, network_id: network['id'], device_owner: 'kubernetes:pod' },
    as('prod.shop', 1),
  );
  const change = (origin: string | null, headers = as('prod.shop', 1), id = made['id']) =>
    send('PUT', `/v2.0/ports/${id}`, { port: { 'cable:origin': origin } }, headers);
  assert.equal((await change('Pod/shop/web-1/u2')).body['port']?.['cable:origin'], 'Pod/shop/web-1/u2');
  for (const other of [
    'Pod/shop/web-2/u2',
    'Pod/other/web-1/u2',
    'Node/shop/web-1/u2',
    'Pod/shop/web-1/',
    'Pod/shop/web-1/u/2',
    null,
  ])
    await refused(change(other), 400, 'InvalidInput');
  await refused(change('Pod/shop/web-1/u3', { 'x-project-id': 'ops', 'x-roles': 'admin' }), 409, 'ManagedByKubernetes');
  const mine = await create('port', { network_id: network['id'], project_id: 'prod.shop' });
  await refused(change('Pod/shop/web-1/u3', as('prod.shop', 1), mine['id']), 400, 'InvalidInput');
});
