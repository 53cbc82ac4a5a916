/** Ports of further interfaces, mirrors, anti-spoofing and default routes by annotation, by a controller between a real server and the double of Kubernetes' API server. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KubeObject } from '@cable/kube';
import type { AnyObject, PortView } from '@cable/model';
import { customsOf } from './custom.ts';
import { EVENTS, NETWORK_ATTACHMENTS, PODS, startWorld, until, type World } from './world.ts';

type Event = KubeObject & { readonly involvedObject: { readonly name: string }; readonly message: string };

const NETWORKS = 'k8s.v1.cni.cncf.io/networks';

function attachment(name: string, conf: object, namespace = 'shop'): KubeObject {
  return { metadata: { name, namespace }, spec: { config: JSON.stringify(conf) } } as unknown as KubeObject;
}

/** Ports of a pod by the name of the interface; waits until they hold. */
function interfacesOf(
  { cable }: World,
  pod: KubeObject,
  holds: (found: ReadonlyMap<string, PortView>) => boolean,
): Promise<ReadonlyMap<string, PortView>> {
  const prefix = `${pod.metadata.uid}:`;
  return until(async () => {
    const ports = await cable.list('port', { device_owner: 'kubernetes:pod', 'cable:cluster': 'prod' });
    const own = ports.filter(({ device_id: device }) => device.startsWith(prefix));
    return new Map(own.map((one) => [one.device_id.slice(prefix.length), one]));
  }, holds);
}

function told({ kube }: World, pod: string, pattern: RegExp): Promise<string | undefined> {
  return until(
    async () => {
      const { items } = await kube.list<Event>(EVENTS, { namespace: 'shop' });
      return items.find((one) => one.involvedObject.name === pod && pattern.test(one.message))?.message;
    },
    (text) => text !== undefined,
  );
}

const addressOf = (port: PortView | undefined): string | undefined => port?.fixed_ips[0]?.ip_address;

test('each network of ours is a port of its own, as definition and annotations say, and goes with the pod', async (t) => {
  const world = await startWorld(t, { hasMultus: true });
  const { kube } = world;
  const { create, ready } = customsOf(world);
  world.control('a');
  await world.node('node-1');
  await create('Subnet', 'back', { cidrBlock: '10.1.0.0/24' });
  await create('Subnet', 'store', { cidrBlock: '10.2.0.0/24' });
  await create('SecurityGroup', 'web', {});
  for (const name of ['back', 'store']) await ready('Subnet', name);
  const group = await ready('SecurityGroup', 'web');
  const conf = { cniVersion: '1.0.0', type: 'cable-cni', cluster: 'prod' };
  for (const one of [
    attachment('back', { ...conf, subnet: 'back' }),
    attachment('chained', { cniVersion: '1.0.0', plugins: [conf, { type: 'tuning' }] }, 'kube-system'),
    attachment('vlan', { type: 'macvlan', master: 'eth1' }),
    attachment('theirs', { ...conf, cluster: 'other', subnet: 'back' }),
  ])
    await kube.create(NETWORK_ATTACHMENTS, one);
  const short = await world.pod('short', {
    node: 'node-1',
    annotations: {
      [NETWORKS]: 'vlan, back, theirs, kube-system/chained@store0, shop/back',
      'back.shop.ovn.kubernetes.io/security_groups': 'web',
      'back.shop.ovn.kubernetes.io/ip_address.net5': '10.1.0.55',
      'back.shop.ovn.kubernetes.io/ingress_rate': '3',
      'back.shop.cable.io/default-route.net2': 'true',
      'chained.kube-system.cable.io/subnet': 'store',
    },
  });
  const found = await interfacesOf(world, short, (all) => all.size === 4);
  assert.deepEqual([...found.keys()].sort(), ['eth0', 'net2', 'net5', 'store0'], 'Multus counts those of others, too');
  assert.equal(addressOf(found.get('net5')), '10.1.0.55');
  assert.match(addressOf(found.get('net2')) ?? '', /^10\.1\.0\./);
  assert.match(addressOf(found.get('store0')) ?? '', /^10\.2\.0\./);
  assert.deepEqual(found.get('net2')?.security_groups, [group.status?.id]);
  assert.deepEqual(found.get('store0')?.security_groups, []);
  assert.notEqual(found.get('net5')?.qos_policy_id, null);
  assert.equal(found.get('eth0')?.qos_policy_id, null);
  const routes = [...found].map(([name, port]) => [name, port['cable:default_route']]);
  assert.deepEqual(Object.fromEntries(routes), { eth0: false, net2: true, net5: false, store0: false });
  for (const name of ['project_id', 'binding:host_id', 'cable:origin', 'cable:namespace'] as const)
    for (const [, port] of found) assert.equal(port[name], found.get('eth0')?.[name], name);
  const json = [
    { name: 'back', mac: 'FA:16:3E:00:00:09', ips: ['10.1.0.9/24'], interface: 'data' },
    { name: 'back', 'default-route': ['10.1.0.1'] },
  ];
  const said = await world.pod('json', { node: 'node-1', annotations: { [NETWORKS]: JSON.stringify(json) } });
  const own = await interfacesOf(world, said, (all) => all.size === 3);
  assert.deepEqual([addressOf(own.get('data')), own.get('data')?.mac_address], ['10.1.0.9', 'fa:16:3e:00:00:09']);
  assert.equal(own.get('net2')?.['cable:default_route'], null, 'Multus itself moves it');
  // What is wrong is told, and the pod has all else.
  const later = await world.pod('later', { node: 'node-1', annotations: { [NETWORKS]: 'later,kube-system/chained' } });
  await told(world, 'later', /net1: there is no NetworkAttachmentDefinition shop\/later/);
  await interfacesOf(world, later, (all) => all.has('eth0') && all.size === 1);
  await kube.create(NETWORK_ATTACHMENTS, attachment('later', { ...conf, network: 'nowhere', subnet: 'back' }));
  await told(world, 'later', /net1: there is no network nowhere/);
  await world.annotate('later', { 'later.shop.cable.io/subnet': 'back', [NETWORKS]: 'later' });
  await interfacesOf(world, later, (all) => all.has('net1'));
  await world.annotate('later', { [NETWORKS]: null });
  await interfacesOf(world, later, (all) => all.has('eth0') && all.size === 1);
  await kube.delete(PODS, { namespace: 'shop', name: 'short' });
  await interfacesOf(world, short, (all) => all.size === 0);
});

