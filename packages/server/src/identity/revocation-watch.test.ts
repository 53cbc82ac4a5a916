import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KeystoneError, type RevocationEvent } from '@cable/keystone';
import { silentLogger } from '@cable/kit';
import { RevocationWatch } from './revocation-watch.ts';

const EVENT = { audit_id: 'a', issued_before: '2026-11-28T12:00:00Z' };

/** A watch of which each round is asked for, on a Keystone that says what it is told to. */
function openWatch() {
  const state = {
    says: [] as readonly RevocationEvent[] | KeystoneError,
    asked: [] as (number | null)[],
    told: [] as RevocationEvent[],
    warnings: [] as string[],
  };
  const stop = new AbortController();
  // The loop is of no use here: it ends before its first round.
  stop.abort();
  const watch = new RevocationWatch({
    keystone: {
      keystoneMs: 1_000_000,
      revocations: async (since) => {
        state.asked.push(since);
        if (state.says instanceof KeystoneError) throw state.says;
        return state.says;
      },
    },
    book: { revoke: (events) => void state.told.push(...events) },
    log: { ...silentLogger(), warn: () => void state.warnings.push('it does not tell') },
    signal: stop.signal,
  });
  return { watch, state };
}

test('what Keystone tells is told the book, once', async () => {
  const { watch, state } = openWatch();
  state.says = [EVENT];
  await watch.round();
  await watch.round();
  assert.deepEqual(state.told, [EVENT]);
  assert.deepEqual(state.asked, [null, 940_000]);
});

test('a Keystone that does not tell is asked again after five minutes, for what it has not told since', async () => {
  const { watch, state } = openWatch();
  await watch.round();
  state.says = new KeystoneError('forbidden', 'it does not tell');
  for (let round = 0; round < 61; round += 1) await watch.round();
  assert.deepEqual(state.asked, [null, 940_000]);
  assert.equal(state.warnings.length, 1);
  state.says = [EVENT];
  await watch.round();
  assert.deepEqual(state.told, [EVENT]);
  assert.deepEqual(state.asked, [null, 940_000, 940_000]);
});

test('a Keystone that is away is asked again in the next round', async () => {
  const { watch, state } = openWatch();
  state.says = new KeystoneError('away', 'away');
  await assert.rejects(watch.round(), { kind: 'away' });
  state.says = [EVENT];
  await watch.round();
  assert.deepEqual(state.told, [EVENT]);
});
