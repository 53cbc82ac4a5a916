import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KubeMeta } from '@cable/kube';
import { type PodFacts, podFacts } from './pod-facts.ts';
import { holderOf, type Instance, instanceFacts, instanceOf, machineKeyOf, ownerOf } from './virtual-machines.ts';

const VMI = { apiVersion: 'kubevirt.io/v1', kind: 'VirtualMachineInstance', name: 'db', uid: 'i1', controller: true };

function launcher(name: string, node: string, owner: object = VMI): PodFacts {
  const metadata = { name, namespace: 'shop', uid: `uid-${name}`, ownerReferences: [owner] } as unknown as KubeMeta;
  return podFacts({ metadata, spec: { nodeName: node } });
}

function facts(status: Instance['status'], owner: object = { ...VMI, kind: 'VirtualMachine', uid: 'm1' }) {
  const metadata = { name: 'db', namespace: 'shop', uid: 'i1', ownerReferences: [owner] } as unknown as KubeMeta;
  return instanceFacts({ metadata, ...(status === undefined ? {} : { status }) });
}

test('a pod of a VirtualMachineInstance is a launcher of the machine of that name', () => {
  assert.equal(machineKeyOf(launcher('a', 'n1')), 'shop/db');
  for (const other of [{ apiVersion: 'apps/v1' }, { kind: 'VirtualMachine' }, { controller: false }])
    assert.equal(machineKeyOf(launcher('a', 'n1', { ...VMI, ...other })), undefined);
  assert.equal(machineKeyOf(undefined), undefined);
});

test('ports are of the VirtualMachine, and of an instance that nothing makes anew', () => {
  assert.deepEqual(ownerOf('shop/db', facts({})), { kind: 'VirtualMachine', key: 'shop/db', uid: 'm1' });
  const bare = { kind: 'VirtualMachineInstance', key: 'shop/db', uid: 'i1' };
  assert.deepEqual(ownerOf('shop/db', facts({}, { ...VMI, kind: 'VirtualMachineInstanceReplicaSet' })), bare);
});

test('the ports are of the pod in which the guest runs, as its instance says it, in old words and new', () => {
  const [source, target] = [launcher('source', 'n1'), launcher('target', 'n2')];
  const holder = (status: Instance['status'], current: string | undefined = source.runtimeUid) =>
    holderOf(facts(status), [source, target], current)?.name;
  const move = { targetPod: 'target' };
  const at = '2026-01-01T00:00:00Z';
  assert.equal(holder({ nodeName: 'n1', migrationState: move }), 'source');
  assert.equal(holder({ nodeName: 'n1', migrationState: null }), 'source');
  assert.equal(holder({ nodeName: 'n1', migrationState: { ...move, targetNodeDomainReadyTimestamp: null } }), 'source');
  assert.equal(holder({ nodeName: 'n1', migrationState: { ...move, targetNodeDomainReadyTimestamp: at } }), 'target');
  assert.equal(holder({ nodeName: 'n2', migrationState: move }), 'target', 'before KubeVirt 1.0');
  assert.equal(holder({ nodeName: 'n2', migrationState: { ...move, completed: true } }), 'target');
  const failed = { ...move, targetNodeDomainReadyTimestamp: at, completed: true, failed: true };
  assert.equal(holder({ nodeName: 'n1', migrationState: failed }), 'source');
  // One that has moved before moves on, and nothing of the new move is written yet.
  assert.equal(holder({ nodeName: 'n1', migrationState: { targetPod: 'gone', completed: true } }), 'source');
  assert.equal(holder({}, target.runtimeUid), 'target', 'nothing is said: who has them keeps them');
  assert.equal(holder({}, 'nobody'), undefined);
  assert.equal(holderOf(facts({}), [target], 'nobody')?.name, 'target');
});

test('an instance that is not known yet is asked for by name, and one made anew is another', async () => {
  const asked: string[] = [];
  const there: { uid: string | undefined } = { uid: 'i2' };
  const kube = {
    get: async (_kind: unknown, { name }: { readonly name: string }) => {
      asked.push(name);
      return { metadata: { name, namespace: 'shop', uid: there.uid } };
    },
  } as never;
  const known = { get: () => facts({}) };
  assert.equal((await instanceOf({ kube, instances: known }, 'shop/db', ['i1']))?.machineUid, 'm1');
  assert.deepEqual(asked, []);
  assert.equal((await instanceOf({ kube, instances: known }, 'shop/db', ['i2']))?.uid, 'i2');
  assert.equal(await instanceOf({ kube, instances: known }, 'shop/db', ['i3']), undefined);
  assert.deepEqual(asked, ['db', 'db']);
});
