import assert from 'node:assert/strict';
import { test } from 'node:test';
import { afterProbe, type MemberState, NOTHING_TOLD } from './member-state.ts';

const THRESHOLDS = { rise: 2, fall: 3 };

/** The states after each of some results: `+` well, `-` not. */
function states(results: string, from: MemberState = NOTHING_TOLD): string {
  let now = from;
  return [...results]
    .map((one) => {
      now = afterProbe(now, one === '+', THRESHOLDS);
      return now.state === 'up' ? 'U' : 'D';
    })
    .join('');
}

test('the first result decides', () => {
  assert.equal(states('+'), 'U');
  assert.equal(states('-'), 'D');
});

test('it takes results on end to change a state', () => {
  assert.equal(states('+--+--+---'), 'UUUUUUUUUD');
  assert.equal(states('-+-+-++'), 'DDDDDDU');
});

test('a state that has changed takes as many to change back', () => {
  assert.equal(states('+---++---'), 'UUUDDUUUD');
});
