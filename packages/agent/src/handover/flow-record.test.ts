import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '@cable/kit';
import { parseFlowLine, writeLine } from './flow-lines.ts';
import { type FlowRecord, parseFlowRecord, recordOf, rowOf } from './flow-record.ts';
import { EXAMPLE, MEMBER_EXAMPLE, NETWORK } from './testing.ts';

const OUTSIDE = 'a0000000-0000-4000-8000-000000000009';
const NETS = new Map([
  [NETWORK, 3],
  [OUTSIDE, 6],
]);
const NUMBERS = { network: (id: string) => NETS.get(id), member: () => 9 };
const NAMES = {
  network: (net: number) => [...NETS].find(([, number]) => number === net)?.[0] ?? null,
  member: () => MEMBER_EXAMPLE.member?.id ?? null,
};

for (const [what, record] of [
  ['that the port began', EXAMPLE],
  ['that another began', { ...EXAMPLE, begun: false }],
  ['of IPv6', { ...EXAMPLE, own: { address: 'fd00::1', port: 1 }, peer: { address: 'fd00::2', port: 2 } }],
  ['to a member', MEMBER_EXAMPLE],
  ['by a floating IP', { ...EXAMPLE, floating: { address: '203.0.113.7', networkId: OUTSIDE } }],
  ['to a floating IP', { ...EXAMPLE, begun: false, floating: { address: '203.0.113.7', networkId: OUTSIDE } }],
] as const satisfies readonly (readonly [string, FlowRecord])[]) {
  test(`a flow ${what} is the same after its way through a row and a line`, () => {
    const row = rowOf(record, 7, NUMBERS);
    assert.ok(row !== undefined);
    const side = record.begun ? 0 : 1;
    assert.deepEqual([row.vif[side], row.vif[1 - side]], [7, 0]);
    // What the target's programs add, and what the source's say.
    const tuple = row.tuple.map((one, n) => ({ ...one, net: n !== side && row.outsideNet !== 0 ? row.outsideNet : 4 }));
    const taken = { ...row, tuple, outNet: side === 0 ? [3, 5] : [5, 3] };
    const line = writeLine({ type: 'flow', flow: recordOf(taken, 7, NAMES) as FlowRecord });
    assert.deepEqual(parseFlowLine(line.trim()), { type: 'flow', flow: record });
  });
}

test('a member that is not known makes no row, and a flow whose member nobody has is not told', () => {
  assert.equal(rowOf(MEMBER_EXAMPLE, 7, { ...NUMBERS, member: () => undefined }), undefined);
  const row = rowOf(MEMBER_EXAMPLE, 7, NUMBERS);
  assert.ok(row !== undefined);
  assert.equal(recordOf(row, 7, { ...NAMES, member: () => null }), undefined);
});

test('a flow that leaves the port’s host with another address is not told: the target takes it up with its floating IP', () => {
  for (const begun of [true, false]) {
    const row = rowOf({ ...EXAMPLE, begun }, 7, NUMBERS);
    assert.ok(row !== undefined);
    const side = begun ? 0 : 1;
    const outside = row.tuple.map((one, at) => (at === side ? one : { ...one, dst: new Uint8Array(16).fill(9) }));
    assert.ok(recordOf(row, 7, NAMES) !== undefined);
    assert.equal(recordOf({ ...row, tuple: outside }, 7, NAMES), undefined);
  }
});

test('what newer builds say besides is passed over; what cannot be is no record', () => {
  assert.deepEqual(parseFlowRecord({ ...EXAMPLE, rule: 'x', own: { ...EXAMPLE.own, mac: 'x' } }), EXAMPLE);
  for (const wrong of [
    { begun: 'yes' },
    { protocol: 256 },
    { own: { address: '10.0.0.300', port: 1 } },
    { own: { address: 'fd00::1', port: 1 } },
    { peer: { address: '10.0.0.1', port: 70_000 } },
    { peerNetworkId: '../x' },
    { state: 'open' },
    { expiresMs: -1 },
    { expiresMs: 1e300 },
    { sent: { ...EXAMPLE.sent, bytes: 0.5 } },
    { received: null },
    { member: { ...MEMBER_EXAMPLE.member, id: 'x' } },
    { begun: false, member: MEMBER_EXAMPLE.member },
    { floating: { address: '203.0.113.7', networkId: 'x' } },
    { floating: { address: 'fd00::7', networkId: NETWORK } },
    { floating: { address: '203.0.113.7', networkId: NETWORK }, member: MEMBER_EXAMPLE.member },
  ]) {
    assert.equal(parseFlowRecord({ ...EXAMPLE, ...wrong }), undefined, JSON.stringify(wrong));
  }
});

test('no line upsets who reads it', () => {
  const random = seededRandom(11);
  const text = writeLine({ type: 'flow', flow: MEMBER_EXAMPLE }).trim();
  const alphabet = '{}[]",:0129.-eaft\\ ';
  for (let n = 0; n < 20_000; n += 1) {
    let changed = text;
    for (let k = 0; k <= random() * 4; k += 1) {
      const at = Math.floor(random() * changed.length);
      const letter = alphabet[Math.floor(random() * alphabet.length)] ?? '';
      changed = changed.slice(0, at) + letter + changed.slice(at + Math.floor(random() * 3));
    }
    const line = parseFlowLine(changed);
    if (line === undefined || line === 'other' || line.type !== 'flow') continue;
    assert.ok(rowOf(line.flow, 7, NUMBERS) !== undefined, changed);
  }
  assert.equal(parseFlowLine(`{"type":"beat","x":"${'x'.repeat(9000)}"}`), undefined);
  assert.equal(parseFlowLine('{"type":"news"}'), 'other');
  assert.equal(parseFlowLine('{"type":"hello","version":2}'), undefined);
});
