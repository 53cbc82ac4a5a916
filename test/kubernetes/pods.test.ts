/** Pods and their ports, by a controller between a real server and the double of Kubernetes' API server. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sleep } from '@cable/kit';
import type { KubeObject } from '@cable/kube';
import type { PortView } from '@cable/model';
import { customsOf } from './custom.ts';
import { EVENTS, NAMESPACES, NODES, ownersOf, PODS, STATEFUL_SETS, startWorld, until, type World } from './world.ts';

type Event = KubeObject & { readonly involvedObject: { readonly name: string }; readonly message: string };

async function eventsOf({ kube }: World, pod: string): Promise<readonly string[]> {
  const { items } = await kube.list<Event>(EVENTS, { namespace: 'shop' });
  return items.flatMap((one) => (one.involvedObject.name === pod ? [one.message] : []));
}

test('a pod has a port as soon as it has a node, and none when it needs none', async (t) => {
  const world = await startWorld(t);
  world.control('a', { podCidrs: ['10.244.0.0/16', 'fd00:10:244::/64'] });
  await world.node('node-1');
  const web = await world.pod('web', { node: 'node-1' });
  await world.pod('waiting');
  await world.pod('of-the-host', { node: 'node-1', hostNetwork: true });
  await world.pod('over', { node: 'node-1', phase: 'Succeeded' });
  const mirrorOf = (uid: string) => ({ 'kubernetes.io/config.mirror': uid, 'kubernetes.io/config.hash': uid });
  const hash = '0123456789abcdef0123456789abcdef';
  await world.pod('static', { node: 'node-1', annotations: mirrorOf(hash), isNodes: true });
  const forged = await world.pod('forged', {
    ...{ node: 'node-1', annotations: mirrorOf(web.metadata.uid ?? ''), isNodes: true },
  });
  const nobodys = await world.pod('nobodys', { node: 'node-1', annotations: mirrorOf(hash) });
  const ports = await world.ports((found) => ['web', 'static', 'forged', 'nobodys'].every((name) => found.has(name)));
  const port = ports.get('web');
  assert.deepEqual([...ports.keys()].sort(), ['forged', 'nobodys', 'static', 'web']);
  assert.equal(port?.device_id, `${web.metadata.uid}:eth0`);
  assert.equal(ports.get('static')?.device_id, `${hash}:eth0`, 'as the runtime knows it');
  for (const pod of [forged, nobodys])
    assert.equal(ports.get(pod.metadata.name)?.device_id, `${pod.metadata.uid}:eth0`, 'no other pod’s');
  assert.equal(port?.project_id, 'prod.shop');
  assert.equal(port?.['binding:host_id'], 'node-1');
  assert.equal(port?.['cable:origin'], `Pod/shop/web/${web.metadata.uid}`);
  assert.deepEqual(port?.security_groups, []);
  assert.deepEqual(
    port?.fixed_ips.map(({ ip_address: address }) => (address.includes(':') ? 6 : 4)),
    [4, 6],
    'the first prefix counts first',
  );
  await world.kube.patch(PODS, { namespace: 'shop', name: 'waiting' }, { spec: { nodeName: 'node-1' } });
  await world.ports((found) => found.has('waiting'));
  const [node] = await until(
    () => world.cable.list('port', { device_owner: 'kubernetes:node' }),
    (found) => found.length === 1,
  );
  assert.equal(node?.['binding:host_id'], 'node-1');
  const labels = {
    'topology.kubernetes.io/zone': 'eu-1a',
    'node.kubernetes.io/exclude-from-external-load-balancers': '',
  };
  await world.kube.patch(NODES, { name: 'node-1' }, { metadata: { labels } });
  const nodePorts = () => world.cable.list('port', { device_owner: 'kubernetes:node' });
  await until(nodePorts, ([one]) => one?.['cable:zone'] === 'eu-1a' && one['cable:announces'] === false);
  const none = Object.fromEntries(Object.keys(labels).map((name) => [name, null]));
  await world.kube.patch(NODES, { name: 'node-1' }, { metadata: { labels: none } });
  await until(nodePorts, ([one]) => one?.['cable:zone'] === '' && one['cable:announces'] === true);
  const routes = (await world.cable.list('subnet', { network_id: node?.network_id ?? '' })).map(
    (one) => one.host_routes,
  );
  assert.deepEqual(
    routes
      .flat()
      .map(({ destination }) => destination)
      .sort(),
    ['10.244.0.0/16', '10.96.0.0/12', 'fd00:10:244::/64'],
  );
});

test('a port is kept until its pod is gone and its node has unplugged it', async (t) => {
  const world = await startWorld(t);
  world.control('a');
  await world.node('node-1');
  for (const name of ['deleted', 'over']) await world.pod(name, { node: 'node-1' });
  const ports = await world.ports((found) => found.size === 2);
  const [deleted = '', over = ''] = ['deleted', 'over'].map((name) => ports.get(name)?.id);
  await world.plugged('node-1', deleted, 'up');
  await world.plugged('node-1', over, 'up');
  await world.kube.delete(PODS, { namespace: 'shop', name: 'deleted' });
  await world.kube.patch(PODS, { namespace: 'shop', name: 'over' }, { status: { phase: 'Failed' } }, 'status');
  await sleep(2500);
  await world.ports((found) => found.size === 2);
  await world.plugged('node-1', deleted, 'down');
  await world.ports((found) => !found.has('deleted') && found.has('over'));
  await world.plugged('node-1', over, 'down');
  await world.ports((found) => found.size === 0);
});

test('annotations choose addresses and groups, groups of a running pod too; what is wrong is an event', async (t) => {
  const world = await startWorld(t);
  world.control('a');
  await world.node('node-1');
  const shop = { project_id: 'prod.shop' };
  const group = await world.cable.create('security_group', { name: 'web', ...shop });
  await world.pod('ours', {
    node: 'node-1',
    annotations: { 'cable.io/ip-address': '10.244.0.77', 'cable.io/mac-address': 'FA:16:3E:00:00:77' },
  });
  await world.pod('kube-ovn', {
    node: 'node-1',
    annotations: { 'ovn.kubernetes.io/ip_address': '10.244.0.78', 'ovn.kubernetes.io/security_groups': 'web' },
  });
  const wrong: Readonly<Record<string, Readonly<Record<string, string>>>> = {
    'no-address': { 'cable.io/ip-address': '10.244.0' },
    'two-addresses': { 'cable.io/ip-address': '10.244.0.5,10.244.0.6' },
    'no-mac': { 'ovn.kubernetes.io/mac_address': 'x' },
    'no-group': { 'cable.io/security-groups': 'nobody' },
    'no-subnet': { 'ovn.kubernetes.io/logical_switch': 'nowhere' },
    taken: { 'cable.io/ip-address': '10.244.0.77' },
    outside: { 'cable.io/ip-address': '192.0.2.1' },
  };
  const ports = await world.ports((found) => found.has('ours') && found.has('kube-ovn'));
  await world.annotate('ours', { 'cable.io/ip-adress': '10.244.0.9', 'ovn.kubernetes.io/allocated': 'true' });
  await until(
    () => eventsOf(world, 'ours'),
    (found) => found.some((one) => one.includes('nothing here knows cable.io/ip-adress:')),
  );
  for (const [name, annotations] of Object.entries(wrong)) await world.pod(name, { node: 'node-1', annotations });
  assert.equal(ports.get('ours')?.fixed_ips[0]?.ip_address, '10.244.0.77');
  assert.equal(ports.get('ours')?.mac_address, 'fa:16:3e:00:00:77');
  assert.equal(ports.get('kube-ovn')?.fixed_ips[0]?.ip_address, '10.244.0.78');
  assert.deepEqual(ports.get('kube-ovn')?.security_groups, [group.id]);
  const told = async () =>
    (await Promise.all(Object.keys(wrong).map((one) => eventsOf(world, one)))).map((one) => one[0] ?? '');
  const messages = await until(told, (found) => found.every((one) => one !== ''));
  const expected = [
    '"10.244.0" is no IP address',
    'at the most',
    '"x" is no MAC address',
    'security_group nobody',
    'subnet nowhere',
    '10.244.0.77',
    '192.0.2.1',
  ];
  for (const [at, text] of expected.entries())
    assert.ok(messages[at]?.includes(text), `${messages[at]} has not ${text}`);
  assert.deepEqual([...(await world.ports(() => true)).keys()].sort(), ['kube-ovn', 'ours']);
  await world.annotate('no-address', { 'cable.io/ip-address': '10.244.0.5' });
  await world.ports((found) => found.get('no-address')?.fixed_ips[0]?.ip_address === '10.244.0.5');
  await world.annotate('ours', { 'cable.io/security-groups': 'web' });
  await world.ports((found) => found.get('ours')?.security_groups[0] === group.id);
  await world.annotate('ours', { 'cable.io/security-groups': null });
  await world.ports((found) => found.get('ours')?.security_groups.length === 0);
});

test('labels of a running pod are followed whatever else is wrong with it; with too many it is closed', async (t) => {
  const world = await startWorld(t);
  const { kube } = world;
  world.control('a');
  await world.node('node-1');
  await world.pod('web', { node: 'node-1', labels: { app: 'web' } });
  const label = (labels: Readonly<Record<string, string | null>>) =>
    kube.patch(PODS, { namespace: 'shop', name: 'web' }, { metadata: { labels } });
  const portThat = async (holds: (labels: readonly string[], isUp: boolean) => boolean): Promise<void> => {
    await world.ports((found) => {
      const port = found.get('web');
      return port !== undefined && holds(port['cable:labels'], port.admin_state_up);
    });
  };
  await portThat((labels) => labels.includes('app=web'));
  for (const annotations of [{ 'cable.io/security-groups': 'nobody' }, { 'cable.io/ingress-rate': 'fast' }]) {
    await world.annotate('web', annotations);
    const [name] = Object.keys(annotations);
    await until(
      () => eventsOf(world, 'web'),
      (found) => found.some((one) => one.includes(String(name))),
    );
    await label({ quarantine: String(name).slice(9) });
    await portThat((labels, isUp) => labels.includes(`quarantine=${String(name).slice(9)}`) && isUp);
  }
  // Who says that it is a virtual machine's keeps nothing off either.
  const forged = {
    apiVersion: 'kubevirt.io/v0',
    kind: 'VirtualMachineInstance',
    name: 'x',
    uid: 'x',
    controller: true,
  };
  await kube.patch(PODS, { namespace: 'shop', name: 'web' }, { metadata: { ownerReferences: [forged] } });
  await label({ quarantine: 'forged' });
  await portThat((labels) => labels.includes('quarantine=forged'));
  await kube.patch(PODS, { namespace: 'shop', name: 'web' }, { metadata: { ownerReferences: null } });
  const many = Object.fromEntries(Array.from({ length: 1100 }, (_, n) => [`l${n}`, 'x']));
  await label({ ...many, quarantine: 'again' });
  await portThat((_labels, isUp) => !isUp);
  await label(Object.fromEntries(Object.keys(many).map((one) => [one, null])));
  await portThat((labels, isUp) => labels.includes('quarantine=again') && isUp);
  // The same of a namespace, which no rule then selects.
  const rows = async () => (await world.cable.list('kubernetes_namespace', { name: 'prod/shop' })) as readonly object[];
  await until(rows, (found) => found.length === 1);
  await kube.patch(NAMESPACES, { name: 'shop' }, { metadata: { labels: { ...many, tier: 'out' } } });
  await until(rows, (found) => found.length === 0);
  const gone = Object.fromEntries(Object.keys(many).map((one) => [one, null]));
  await kube.patch(NAMESPACES, { name: 'shop' }, { metadata: { labels: gone } });
  await until(rows, (found) => JSON.stringify(found).includes('tier=out'));
});

test('a controller that was away finds what has changed meanwhile, and a second one takes its place at once', async (t) => {
  const world = await startWorld(t);
  const first = world.control('a');
  await world.node('node-1');
  for (const name of ['stays', 'goes', 'is-made-anew']) await world.pod(name, { node: 'node-1' });
  const before = await world.ports((found) => found.size === 3);
  world.control('b');
  await first.stop();
  await world.kube.delete(PODS, { namespace: 'shop', name: 'goes' });
  await world.kube.delete(PODS, { namespace: 'shop', name: 'is-made-anew' });
  const anew = await world.pod('is-made-anew', { node: 'node-1' });
  await world.pod('comes', { node: 'node-1' });
  const after = await world.ports(
    (found) =>
      found.has('comes') && !found.has('goes') && found.get('is-made-anew')?.device_id === `${anew.metadata.uid}:eth0`,
  );
  assert.equal(after.get('stays')?.id, before.get('stays')?.id);
  assert.equal(after.size, 3);
  const cluster = await world.cable.get('kubernetes_cluster', 'prod');
  assert.deepEqual([cluster['holder'], cluster['epoch']], ['b', 2]);
});

test('a controller that is stopped while it begins to write leaves nothing that keeps its process', async (t) => {
  const world = await startWorld(t);
  let stopped: Promise<void> | undefined;
  const running = world.control('a', {
    access: (access) => ({
      ...access,
      // Asked for last, before it writes.
      get own() {
        const { own } = access;
        const list = (...asked: Parameters<typeof own.list>) => {
          if (asked[0] === 'host') stopped ??= running.stop();
          return own.list(...asked);
        };
        return { ...own, list: list as typeof own.list };
      },
    }),
  });
  await until(
    async () => stopped !== undefined,
    (isStopped) => isStopped,
  );
  await stopped;
});

test('outages of both API servers cost nothing but time', async (t) => {
  const world = await startWorld(t);
  world.control('a');
  await world.node('node-1');
  await world.pod('before', { node: 'node-1' });
  const before = await world.ports((found) => found.has('before'));
  await world.server.end('SIGKILL');
  await world.pod('while-cable-is-away', { node: 'node-1' });
  await sleep(500);
  await world.server.start();
  await world.cable.request('PUT', '/cable/v1/hosts/node-1', {
    underlay: '192.0.2.1',
    agentVersion: '1',
    cluster: 'prod',
  });
  await world.ports((found) => found.has('while-cable-is-away'));
  world.fake.refuse(503);
  await sleep(300);
  world.fake.compact();
  world.fake.cutWatches();
  await sleep(1000);
  const during = await world.ports(() => true);
  assert.equal(during.size, 2, 'nothing is taken for gone because nobody answers');
  world.fake.refuse();
  await world.pod('after', { node: 'node-1' });
  const after = await world.ports((found) => found.has('after'));
  assert.equal(after.get('before')?.id, before.get('before')?.id);
});

test('a namespace may be a project of OpenStack’s', async (t) => {
  const world = await startWorld(t);
  const shop = await world.kube.get<KubeObject>(
    { group: '', version: 'v1', plural: 'namespaces', isNamespaced: false },
    { name: 'shop' },
  );
  const projects = [{ uid: shop.metadata.uid, project_id: 'f0e1d2c3' }];
  await world.cable.create('kubernetes_cluster', { name: 'prod', namespace_projects: projects });
  world.control('a');
  await world.node('node-1');
  // The cluster's network of pods is not shared with the project.
  await world.pod('web', { node: 'node-1' });
  const ports = await world.ports((found) => found.has('web'));
  assert.equal(ports.get('web')?.project_id, 'f0e1d2c3');
  // Into a `Port` there the project's members could plug a machine.
  const { create, refused } = customsOf(world);
  await create('Port', 'among-pods', { subnet: ports.get('web')?.fixed_ips[0]?.subnet_id });
  await refused('Port', 'among-pods', 'NotFound');
});

test('pods of a StatefulSet have the same port one after the other, wherever they are, as long as it has a place for them', async (t) => {
  const world = await startWorld(t);
  const { kube } = world;
  const first = world.control('a');
  for (const name of ['node-1', 'node-2']) await world.node(name);
  const set = (replicas: number): KubeObject =>
    ({ metadata: { name: 'db', namespace: 'shop' }, spec: { replicas } }) as KubeObject;
  const made = await kube.create<KubeObject>(STATEFUL_SETS, set(2));
  for (const name of ['db-0', 'db-1']) await world.pod(name, { node: 'node-1', set: made });
  const before = await world.ports((found) => found.size === 2);
  const kept = before.get('db-0');
  assert.equal(kept?.['cable:origin'], `Pod/shop/db-0/${made.metadata.uid}`);
  await world.plugged('node-1', kept?.id ?? '', 'up');
  await kube.delete(PODS, { namespace: 'shop', name: 'db-0' });
  const again = await world.pod('db-0', { node: 'node-2', set: made });
  await sleep(1500);
  const during = await world.ports(() => true);
  assert.equal(during.get('db-0')?.['binding:host_id'], 'node-1', 'the one before is plugged still');
  await world.plugged('node-1', kept?.id ?? '', 'down');
  const after = await world.ports((found) => found.get('db-0')?.['binding:host_id'] === 'node-2');
  assert.equal(after.get('db-0')?.id, kept?.id);
  assert.equal(after.get('db-0')?.device_id, `${again.metadata.uid}:eth0`);
  // Nothing of it is there meanwhile: pod deleted, no controller.
  await first.stop();
  for (const name of ['db-0', 'db-1']) await kube.delete(PODS, { namespace: 'shop', name });
  world.control('b');
  await sleep(3000);
  assert.equal((await world.ports(() => true)).size, 2);
  await kube.patch(STATEFUL_SETS, { namespace: 'shop', name: 'db' }, { spec: { replicas: 1 } });
  await world.ports((found) => found.has('db-0') && !found.has('db-1'));
  await kube.delete(STATEFUL_SETS, { namespace: 'shop', name: 'db' });
  await kube.create(STATEFUL_SETS, set(2));
  await world.ports((found) => found.size === 0);
});

test('a pod that runs keeps its port when its StatefulSet leaves it behind, and another takes it', async (t) => {
  const world = await startWorld(t);
  const { kube } = world;
  world.control('a');
  await world.node('node-1');
  const set = { metadata: { name: 'db', namespace: 'shop' }, spec: { replicas: 1 } } as KubeObject;
  const made = await kube.create<KubeObject>(STATEFUL_SETS, set);
  await world.pod('db-0', { node: 'node-1', set: made });
  const before = (await world.ports((found) => found.has('db-0'))).get('db-0');
  const place = { namespace: 'shop', name: 'db-0' };
  // kubectl delete --cascade=orphan
  await kube.patch(PODS, place, { metadata: { ownerReferences: null } });
  await kube.delete(STATEFUL_SETS, { namespace: 'shop', name: 'db' });
  await sleep(2500);
  assert.equal((await world.ports(() => true)).get('db-0')?.id, before?.id, 'nobody has it');
  const next = await kube.create<KubeObject>(STATEFUL_SETS, set);
  await kube.patch(PODS, place, {
    metadata: { ownerReferences: ownersOf('apps/v1', 'StatefulSet', next), labels: { a: 'b' } },
  });
  await world.ports((found) => found.get('db-0')?.['cable:labels'].includes('a=b') === true);
  await sleep(2500);
  const ports = await world.cable.list('port', { device_owner: 'kubernetes:pod' });
  assert.deepEqual(
    ports.map(({ id }) => id),
    [before?.id],
  );
  // It is that one's from now on.
  await kube.delete(PODS, place);
  const again = await world.pod('db-0', { node: 'node-1', set: next });
  const after = await world.ports(
    (found) => found.get('db-0')?.device_id.startsWith(`${again.metadata.uid}:`) === true,
  );
  assert.equal(after.get('db-0')?.id, before?.id, 'the next pod has the port');
});

/** A StatefulSet `db` of which pods come one after the other, as their template says meanwhile. */
async function startSet({ kube, cable, pod, ...world }: World) {
  for (const name of ['node-1', 'node-2']) await world.node(name);
  const set = { metadata: { name: 'db', namespace: 'shop' }, spec: { replicas: 1 } } as KubeObject;
  const made = await kube.create<KubeObject>(STATEFUL_SETS, set);
  let port: PortView | undefined;
  const next = async (annotations: Readonly<Record<string, string>>, node = 'node-1'): Promise<KubeObject> => {
    if (port !== undefined) await kube.delete(PODS, { namespace: 'shop', name: 'db-0' });
    return await pod('db-0', { node, set: made, annotations });
  };
  /** Its port, when it has one and those before have none. */
  const taken = async (of: KubeObject, holds: (one: PortView) => boolean = () => true): Promise<PortView> => {
    const [found] = await until(
      () => cable.list('port', { name: 'db-0', device_owner: 'kubernetes:pod' }),
      (all) => all.length === 1 && all.every((one) => one.device_id.startsWith(`${of.metadata.uid}:`) && holds(one)),
    );
    port = found as PortView;
    return port;
  };
  const change = async (annotations: Readonly<Record<string, string>>, node?: string): Promise<PortView> =>
    await taken(await next(annotations, node));
  return { next, taken, change };
}

