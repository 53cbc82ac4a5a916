import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger } from './log.ts';
import { type Loop, type LoopOptions, startLoop } from './loop.ts';

type Probe = { readonly loop: Loop; readonly rounds: () => number; readonly stop: () => Promise<void> };

function start(run: (round: number) => Promise<void>, options: Partial<LoopOptions> = {}): Probe {
  const controller = new AbortController();
  let rounds = 0;
  const loop = startLoop({
    name: 'test',
    log: silentLogger(),
    signal: controller.signal,
    backoff: { minMs: 1, maxMs: 2 },
    ...options,
    run: () => {
      rounds += 1;
      return run(rounds);
    },
  });
  const stop = async (): Promise<void> => {
    controller.abort();
    await loop.done;
  };
  return { loop, rounds: () => rounds, stop };
}

/** Resolves when the round with this number begins. */
function gate(): { readonly reached: Promise<void>; readonly open: () => void } {
  let open = (): void => undefined;
  const reached = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { reached, open };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('the first round runs at once, and no other without a trigger', async () => {
  const probe = start(async () => undefined);
  for (let i = 0; i < 5; i += 1) await turn();
  assert.equal(probe.rounds(), 1);
  await probe.stop();
});

test('the first round begins when the code that starts the loop has ended: what that makes afterwards is there', async () => {
  let seen: string | undefined;
  const made: { later?: string } = {};
  const probe = start(async () => {
    seen = made.later;
  });
  made.later = 'made after the loop';
  await turn();
  assert.equal(seen, 'made after the loop');
  await probe.stop();
});

test('triggers during a round become one more round', async () => {
  const first = gate();
  const second = gate();
  const probe = start((round) => {
    if (round === 2) second.open();
    return round === 1 ? first.reached : Promise.resolve();
  });
  await turn();
  for (let i = 0; i < 3; i += 1) probe.loop.trigger();
  first.open();
  await second.reached;
  for (let i = 0; i < 5; i += 1) await turn();
  assert.equal(probe.rounds(), 2);
  await probe.stop();
});

test('a failed round is repeated without a trigger until it succeeds', async () => {
  const third = gate();
  const probe = start(async (round) => {
    if (round < 3) throw new Error('not yet');
    third.open();
  });
  await third.reached;
  for (let i = 0; i < 5; i += 1) await turn();
  assert.equal(probe.rounds(), 3);
  await probe.stop();
});

test('everyMs brings a round without a trigger, and the end interrupts the wait', async () => {
  const second = gate();
  const probe = start(
    async (round) => {
      if (round === 2) second.open();
    },
    { everyMs: 1 },
  );
  await second.reached;
  await probe.stop();
  const idle = start(async () => undefined, { everyMs: 600_000 });
  await turn();
  await idle.stop();
});
