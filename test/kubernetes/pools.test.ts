/** Addresses that pods ask for: of one version of IP, and of pools, by a controller between a real server and the double of Kubernetes' API server. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KubeObject } from '@cable/kube';
import type { PortView } from '@cable/model';
import { EVENTS, PODS, STATEFUL_SETS, startWorld, until, type World } from './world.ts';

type Event = KubeObject & {
  readonly involvedObject: { readonly name: string };
  readonly message: string;
  readonly reason: string;
};

const addressesOf = (port: PortView | undefined): readonly string[] =>
  port?.fixed_ips.map(({ ip_address: address }) => address) ?? [];

function told({ kube }: World, pod: string, reason: string): Promise<string> {
  const look = async (): Promise<string> => {
    const { items } = await kube.list<Event>(EVENTS, { namespace: 'shop' });
    return items.find((one) => one.involvedObject.name === pod && one.reason === reason)?.message ?? '';
  };
  return until(look, (text) => text !== '');
}

test('pods have places of a pool as long as there are free ones; a StatefulSet’s by ordinal; one version asked for brings the other', async (t) => {
  const world = await startWorld(t);
  const { kube } = world;
  world.control('a', { podCidrs: ['10.244.0.0/16', 'fd00:10:244::/64'] });
  await world.node('node-1');
  const pod = (name: string, annotations: Readonly<Record<string, string>>, set?: KubeObject) =>
    world.pod(name, { node: 'node-1', annotations, ...(set === undefined ? {} : { set }) });
  const pool = { 'ovn.kubernetes.io/ip_pool': '10.244.1.5,10.244.1.6' };
  for (const name of ['web-a', 'web-b']) await pod(name, pool);
  await pod('old', { 'cable.io/ip-address': '10.244.1.9' });
  await pod('new', { 'cable.io/ip-address': 'fd00:10:244::9' });
  const made = await kube.create<KubeObject>(STATEFUL_SETS, {
    ...({ metadata: { name: 'db', namespace: 'shop' }, spec: { replicas: 3 } } as KubeObject),
  });
  const places = { 'cable.io/ip-pool': '10.244.2.5,fd00:10:244::2:5;10.244.2.6,fd00:10:244::2:6' };
  for (const name of ['db-1', 'db-2']) await pod(name, places, made);
  const ports = await world.ports((found) => found.size === 5);
  assert.deepEqual(['web-a', 'web-b'].map((name) => addressesOf(ports.get(name))[0]).sort(), [
    '10.244.1.5',
    '10.244.1.6',
  ]);
  for (const [, port] of ports)
    assert.deepEqual(
      addressesOf(port).map((one) => one.includes(':')),
      [false, true],
      'one of each version, the first prefix’s first',
    );
  assert.equal(addressesOf(ports.get('old'))[0], '10.244.1.9');
  assert.equal(addressesOf(ports.get('new'))[1], 'fd00:10:244::9');
  assert.deepEqual(addressesOf(ports.get('db-1')), ['10.244.2.6', 'fd00:10:244::2:6']);
  assert.match(await told(world, 'db-2', 'IpPoolExhausted'), /pool cable\.io\/ip-pool .* none for the ordinal 2/);
  // What is plugged still holds its place, whoever is gone.
  const first = ports.get('web-a');
  await world.plugged('node-1', first?.id ?? '', 'up');
  await kube.delete(PODS, { namespace: 'shop', name: 'web-a' });
  await pod('web-c', pool);
  const message = await told(world, 'web-c', 'IpPoolExhausted');
  assert.match(message, /pool ovn\.kubernetes\.io\/ip_pool \(10\.244\.1\.5,10\.244\.1\.6\) is exhausted/);
  assert.match(message, /is pod shop\/web-a’s, which is gone.*is pod shop\/web-b’s/);
  await world.plugged('node-1', first?.id ?? '', 'down');
  const after = await world.ports((found) => found.has('web-c'));
  assert.equal(addressesOf(after.get('web-c'))[0], addressesOf(first)[0]);
});
