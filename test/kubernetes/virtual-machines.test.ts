/** Virtual machines of KubeVirt, by a controller between a real server and the double of Kubernetes' API server. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sleep } from '@cable/kit';
import type { KubeObject } from '@cable/kube';
import type { PortView } from '@cable/model';
import {
  EVENTS,
  ownersOf,
  PODS,
  startWorld,
  until,
  VIRTUAL_MACHINE_INSTANCES,
  VIRTUAL_MACHINES,
  type World,
} from './world.ts';

const SHOP = { namespace: 'shop' };

/** A machine, as KubeVirt has it. */
class Machine {
  readonly #world: World;
  readonly #name: string;
  #owner: KubeObject | undefined;

  constructor(world: World, name: string) {
    this.#world = world;
    this.#name = name;
  }

  /** A VirtualMachine, which makes instances. */
  async create(): Promise<string> {
    this.#owner = await this.#world.kube.create<KubeObject>(VIRTUAL_MACHINES, {
      metadata: { ...SHOP, name: this.#name },
    });
    return uidOf(this.#owner);
  }

  /** An instance of its name, and a pod for that. */
  async start(launcher: string, node: string, annotations: Readonly<Record<string, string>> = {}) {
    const owners = ownersOf('kubevirt.io/v1', 'VirtualMachine', this.#owner);
    const metadata = { ...SHOP, name: this.#name, ...(owners === undefined ? {} : { ownerReferences: owners }) };
    const given = { metadata, status: {} } as KubeObject;
    const instance = await this.#world.kube.create<KubeObject>(VIRTUAL_MACHINE_INSTANCES, given);
    return { instance, launched: await this.#world.pod(launcher, { node, instance, annotations }) };
  }

  /** Where the guest is. */
  async say(status: object): Promise<void> {
    await this.#world.kube.patch(VIRTUAL_MACHINE_INSTANCES, { ...SHOP, name: this.#name }, { status });
  }

  async delete(kind: typeof VIRTUAL_MACHINES): Promise<void> {
    await this.#world.kube.delete(kind, { ...SHOP, name: this.#name });
  }

  async port(holds: (port: PortView | undefined) => boolean = (port) => port !== undefined): Promise<PortView> {
    return (await this.#world.ports((found) => holds(found.get(this.#name)))).get(this.#name) as PortView;
  }
}

const uidOf = ({ metadata }: KubeObject): string => metadata.uid ?? '';

/** Of a port that is the same whatever becomes of its machine. */
const identity = ({ id, fixed_ips: addresses, mac_address: mac }: PortView) => ({ id, addresses, mac });

test('ports of virtual machines', async (t) => {
  const world = await startWorld(t, { hasKubeVirt: true });
  const { kube, cable } = world;
  let controller = world.control('a');
  for (const name of ['node-1', 'node-2', 'node-3']) await world.node(name);

  await t.test('a machine has its port whenever it is started, on whatever node, until it is deleted', async () => {
    const machine = new Machine(world, 'db');
    const uid = await machine.create();
    const { launched } = await machine.start('virt-launcher-db-1', 'node-1');
    const port = await machine.port();
    assert.equal(port['cable:origin'], `VirtualMachine/shop/db/${uid}`);
    assert.deepEqual([port.device_id, port['binding:host_id']], [`${uidOf(launched)}:eth0`, 'node-1']);
    await world.plugged('node-1', port.id, 'up');
    // It is stopped, and started elsewhere, while what it had is on its node still.
    await machine.delete(VIRTUAL_MACHINE_INSTANCES);
    const again = await machine.start('virt-launcher-db-2', 'node-2');
    await sleep(500);
    assert.equal((await machine.port())['binding:host_id'], 'node-1');
    await kube.delete(PODS, { ...SHOP, name: 'virt-launcher-db-1' });
    await world.plugged('node-1', port.id, 'down');
    const moved = await machine.port((one) => one?.['binding:host_id'] === 'node-2');
    assert.deepEqual(identity(moved), identity(port));
    assert.equal(moved.device_id, `${uidOf(again.launched)}:eth0`);
    // Nothing of it is there meanwhile: instance and pod deleted, no controller.
    await controller.stop();
    await machine.delete(VIRTUAL_MACHINE_INSTANCES);
    await kube.delete(PODS, { ...SHOP, name: 'virt-launcher-db-2' });
    controller = world.control('b');
    await sleep(1500);
    assert.equal((await machine.port()).id, port.id);
    // Another machine of the name is another.
    await machine.delete(VIRTUAL_MACHINES);
    await machine.create();
    await machine.port((one) => one === undefined);
    await machine.start('virt-launcher-db-3', 'node-1');
    assert.notEqual((await machine.port()).id, port.id);
  });

  await t.test('an instance that nothing makes anew keeps its port as long as it is there', async () => {
    const machine = new Machine(world, 'bare');
    const { instance } = await machine.start('virt-launcher-bare-1', 'node-1');
    const port = await machine.port();
    assert.equal(port['cable:origin'], `VirtualMachineInstance/shop/bare/${uidOf(instance)}`);
    await kube.patch(PODS, { ...SHOP, name: 'virt-launcher-bare-1' }, { status: { phase: 'Failed' } }, 'status');
    await sleep(1000);
    assert.equal((await machine.port()).id, port.id);
    await machine.delete(VIRTUAL_MACHINE_INSTANCES);
    await machine.port((one) => one === undefined);
  });

  await t.test(
    'one that moves keeps it: its second pod is prepared, has it when the guest is there, and not if that fails',
    async () => {
      const machine = new Machine(world, 'web');
      await machine.create();
      const { instance, launched: source } = await machine.start('virt-launcher-web-1', 'node-1');
      const port = await machine.port();
      await machine.say({ nodeName: 'node-1' });
      await world.plugged('node-1', port.id, 'up');
      const on = (pod: KubeObject, node: string, status: string): string => `${node} ${status} ${uidOf(pod)}:eth0`;
      const bindings = async (): Promise<readonly string[]> => {
        const answer = await cable.action('port', port.id, 'get_port_bindings');
        const { device_id: device } = await cable.get('port', port.id);
        return (answer as { readonly bindings: readonly Binding[] }).bindings.map(
          ({ host, status, profile }) => `${host} ${status} ${status === 'ACTIVE' ? device : profile.device_id}`,
        );
      };
      const holds = (...wanted: readonly string[]) =>
        until(bindings, (found) => found.length === wanted.length && wanted.every((one) => found.includes(one)));
      const launch = (name: string, node: string) => world.pod(name, { node, instance });
      const end = (name: string) => kube.patch(PODS, { ...SHOP, name }, { status: { phase: 'Failed' } }, 'status');

      // The first try fails.
      const lost = await launch('virt-launcher-web-2', 'node-2');
      await holds(on(source, 'node-1', 'ACTIVE'), on(lost, 'node-2', 'INACTIVE'));
      await world.plugged('node-2', port.id, 'up');
      await machine.say({ migrationState: { targetPod: 'virt-launcher-web-2', failed: true, completed: true } });
      await end('virt-launcher-web-2');
      await world.plugged('node-2', port.id, 'down');
      await holds(on(source, 'node-1', 'ACTIVE'));

      const target = await launch('virt-launcher-web-3', 'node-3');
      await holds(on(source, 'node-1', 'ACTIVE'), on(target, 'node-3', 'INACTIVE'));
      await world.plugged('node-3', port.id, 'up');
      const migrationState = { targetPod: 'virt-launcher-web-3', failed: false, completed: false };
      const ready = { targetNodeDomainReadyTimestamp: new Date(0).toISOString() };
      await machine.say({ migrationState: { ...migrationState, ...ready } });
      await holds(on(target, 'node-3', 'ACTIVE'), on(source, 'node-1', 'INACTIVE'));
      // What is plugged at the source keeps its binding, by which packets for the guest are sent on, until it is unplugged.
      await machine.say({ nodeName: 'node-3', migrationState: { ...migrationState, ...ready, completed: true } });
      await end('virt-launcher-web-1');
      await sleep(1000);
      await holds(on(target, 'node-3', 'ACTIVE'), on(source, 'node-1', 'INACTIVE'));
      await world.plugged('node-1', port.id, 'down');
      await holds(on(target, 'node-3', 'ACTIVE'));
      assert.deepEqual(identity(await machine.port()), identity(port));
      const { items } = await kube.list(EVENTS, SHOP);
      assert.deepEqual(items, []);
    },
  );

  await t.test('a machine that is started again has what its template asks for by now', async () => {
    const machine = new Machine(world, 'cache');
    await machine.create();
    const network = await cable.create('network', { name: 'lan', project_id: 'prod.shop' });
    await cable.create('subnet', { network_id: network.id, cidr: '10.7.0.0/24', project_id: 'prod.shop' });
    let launchers = 0;
    const restart = async (annotations: Readonly<Record<string, string>>): Promise<PortView> => {
      if (launchers > 0) {
        await machine.delete(VIRTUAL_MACHINE_INSTANCES);
        await kube.delete(PODS, { ...SHOP, name: `virt-launcher-cache-${launchers}` });
      }
      launchers += 1;
      const { launched } = await machine.start(`virt-launcher-cache-${launchers}`, 'node-1', annotations);
      const isIts = (one: PortView | undefined) => one?.device_id.startsWith(`${uidOf(launched)}:`) === true;
      return await machine.port(isIts);
    };
    const port = await restart({});
    const same = await restart({});
    assert.deepEqual(identity(same), identity(port));
    const changed = await restart({ 'cable.io/ip-address': '10.244.3.3', 'cable.io/mac-address': '02:00:00:00:03:03' });
    const is = [changed.id, changed.fixed_ips[0]?.ip_address, changed.mac_address];
    assert.deepEqual(is, [port.id, '10.244.3.3', '02:00:00:00:03:03']);
    const moved = await restart({ 'cable.io/network': 'lan' });
    assert.equal(moved.network_id, network.id);
    await until(
      () => cable.list('port', { name: 'cache', device_owner: 'kubernetes:pod' }),
      (found) => found.length === 1 && found[0]?.id === moved.id,
    );
    await machine.delete(VIRTUAL_MACHINE_INSTANCES);
    await kube.delete(PODS, { ...SHOP, name: `virt-launcher-cache-${launchers}` });
    await machine.delete(VIRTUAL_MACHINES);
    await machine.port((one) => one === undefined);
  });
});

type Binding = { readonly host: string; readonly status: string; readonly profile: { readonly device_id?: string } };
