/** One network of OpenStack and Kubernetes, as `test/kubernetes/one-network.test.ts` has it, with pods that kubelets run. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createClient } from '@cable/api';
import type { PortView } from '@cable/model';
import { createProject, PORT, PROJECT } from '../kubernetes/one-project.ts';
import { RealMachine } from '../kubernetes/real-machine.ts';
import { addressOf, ask } from '../kubernetes/sandboxes.ts';
import { until } from '../kubernetes/world.ts';
import { eventually } from '../versions/program.ts';
import { linksOf, serveOn, startCableHost } from './cable-host.ts';
import { IMAGE } from './images.ts';
import type { LinkedHost, RealCluster } from './real-cluster.ts';

const NAMESPACE = 'mixed';
const PODS = ['pod', 'far', 'stranger'] as const;

function podObject(name: string, nodeName: string, annotations: object): object {
  const script = `exec nc -ll -p ${PORT} -e echo ${name}`;
  const container = { name: 'main', image: IMAGE, imagePullPolicy: 'Never', command: ['/bin/sh', '-c', script] };
  return {
    ...{ apiVersion: 'v1', kind: 'Pod' },
    metadata: { name, namespace: NAMESPACE, labels: { app: name }, annotations },
    spec: { nodeName, terminationGracePeriodSeconds: 0, containers: [container] },
  };
}

/**
 * A VM (a real machine under QEMU) on the first node, pods of both and a physical machine, in one subnet and across a router, with one rule by group, and a Service with a pod and the VM as members.
 * `machineHost`: has an agent of its own then. `undo`: what is to be done in the end.
 */
