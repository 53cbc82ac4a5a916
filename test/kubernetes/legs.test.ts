/** Pods of other VPCs than the cluster's own: their ports and legs, by a controller between a real server and the double of Kubernetes' API server. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sleep } from '@cable/kit';
import type { KubeObject } from '@cable/kube';
import type { AnyObject, PortView } from '@cable/model';
import { customsOf } from './custom.ts';
import { EVENTS, NAMESPACES, PODS, SERVICES, SLICES, STATEFUL_SETS, startWorld, until, type World } from './world.ts';

type Event = KubeObject & { readonly involvedObject: { readonly name: string }; readonly message: string };

/** By name of the pod; waits until they hold. */
function legsOf({ cable }: World, holds: (legs: ReadonlyMap<string, PortView>) => boolean) {
  return until(async () => {
    const found = await cable.list('port', { device_owner: 'kubernetes:leg', 'cable:cluster': 'prod' });
    return new Map(found.map((one) => [one.name, one]));
  }, holds);
}

async function messageAbout({ kube }: World, pod: string): Promise<string> {
  const { items } = await kube.list<Event>(EVENTS, { namespace: 'shop' });
  return items.find((one) => one.involvedObject.name === pod)?.message ?? '';
}

test('a pod of another VPC has a leg in the cluster’s network, with groups by which its VPC’s legs and nodes come in', async (t) => {
  const world = await startWorld(t);
  const { create, ready } = customsOf(world);
  world.control('a');
  await world.node('node-1');
  await create('Vpc', 'blue', {});
  await create('Subnet', 'front', { vpc: 'blue', cidrBlock: '10.244.0.0/16', default: true });
  const vpc = await ready('Vpc', 'blue');
  await ready('Subnet', 'front');
  const pod = await world.pod('web', { node: 'node-1', labels: { app: 'web' }, namedPorts: { http: 80 } });
  const port = (await world.ports((found) => found.has('web'))).get('web');
  const address = port?.fixed_ips[0]?.ip_address;
  // Both subnets give that one first, and the pod could not tell them apart.
  assert.equal(address, '10.244.0.2');
  const legs = await legsOf(world, (found) => {
    const one = found.get('web');
    return one !== undefined && one.fixed_ips[0]?.ip_address !== address;
  });
  const leg = legs.get('web');
  assert.deepEqual(
    [port?.device_id, leg?.device_id],
    ['vpc0', 'eth0'].map((name) => `${pod.metadata.uid}:${name}`),
  );
  for (const name of ['project_id', 'binding:host_id', 'cable:origin', 'cable:labels', 'cable:named_ports'] as const)
    assert.deepEqual(leg?.[name], port?.[name], name);
  assert.deepEqual(port?.security_groups, []);
  await until(
    () => world.cable.list('port', { device_owner: 'kubernetes:leg' }),
    (found) => found.length === 1,
  );
  const group = await world.cable.get('security_group', leg?.security_groups[0] ?? '');
  assert.deepEqual([group.name, group.project_id], [`kubernetes vpc ${vpc.status?.id}`, 'prod.']);
  const told = (one: KubeObject): string | undefined => one.metadata.annotations?.['cable.io/vpc-address'];
  await until(
    () => world.kube.get<KubeObject>(PODS, { namespace: 'shop', name: 'web' }),
    (one) => told(one) === address,
  );
});

