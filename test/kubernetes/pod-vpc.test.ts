/** Pods of two VPCs with one prefix, which is that of the cluster's own pods, too, as packets see them: real agents and the real kernel, the plug-in, a controller at the double of the API server. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import type { KubeObject } from '@cable/kube';
import type { PortView } from '@cable/model';
import type { BedHost } from '../versions/bed-host.ts';
import { CURRENT } from '../versions/previous-version.ts';
import { eventually } from '../versions/program.ts';
import { VersionBed } from '../versions/version-bed.ts';
import { customsOf } from './custom.ts';
import { addressOf, answers, ask, type CniAnswer, cni, ip, serve } from './sandboxes.ts';
import { type Cluster, NAMESPACES, NODES, PODS, SERVICES, SLICES, startCluster, undoing, until } from './world.ts';

const OUTSIDE = '203.0.113.1';
const POD_CIDRS = ['10.244.0.0/16', 'fd00:10:244::/64'];

/** Addresses that pods of both VPCs have. */
const [ONE, TWO, ONE6, TWO6] = ['10.244.0.50', '10.244.0.51', 'fd00:10:244::50', 'fd00:10:244::51'];

/** A Service at port 80 of what serves there at 8080. */
async function createService({ kube }: Cluster, name: string, address: string, endpoint: object): Promise<void> {
  const metadata = { name, namespace: 'shop' };
  const ports = [{ name: '', protocol: 'TCP', port: 80 }];
  await kube.create(SERVICES, { metadata, spec: { clusterIP: address, clusterIPs: [address], ports } } as KubeObject);
  const labels = { 'kubernetes.io/service-name': name };
  const slice = { addressType: 'IPv4', ports: [{ name: '', protocol: 'TCP', port: 8080 }], endpoints: [endpoint] };
  await kube.create(SLICES, { metadata: { ...metadata, name: `${name}-1`, labels }, ...slice } as KubeObject);
}

const VM = '10.7.0.60';

/** A VM as Nova plugs one, of the project `prod.shop`, on that host; it lets everybody in. */
async function plugVm({ cable }: Cluster, host: BedHost, netns: string, networkId: string): Promise<void> {
  const project = { project_id: 'prod.shop' };
  const group = await cable.create('security_group', { name: 'open', ...project });
  const rule = { security_group_id: group.id, direction: 'ingress', ethertype: 'IPv4', ...project };
  await cable.create('security_group_rule', rule);
  const machine = { device_owner: 'compute:nova', device_id: 'b2c5a7de-0d3a-4f6d-8a4e-3c3f7f0f3f11' };
  const port = await cable.create('port', {
    ...{ network_id: networkId, fixed_ips: [{ ip_address: VM }], security_groups: [group.id] },
    ...{ ...project, ...machine, 'binding:host_id': host.name },
  });
  const peer = ['peer', 'name', 'eth0', 'address', port.mac_address, 'netns', netns];
  ip('-n', host.name, 'link', 'add', `tap${port.id.slice(0, 11)}`, 'up', 'type', 'veth', ...peer);
  ip('-n', netns, 'address', 'add', `${VM}/16`, 'dev', 'eth0');
  ip('-n', netns, 'link', 'set', 'eth0', 'up', 'mtu', '1400');
  ip('-n', netns, 'route', 'add', 'default', 'via', '10.7.0.1');
}

function dig(netns: string, name: string, server = '169.254.20.10'): string {
  try {
    const words = ['dig', `@${server}`, '+short', '+tries=1', '+time=3', name];
    return execFileSync('nsenter', [`--net=/run/netns/${netns}`, ...words], { encoding: 'utf8' }).trim();
  } catch {
    return 'no answer';
  }
}

/** Legs of the cluster by the device that they are. */
async function legsOf({ cable }: Cluster): Promise<ReadonlyMap<string, PortView>> {
  const found = await cable.list('port', { device_owner: 'kubernetes:leg', 'cable:cluster': 'prod' });
  return new Map(found.map((one) => [one.device_id, one]));
}

