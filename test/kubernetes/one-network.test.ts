/**
 * One network of OpenStack and Kubernetes: a VM (a real machine under QEMU), pods by the plug-in and a physical machine, in one subnet of an OpenStack project's and across its router, with one rule
 * by group, and a Service with a pod and the VM as its members.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import type { KubeObject } from '@cable/kube';
import type { PortView } from '@cable/model';
import { CURRENT } from '../versions/previous-version.ts';
import { eventually } from '../versions/program.ts';
import { VersionBed } from '../versions/version-bed.ts';
import { createProject, PORT, PROJECT } from './one-project.ts';
import { lackingMachine, RealMachine } from './real-machine.ts';
import { addressOf, ask, cni, ip, serve } from './sandboxes.ts';
import { NAMESPACES, NODES, SERVICES, SLICES, startCluster, undoing, until } from './world.ts';

const SERVICE = '10.96.0.10';

test('a VM, pods and a physical machine are one network: in a subnet, across a router, by one group, behind one Service', {
  timeout: 600_000,
  skip: lackingMachine() ?? false,
}, async (t) => {
  const undo = undoing(t);
  const bed = new VersionBed('onenet', 1);
  const [machineHost] = bed.hosts.slice(2);
  const names = ['pod', 'far', 'stranger'] as const;
  const netns = (name: string): string => `cbon-${name}-${process.pid}`;
  undo.push(async () => {
    for (const one of names) execFileSync('sh', ['-c', `ip netns del ${netns(one)} 2>/dev/null || true`]);
    await bed.remove();
  });
  assert.ok(machineHost !== undefined);
  await bed.start(CURRENT);
  for (const name of names) ip('netns', 'add', netns(name));
  await Promise.all([
    bed.h1.start(CURRENT, '--cluster', 'prod'),
    bed.h2.start(CURRENT, '--cluster', 'prod'),
    machineHost.start(CURRENT),
  ]);
  const cluster = await startCluster(undo, bed.address);
  const { cable, kube } = cluster;
  const shop = await kube.get<KubeObject>(NAMESPACES, { name: 'shop' });
  const given = [{ uid: shop.metadata.uid, ...PROJECT }];
  await cable.create('kubernetes_cluster', { name: 'prod', namespace_projects: given });
  const { front, group } = await createProject(cluster);
  cluster.control('a');
  for (const { name, underlay } of [bed.h1, bed.h2]) {
    await kube.create(NODES, { metadata: { name } });
    await kube.patch(NODES, { name }, { status: { addresses: [{ type: 'InternalIP', address: underlay }] } }, 'status');
  }

  // Ports of VM and machine by Neutron's door; pods by their annotations.
  const port = (network: string, more: object): Promise<PortView> =>
    cable.create('port', { network_id: network, security_groups: [group], ...PROJECT, ...more });
  const nova = { device_owner: 'compute:nova', device_id: 'b2c5a7de-0d3a-4f6d-8a4e-3c3f7f0f3f11' };
  const vm = await port(front, { ...nova, 'binding:host_id': bed.h1.name });
  const bare = { device_owner: 'baremetal:none', 'binding:vnic_type': 'baremetal' };
  const machine = await port(front, { ...bare, 'binding:host_id': machineHost.name });
  const annotations = (network: string, groups?: string) => ({
    'cable.io/network': network,
    ...(groups === undefined ? {} : { 'cable.io/security-groups': groups }),
  });
  const pods = {
    pod: await cluster.pod('pod', { node: bed.h2.name, annotations: annotations('front', 'web') }),
    far: await cluster.pod('far', { node: bed.h1.name, annotations: annotations('back', 'web') }),
    stranger: await cluster.pod('stranger', { node: bed.h2.name, annotations: annotations('front') }),
  };
  const ports = await cluster.ports((found) => found.size === 3);
  const hosts = { pod: bed.h2, far: bed.h1, stranger: bed.h2 };
  const network = await cable.get('network', front);
  const starting = RealMachine.start(bed.h1.name, vm, network.mtu);
  const added = names.map((name) => cni(hosts[name], 'ADD', pods[name], `c-${name}`, netns(name)));
  assert.deepEqual(
    (await Promise.all(added)).map(({ code }) => code),
    [0, 0, 0],
  );
  const qemu = await starting;
  undo.push(() => qemu.end());
  assert.match(await qemu.run('ip -4 addr show eth0'), new RegExp(` ${addressOf(vm)}/24`), 'by its lease');
  await qemu.run(`nc -ll -p ${PORT} -e echo vm > /dev/null 2>&1 &`);
  for (const name of names) undo.push(serve(netns(name), PORT, name, 4));
  undo.push(serve(machineHost.name, PORT, 'machine', 4));
  const link = `cb${machine.id.slice(0, 11)}`;
  await eventually('the machine has its link', () => machineHost.links().includes(link));
  // It has a default route of its own: that Services are by its port it is told.
  ip('-n', machineHost.name, 'route', 'add', '10.96.0.0/12', 'via', '10.50.0.1', 'dev', link);

  // In one subnet, and across the router: each reaches each, by one rule that names their group.
  const addresses: Readonly<Record<string, string>> = {
    ...{ vm: addressOf(vm), machine: addressOf(machine) },
    ...{ pod: addressOf(ports.get('pod')), far: addressOf(ports.get('far')) },
  };
  const askers: Readonly<Record<string, (address: string, port: number) => Promise<string>>> = {
    vm: (address, at) => qemu.ask(address, at),
    machine: (address, at) => ask(machineHost.name, address, at),
    pod: (address, at) => ask(netns('pod'), address, at),
    far: (address, at) => ask(netns('far'), address, at),
  };
  for (const [from, asks] of Object.entries(askers))
    for (const [to, address] of Object.entries(addresses)) {
      if (to !== from) await eventually(`${from} reaches ${to}`, async () => (await asks(address, PORT)) === to);
    }
  for (const [to, address] of Object.entries(addresses))
    assert.equal(await ask(netns('stranger'), address, PORT, 1), 'silence', `who is not of the group reaches ${to}`);
  assert.equal(await qemu.ask(addressOf(ports.get('stranger')), PORT), 'stranger', 'a pod without groups lets all in');

  // One Service with a pod and the VM as members: kubelet's controller writes the one, an operator the other.
  const metadata = { name: 'web', namespace: 'shop' };
  const served = [{ name: '', protocol: 'TCP', port: 80 }];
  await kube.create(SERVICES, {
    metadata,
    spec: { clusterIP: SERVICE, clusterIPs: [SERVICE], ports: served },
  } as KubeObject);
  const leg = await until(
    () => cable.list('port', { device_owner: 'kubernetes:leg', device_id: `${pods.pod.metadata.uid}:eth0` }),
    (found) => found.length === 1,
  );
  const slice = (name: string, endpoint: object): Promise<KubeObject> => {
    const labels = { 'kubernetes.io/service-name': 'web' };
    const body = { addressType: 'IPv4', ports: [{ name: '', protocol: 'TCP', port: PORT }], endpoints: [endpoint] };
    return kube.create(SLICES, { metadata: { ...metadata, name, labels }, ...body } as KubeObject);
  };
  const targetRef = { kind: 'Pod', name: 'pod', namespace: 'shop' };
  await slice('web-pods', {
    addresses: [addressOf(leg[0])],
    nodeName: bed.h2.name,
    conditions: { ready: true },
    targetRef,
  });
  await slice('web-vms', { addresses: [addresses['vm']], conditions: { ready: true } });
  for (const [from, asks] of Object.entries(askers)) {
    const met = new Set<string>();
    await eventually(`${from} meets both members`, async () => {
      met.add(await asks(SERVICE, 80));
      return met.has('pod') && met.has('vm');
    });
    met.delete('silence');
    met.delete('refused');
    met.delete('');
    assert.deepEqual(met, new Set(['pod', 'vm']), from);
  }
});
