import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger, sleep } from '@cable/kit';
import type { Store } from '../contract.ts';
import { startEtcdCluster } from '../testing/etcd-server.ts';
import { openEtcd } from './etcd-store.ts';

/** Generous: it is a second and a quarter, and two when etcd has to elect a leader. */
const LONGEST_MS = 4000;

/** The longest time between two calls of `beat`. */
class Pulse {
  longestMs = 0;
  #lastMs: number = performance.now();

  beat(): void {
    const now = performance.now();
    this.longestMs = Math.max(this.longestMs, now - this.#lastMs);
    this.#lastMs = now;
  }
}

/** Writes, watches, reads and keeps a lease alive, each as fast as it goes; `stop` gives the longest time that each took for a step. */
async function startWorking(
  store: Store,
  prefix: string,
): Promise<{ stop(): Promise<Readonly<Record<string, number>>> }> {
  const end = new AbortController();
  const lease = await store.grantLease(60);
  const fromRevision = (await store.list(prefix)).revision + 1;
  const pulses = { write: new Pulse(), watch: new Pulse(), read: new Pulse(), keepAlive: new Pulse() };
  const write = async (): Promise<void> => {
    for (let n = 0; !end.signal.aborted; n += 1) {
      const key = `${prefix}${n}`;
      const { ok } = await store.txn([{ kind: 'absent', key }], [{ kind: 'put', key, value: '' }]);
      assert(ok);
      pulses.write.beat();
    }
  };
  const watch = async (): Promise<void> => {
    for await (const _ of store.watch(prefix, { fromRevision, signal: end.signal })) pulses.watch.beat();
  };
  const repeat = async (pulse: Pulse, call: () => Promise<unknown>): Promise<void> => {
    while (!end.signal.aborted) {
      await call();
      pulse.beat();
      await sleep(20);
    }
  };
  const read = repeat(pulses.read, () => store.list(`${prefix}1`));
  const keepAlive = repeat(pulses.keepAlive, () => store.keepAlive(lease));
  const working = Promise.all([write(), watch(), read, keepAlive]);
  return {
    stop: async () => {
      end.abort();
      await working;
      return Object.fromEntries(Object.entries(pulses).map(([name, pulse]) => [name, Math.round(pulse.longestMs)]));
    },
  };
}

test('etcd: a member that stops, each in turn, holds up nobody for long', { timeout: 90_000 }, async (t) => {
  const members = await startEtcdCluster();
  for (const member of members) t.after(() => member.remove());
  const store = await openEtcd({ endpoints: members.map(({ endpoint }) => endpoint), log: silentLogger() });
  t.after(() => store.close());
  for (const member of members) {
    const working = await startWorking(store, `/${member.endpoint}/`);
    await sleep(500);
    await member.signal('SIGSTOP');
    await sleep(4000);
    await member.signal('SIGCONT');
    await sleep(1500);
    const longest = await working.stop();
    t.diagnostic(JSON.stringify(longest));
    for (const [what, ms] of Object.entries(longest)) assert(ms < LONGEST_MS, `${what}: ${ms} ms`);
  }
});