test('groups of a pod are the leg’s, too; what a pod could not tell apart is refused; a Subnet of the cluster’s own network has no legs', async (t) => {
  const world = await startWorld(t);
  const { create, ready } = customsOf(world);
  world.control('a');
  await world.node('node-1');
  await create('Subnet', 'alone', { cidrBlock: '10.1.0.0/24' });
  await create('Subnet', 'services', { cidrBlock: '10.97.0.0/24' });
  await create('Subnet', 'own', { cidrBlock: '10.2.0.0/24', namespaces: ['shop'] }, 'kube-system');
  await create('SecurityGroup', 'web', { egressRules: [] });
  const stateless = await world.cable.create('security_group', {
    ...{ name: 'bare', stateful: false, project_id: 'prod.shop' },
  });
  for (const name of ['alone', 'services']) await ready('Subnet', name);
  await ready('Subnet', 'own', 'kube-system');
  const web = await ready('SecurityGroup', 'web');
  const pod = (name: string, subnet: string, groups?: string) => {
    const more = groups === undefined ? {} : { 'cable.io/security-groups': groups };
    return world.pod(name, { node: 'node-1', annotations: { 'cable.io/subnet': subnet, ...more } });
  };
  await pod('free', 'alone');
  await pod('with-groups', 'alone', 'web');
  await pod('stateless', 'alone', 'bare');
  await pod('torn', 'services');
  await pod('in-own', 'own');
  const legs = await legsOf(world, (found) => found.size === 3);
  const ports = await world.ports((found) => found.size === 4);
  assert.deepEqual([...legs.keys()].sort(), ['free', 'stateless', 'with-groups']);
  assert.match(ports.get('in-own')?.device_id ?? '', /:eth0$/);
  const message = await until(
    () => messageAbout(world, 'torn'),
    (text) => text !== '',
  );
  assert.match(message, /10\.97\.0\.0\/24 overlaps 10\.96\.0\.0\/12/);
  const rulesOf = async (id: string): Promise<readonly string[]> => {
    const rules = (await world.cable.list('security_group_rule', { security_group_id: id })) as readonly AnyObject[];
    return rules.map((one) => `${one['direction']} ${one['remote_ip_prefix'] ?? one['remote_group_id'] ?? '-'}`).sort();
  };
  const [free, grouped, bare] = ['free', 'with-groups', 'stateless'].map(
    (name) => legs.get(name)?.security_groups ?? [],
  );
  const [vpcGroup = ''] = free ?? [];
  assert.deepEqual(
    await rulesOf(vpcGroup),
    ['egress -', 'egress -', 'ingress 100.64.0.0/16', ...[vpcGroup, vpcGroup].map((one) => `ingress ${one}`)].sort(),
  );
  const nodes = grouped?.find((one) => one !== web.status?.id) ?? '';
  assert.deepEqual(new Set(grouped), new Set([nodes, web.status?.id]));
  assert.deepEqual(await rulesOf(nodes), ['ingress 100.64.0.0/16'], 'what it sends, its own groups say');
  const nodesToo = bare?.find((one) => one !== stateless.id) ?? '';
  assert.deepEqual(await rulesOf(nodesToo), ['egress 100.64.0.0/16', 'ingress 100.64.0.0/16']);
  await world.annotate('free', { 'cable.io/security-groups': 'web' });
  await legsOf(world, (found) => found.get('free')?.security_groups.includes(web.status?.id ?? '') === true);
});

test('port and leg of a StatefulSet’s pod go and stay together', async (t) => {
  const world = await startWorld(t);
  const { kube } = world;
  const { create, ready } = customsOf(world);
  const first = world.control('a');
  for (const name of ['node-1', 'node-2']) await world.node(name);
  await create('Subnet', 'front', { cidrBlock: '10.1.0.0/24', default: true });
  await ready('Subnet', 'front');
  const set = { metadata: { name: 'db', namespace: 'shop' }, spec: { replicas: 1 } } as KubeObject;
  const made = await kube.create<KubeObject>(STATEFUL_SETS, set);
  await world.pod('db-0', { node: 'node-1', set: made });
  const leg = (await legsOf(world, (found) => found.has('db-0'))).get('db-0');
  const port = (await world.ports((found) => found.has('db-0'))).get('db-0');
  await world.plugged('node-1', leg?.id ?? '', 'up');
  await kube.delete(PODS, { namespace: 'shop', name: 'db-0' });
  await first.stop();
  world.control('b');
  const again = await world.pod('db-0', { node: 'node-2', set: made });
  await world.ports((found) => found.get('db-0')?.['binding:host_id'] === 'node-2');
  await sleep(1200);
  const during = await legsOf(world, () => true);
  assert.equal(during.get('db-0')?.['binding:host_id'], 'node-1', 'it is plugged still');
  await world.plugged('node-1', leg?.id ?? '', 'down');
  const moved = (await legsOf(world, (found) => found.get('db-0')?.['binding:host_id'] === 'node-2')).get('db-0');
  const kept = (await world.ports(() => true)).get('db-0');
  assert.deepEqual([moved?.id, kept?.id], [leg?.id, port?.id]);
  assert.deepEqual(
    [kept?.device_id, moved?.device_id],
    ['vpc0', 'eth0'].map((one) => `${again.metadata.uid}:${one}`),
  );
  await kube.delete(PODS, { namespace: 'shop', name: 'db-0' });
  await kube.delete(STATEFUL_SETS, { namespace: 'shop', name: 'db' });
  await Promise.all([legsOf(world, (found) => found.size === 0), world.ports((found) => found.size === 0)]);
});

