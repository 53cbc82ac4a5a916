import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Candidate, inOrder, type Place, placeOf, type Sight } from './candidates.ts';

const hosts = Array.from({ length: 40 }, (_, n) => ({ host: `node-${n}`, underlay: `192.0.2.${n}` }));
const addresses = Array.from({ length: 400 }, (_, n) => `198.51.${n >> 8}.${n & 255}`);
function placeIn(order: readonly Candidate[], self: string, sight: Sight): Place {
  return placeOf({ order, at: order.findIndex(({ host }) => host === self) }, sight);
}

const alive: Sight = () => ({ state: 'alive', may: true });
const dead: Sight = () => ({ state: 'dead', may: false });
const unknown: Sight = () => ({ state: 'unknown', may: false });

test('the order is the same however hosts are listed, and hosts share the addresses', () => {
  const count = new Map<string, number>();
  for (const address of addresses) {
    const [first] = inOrder(address, hosts);
    assert.equal(inOrder(address, [...hosts].reverse())[0], first);
    count.set(first?.host ?? '', (count.get(first?.host ?? '') ?? 0) + 1);
  }
  assert.ok(Math.max(...count.values()) <= 30, `one host has ${Math.max(...count.values())} of 400 addresses`);
  assert.ok(count.size >= 38, `${count.size} of 40 hosts have any`);
});

test('a host that goes moves its own addresses alone', () => {
  const [gone, ...left] = hosts;
  for (const address of addresses) {
    const [before] = inOrder(address, hosts);
    const [after] = inOrder(address, left);
    if (before?.host !== gone?.host) assert.equal(after, before);
  }
});

test('a host is the first when all before it are dead or announce no such addresses, and not while one of them is unknown', () => {
  const order = hosts.slice(0, 4);
  assert.deepEqual(placeIn(order, 'node-0', unknown), { isFirst: true, isNear: true, ask: [] });
  assert.equal(placeIn(order, 'node-2', dead).isFirst, true);
  assert.equal(placeIn(order, 'node-2', () => ({ state: 'alive', may: false })).isFirst, true);
  assert.equal(placeIn(order, 'node-2', unknown).isFirst, false);
  assert.equal(placeIn(order, 'node-2', alive).isFirst, false);
  const second: Sight = (one) => (one === '192.0.2.1' ? alive(one) : dead(one));
  assert.equal(placeIn(order, 'node-2', second).isFirst, false);
  const unheard = order.map((one) => ({ ...one, underlay: undefined }));
  assert.equal(placeIn(unheard, 'node-3', unknown).isFirst, true, 'who has not registered is not there');
});

test('those near behind ask all before them, others one that lives, and more at once the more are dead', () => {
  assert.equal(placeIn(hosts, 'node-3', alive).ask.length, 3);
  assert.deepEqual(placeIn(hosts, 'node-30', alive).ask, ['192.0.2.0']);
  assert.deepEqual(placeIn(hosts, 'node-30', unknown).ask, ['192.0.2.0']);
  // All before the last are dead, and it finds that out in few steps.
  const found = new Set<string>();
  let rounds = 0;
  for (; rounds < 20; rounds++) {
    const { isFirst, ask } = placeIn(hosts, 'node-39', (one) => (found.has(one) ? dead(one) : unknown(one)));
    if (isFirst) break;
    for (const one of ask) found.add(one);
  }
  assert.ok(rounds <= 7, `${rounds} steps`);
});