export async function checkOneNetwork(
  cluster: RealCluster,
  machineHost: LinkedHost,
  undo: (() => unknown)[],
): Promise<void> {
  const [first, second] = cluster.nodes;
  assert.ok(first !== undefined && second !== undefined);
  const transport = await cluster.cable();
  undo.push(() => transport.close());
  const cable = createClient({ transport });
  await startCableHost(machineHost, cluster.cableUrl, cable);
  const kubectl = (...args: readonly string[]): Promise<string> => cluster.kubectl(['-n', NAMESPACE, ...args]);
  await cluster.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } });
  const uid = await kubectl('get', 'namespace', NAMESPACE, '-o', 'jsonpath={.metadata.uid}');
  await cable.update('kubernetes_cluster', 'prod', { namespace_projects: [{ uid, ...PROJECT }] });
  // One that runs looks at it every five minutes.
  const controllers = ['-n', 'kube-system', 'deployment/cable-controller'];
  await cluster.kubectl(['rollout', 'restart', ...controllers]);
  await cluster.kubectl(['rollout', 'status', ...controllers, '--timeout=120s']);
  const { front, group } = await createProject({ cable });

  // Ports of VM and machine by Neutron's door; pods by their annotations.
  const port = (more: object): Promise<PortView> =>
    cable.create('port', { network_id: front, security_groups: [group], ...PROJECT, ...more });
  const nova = { device_owner: 'compute:nova', device_id: 'b2c5a7de-0d3a-4f6d-8a4e-3c3f7f0f3f11' };
  const vm = await port({ ...nova, 'binding:host_id': first.name });
  const bare = { device_owner: 'baremetal:none', 'binding:vnic_type': 'baremetal' };
  const machine = await port({ ...bare, 'binding:host_id': machineHost.name });
  const starting = RealMachine.start(first.name, vm, (await cable.get('network', front)).mtu, first.beside);
  const web = { 'cable.io/security-groups': 'web' };
  await cluster.apply(
    podObject('pod', second.name, { 'cable.io/network': 'front', ...web }),
    podObject('far', first.name, { 'cable.io/network': 'back', ...web }),
    podObject('stranger', second.name, { 'cable.io/network': 'front' }),
  );
  const qemu = await starting;
  undo.push(() => qemu.end());
  assert.match(await qemu.run('ip -4 addr show eth0'), new RegExp(` ${addressOf(vm)}/24`), 'by its lease');
  await qemu.run(`nc -ll -p ${PORT} -e echo vm > /dev/null 2>&1 &`);
  try {
    await kubectl('wait', '--for=condition=Ready', 'pod', ...PODS, '--timeout=120s');
  } catch (cause) {
    throw new Error(`the pods are not ready:\n${await kubectl('describe', 'pods')}`, { cause });
  }
  const ports = await until(
    () => cable.list('port', { device_owner: 'kubernetes:pod', ...PROJECT }),
    (found) => found.length === PODS.length,
  );
  const ofPod = (name: string): string => addressOf(ports.find((one) => one.name === name));
  serveOn(machineHost, PORT, 'machine');
  const link = `cb${machine.id.slice(0, 11)}`;
  await eventually('the machine has its link', () => linksOf(machineHost.name).includes(link));
  // It has a default route of its own: that Services are by its port it is told.
  const services = ['10.96.0.0/12', 'via', '10.50.0.1', 'dev', link];
  execFileSync('ip', ['-n', machineHost.name, 'route', 'add', ...services]);

  // In one subnet, and across the router: each reaches each, by one rule that names their group.
  const addresses: Readonly<Record<string, string>> = {
    ...{ vm: addressOf(vm), machine: addressOf(machine), pod: ofPod('pod'), far: ofPod('far') },
  };
  const byPod =
    (name: string, seconds = 3) =>
    async (address: string, at: number): Promise<string> => {
      const line = `timeout ${seconds} nc ${address} ${at} < /dev/null || true`;
      return (await kubectl('exec', name, '--', 'sh', '-c', line)).trim();
    };
  const askers: Readonly<Record<string, (address: string, at: number) => Promise<string>>> = {
    vm: (address, at) => qemu.ask(address, at),
    machine: (address, at) => ask(machineHost.name, address, at),
    ...{ pod: byPod('pod'), far: byPod('far') },
  };
  for (const [from, asks] of Object.entries(askers))
    for (const [to, address] of Object.entries(addresses))
      if (to !== from) await eventually(`${from} reaches ${to}`, async () => (await asks(address, PORT)) === to);
  for (const [to, address] of Object.entries(addresses))
    assert.equal(await byPod('stranger', 1)(address, PORT), '', `who is not of the group reaches ${to}`);
  assert.equal(await qemu.ask(ofPod('stranger'), PORT), 'stranger', 'a pod without groups lets all in');

  // One Service with a pod and the VM as members: Kubernetes' own controller writes the one, an operator the other.
  const served = { name: 'tcp', port: 80, targetPort: PORT };
  await cluster.apply(
    {
      ...{ apiVersion: 'v1', kind: 'Service', metadata: { name: 'web', namespace: NAMESPACE } },
      spec: { selector: { app: 'pod' }, ports: [served] },
    },
    {
      ...{ apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice', addressType: 'IPv4' },
      metadata: { name: 'web-vms', namespace: NAMESPACE, labels: { 'kubernetes.io/service-name': 'web' } },
      ports: [{ name: 'tcp', protocol: 'TCP', port: PORT }],
      endpoints: [{ addresses: [addresses['vm']], conditions: { ready: true } }],
    },
  );
  const address = await kubectl('get', 'service', 'web', '-o', 'jsonpath={.spec.clusterIP}');
  for (const [from, asks] of Object.entries(askers)) {
    const met = new Set<string>();
    await eventually(`${from} meets both members`, async () => {
      met.add(await asks(address, 80));
      return met.has('pod') && met.has('vm');
    });
    for (const one of ['silence', 'refused', '']) met.delete(one);
    assert.deepEqual(met, new Set(['pod', 'vm']), from);
  }
  await cluster.kubectl(['delete', 'namespace', NAMESPACE, '--timeout=120s']);
}