test('in a project of OpenStack’s a pod of its network has a leg in the project, judged by its groups, too', async (t) => {
  const world = await startWorld(t);
  const { cable, kube } = world;
  const shop = await kube.get<KubeObject>(NAMESPACES, { name: 'shop' });
  const project = { project_id: 'f0e1d2c3' };
  await cable.create('kubernetes_cluster', {
    name: 'prod',
    namespace_projects: [{ uid: shop.metadata.uid, ...project }],
  });
  const network = await cable.create('network', { name: 'theirs', ...project });
  const cidr = '10.1.0.0/24';
  const subnet = await cable.create('subnet', { network_id: network.id, cidr, ...project });
  const router = await cable.create('router', { name: 'theirs', ...project });
  await cable.action('router', router.id, 'add_router_interface', { subnet_id: subnet.id });
  const group = await cable.create('security_group', { name: 'web', ...project });
  world.control('a');
  await world.node('node-1');
  const annotations = { 'cable.io/network': 'theirs' };
  await world.pod('web', { node: 'node-1', annotations });
  await world.pod('judged', { node: 'node-1', annotations: { ...annotations, 'cable.io/security-groups': 'web' } });
  const legs = await legsOf(world, (found) => found.size === 2);
  assert.deepEqual(
    [...legs.values()].map((leg) => leg.project_id),
    ['f0e1d2c3', 'f0e1d2c3'],
  );
  const [own] = legs.get('web')?.security_groups ?? [];
  assert.equal((await cable.get('security_group', own ?? '')).name, `kubernetes vpc ${router.id}`);
  assert.ok(legs.get('judged')?.security_groups.includes(group.id));
  // The cluster's network is not theirs to be on.
  const pods = await cable.get('network', legs.get('web')?.network_id ?? '');
  assert.deepEqual(
    (await cable.list('rbac_policy', { object_id: pods.id })).map((one) => one['target_tenant']),
    ['prod.*'],
  );
});

test('a pod that has one port in its VPC since before keeps that; the next pod has both', async (t) => {
  const world = await startWorld(t);
  const { create, ready } = customsOf(world);
  const first = world.control('a');
  await world.node('node-1');
  await create('Subnet', 'front', { cidrBlock: '10.1.0.0/24', default: true });
  const { status = {} } = await ready('Subnet', 'front');
  await first.stop();
  const pod = await world.pod('before', { node: 'node-1' });
  const { uid } = pod.metadata;
  const origin = { 'cable:cluster': 'prod', 'cable:origin': `Pod/shop/before/${uid}`, project_id: 'prod.shop' };
  const made = await world.cable.create('port', {
    ...{ name: 'before', network_id: status.id, ...origin, device_owner: 'kubernetes:pod', device_id: `${uid}:eth0` },
    ...{ 'binding:host_id': 'node-1', security_groups: [] },
  });
  world.control('b');
  await world.pod('after', { node: 'node-1' });
  await world.annotate('before', { 'cable.io/egress-rate': '10M' });
  const ports = await world.ports((found) => (found.get('before')?.qos_policy_id ?? null) !== null);
  const legs = await legsOf(world, (found) => found.has('after'));
  assert.deepEqual([ports.get('before')?.id, ports.get('before')?.device_id], [made.id, `${uid}:eth0`]);
  assert.deepEqual([...legs.keys()], ['after']);
});

