import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { listLinks, requireLink } from '../net/link.ts';
import { NetlinkSocket } from '../net/socket.ts';
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
  await new Promise((resolve) => setTimeout(resolve, 5));
  const two = remover.remove([second]);
  await Promise.all([one, two]);
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