const addressOf = (port: PortView | undefined): string => port?.fixed_ips[0]?.ip_address ?? '';

async function saysOf(world: World, pod: string, text: string): Promise<string> {
  const said = await until(
    () => eventsOf(world, pod),
    (all) => all.some((one) => one.includes(text)),
  );
  return said.find((one) => one.includes(text)) ?? '';
}

test('a StatefulSet’s next pod has the addresses and the MAC that its template asks for by now; what cannot be had costs it nothing that it has', async (t) => {
  const world = await startWorld(t);
  const { kube, cable } = world;
  world.control('a', { podCidrs: ['10.244.0.0/16', 'fd00:10:244::/64'] });
  const { next, taken, change } = await startSet(world);
  const first = await change({});
  const { id, mac_address: mac } = first;
  const same = await change({}, 'node-2');
  assert.deepEqual(
    [same.id, addressOf(same), same.mac_address],
    [id, addressOf(first), mac],
    'nothing else is asked for',
  );
  const six = first.fixed_ips[1]?.ip_address ?? '';
  const is = (port: PortView) => {
    assert.equal(port.fixed_ips[1]?.ip_address, six, 'nobody asks for another of IPv6');
    return [port.id, port.mac_address, addressOf(port)];
  };
  assert.deepEqual(is(await change({ 'cable.io/ip-address': '10.244.3.3' })), [id, mac, '10.244.3.3']);
  const [chosen, pool] = ['02:00:00:00:03:03', '10.244.4.4,10.244.4.5'];
  assert.deepEqual(is(await change({ 'cable.io/mac-address': chosen })), [id, chosen, '10.244.3.3']);
  assert.deepEqual(is(await change({ 'cable.io/ip-pool': pool }, 'node-2')), [id, chosen, '10.244.4.4']);
  const last = await change({ 'cable.io/ip-pool': pool });
  assert.deepEqual(is(last), [id, chosen, '10.244.4.4'], 'that is what it has');

  await world.pod('other', { node: 'node-1', annotations: { 'cable.io/ip-address': '10.244.5.5' } });
  const other = (await world.ports((found) => found.has('other'))).get('other');
  const waiting = await next({ 'cable.io/ip-address': '10.244.5.5' });
  assert.match(await saysOf(world, 'db-0', '10.244.5.5'), /^The pod has no port: /);
  assert.deepEqual(is(await cable.get('port', id)), [id, chosen, '10.244.4.4']);
  await kube.delete(PODS, { namespace: 'shop', name: 'other' });
  await until(
    () => cable.list('port', { id: other?.id ?? '' }),
    (found) => found.length === 0,
  );
  await world.annotate('db-0', { 'cable.io/looked': 'again' });
  assert.deepEqual(is(await taken(waiting)), [id, chosen, '10.244.5.5']);
});