test('what is behind a VPC’s router has Services there, of its pods and of its VMs, while they have endpoints in it', async (t) => {
  const world = await startWorld(t);
  const { cable, kube } = world;
  const { create, ready } = customsOf(world);
  const first = world.control('a');
  await world.node('node-1');
  await create('Vpc', 'blue', {});
  await create('Subnet', 'front', { vpc: 'blue', cidrBlock: '10.5.0.0/16', default: true });
  const router = (await ready('Vpc', 'blue')).status?.id ?? '';
  const network = (await ready('Subnet', 'front')).status?.id ?? '';
  const vm = await cable.create('port', { network_id: network, project_id: 'prod.shop', name: 'vm' });
  const [{ ip_address: vmAddress } = { ip_address: '' }] = (vm as unknown as PortView).fixed_ips;
  await world.pod('web', { node: 'node-1' });
  const port = (await world.ports((found) => found.has('web'))).get('web');
  const leg = (await legsOf(world, (found) => found.has('web'))).get('web');
  const metadata = { name: 'web', namespace: 'shop' };
  const ports = [{ name: 'http', protocol: 'TCP', port: 80, nodePort: 30_080 }];
  const spec = { type: 'NodePort', clusterIP: '10.96.0.10', clusterIPs: ['10.96.0.10'], ports };
  await kube.create(SERVICES, { metadata, spec } as KubeObject);
  const slice = (name: string, endpoints: readonly object[]): Promise<KubeObject> =>
    kube.create(SLICES, {
      metadata: { name, namespace: 'shop', labels: { 'kubernetes.io/service-name': 'web' } },
      ...{ addressType: 'IPv4', ports: [{ name: 'http', protocol: 'TCP', port: 8080 }], endpoints },
    } as unknown as KubeObject);
  const legAddress = leg?.fixed_ips[0]?.ip_address;
  await slice('web-pods', [{ addresses: [legAddress], targetRef: { kind: 'Pod', name: 'web' } }]);
  await slice('web-vms', [{ addresses: [vmAddress] }]);
  /** Addresses of endpoints by the router of the scope, as `own` of the cluster's. */
  const served = async (): Promise<Readonly<Record<string, string>>> => {
    const scopes = (await cable.list('service_scope', {})) as readonly AnyObject[];
    const entries = scopes.map(async (scope) => {
      const sets = (await cable.list('endpoint_set', { scope_id: scope.id })) as readonly AnyObject[];
      const all = sets.flatMap((one) => one['endpoints'] as readonly { address: string }[]);
      const name = scope['project_id'] === 'prod.' ? 'own' : (scope['router_ids'] as readonly string[]).join();
      return [
        name,
        all
          .map((one) => one.address)
          .sort()
          .join(),
      ] as const;
    });
    return Object.fromEntries(await Promise.all(entries));
  };
  const podAddress = port?.fixed_ips[0]?.ip_address ?? '';
  const whole = { own: String(legAddress), [router]: [podAddress, vmAddress].sort().join() };
  const holds = (wanted: object) =>
    until(served, (found) => JSON.stringify(sorted(found)) === JSON.stringify(sorted(wanted)));
  await holds(whole);
  const [within] = (await cable.list('service', { project_id: 'prod.shop' })) as readonly AnyObject[];
  assert.deepEqual(
    [within?.['name'], within?.['cluster_ips'], within?.['ports']],
    ['shop/web', ['10.96.0.10'], [{ name: 'http', protocol: 'TCP', port: 80, node_port: null }]],
  );
  // A controller that begins finds it, and takes away what went meanwhile.
  await first.stop();
  await kube.delete(SLICES, { namespace: 'shop', name: 'web-vms' });
  const second = world.control('b');
  await holds({ ...whole, [router]: podAddress });
  await kube.patch(SLICES, { namespace: 'shop', name: 'web-pods' }, { endpoints: [] });
  await holds({ own: '' });
  assert.deepEqual(await cable.list('service', { project_id: 'prod.shop' }), []);
  await kube.patch(SLICES, { namespace: 'shop', name: 'web-pods' }, { endpoints: [{ addresses: [vmAddress] }] });
  await holds({ own: '', [router]: vmAddress });
  await second.stop();
  await kube.delete(SERVICES, { namespace: 'shop', name: 'web' });
  world.control('c');
  await until(
    () => cable.list('service_scope', {}),
    (found) => found.length === 1,
  );
});

function sorted(record: object): readonly (readonly [string, unknown])[] {
  return Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1));
}
