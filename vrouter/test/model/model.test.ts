import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type Case, caseText, isSound } from './case.ts';
import { compare, differenceText } from './compare.ts';
import { drawCase } from './draw-case.ts';
import { Rig } from './rig.ts';
import { findDifference } from './search.ts';
import { shrink } from './shrink.ts';

const CASES = 10_000;
const SEED = 1;

let rig: Rig;

before(() => {
  rig = new Rig();
});

after(() => rig.close());

/** What must have come so often at the least, or the cases no longer reach it. */
const REACHED: Readonly<Record<string, number>> = {
  port: 5000,
  host: 2000,
  copies: 1500,
  agent: 500,
  'refusal too_big': 50,
  cut: 50,
  'refusal ttl_exceeded': 50,
  ...Object.fromEntries(
    ['malformed', 'invalid_state', 'policy_egress', 'policy_ingress', 'service', 'unknown_mac'].map((reason) => [
      `drop ${reason}`,
      500,
    ]),
  ),
  ...Object.fromEntries(
    ['spoofed_ip', 'spoofed_mac', 'spoofed_arp', 'no_route', 'no_router', 'no_endpoint'].map((reason) => [
      `drop ${reason}`,
      200,
    ]),
  ),
  ...Object.fromEntries(
    ['not_programmed', 'admin_down', 'unknown_peer', 'spoofed_peer', 'icmp_redirect', 'port_disabled_dhcp'].map(
      (reason) => [`drop ${reason}`, 200],
    ),
  ),
  wait: 500,
  'drop ip_options': 200,
  'drop tcp_window': 50,
  'drop tiny_fragment': 50,
  'drop fragment': 100,
  'drop reverse_path': 50,
  'drop peering': 200,
  'drop unsupported_ethertype': 100,
  'drop unknown_vni': 50,
};

test(`the programs do what the model promises, in ${CASES} cases`, (t) => {
  const { text, packets, uncertain, outcomes } = findDifference(rig, { seed: SEED, cases: CASES, draw: drawCase });
  assert.equal(text, undefined, text);
  t.diagnostic(`${packets} packets; ${uncertain} cases left early; ${outcomes}`);
  for (const [kind, least] of Object.entries(REACHED))
    assert.ok(outcomes.of(kind) >= least, `${kind}: ${outcomes.of(kind)}`);
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