test('a StatefulSet’s next pod whose template names another network gets a port there, and the one before goes when it is unplugged', async (t) => {
  const world = await startWorld(t);
  const { cable } = world;
  world.control('a');
  const mine = { project_id: 'prod.shop' };
  const lan = await cable.create('network', { name: 'lan', ...mine });
  for (const cidr of ['10.7.0.0/24', '10.8.0.0/24'])
    await cable.create('subnet', { network_id: lan.id, cidr, name: `lan ${cidr}`, ...mine });
  const { next, taken, change } = await startSet(world);
  const port = await change({});
  await world.plugged('node-1', port.id, 'up');
  await next({ 'cable.io/network': 'no such' });
  await saysOf(world, 'db-0', 'no such');
  assert.equal((await cable.get('port', port.id)).device_id, port.device_id);
  const inLan = (subnet: string) => ({ 'cable.io/network': 'lan', 'cable.io/subnet': `lan ${subnet}` });
  const moved = await next(inLan('10.8.0.0/24'));
  const both = await until(
    () => cable.list('port', { name: 'db-0', device_owner: 'kubernetes:pod' }),
    (found) => found.length === 2,
  );
  const there = both.find(({ id }) => id !== port.id);
  assert.equal(there?.network_id, lan.id);
  assert.match(addressOf(there), /^10\.8\.0\./);
  await world.plugged('node-1', port.id, 'down');
  assert.equal((await taken(moved)).id, there?.id);
  const beside = await change(inLan('10.7.0.0/24'));
  assert.equal(beside.id, there?.id);
  assert.match(addressOf(beside), /^10\.7\.0\./);
  assert.match(addressOf(await change({})), /^10\.244\./);
});

