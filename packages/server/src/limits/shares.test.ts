import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ANY_SHARE, type Pass, Shares } from './shares.ts';

function clock(): { now: () => number; pass(ms: number): void } {
  let ms = 1000;
  return {
    now: () => ms,
    pass: (more) => {
      ms += more;
    },
  };
}

function mustPass(entered: ReturnType<Shares['enter']>): Pass {
  assert.ok(!('refused' in entered), JSON.stringify(entered));
  return entered;
}

test('after a burst there is one for each part of a second, and who waits as long as he is told comes in', () => {
  const time = clock();
  const shares = new Shares(10, time.now);
  const share = { rate: 4, burst: 3, inFlight: Infinity };
  for (let i = 0; i < 3; i += 1) mustPass(shares.enter('a', share));
  assert.deepEqual(shares.enter('a', share), { refused: 'rate', afterMs: 250 });
  time.pass(100);
  assert.deepEqual(shares.enter('a', share), { refused: 'rate', afterMs: 150 });
  mustPass(shares.enter('b', share));
  time.pass(150);
  mustPass(shares.enter('a', share));
  assert.ok('refused' in shares.enter('a', share));
  time.pass(3_600_000);
  for (let i = 0; i < 3; i += 1) mustPass(shares.enter('a', share));
  assert.ok('refused' in shares.enter('a', share));
});

test('in an hour under load as many come in as the rate says and the burst', () => {
  const time = clock();
  const shares = new Shares(10, time.now);
  let entered = 0;
  for (let ms = 0; ms < 3_600_000; ms += 10) {
    if (!('refused' in shares.enter('a', { rate: 0.5, burst: 10, inFlight: Infinity }))) entered += 1;
    time.pass(10);
  }
  assert.equal(entered, 10 + 1799);
});

test('as many are under way as may be, and each that leaves makes room for one, once', () => {
  const shares = new Shares(10, () => 0);
  const share = { rate: Infinity, burst: Infinity, inFlight: 2 };
  const first = mustPass(shares.enter('a', share));
  mustPass(shares.enter('a', share));
  assert.deepEqual(shares.enter('a', share), { refused: 'in_flight', afterMs: 1000 });
  first.leave();
  first.leave();
  first.giveBack();
  mustPass(shares.enter('a', share));
  assert.ok('refused' in shares.enter('a', share));
});

test('what is given back was never taken', () => {
  const shares = new Shares(10, () => 0);
  const share = { rate: 1, burst: 2, inFlight: 5 };
  for (let i = 0; i < 20; i += 1) mustPass(shares.enter('a', share)).giveBack();
  const twice = mustPass(shares.enter('a', share));
  twice.giveBack();
  twice.giveBack();
  for (let i = 0; i < 2; i += 1) mustPass(shares.enter('a', share));
  assert.ok('refused' in shares.enter('a', share));
});

test('a refusal for what is under way takes nothing of the bucket', () => {
  const shares = new Shares(10, () => 0);
  const share = { rate: 1, burst: 3, inFlight: 1 };
  const first = mustPass(shares.enter('a', share));
  for (let i = 0; i < 10; i += 1) assert.ok('refused' in shares.enter('a', share));
  first.leave();
  mustPass(shares.enter('a', share)).leave();
  mustPass(shares.enter('a', share)).leave();
  assert.deepEqual(shares.enter('a', share), { refused: 'rate', afterMs: 1000 });
});

test('another share counts from now on', () => {
  const time = clock();
  const shares = new Shares(10, time.now);
  mustPass(shares.enter('a', { rate: 1, burst: 100, inFlight: Infinity }));
  time.pass(1000);
  mustPass(shares.enter('a', { rate: 1000, burst: 2, inFlight: Infinity }));
  mustPass(shares.enter('a', { rate: 1000, burst: 2, inFlight: Infinity }));
  assert.ok('refused' in shares.enter('a', { rate: 1000, burst: 2, inFlight: Infinity }));
});

test('a million names leave no more than are kept, and who is asked for all the time is kept', () => {
  const time = clock();
  const shares = new Shares(1000, time.now);
  const share = { rate: 1, burst: 2, inFlight: 10 };
  mustPass(shares.enter('busy', share)).leave();
  mustPass(shares.enter('busy', share)).leave();
  for (let i = 0; i < 1_000_000; i += 1) {
    mustPass(shares.enter(`n${i}`, share)).leave();
    if (i % 500 === 0) assert.ok('refused' in shares.enter('busy', share));
  }
  assert.equal(shares.size, 1000);
});

test('of who has no limits nothing is kept', () => {
  const shares = new Shares(10, () => 0);
  for (let i = 0; i < 100; i += 1) mustPass(shares.enter('a', ANY_SHARE));
  assert.equal(shares.size, 0);
});
