import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { deleteHtbClass, ensureHtbClass, ensureHtbRoot, type HtbClass, htbClasses, htbDrops } from './htb.ts';
import { NetlinkSocket } from './socket.ts';
import { createNetns, type TestNetns } from './testing.ts';
import { ensureVeth } from './veth.ts';

let netns: TestNetns;
let socket: NetlinkSocket;
let ifindex: number;

before(() => {
  netns = createNetns();
  socket = new NetlinkSocket({ netns: netns.path });
  ifindex = ensureVeth(socket, { name: 'q0', peer: { name: 'q1' } }).link.ifindex;
});

after(() => {
  socket.close();
  netns.remove();
});

type Shown = { readonly kind?: string; readonly class?: string; readonly handle: string; readonly options?: object };

const shown = (what: 'class' | 'qdisc'): readonly Shown[] =>
  JSON.parse(netns.run('tc', '-j', what, 'show', 'dev', 'q0')) as Shown[];

const limit = (minor: number, bytesPerSecond: bigint, more: Partial<HtbClass> = {}): HtbClass => ({
  ...{ minor, bytesPerSecond, burstNs: 10_000_000n, queueBytes: 200_000 },
  ...more,
});

test('a root is made once, and is not made anew', () => {
  ensureHtbRoot(socket, ifindex);
  ensureHtbClass(socket, ifindex, limit(2, 2_500_000n));
  ensureHtbRoot(socket, ifindex);
  assert.deepEqual(htbClasses(socket, ifindex), [2]);
});

test('a class has its rate and its queue, and takes others as it is', () => {
  for (const bytesPerSecond of [2_500_000n, 125n, 1_250_000_000n, 12_500_000_000n]) {
    ensureHtbClass(socket, ifindex, limit(3, bytesPerSecond, { queueBytes: 300_000 }));
    const text = netns.run('tc', '-s', 'class', 'show', 'dev', 'q0');
    const bits = bytesPerSecond * 8n;
    const units: readonly (readonly [bigint, string])[] = [
      [1_000_000_000n, 'Gbit'],
      [1_000_000n, 'Mbit'],
      [1_000n, 'Kbit'],
    ];
    const [unit, name] = units.find(([size]) => bits >= size && bits % size === 0n) ?? [1n, 'bit'];
    assert.match(text, new RegExp(`class htb 1:3 .*rate ${bits / unit}${name} ceil ${bits / unit}${name} `));
  }
  const leaf = shown('qdisc').find(({ handle }) => handle === '3:');
  assert.deepEqual([leaf?.kind, leaf?.options], ['bfifo', { limit: 300_000 }]);
  assert.equal(htbDrops(socket, ifindex, 3), 0);
});

test('classes are listed and deleted; what is not there is no error', () => {
  ensureHtbClass(socket, ifindex, limit(16_383, 125n));
  assert.deepEqual([...htbClasses(socket, ifindex)].sort(), [16_383, 2, 3]);
  for (const minor of [2, 3, 16_383, 4]) deleteHtbClass(socket, ifindex, minor);
  assert.deepEqual(htbClasses(socket, ifindex), []);
  assert.equal(htbDrops(socket, ifindex, 2), 0);
  deleteHtbClass(socket, 99_999, 2);
  assert.deepEqual(htbClasses(socket, 99_999), []);
});

test('packets that find no room in the queue of their class are counted', () => {
  ensureHtbClass(socket, ifindex, limit(2, 125n, { burstNs: 0n, queueBytes: 500 }));
  const filter = ['filter', 'add', 'dev', 'q0', 'parent', '1:', 'protocol', 'all', 'u32', 'match', 'u32', '0', '0'];
  netns.run('tc', ...filter, 'flowid', '1:2');
  netns.run('ip', 'addr', 'add', '10.9.0.1/24', 'dev', 'q0');
  netns.run('ip', 'neigh', 'add', '10.9.0.2', 'lladdr', '02:00:00:00:00:02', 'dev', 'q0');
  netns.run('sh', '-c', 'ping -q -c 20 -i 0.01 -W 1 -s 200 10.9.0.2 || true');
  assert.ok(htbDrops(socket, ifindex, 2) > 10);
});