test('rates of a pod are a QoS policy that pods of the same rates share, and change while it runs', async (t) => {
  const world = await startWorld(t);
  const { cable } = world;
  world.control('a');
  await world.node('node-1');
  const rates = { 'kubernetes.io/ingress-bandwidth': '10M', 'ovn.kubernetes.io/egress_rate': '3' };
  for (const name of ['a', 'b', 'c']) await world.pod(name, { node: 'node-1', annotations: rates });
  await world.pod('free', { node: 'node-1' });
  await world.pod('wrong', { node: 'node-1', annotations: { 'cable.io/egress-rate': 'fast' } });
  const ports = await world.ports((found) => found.size === 4);
  const policies = new Set(['a', 'b', 'c'].map((name) => ports.get(name)?.qos_policy_id ?? ''));
  assert.equal(policies.size, 1);
  assert.equal(ports.get('free')?.qos_policy_id, null);
  const limits = async (id: string): Promise<readonly string[]> => {
    const rules = await cable.within(id).list('qos_bandwidth_limit_rule');
    return rules.map((one) => `${one['direction']} ${one['max_kbps']}`).sort();
  };
  const [first = ''] = policies;
  assert.deepEqual(await limits(first), ['egress 3000', 'ingress 10000']);
  await world.annotate('a', { 'cable.io/ingress-rate': '1.5Mi' });
  const changed = await world.ports((found) => found.get('a')?.qos_policy_id !== first);
  assert.deepEqual(await limits(changed.get('a')?.qos_policy_id ?? ''), ['egress 3000', 'ingress 1573']);
  await world.annotate('a', {
    'cable.io/ingress-rate': null,
    ...Object.fromEntries(Object.keys(rates).map((one) => [one, null])),
  });
  await world.ports((found) => found.get('a')?.qos_policy_id === null);
  await until(
    () => eventsOf(world, 'wrong'),
    ([message]) => message?.includes('"fast" is no rate') === true,
  );
});

