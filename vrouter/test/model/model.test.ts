import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { ofAll } from '@cable/kit/testing';
import { type Case, caseText, isSound } from './case.ts';
import { compare, differenceText } from './compare.ts';
import { drawCase } from './draw-case.ts';
import { assertReached, atLeast } from './reached.ts';
import { Rig } from './rig.ts';
import { findDifference } from './search.ts';
import { shrink } from './shrink.ts';

/** With those of the other files here 10,000, 2,000 by default. */
const ALL_CASES = 3000;
const CASES = ofAll(600, ALL_CASES);
const SEED = 1;

let rig: Rig;

before(() => {
  rig = new Rig();
});

after(() => rig.close());

const REACHED = {
  ...atLeast(2500, 'port'),
  ...atLeast(700, 'host', 'copies'),
  ...atLeast(
    250,
    ...['agent', 'wait', 'drop malformed', 'drop invalid_state', 'drop policy_egress', 'drop policy_ingress'],
    ...['drop service', 'drop unknown_mac'],
  ),
  ...atLeast(
    100,
    ...['spoofed_ip', 'spoofed_mac', 'spoofed_arp', 'no_route', 'no_router', 'no_endpoint', 'not_programmed'].map(drop),
    ...['admin_down', 'unknown_peer', 'icmp_redirect', 'port_disabled_dhcp', 'ip_options', 'peering'].map(drop),
  ),
  ...atLeast(50, 'drop spoofed_peer', 'drop unsupported_ethertype'),
  ...atLeast(20, 'refusal too_big', 'refusal ttl_exceeded', 'cut', 'drop tiny_fragment', 'drop unknown_vni'),
  ...atLeast(20, 'drop tcp_window', 'drop reverse_path', 'drop fragment'),
};

function drop(reason: string): string {
  return `drop ${reason}`;
}

test(`the programs do what the model promises, in ${CASES} cases`, (t) => {
  const { text, packets, uncertain, outcomes } = findDifference(rig, { seed: SEED, cases: CASES, draw: drawCase });
  assert.equal(text, undefined, text);
  t.diagnostic(`${packets} packets; ${uncertain} cases left early; ${outcomes}`);
  assertReached(outcomes, REACHED, CASES / ALL_CASES);
  assert.ok(uncertain < CASES / 100, `${uncertain} cases were left early`);
});

test('a case is drawn from its seed and number alone', () => {
  assert.equal(caseText(drawCase(7, 3)), caseText(drawCase(7, 3)));
  assert.notEqual(caseText(drawCase(7, 3)), caseText(drawCase(7, 4)));
  assert.notEqual(caseText(drawCase(7, 3)), caseText(drawCase(8, 3)));
  for (let number = 0; number < 200; number++) assert.ok(isSound(drawCase(9, number)), caseText(drawCase(9, number)));
});

/** A case in which a port with port security sends from an address that is not its own. */
function drawnWithSpoof(): Case {
  for (let number = 0; ; number++) {
    const drawn = drawCase(5, number);
    if (spoofs(drawn)) return drawn;
  }
}

function spoofs(of: Case): boolean {
  let found = false;
  compare(of, rig, (outcome) => {
    found ||= outcome.kind === 'drop' && outcome.reason === 'spoofed_ip';
  });
  return found;
}

test('a failing case is made small: one port, one packet', () => {
  const small = shrink(drawnWithSpoof(), spoofs);
  assert.ok(spoofs(small));
  assert.deepEqual([small.steps.length, small.cloud.ports.length], [1, 1], caseText(small));
  assert.deepEqual(small.cloud.groups, []);
});

test('a difference is told with the cloud, the step, and both ends', () => {
  const small = shrink(drawnWithSpoof(), spoofs);
  const text = differenceText(small, { step: 0, promised: 'drop spoofed_ip', done: 'to vif a' });
  for (const part of [
    /^network \{name: \w+/,
    /^port \{/m,
    /^1\. port \w+ sends \{kind: /m,
    /^ {2}drop spoofed_ip$/m,
    /^ {2}to vif a$/m,
  ]) {
    assert.match(text, part);
  }
});
