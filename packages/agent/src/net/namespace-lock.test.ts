import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { createNetns, type TestNetns } from './testing.ts';

const LOCK = new URL('./namespace-lock.ts', import.meta.url).href;

type Locker = { readonly child: ChildProcess; readonly says: string };

/** A process in the namespace that asks for the lock, says what it got, and stays. */
async function lockIn(netns: TestNetns, host: string, then = ''): Promise<Locker> {
  const source = `
    import { lockNamespace } from ${JSON.stringify(LOCK)};
    const refusal = await lockNamespace({ host: ${JSON.stringify(host)}, pid: process.pid });
    process.stdout.write((refusal ?? 'locked') + '\\n');
    setTimeout(() => undefined, 60_000);
    ${then}
  `;
  const node = [process.execPath, '--import', 'tsx', '--conditions=cable-source', '--input-type=module', '-e', source];
  const child = spawn('nsenter', [`--net=${netns.path}`, ...node], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [says] = await once(child.stdout, 'data');
  return { child, says: String(says).trim() };
}

async function kill({ child }: Locker): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGKILL');
  await once(child, 'exit');
}

test('a second agent in a namespace is told whose it is; in another, or after a kill, it gets the lock', async () => {
  const [here, there] = [createNetns(), createNetns()];
  const lockers: Locker[] = [];
  const lock = async (netns: TestNetns, host: string, then?: string): Promise<string> => {
    const locker = await lockIn(netns, host, then);
    lockers.push(locker);
    return locker.says;
  };
  try {
    assert.equal(await lock(here, 'node-1'), 'locked');
    const [first] = lockers;
    assert.ok(first);
    assert.match(await lock(here, 'node-2'), new RegExp(`host node-1 runs .* \\(process ${first.child.pid}\\)`));
    assert.equal(await lock(there, 'node-2'), 'locked');
    await kill(first);
    assert.equal(await lock(here, 'node-3', 'for (;;);'), 'locked');
    assert.match(await lock(here, 'node-4'), /does not say what it is/);
  } finally {
    await Promise.all(lockers.map(kill));
    here.remove();
    there.remove();
  }
});
