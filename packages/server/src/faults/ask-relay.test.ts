import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger } from '@cable/kit';
import type { Op } from '@cable/store';
import { AskRelay } from './ask-relay.ts';

test('a server that does not answer is not waited for, nor is its answer kept; and so many questions are open at the most', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const abort = new AbortController();
  t.after(() => abort.abort());
  const done: Op[] = [];
  const relay = new AskRelay({
    store: {
      txn: async (_compares, ops) => {
        done.push(...ops);
        return { ok: true, revision: 1 };
      },
      compact: async () => {},
      watch: async function* (_prefix, { signal }) {
        await new Promise((resolve) => signal.addEventListener('abort', resolve));
        yield* [];
      },
    },
    ...{ server: 'one', lease: () => 'lease', revision: () => 1, log: silentLogger(), signal: abort.signal },
    monotonicMs: () => 0,
    askHere: async () => assert.fail('nobody asks'),
  });
  const ask = () => relay.ask('other', 'h1', { kind: 'drops', portId: 'p' });
  const open = [...Array(64)].map(() => assert.rejects(ask(), { code: 'HostUnreachable' }));
  await assert.rejects(ask(), { code: 'ServiceUnavailable' });
  assert.deepEqual(done.filter((op) => op.kind === 'put').length, 64);
  assert.ok(
    done.every((op) => op.kind !== 'put' || (op.key.startsWith('/cable/y/other/ask/one/') && op.lease === 'lease')),
  );
  t.mock.timers.tick(12_000);
  await Promise.all(open);
  const keys = done.flatMap((op) => (op.kind === 'delete' ? [op.key] : []));
  for (let n = 1; n <= 64; n += 1) {
    for (const key of [`/cable/y/other/ask/one/${n}`, `/cable/y/one/answer/${n}`]) assert.ok(keys.includes(key), key);
  }
});
