/** How often what holds up a port of a pod is looked at. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ApiError, type Client } from '@cable/api';
import { silentLogger } from '@cable/kit';
import { KubeError } from '@cable/kube';
import { PoolTurns } from './ip-pool.ts';
import { type PodFacts, podFacts } from './pod-facts.ts';
import { type PodsDeps, reconcilePod } from './pods.ts';
import { PortBook } from './port-book.ts';
import { Refusals } from './refusals.ts';
import { Waits } from './waits.ts';

const KEY = 'shop/web';

const POD: PodFacts = podFacts({
  metadata: { namespace: 'shop', name: 'web', uid: 'u1' },
  spec: { nodeName: 'node-1' },
});

/** A pod, or none, with ports of these interfaces, of which some are plugged. */
function bed(interfaces: readonly string[], pod?: PodFacts) {
  const plugged = new Set(interfaces.map((one) => `port-${one}`));
  const book = new PortBook('prod');
  for (const one of interfaces) {
    book.keep({
      ...{ id: `port-${one}`, project_id: 'prod.shop', network_id: 'net', security_groups: [], qos_policy_id: null },
      ...{ device_owner: 'kubernetes:pod', device_id: `u1:${one}`, 'binding:host_id': 'node-1' },
      ...{ 'cable:origin': `Pod/${KEY}/u1`, 'cable:namespace': 'prod/shop', 'cable:labels': [] },
      ...{
        'cable:named_ports': [],
        'cable:default_route': null,
        'cable:zone': '',
        'cable:announces': true,
        fixed_ips: [],
      },
      ...{ port_security_enabled: true, allowed_address_pairs: [] },
    });
  }
  const waited: number[] = [];
  const client = {
    delete: async (_type: string, id: string) => {
      if (plugged.has(id)) throw new ApiError(409, 'PortStillPlugged', 'it is plugged', '');
    },
  } as unknown as Client;
  const deps = {
    cable: { own: client, as: () => client },
    kube: {
      get: async () => {
        throw new KubeError(404, 'NotFound', 'it is not there');
      },
    },
    ...{
      pods: { get: () => pod },
      sets: { get: () => undefined },
      book,
      cluster: 'prod',
      arePoliciesSettled: () => true,
      isOfMachine: () => false,
    },
    ...{ turns: new PoolTurns(), events: { well: () => {} }, refusals: new Refusals(), waits: new Waits() },
    ...{ rates: { idOf: async () => null }, mirrors: { ensure: async () => {}, forget: () => {} } },
    ...{ again: (_key: string, ms: number) => waited.push(ms), log: silentLogger() },
  } as unknown as PodsDeps;
  const look = async (times: number): Promise<readonly number[]> => {
    waited.length = 0;
    for (let n = 0; n < times; n += 1) await reconcilePod(deps, KEY);
    return [...waited];
  };
  return { book, plugged, deps, look };
}

test('a port whose node keeps it plugged is looked at every second, and later every minute', async () => {
  // Of a pod that is gone, and of a running one that has an interface less.
  for (const [interfaces, pod] of [
    [['eth0'], undefined],
    [['eth0', 'net1'], POD],
  ] as const) {
    const { book, plugged, look } = bed(interfaces, pod);
    const waited = await look(20);
    assert.deepEqual(waited.slice(0, 10), Array(10).fill(1000));
    assert.deepEqual(waited.slice(10), [2000, 4000, 8000, 16_000, 32_000, ...Array(5).fill(60_000)]);
    plugged.clear();
    await look(1);
    assert.deepEqual(
      book.of('Pod', KEY).map(({ id }) => id),
      pod === undefined ? [] : ['port-eth0'],
    );
  }
});

test('when the pod ends its ports are looked at every second again', async () => {
  const { deps, look } = bed(['eth0', 'net1'], POD);
  assert.equal((await look(20)).at(-1), 60_000);
  Object.assign(deps.pods, { get: () => undefined });
  assert.deepEqual(await look(2), [1000, 1000]);
});
