import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { listLinks } from './link.ts';
import { NetlinkSocket } from './socket.ts';
import { createNetns, type TestNetns } from './testing.ts';
import { ensureVeth } from './veth.ts';
import { type LinkHint, watchLinks } from './watch.ts';

let netns: TestNetns;

before(() => {
  netns = createNetns();
});

after(() => {
  netns.remove();
});

async function eventually(holds: () => boolean, what: string): Promise<void> {
  const deadline = Date.now() + 3000;
  while (!holds()) {
    assert.ok(Date.now() < deadline, `not within 3 s: ${what}`);
    await sleep(5);
  }
}

test('a tap is seen to appear and to vanish', async () => {
  const stop = new AbortController();
  const hints: LinkHint[] = [];
  const named = (name: string): boolean => hints.some((hint) => hint.kind === 'links' && hint.names.has(name));
  watchLinks((hint) => hints.push(hint), { signal: stop.signal, netns: netns.path });
  try {
    assert.deepEqual(hints, [{ kind: 'all' }]);
    netns.ip('tuntap', 'add', 'tap12345678-9a', 'mode', 'tap');
    await eventually(() => named('tap12345678-9a'), 'the tap appeared');
    hints.length = 0;
    netns.ip('link', 'delete', 'tap12345678-9a');
    await eventually(() => named('tap12345678-9a'), 'the tap vanished');
  } finally {
    stop.abort();
  }
});

test('a burst that overruns the socket asks for a fresh look', async () => {
  const stop = new AbortController();
  const hints: LinkHint[] = [];
  const socket = new NetlinkSocket({ netns: netns.path });
  watchLinks((hint) => hints.push(hint), { signal: stop.signal, netns: netns.path });
  try {
    hints.length = 0;
    // Synchronous: the loop cannot read while it goes on, and the socket's buffer of some 200 kB fills.
    for (let i = 0; i < 100; i++) ensureVeth(socket, { name: `x${i}`, peer: { name: `y${i}` } });
    await eventually(() => hints.some((hint) => hint.kind === 'all'), 'a call for a fresh look');
    assert.equal(listLinks(socket).filter((link) => link.name.startsWith('x')).length, 100);
  } finally {
    stop.abort();
    socket.close();
  }
});

test('an aborted watch is silent and leaves no descriptor', async () => {
  const count = (): number => readdirSync('/proc/self/fd').length;
  const warm = new AbortController();
  watchLinks(() => undefined, { signal: warm.signal, netns: netns.path });
  warm.abort();
  await sleep(20);
  const before = count();
  const stop = new AbortController();
  let calls = 0;
  watchLinks(() => (calls += 1), { signal: stop.signal, netns: netns.path });
  stop.abort();
  netns.ip('tuntap', 'add', 'tap0', 'mode', 'tap');
  await sleep(50);
  assert.equal(calls, 1);
  assert.equal(count(), before);
});

test('a process with an aborted watch ends', () => {
  const source = `
    import { watchLinks } from ${JSON.stringify(new URL('./watch.ts', import.meta.url).href)};
    const stop = new AbortController();
    watchLinks(() => setTimeout(() => stop.abort(), 50), { signal: stop.signal });
  `;
  const flags = ['--import', 'tsx', '--conditions=cable-source', '--input-type=module', '-e', source];
  execFileSync(process.execPath, flags, { timeout: 10_000 });
});
