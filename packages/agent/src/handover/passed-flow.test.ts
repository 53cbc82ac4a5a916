import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { JsonRecord } from '../json.ts';
import { parsePassedFlow, passedFlowOf, passedRow } from './passed-flow.ts';
import { PASSED_EXAMPLE } from './testing.ts';

const NETWORKS = { external: 9, transit: 8, inner: 7 };

/** As the vrouter has it: tuples have their networks. */
function rowOf(flow: typeof PASSED_EXAMPLE) {
  const row = passedRow(flow, NETWORKS);
  const nets = flow.begun ? [8, 9] : [9, 8];
  return { ...row, tuple: row.tuple.map((tuple, at) => ({ ...tuple, net: nets[at] ?? 0 })) };
}

test('a flow goes over as it is, whoever began it', () => {
  for (const begun of [true, false]) {
    const flow = { ...PASSED_EXAMPLE, begun };
    const told = JSON.parse(JSON.stringify(passedFlowOf(rowOf(flow), 9))) as JsonRecord;
    assert.deepEqual(parsePassedFlow(told), flow);
  }
});

test('what has not the two ends of a translation is not told', () => {
  const row = rowOf(PASSED_EXAMPLE);
  assert.equal(passedFlowOf({ ...row, member: 3 }, 9), undefined);
  assert.equal(passedFlowOf(row, 5), undefined, 'of another network');
  const [from, to] = row.tuple;
  assert.ok(from !== undefined && to !== undefined);
  assert.equal(passedFlowOf({ ...row, tuple: [from, { ...to, sportBe: 1 }] }, 9), undefined);
  assert.equal(passedFlowOf({ ...row, tuple: [{ ...from, net: 9 }, to] }, 9), undefined, 'from outside to outside');
});

test('what another host says is taken only in its form', () => {
  const wrong: readonly JsonRecord[] = [
    { begun: 1 },
    { protocol: 256 },
    { state: 'open' },
    { expiresMs: -1 },
    { inside: { address: '10.0.0.1', port: 65_536 } },
    { inside: { address: '2001:db8::1', port: 1 } },
    { outside: { address: 'x', port: 1 } },
    { peer: null },
    { sent: { packets: -1, bytes: 0, fin: false } },
    { received: [] },
  ];
  for (const one of wrong) assert.equal(parsePassedFlow({ ...PASSED_EXAMPLE, ...one }), undefined, JSON.stringify(one));
});