test('pods of VPCs with the cluster’s own addresses keep probes, Services, names and egress, and stay apart', {
  timeout: 600_000,
}, async (t) => {
  const undo = undoing(t);
  const bed = new VersionBed('podvpc');
  const netns = (name: string): string => `cbpv-${name}-${process.pid}`;
  const names = ['blue-1', 'blue-2', 'green-1', 'green-2', 'plain'];
  const outside = netns('out');
  const vm = netns('vm');
  const all = [outside, vm, ...names.map(netns)];
  undo.push(async () => {
    for (const one of all) execFileSync('sh', ['-c', `ip netns del ${one} 2>/dev/null || true`]);
    await bed.remove();
  });
  await bed.start(CURRENT);
  for (const one of all) ip('netns', 'add', one);
  // As distributions have it.
  const strict = ['sysctl', '-q', 'net.ipv4.conf.all.rp_filter=1', 'net.ipv4.conf.default.rp_filter=1'];
  for (const name of names) ip('netns', 'exec', netns(name), ...strict);
  ip('-n', bed.h1.name, 'link', 'add', 'ext0', 'up', 'type', 'veth', 'peer', 'name', 'ext0', 'netns', outside);
  ip('-n', bed.h1.name, 'address', 'add', '203.0.113.11/24', 'dev', 'ext0');
  ip('-n', outside, 'link', 'set', 'ext0', 'up');
  ip('-n', outside, 'address', 'add', `${OUTSIDE}/24`, 'dev', 'ext0');
  for (const host of bed.hosts) await host.start(CURRENT, '--cluster', 'prod');
  const cluster = await startCluster(undo, bed.address);
  cluster.control('a', { podCidrs: POD_CIDRS });
  for (const name of ['team', 'other']) await cluster.kube.create(NAMESPACES, { metadata: { name } });
  for (const { name, underlay } of bed.hosts) {
    await cluster.kube.create(NODES, { metadata: { name } });
    const addresses = [{ type: 'InternalIP', address: underlay }];
    await cluster.kube.patch(NODES, { name }, { status: { addresses } }, 'status');
  }
  const customs = customsOf(cluster);
  for (const namespace of ['shop', 'team']) {
    await customs.create('Vpc', 'own', {}, namespace);
    await customs.create('Subnet', 'own', { vpc: 'own', cidrBlock: POD_CIDRS.join(), default: true }, namespace);
    await customs.ready('Subnet', 'own', namespace);
  }
  const place = (name: string): BedHost => (name.endsWith('1') ? bed.h1 : bed.h2);
  const pods = new Map<string, KubeObject>();
  for (const name of names) {
    const namespace = name.startsWith('blue') ? 'shop' : name.startsWith('green') ? 'team' : 'other';
    const address = name.endsWith('1') ? `${ONE},${ONE6}` : `${TWO},${TWO6}`;
    const annotations = namespace === 'other' ? {} : { 'cable.io/ip-address': address };
    pods.set(name, await cluster.pod(name, { namespace, node: place(name).name, annotations }));
  }
  const add = (name: string, container: string, sandbox = netns(name)): Promise<CniAnswer> =>
    cni(place(name), 'ADD', pods.get(name) as KubeObject, container, sandbox);
  // The runtime may be faster than the controller.
  const added = await Promise.all(names.map((name) => add(name, `c-${name}`)));
  assert.ok(
    added.every(({ code }) => code === 0),
    JSON.stringify(added),
  );
  const legs = await legsOf(cluster);
  const legOf = (name: string, version: 4 | 6 = 4): string =>
    addressOf(legs.get(`${pods.get(name)?.metadata.uid}:eth0`), version);
  const [blue1, blue2, green1, green2, plain] = names.map(netns) as [string, string, string, string, string];
  assert.deepEqual(
    added[0]?.json.ips?.map(({ address }) => address),
    [`${legOf('blue-1')}/32`, `${legOf('blue-1', 6)}/128`, `${ONE}/16`, `${ONE6}/64`],
    'the leg’s address is the pod’s for Kubernetes',
  );
  assert.equal(legs.size, 4, 'a pod of the cluster’s own network has none');
  await until(
    () => cluster.kube.get<KubeObject>(PODS, { namespace: 'team', name: 'green-2' }),
    ({ metadata }) => metadata.annotations?.['cable.io/vpc-address'] === `${TWO},${TWO6}`,
  );
  for (const name of names) undo.push(serve(netns(name), 8080, name));

  // In the VPC the addresses are its own; probes come from nodes, by either version of IP.
  const reached: readonly (readonly [from: string, to: string, who: string])[] = [
    [blue1, TWO, 'blue-2'],
    [green1, TWO, 'green-2'],
    [blue2, ONE, 'blue-1'],
    [green2, ONE6, 'green-1'],
    ...names.slice(0, 4).map((name) => [place(name).name, legOf(name), name] as const),
    [bed.h1.name, legOf('green-2', 6), 'green-2'],
  ];
  for (const [from, to, who] of reached)
    await eventually(`${who} by ${to} from ${from}`, async () => (await ask(from, to, 8080)) === who);

  // A Service of the VPC's pod is its VPC's and nodes'; one whose endpoint is a node, as API servers are, is everybody's.
  const endpoint = { addresses: [legOf('blue-2')], nodeName: bed.h2.name, conditions: { ready: true } };
  await createService(cluster, 'web', '10.96.0.10', endpoint);
  await createService(cluster, 'api', '10.96.0.11', { addresses: [bed.h2.underlay], conditions: { ready: true } });
  undo.push(serve(bed.h2.name, 8080, 'node'));
  await eventually('a pod reaches its VPC’s Service', async () => (await ask(blue1, '10.96.0.10', 80)) === 'blue-2');
  await eventually('and that of a node', async () => (await ask(blue1, '10.96.0.11', 80)) === 'node');
  assert.equal(await ask(blue2, '10.96.0.10', 80), 'blue-2', 'itself');
  assert.equal(await ask(bed.h1.name, '10.96.0.10', 80), 'blue-2', 'a process of a node');
  assert.equal(await ask(green2, '10.96.0.11', 80), 'node');
  for (const from of [green1, green2, plain]) assert.equal(await ask(from, '10.96.0.10', 80, 1), 'silence', from);
  // A VM of the VPC reaches the Services of the VPC's pods, and is one of their endpoints there; others have none of it.
  await customs.create('Subnet', 'vms', { vpc: 'own', cidrBlock: '10.7.0.0/16' });
  await plugVm(cluster, bed.h1, vm, String((await customs.ready('Subnet', 'vms')).status?.id));
  const named = { targetRef: { kind: 'Pod', name: 'blue-2' } };
  await cluster.kube.patch(SLICES, { namespace: 'shop', name: 'web-1' }, { endpoints: [{ ...endpoint, ...named }] });
  await eventually('a VM reaches its VPC’s Service', async () => (await ask(vm, '10.96.0.10', 80)) === 'blue-2');
  await eventually('by its name, too', () => dig(vm, 'web.shop.svc.cluster.local', '169.254.169.254') === '10.96.0.10');
  assert.notEqual(await ask(vm, '10.96.0.11', 80, 1), 'node', 'what has no endpoint in the VPC');
  undo.push(serve(vm, 8080, 'vm'));
  await createService(cluster, 'db', '10.96.0.12', { addresses: [VM], conditions: { ready: true } });
  await eventually('a VM is an endpoint', async () => (await ask(vm, '10.96.0.12', 80)) === 'vm');
  assert.notEqual(await ask(plain, '10.96.0.12', 80, 1), 'vm', 'of nobody else');
  // Pods that run follow: the subnet and the Service came after them.
  for (const from of [blue1, blue2]) {
    await eventually(`a pod reaches the VM from ${from}`, async () => (await ask(from, VM, 8080)) === 'vm');
    await eventually(`by the Service, from ${from}`, async () => (await ask(from, '10.96.0.12', 80)) === 'vm');
  }
  assert.equal(await ask(green1, '10.96.0.12', 80, 1), 'refused', 'a pod of another VPC');
  await eventually('names are answered', () => dig(blue1, 'web.shop.svc.cluster.local') === '10.96.0.10');
  assert.equal(dig(green2, 'api.shop.svc.cluster.local'), '10.96.0.11');

  // By its leg a pod is let in by nobody but nodes and its VPC; what leaves does so as the node does.
  assert.equal(answers(blue2, legOf('blue-1'), '-I', legOf('blue-2')), 3, 'of the VPC, by legs');
  assert.equal(answers(green2, legOf('blue-1'), '-I', legOf('green-2')), 0, 'of another VPC');
  assert.equal(answers(plain, legOf('blue-1')), 0, 'of the cluster’s own');
  const ports = await cluster.ports(() => true);
  assert.equal(
    answers(green1, addressOf(ports.get('plain')), '-I', legOf('green-1')),
    3,
    'the cluster’s own lets all in',
  );
  for (const one of [blue1, green1]) assert.equal(answers(one, OUTSIDE), 3, 'by the node');
  assert.equal(answers(blue1, bed.h1.underlay), 3, 'its node’s own address');

  // Nobody sends as another, by either interface.
  for (const device of ['eth0', 'vpc0']) {
    ip('-n', green1, 'address', 'add', `${legOf('blue-2')}/32`, 'dev', device);
    ip('-n', green1, 'rule', 'add', 'from', legOf('blue-2'), 'lookup', device === 'eth0' ? '1067' : '1068');
    assert.equal(answers(green1, legOf('blue-1'), '-I', legOf('blue-2')), 0, `as a pod of another VPC, by ${device}`);
    ip('-n', green1, 'rule', 'del', 'from', legOf('blue-2'));
    ip('-n', green1, 'address', 'del', `${legOf('blue-2')}/32`, 'dev', device);
  }

  // The next agent finds both links; another container of the pod has the same addresses.
  await bed.h1.end('SIGKILL');
  assert.equal(await ask(bed.h1.name, legOf('blue-1'), 8080), 'blue-1', 'without the agent');
  await bed.h1.start(CURRENT, '--cluster', 'prod');
  const next = netns('next');
  all.push(next);
  ip('netns', 'add', next);
  assert.deepEqual((await add('blue-1', 'c-next', next)).json.ips, added[0]?.json.ips);
  await eventually(
    'the new container reaches the VM’s Service',
    async () => (await ask(next, '10.96.0.12', 80)) === 'vm',
  );
  await cluster.kube.delete(SLICES, { namespace: 'shop', name: 'db-1' });
  await eventually('and does no more', async () => (await ask(next, '10.96.0.12', 80, 1)) !== 'vm');
  undo.push(serve(next, 8080, 'next'));
  await eventually(
    'the new container has the probes',
    async () => (await ask(bed.h1.name, legOf('blue-1'), 8080)) === 'next',
  );
  await eventually('and the address of the VPC', async () => (await ask(blue2, ONE, 8080)) === 'next');
  assert.equal((await cni(bed.h1, 'DEL', pods.get('blue-1') as KubeObject, 'c-blue-1', blue1)).code, 0);
  assert.equal(await ask(bed.h1.name, legOf('blue-1'), 8080), 'next', 'a late DEL of the one before');

  // Both ports go when the pod is gone and nothing of it is on the node.
  await cluster.kube.delete(PODS, { namespace: 'shop', name: 'blue-1' });
  assert.equal((await cni(bed.h1, 'DEL', pods.get('blue-1') as KubeObject, 'c-next', next)).code, 0);
  const links = execFileSync('ip', ['-n', bed.h1.name, '-o', 'link', 'show', 'type', 'veth'], { encoding: 'utf8' });
  const held = links.split('\n').filter((line) => line.includes(' alias ') || / cv[0-9a-f-]{11}/.test(line));
  assert.equal(held.filter((line) => line.includes('c-next')).length, 0, links);
  await cluster.ports((found) => !found.has('blue-1'));
  await until(
    () => legsOf(cluster),
    (found) => found.size === 3,
  );
});
