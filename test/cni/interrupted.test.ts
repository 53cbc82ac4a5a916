/**
 * Agents, and in the plain mode servers, that are killed in the middle of many ADDs. What is left goes with the next start, ADD, DEL or GC, and nothing stays: no link, no port.
 * CABLE_KILLS: how often, in each mode; default 4.
 */
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { test } from 'node:test';
import { sleep } from '@cable/kit';
import { ofAll } from '@cable/kit/testing';
import { CURRENT } from '../versions/previous-version.ts';
import { CLUSTER, type CniNode, linksIn, type Mode, startNode } from './cni-node.ts';

const KILLS = Number(process.env['CABLE_KILLS'] ?? ofAll(2, 4));
const PODS = 6;

for (const mode of ['cluster', 'plain'] as const) {
  test(`nothing leaks, and ADD succeeds again, when ADDs are interrupted (${mode})`, async (t) => {
    const node = await startNode(t, `kill-${mode}`, mode, PODS);
    const tookMs = await timeOfAdds(node);
    let interrupted = 0;
    for (let round = 0; round < KILLS; round += 1) {
      const container = `r${round}`;
      const adding = node.pods.map((pod) => node.call('ADD', pod, container));
      await killWithin(tookMs, node, mode, round);
      for (const { code, json } of await Promise.all(adding)) {
        assert.ok(code === undefined || code === 11, JSON.stringify(json));
        if (code === 11) interrupted += 1;
      }
      assert.ok(!node.links().some((name) => name.startsWith('cn')), 'nothing in the making is left after the start');
      if (round % 2 === 0) await addAgain(node, container);
      else await forgetHalf(node, container);
      assert.deepEqual(node.links(), []);
      for (const pod of node.pods) assert.deepEqual(linksIn(pod), []);
      assert.equal(await node.ports(), mode === 'cluster' ? PODS : 0);
    }
    t.diagnostic(`${interrupted} of ${KILLS * PODS} ADDs were interrupted, within ${tookMs} ms`);
  });
}

/** Of all of them together, without a fault; ms. */
async function timeOfAdds(node: CniNode): Promise<number> {
  const startedAt = performance.now();
  await Promise.all(node.pods.map((pod) => node.callUntilDone('ADD', pod, 'first')));
  const tookMs = Math.ceil(performance.now() - startedAt);
  await Promise.all(node.pods.map((pod) => node.callUntilDone('DEL', pod, 'first')));
  return tookMs;
}

/** A server that is killed as well comes back after the agent, or before it. */
async function killWithin(ms: number, { bed }: CniNode, mode: Mode, round: number): Promise<void> {
  const withServer = mode === 'plain' && round % 2 === 1;
  await sleep(randomInt(ms));
  await Promise.all([bed.h1.end('SIGKILL'), ...(withServer ? [bed.killServer()] : [])]);
  const starts = [() => bed.h1.start(CURRENT, ...CLUSTER), ...(withServer ? [() => bed.startServer(CURRENT)] : [])];
  if (round % 4 === 1) starts.reverse();
  for (const start of starts) await start();
}

/** The runtime tries again, with the same container. */
async function addAgain(node: CniNode, container: string): Promise<void> {
  await Promise.all(node.pods.map((pod) => node.callUntilDone('ADD', pod, container)));
  assert.equal(node.links().length, PODS);
  for (const pod of node.pods) assert.deepEqual(linksIn(pod), ['eth0']);
  assert.equal(await node.ports(), PODS);
  await Promise.all(node.pods.map((pod) => node.callUntilDone('DEL', pod, container)));
}

/** The runtime deletes some, and knows nothing of the others. */
async function forgetHalf(node: CniNode, container: string): Promise<void> {
  await Promise.all(node.pods.slice(0, PODS / 2).map((pod) => node.callUntilDone('DEL', pod, container)));
  const [any] = node.pods;
  assert.ok(any);
  await node.callUntilDone('GC', any, container, { 'cni.dev/valid-attachments': [] });
}
