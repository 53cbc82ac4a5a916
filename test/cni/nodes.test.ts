/** Nodes whose pods are plugged by the executable: what lasts while the server is away, and when the agent is restarted. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CURRENT } from '../versions/previous-version.ts';
import { CLUSTER, ip, linksIn, startNode } from './cni-node.ts';

test('a node of a cluster works while the server is away, also after the agent was restarted', async (t) => {
  const node = await startNode(t, 'away', 'cluster', 3);
  const { bed, pods } = node;
  const [pod, second] = pods;
  assert.ok(pod && second);
  await node.callUntilDone('ADD', pod, 'old');
  await bed.stopServer();
  await bed.h1.end('SIGKILL');
  await bed.h1.start(CURRENT, ...CLUSTER);
  assert.deepEqual(await node.call('STATUS', pod, ''), { code: undefined, json: {} });

  const added = await node.call('ADD', second, 'c1');
  assert.equal(added.code, undefined, JSON.stringify(added.json));
  assert.deepEqual(await node.call('CHECK', second, 'c1', { prevResult: added.json }), { code: undefined, json: {} });
  assert.match(ip('-n', second.netns, 'route', 'show', 'default'), /via 10\.7\.0\.1 dev eth0/);

  // The runtime has made the sandbox anew; what it says of the old one comes late.
  const again = await node.call('ADD', pod, 'new');
  assert.equal(again.code, undefined, JSON.stringify(again.json));
  assert.equal((await node.call('DEL', pod, 'old')).code, undefined);
  assert.deepEqual(await node.call('CHECK', pod, 'new', { prevResult: again.json }), { code: undefined, json: {} });

  const valid = [{ containerID: `new-${pod.uid}`, ifname: 'eth0' }];
  assert.equal((await node.call('GC', pod, '', { 'cni.dev/valid-attachments': valid })).code, undefined);
  assert.deepEqual([node.links().length, linksIn(pod), linksIn(second)], [1, ['eth0'], []]);
  assert.equal((await node.call('DEL', pod, 'new')).code, undefined);
  assert.deepEqual(node.links(), []);

  await bed.h2.start(CURRENT, ...CLUSTER);
  const { code, json } = await node.call('STATUS', pod, '', { host: bed.h2 });
  assert.equal(code, 50);
  assert.match(String(json['msg']), /the server has never sent it/);
  await bed.startServer(CURRENT);
  assert.equal(await node.ports(), 3);
});

test('the bandwidth that a runtime wants of a pod is in force as long as its link, also after the agent was restarted', async (t) => {
  const node = await startNode(t, 'rate', 'plain', 1);
  const { h1 } = node.bed;
  const [pod] = node.pods;
  assert.ok(pod);
  const bandwidth = { ingressRate: 20_000_000, ingressBurst: 2 ** 32 - 1 };
  await node.callUntilDone('ADD', pod, 'c1', { runtimeConfig: { bandwidth } });
  const limits = async (): Promise<unknown> =>
    (await h1.maps('cb_meter_1')).map(({ direction, max_kbps: max }) => `${direction} ${max}`);
  assert.deepEqual(await limits(), ['ingress 20000']);
  await h1.end('SIGKILL');
  await h1.start(CURRENT, ...CLUSTER);
  await h1.inStep();
  assert.deepEqual(await limits(), ['ingress 20000']);
  await node.callUntilDone('ADD', pod, 'c1');
  assert.deepEqual(await limits(), []);
  await node.callUntilDone('DEL', pod, 'c1');
});
