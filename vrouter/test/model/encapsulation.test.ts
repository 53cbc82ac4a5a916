import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { ofAll } from '@cable/kit/testing';
import { drawCase } from './draw-case.ts';
import { Rig } from './rig.ts';
import { findDifference } from './search.ts';

const ALL_CASES = 2000;
const CASES = ofAll(400, ALL_CASES);

let rig: Rig;

before(() => {
  rig = new Rig('own');
});

after(() => rig.close());

test(`with own encapsulation packets end as with the device's, in ${CASES} cases`, (t) => {
  const { text, packets, outcomes } = findDifference(rig, { seed: 3, cases: CASES, draw: drawCase });
  assert.equal(text, undefined, text);
  t.diagnostic(`${packets} packets; ${rig.throughUplink} through the uplink; ${outcomes}`);
  assert.ok(rig.throughUplink > CASES / 2, 'many went through the uplink, in or out');
});
