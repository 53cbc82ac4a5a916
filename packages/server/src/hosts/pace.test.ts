import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Pace } from './pace.ts';

function setUp(streams: number): { pace: Pace; clock: { now: number } } {
  const clock = { now: 0 };
  return {
    clock,
    pace: new Pace(
      () => clock.now,
      () => streams,
    ),
  };
}

test('one or two hosts acknowledge at once', () => {
  const { pace } = setUp(5000);
  for (let n = 0; n < 100; n += 1) {
    pace.note(n % 2 === 0 ? 'a' : 'b');
    assert.equal(pace.ackWithinMs(), 0);
  }
});

test('five thousand hosts spread their acknowledgements over two and a half seconds', () => {
  const { pace } = setUp(5000);
  for (let n = 0; n < 5000; n += 1) pace.note(`h${n}`);
  assert.equal(pace.ackWithinMs(), 2500);
});

test('hosts that are not here are not counted', () => {
  const { pace } = setUp(2);
  for (let n = 0; n < 100; n += 1) pace.note(`h${n}`);
  assert.equal(pace.ackWithinMs(), 0);
});

test('what was sent long ago does not count', () => {
  const { pace, clock } = setUp(5000);
  for (let n = 0; n < 1000; n += 1) pace.note(`h${n}`);
  clock.now = 1000;
  assert.equal(pace.ackWithinMs(), 500);
  clock.now = 2100;
  assert.equal(pace.ackWithinMs(), 0);
});

test('hosts that are sent something all the time are counted once', () => {
  const { pace, clock } = setUp(5000);
  for (; clock.now < 5000; clock.now += 100) for (let n = 0; n < 100; n += 1) pace.note(`h${n}`);
  assert.equal(pace.ackWithinMs(), 50);
});
