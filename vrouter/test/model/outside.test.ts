/** Clouds whose routers lead outside: floating IPs, routers' addresses, port forwarding. More of them: `npm run fuzz:vrouter -- --world outside`. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { ofAll } from '@cable/kit/testing';
import { caseText, isSound } from './case.ts';
import { drawOutside } from './draw-outside.ts';
import { assertReached, atLeast } from './reached.ts';
import { Rig } from './rig.ts';
import { findDifference } from './search.ts';

const ALL_CASES = 2200;
const CASES = ofAll(440, ALL_CASES);

let rig: Rig;

before(() => {
  rig = new Rig();
});

after(() => rig.close());

const REACHED = {
  ...atLeast(1000, 'wire', 'port', 'copies', 'drop no_endpoint'),
  ...atLeast(300, 'drop invalid_state', 'drop no_route', 'drop policy_ingress', 'drop spoofed_ip'),
  ...atLeast(100, 'drop no_neighbour', 'drop policy_egress', 'drop nat_ports', 'pass', 'drop reverse_path'),
  ...atLeast(20, 'drop nat_gone', 'drop spoofed_peer', 'wait', 'cut', 'refusal ttl_exceeded'),
};

test(`what passes a router's gateway ends as promised, in ${CASES} cases`, (t) => {
  const { text, packets, uncertain, outcomes } = findDifference(rig, { seed: 1, cases: CASES, draw: drawOutside });
  assert.equal(text, undefined, text);
  t.diagnostic(`${packets} packets; ${uncertain} cases left early; ${outcomes}`);
  assertReached(outcomes, REACHED, CASES / ALL_CASES);
  assert.ok(uncertain < CASES / 25, `${uncertain} cases were left early`);
});

test('such a case can be run', () => {
  for (let number = 0; number < 200; number++) {
    const drawn = drawOutside(9, number);
    assert.ok(isSound(drawn), caseText(drawn));
  }
});
