import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { decodeLinkEvent } from './link.ts';
import { NetlinkSocket } from './socket.ts';
import { createNetns, type TestNetns } from './testing.ts';
import { createVeth } from './veth.ts';
import { type WatchOptions, watchDevices } from './watch.ts';

let netns: TestNetns;

before(() => {
  netns = createNetns();
});

after(() => {
  netns.remove();
});

async function eventually(holds: () => boolean, what: string): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!holds()) {
    assert.ok(Date.now() < deadline, `in vain: ${what}`);
    await sleep(5);
  }
}

const SILENT: Pick<WatchOptions, 'onMessage' | 'onBurst' | 'onLoss'> = {
  onMessage: () => undefined,
  onBurst: () => undefined,
  onLoss: () => undefined,
};

test('links are heard after the kernel lost messages, again and again', async () => {
  const stop = new AbortController();
  const names = new Set<string>();
  let losses = 0;
  const socket = new NetlinkSocket({ netns: netns.path });
  watchDevices({
    ...SILENT,
    onMessage: (message) => names.add(decodeLinkEvent(message)?.link.name ?? ''),
    onLoss: () => {
      losses += 1;
    },
    signal: stop.signal,
    netns: netns.path,
    receiveBytes: 64 << 10,
  });
  try {
    for (const round of [1, 2, 3]) {
      // Synchronous: the loop cannot read while it goes on.
      for (let i = 0; i < 100; i++) createVeth(socket, { name: `x${round}n${i}`, peer: { name: `y${round}n${i}` } });
      await eventually(() => losses >= round, 'the loss is told');
      netns.ip('tuntap', 'add', `later${round}`, 'mode', 'tap');
      await eventually(() => names.has(`later${round}`), 'a later link');
    }
  } finally {
    stop.abort();
    socket.close();
  }
});

test('an aborted watch is silent and leaves no descriptor', async () => {
  const count = (): number => readdirSync('/proc/self/fd').length;
  const warm = new AbortController();
  watchDevices({ ...SILENT, signal: warm.signal, netns: netns.path });
  warm.abort();
  // What is closed is closed in the next round.
  for (let round = 0; round < 10; round += 1) await new Promise(setImmediate);
  const before = count();
  const stop = new AbortController();
  let calls = 0;
  const onBurst = (): void => {
    calls += 1;
  };
  const watch = watchDevices({ ...SILENT, onBurst, signal: stop.signal, netns: netns.path });
  stop.abort();
  netns.ip('tuntap', 'add', 'tap0', 'mode', 'tap');
  await sleep(50);
  assert.equal(watch.readNow(), true);
  assert.equal(calls, 0);
  await eventually(() => count() <= before, 'its descriptor is closed');
});

test('a process with an aborted watch ends', () => {
  const source = `
    import { watchDevices } from ${JSON.stringify(new URL('./watch.ts', import.meta.url).href)};
    const stop = new AbortController();
    const nothing = () => undefined;
    watchDevices({ onMessage: nothing, onBurst: nothing, onLoss: nothing, signal: stop.signal });
    setTimeout(() => stop.abort(), 50);
  `;
  const flags = ['--import', 'tsx', '--conditions=cable-source', '--input-type=module', '-e', source];
  execFileSync(process.execPath, flags, { timeout: 60_000 });
});
