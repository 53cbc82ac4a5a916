import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { Pacer } from './pacer.ts';

type Case = {
  /** When each run began, in ms. */
  readonly begun: number[];
  readonly ask: () => void;
  readonly wait: (ms: number) => Promise<void>;
};

/** A pacer whose runs take so long each, by a clock that the test moves. */
function setUp(t: TestContext, runMs: number): Case {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const clock = { now: 1000 };
  const begun: number[] = [];
  const run = async (): Promise<void> => {
    begun.push(clock.now);
    clock.now += runMs;
  };
  const pacer = new Pacer(run, () => clock.now);
  const settle = async (): Promise<void> => {
    for (let turn = 0; turn < 3; turn += 1) await new Promise(setImmediate);
  };
  const wait = async (ms: number): Promise<void> => {
    for (let past = 0; past < ms; past += 1) {
      clock.now += 1;
      t.mock.timers.tick(1);
      await settle();
    }
    await settle();
  };
  return { begun, ask: () => pacer.ask(), wait };
}

test('the first run, and one after a pause, begins at once, but not while it is asked for', async (t) => {
  const { begun, ask, wait } = setUp(t, 0);
  ask();
  assert.deepEqual(begun, []);
  await wait(0);
  assert.deepEqual(begun, [1000]);
  await wait(5);
  ask();
  await wait(0);
  assert.deepEqual(begun, [1000, 1005]);
});

test('what is asked for soon after a run is gathered for some milliseconds', async (t) => {
  const { begun, ask, wait } = setUp(t, 0);
  ask();
  await wait(0);
  for (let n = 0; n < 20; n += 1) {
    ask();
    await wait(1);
  }
  assert.deepEqual(begun, [1000, 1005, 1010, 1015, 1020]);
});

test('after a run that took long it is gathered for as long, up to the most', async (t) => {
  const { begun, ask, wait } = setUp(t, 30);
  ask();
  await wait(0);
  ask();
  await wait(30);
  assert.deepEqual(begun, [1000, 1060]);
  t.mock.timers.reset();
  const slow = setUp(t, 200);
  slow.ask();
  await slow.wait(0);
  slow.ask();
  await slow.wait(60);
  assert.deepEqual(slow.begun, [1000, 1260]);
});

test('what is asked for during a run is run again, once', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  let runs = 0;
  let end = (): void => {};
  const pacer = new Pacer(
    () => {
      runs += 1;
      return new Promise((resolve) => {
        end = resolve;
      });
    },
    () => 1000,
  );
  const settle = async (): Promise<void> => {
    for (let turn = 0; turn < 3; turn += 1) await new Promise(setImmediate);
  };
  pacer.ask();
  await settle();
  for (let n = 0; n < 3; n += 1) pacer.ask();
  await settle();
  assert.equal(runs, 1, 'never two at a time');
  for (let n = 0; n < 3; n += 1) {
    end();
    await settle();
    t.mock.timers.tick(5);
    await settle();
  }
  assert.equal(runs, 2);
});