test('copies, anti-spoofing and further addresses are a namespace’s to say in its own networks, and not in the cluster’s', async (t) => {
  const world = await startWorld(t);
  const { cable } = world;
  const { create, ready } = customsOf(world);
  world.control('a');
  await world.node('node-1');
  await create('Subnet', 'own', { cidrBlock: '10.1.0.0/24' });
  await ready('Subnet', 'own');
  await create('Port', 'vip', { subnet: 'own', ipAddresses: ['10.1.0.100'] });
  await ready('Port', 'vip');
  const pod = (name: string, annotations: Readonly<Record<string, string>>) =>
    world.pod(name, { node: 'node-1', annotations });
  // Without Multus nobody makes such interfaces, and nothing is wrong for that.
  await pod('networks', { [NETWORKS]: 'nowhere' });
  await pod('open', { 'ovn.kubernetes.io/port_security': 'false' });
  await pod('claims', { 'cable.io/allowed-address-pairs': '10.244.0.2' });
  await pod('twice', { 'cable.io/port-security': 'no' });
  await pod('watched', { 'cable.io/subnet': 'own', 'cable.io/mirror': 'true' });
  await pod('router', { 'cable.io/subnet': 'own', 'cable.io/port-security': 'false' });
  await pod('pair', { 'cable.io/subnet': 'own', 'ovn.kubernetes.io/aaps': 'vip, 10.1.0.128/25' });
  await told(
    world,
    'open',
    /has no port: annotation ovn\.kubernetes\.io\/port_security: its project may say that in networks of its own/,
  );
  await told(world, 'claims', /has no port: annotation cable\.io\/allowed-address-pairs: its project may say that/);
  await told(world, 'twice', /"no" is neither true nor false/);
  await told(world, 'watched', /has a port, but .* nobody who watches/);
  const ports = await world.ports((found) => found.has('router') && found.has('pair') && found.has('networks'));
  assert.deepEqual([...ports.keys()].sort(), ['networks', 'pair', 'router', 'watched']);
  assert.equal(ports.get('router')?.port_security_enabled, false);
  const pairs = (port: PortView | undefined) => port?.allowed_address_pairs.map((one) => one.ip_address);
  assert.deepEqual(pairs(ports.get('pair')), ['10.1.0.100', '10.1.0.128/25']);
  // All of it changes while pods run.
  await world.annotate('router', { 'cable.io/port-security': null });
  await world.annotate('pair', { 'ovn.kubernetes.io/aaps': null });
  await world.ports(
    (found) => found.get('router')?.port_security_enabled === true && pairs(found.get('pair'))?.length === 0,
  );
  const flows = (holds: (found: readonly AnyObject[]) => boolean) =>
    until(async () => (await cable.list('tap_flow')) as readonly AnyObject[], holds);
  await create('Mirror', 'ids', { source: { pod: 'pair' }, target: { pod: 'router' } });
  await ready('Mirror', 'ids');
  await world.annotate('watched', { 'cable.io/mirror': 'ids' });
  const source = ports.get('watched')?.id;
  const [flow] = (await flows((all) => all.some((one) => one['source_port'] === source))).filter(
    (one) => one['source_port'] === source,
  );
  assert.deepEqual([flow?.['project_id'], flow?.['direction']], ['prod.shop', 'BOTH']);
  await world.annotate('watched', { 'cable.io/mirror': 'false' });
  await flows((all) => !all.some((one) => one['source_port'] === source));
});
