import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Silence } from './silence.ts';

function openSilence() {
  const state = { nowMs: 1000 };
  const silence = new Silence(() => state.nowMs);
  /** Gives how the question ends. */
  const ask = (): ((isAnswered: boolean) => Promise<void>) => {
    let end: (isAnswered: boolean) => void = () => {};
    const said = new Promise<void>((resolve, reject) => {
      end = (isAnswered) => (isAnswered ? resolve() : reject(new Error('away')));
    });
    const followed = silence.follow(() => said).catch(() => undefined);
    return async (isAnswered) => {
      end(isAnswered);
      await followed;
    };
  };
  return { silence, state, ask };
}

test('Keystone is silent when it has said nothing for half a second since it was asked, until it says something', async () => {
  const { silence, state, ask } = openSilence();
  const [first, second] = [ask(), ask()];
  state.nowMs += 499;
  assert.ok(!silence.isSilent);
  state.nowMs += 1;
  assert.ok(silence.isSilent);
  await first(true);
  assert.ok(!silence.isSilent);
  state.nowMs += 500;
  assert.ok(silence.isSilent);
  await second(true);
  assert.ok(!silence.isSilent);
});

test('a question that fails after that leaves it silent, for half a minute without another', async () => {
  const { silence, state, ask } = openSilence();
  const first = ask();
  state.nowMs += 5000;
  await first(false);
  state.nowMs += 29_000;
  assert.ok(silence.isSilent);
  const second = ask();
  assert.ok(silence.isSilent);
  state.nowMs += 5000;
  await second(false);
  state.nowMs += 29_000;
  assert.ok(silence.isSilent);
  state.nowMs += 1000;
  assert.ok(!silence.isSilent);
  ask();
  assert.ok(!silence.isSilent);
});

test('one that fails at once makes nobody wait', async () => {
  const { silence, state, ask } = openSilence();
  const first = ask();
  await first(false);
  state.nowMs += 5000;
  assert.ok(!silence.isSilent);
});