test('the default group of a namespace’s project goes with the namespace, as soon as its last port has', async (t) => {
  const world = await startWorld(t);
  const { cable, kube } = world;
  world.control('a');
  await world.node('node-1');
  await kube.create(NAMESPACES, { metadata: { name: 'gone' } });
  const namespace = 'gone';
  // Groups of its project are asked for by name, which lets it have its default group.
  for (const [name, annotations] of [
    ['web', {}],
    ['closed', { 'cable.io/security-groups': 'default' }],
  ] as const)
    await world.pod(name, { namespace, node: 'node-1', annotations });
  const port = (await world.ports((found) => found.size === 2)).get('closed');
  // Who asks for those of the project alone lets it have one again.
  const groups = async () =>
    (await cable.list('security_group', { name: 'default' })).filter((one) => one.project_id === 'prod.gone');
  assert.deepEqual(
    (await groups()).map(({ id }) => id),
    port?.security_groups,
  );
  await world.plugged('node-1', port?.id ?? '', 'up');
  for (const name of ['web', 'closed']) await kube.delete(PODS, { namespace, name });
  await kube.delete(NAMESPACES, { name: namespace });
  await world.ports((found) => found.size === 1);
  // Longer than until it is looked at: its node has the port still.
  await sleep(2500);
  assert.equal((await groups()).length, 1);
  await world.plugged('node-1', port?.id ?? '', 'down');
  await until(groups, (found) => found.length === 0);
});
