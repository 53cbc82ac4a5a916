import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CableError } from '@cable/model';
import { parseRegistration, parseStatusReport } from './parse.ts';

const GIVEN = { underlay: '192.0.2.1', agentVersion: '1' };
const ID = '00000000-0000-4000-8000-000000000001';

function refused(field: string): (err: unknown) => boolean {
  return (err) => err instanceof CableError && err.code === 'InvalidInput' && err.fields['field'] === field;
}

test('a registration of protocol 1 has an address and a version', () => {
  assert.deepEqual(parseRegistration(GIVEN), { ...GIVEN, protocol: 1 });
  assert.deepEqual(parseRegistration({ ...GIVEN, underlay: '2001:DB8::1', more: 1 }).underlay, '2001:db8::1');
});

test('a registration of protocol 2 names the machine and the run', () => {
  const named = { ...GIVEN, agentId: ID, session: ID, protocol: 2 };
  assert.deepEqual(parseRegistration(named), named);
  assert.throws(() => parseRegistration({ ...GIVEN, protocol: 2 }), refused('agentId'));
  assert.throws(() => parseRegistration({ ...named, session: undefined }), refused('session'));
  assert.throws(() => parseRegistration({ ...named, session: 'x' }), refused('session'));
  assert.throws(() => parseRegistration({ ...named, agentId: '../x' }), refused('agentId'));
  for (const protocol of [0, 1.5, '2', null]) {
    assert.throws(() => parseRegistration({ ...named, protocol }), refused('protocol'));
  }
});

test('a registration may say how large a packet the underlay takes', () => {
  for (const underlayMtuBytes of [68, 1400, 65_535]) {
    assert.equal(parseRegistration({ ...GIVEN, underlayMtuBytes }).underlayMtuBytes, underlayMtuBytes);
  }
  for (const underlayMtuBytes of [67, 65_536, 1400.5, '1400', null]) {
    assert.throws(() => parseRegistration({ ...GIVEN, underlayMtuBytes }), refused('underlayMtuBytes'));
  }
});

test('an underlay address that is not one machine’s alone is refused, and the message says why', () => {
  const bad = ['0.0.0.0', '0.1.2.3', '127.0.0.1', '127.9.9.9', '224.0.0.1', '239.1.1.1', '255.255.255.255'];
  for (const underlay of [...bad, '::', '::1', 'ff02::1', '::ffff:127.0.0.1', '192.0.2.256', 'host', '', 7]) {
    assert.throws(() => parseRegistration({ ...GIVEN, underlay }), refused('underlay'), String(underlay));
  }
  assert.throws(() => parseRegistration({ ...GIVEN, underlay: '127.0.0.1' }), /none can reach it at 127\.0\.0\.1/);
});

test('a report says what the kernel refused, if anything', () => {
  const report = { revision: 7, full: false, vifs: [] };
  assert.deepEqual(parseStatusReport(report), report);
  const full = { ...report, refused: { entries: 3, reason: 'map cb_ep_2 is full' } };
  assert.deepEqual(parseStatusReport({ ...full, more: 1 }), full);
  for (const [entries, reason, field] of [
    [0, '', 'entries'],
    [1.5, '', 'entries'],
    ['1', '', 'entries'],
    [1, 7, 'reason'],
    [1, 'x'.repeat(257), 'reason'],
  ] as const) {
    assert.throws(() => parseStatusReport({ ...report, refused: { entries, reason } }), refused(`refused.${field}`));
  }
  assert.throws(() => parseStatusReport({ ...report, refused: [] }), CableError);
});

test('a status says how leases are used', () => {
  const report = { revision: 7, full: false, vifs: [] };
  const use = { leaseId: ID, blocks: 4, wanted: true, idle: [1024, 65_472] };
  assert.deepEqual(parseStatusReport({ ...report, leases: [{ ...use, more: 1 }] }), { ...report, leases: [use] });
  for (const [wrong, field] of [
    [{ leaseId: 'x' }, 'leaseId'],
    [{ blocks: -1 }, 'blocks'],
    [{ wanted: 1 }, 'wanted'],
    [{ idle: [65_536] }, 'idle'],
    [{ idle: Array.from({ length: 33 }, () => 1024) }, 'idle'],
  ] as const) {
    assert.throws(
      () => parseStatusReport({ ...report, leases: [{ ...use, ...wrong }] }),
      refused(`leases[0].${field}`),
    );
  }
  const many = Array.from({ length: 257 }, () => use);
  assert.throws(() => parseStatusReport({ ...report, leases: many }), refused('leases'));
});
