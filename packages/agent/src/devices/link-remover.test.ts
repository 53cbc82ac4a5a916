import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { listLinks, requireLink } from '../net/link.ts';
import { type NetlinkRequest, NetlinkSocket } from '../net/socket.ts';
import { createNetns, type TestNetns } from '../net/testing.ts';
import { createVeth } from '../net/veth.ts';
import { LinkRemover } from './link-remover.ts';

let netns: TestNetns;
let socket: NetlinkSocket;

before(() => {
  netns = createNetns();
  socket = new NetlinkSocket({ netns: netns.path });
});

after(() => {
  socket.close();
  netns.remove();
});

function names(): readonly string[] {
  return listLinks(socket)
    .map(({ name }) => name)
    .filter((name) => name !== 'lo');
}

function make(count: number): readonly string[] {
  const made = Array.from({ length: count }, (_, i) => `r${i}`);
  for (const name of made) createVeth(socket, { name, peer: { name: `${name}p` } });
  return made;
}

for (const count of [1, 8, 32]) {
  test(`${count} links asked for one by one go together, and no others`, async (t) => {
    createVeth(socket, { name: 'stay', peer: { name: 'stayp' } });
    const made = make(count);
    const remover = new LinkRemover({ netns: netns.path });
    const startedAt = performance.now();
    await Promise.all(made.map((name) => remover.remove([name, 'absent'])));
    t.diagnostic(`${(performance.now() - startedAt).toFixed(0)} ms`);
    assert.deepEqual([...names()].sort(), ['stay', 'stayp']);
    await remover.remove([requireLink(socket, 'stay').ifindex]);
    assert.deepEqual(names(), []);
    await remover.close();
  });
}

test('what is asked for while others are removed goes next', async () => {
  const [first = '', second = ''] = make(2);
  const remover = new LinkRemover({ netns: netns.path, gatherMs: 1 });
  const one = remover.remove([first]);
  await setTimeout(5);
  const two = remover.remove([second]);
  await Promise.all([one, two]);
  assert.deepEqual(names(), []);
  await remover.close();
});

test('more than two removals at a time are gathered until one of them is done', async (t) => {
  const { changeAside } = NetlinkSocket.prototype;
  const begun: (() => void)[] = [];
  t.mock.method(NetlinkSocket.prototype, 'changeAside', async function (this: NetlinkSocket, ask: NetlinkRequest) {
    await new Promise<void>((resolve) => begun.push(resolve));
    return changeAside.call(this, ask);
  });
  const remover = new LinkRemover({ netns: netns.path, gatherMs: 0 });
  const made = make(5);
  const asked: Promise<void>[] = [];
  for (const name of made) {
    asked.push(remover.remove([name]));
    await setTimeout(5);
  }
  assert.equal(begun.length, 2, 'two are being removed, three wait');
  begun[0]?.();
  await asked[0];
  while (begun.length < 3) await setTimeout(1);
  for (const go of begun) go();
  await Promise.all(asked);
  assert.equal(begun.length, 3);
  assert.deepEqual(names(), []);
  await remover.close();
});

test('what was asked for is removed before it closes; nothing at all is done at once', async () => {
  const remover = new LinkRemover({ netns: netns.path });
  await remover.remove([]);
  const gone = remover.remove(make(3));
  await remover.close();
  await gone;
  assert.deepEqual(names(), []);
});
