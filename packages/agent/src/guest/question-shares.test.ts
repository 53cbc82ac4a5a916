import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '@cable/kit';
import { QuestionShares, type Release } from './question-shares.ts';

const LIMITS = { total: 8, perGuest: 4, waiting: 6, waitingPerGuest: 4, maxWaitMs: 10_000 };

/** What becomes of each question, in words, and how it ends. */
function bed(limits: Partial<typeof LIMITS> = {}, weightOf?: (guest: number) => number) {
  const shares = new QuestionShares({ ...LIMITS, ...limits }, weightOf);
  const states: string[] = [];
  const releases: Release[] = [];
  const enter = async (guest: number): Promise<void> => {
    const at = states.push('waits') - 1;
    const release = await shares.enter(guest, () => {
      states[at] = 'gave way';
    });
    if (release !== undefined) releases[at] = release;
    if (states[at] === 'waits') states[at] = release === undefined ? 'refused' : 'asked';
  };
  const end = (at: number): void => {
    releases[at]?.();
    states[at] = 'ended';
  };
  return { shares, states, enter, end };
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const count = (states: readonly string[], wanted: string): number => states.filter((one) => one === wanted).length;

test('a guest asks so many at once, so many more wait for their turn, and others are refused', async () => {
  const { states, enter, end } = bed();
  for (let n = 0; n < 9; n += 1) void enter(1);
  await settled();
  assert.deepEqual(states, [...Array(4).fill('asked'), ...Array(4).fill('waits'), 'refused']);
  end(2);
  await settled();
  assert.deepEqual(states.slice(4, 6), ['asked', 'waits'], 'the oldest first');
});

test('who waits too long is sent away, and so are all at the end', async () => {
  const late = bed({ maxWaitMs: 5 });
  for (let n = 0; n < 5; n += 1) void late.enter(1);
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.deepEqual(late.states.slice(3), ['asked', 'refused']);
  const { shares, states, enter } = bed();
  for (let n = 0; n < 6; n += 1) void enter(1);
  shares.close();
  await enter(2);
  await settled();
  assert.deepEqual(states.slice(3), ['asked', 'refused', 'refused', 'refused']);
});

test('when all places are taken the guest with most gives way, down to equal shares', async () => {
  const { states, enter } = bed();
  for (const guest of [1, 2]) for (let n = 0; n < 4; n += 1) await enter(guest);
  await enter(3);
  await enter(3);
  assert.deepEqual(states, ['gave way', ...Array(3).fill('asked'), 'gave way', ...Array(5).fill('asked')]);
  void enter(3);
  await settled();
  assert.equal(states.at(-1), 'waits', 'it would have as many as the others');
});

test('guests that wait have their turns one after the other', async () => {
  const { states, enter, end } = bed({ total: 2 });
  await enter(1);
  await enter(2);
  for (const guest of [1, 1, 2, 2]) void enter(guest);
  await settled();
  end(0);
  await settled();
  end(1);
  await settled();
  assert.deepEqual(states, ['ended', 'ended', 'asked', 'waits', 'asked', 'waits']);
});

test('among those that wait the guest with most gives way, too', async () => {
  const { states, enter } = bed({ total: 1, perGuest: 1, waiting: 3, waitingPerGuest: 3 });
  await enter(1);
  for (const guest of [1, 1, 1, 2]) void enter(guest);
  await settled();
  assert.deepEqual(states, ['asked', 'refused', 'waits', 'waits', 'waits']);
});

test('a guest that weighs more has so many times as much', async () => {
  const { states, enter } = bed({}, (guest) => (guest === 9 ? 2 : 1));
  for (let n = 0; n < 6; n += 1) await enter(9);
  for (let n = 0; n < 4; n += 1) void enter(1);
  await settled();
  assert.equal(count(states.slice(6), 'asked'), 2);
  assert.equal(count(states, 'gave way'), 0, 'six for twice the weight are no more than three');
});

test('property: bounds hold, and no place stays free while somebody waits who may have it', async () => {
  const random = seededRandom(53);
  const { states, enter, end } = bed();
  const guests: number[] = [];
  for (let step = 0; step < 500; step += 1) {
    const running = states.flatMap((state, at) => (state === 'asked' ? [at] : []));
    if (random() < 0.6) {
      const guest = Math.floor(random() * 5);
      guests.push(guest);
      void enter(guest);
    } else if (running.length > 0) end(running[Math.floor(random() * running.length)] ?? 0);
    await Promise.resolve();
    await settled();
    const of = (state: string, guest: number) =>
      states.filter((one, at) => one === state && guests[at] === guest).length;
    assert.ok(count(states, 'asked') <= 8 && count(states, 'waits') <= 6);
    for (let guest = 0; guest < 5; guest += 1) {
      assert.ok(of('asked', guest) <= 4 && of('waits', guest) <= 4);
      if (of('waits', guest) > 0) assert.ok(count(states, 'asked') === 8 || of('asked', guest) === 4);
    }
  }
});
