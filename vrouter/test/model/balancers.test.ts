/** Clouds with load balancers. More of them: `npm run fuzz:vrouter -- --world balancers`. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { ofAll } from '@cable/kit/testing';
import { caseText, isSound } from './case.ts';
import { drawBalanced } from './draw-balanced.ts';
import { assertReached, atLeast } from './reached.ts';
import { Rig } from './rig.ts';
import { findDifference } from './search.ts';

const ALL_CASES = 1400;
const CASES = ofAll(280, ALL_CASES);

let rig: Rig;

before(() => {
  rig = new Rig();
});

after(() => rig.close());

const REACHED = {
  ...atLeast(1500, 'port', 'refusal no_member'),
  ...atLeast(200, 'drop no_endpoint', 'drop invalid_state', 'drop spoofed_ip'),
  ...atLeast(50, 'host', 'drop no_route', 'drop unknown_mac', 'drop policy_ingress', 'wait'),
  ...atLeast(20, 'drop policy_egress', 'drop nat_gone', 'drop peering', 'refusal ttl_exceeded'),
  ...atLeast(5, 'drop no_member', 'cut', 'drop reverse_path'),
};

test(`what is sent to a virtual address ends as promised, in ${CASES} cases`, (t) => {
  const { text, packets, uncertain, outcomes } = findDifference(rig, { seed: 1, cases: CASES, draw: drawBalanced });
  assert.equal(text, undefined, text);
  t.diagnostic(`${packets} packets; ${uncertain} cases left early; ${outcomes}`);
  assertReached(outcomes, REACHED, CASES / ALL_CASES);
  assert.ok(uncertain < CASES / 10, `${uncertain} cases were left early`);
});

test('such a case can be run', () => {
  for (let number = 0; number < 200; number++) {
    const drawn = drawBalanced(9, number);
    assert.ok(isSound(drawn), caseText(drawn));
  }
});
