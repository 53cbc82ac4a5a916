import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { HostStatusReport, RefusedEntries, VifStatus } from '@cable/model';
import { StatusReports } from './status-reports.ts';

function up(portId: string): VifStatus {
  return { portId, state: 'up', reason: null };
}

function bed(...ids: readonly string[]) {
  const ports = new Map(ids.map((id) => [id, up(id)]));
  let known = true;
  const kernel: { refused: RefusedEntries | undefined } = { refused: undefined };
  const reports = new StatusReports({
    programmedRevision: () => 7,
    ports: () => (known ? ports : undefined),
    refused: () => kernel.refused,
  });
  const hide = (): void => {
    known = false;
  };
  const show = (): void => {
    known = true;
  };
  return { reports, ports, kernel, hide, show };
}

function summary(reports: readonly HostStatusReport[]): unknown {
  return reports.map((one) => [one.full, one.vifs.map((vif) => vif.portId)]);
}

test('the first report of a connection has every port, and is full once the ports are known to be all', () => {
  const { reports } = bed('a', 'b');
  assert.deepEqual(summary(reports.take(false)), [[false, ['a', 'b']]]);
  assert.deepEqual(summary(reports.take(true)), [[true, ['a', 'b']]]);
  assert.deepEqual(summary(reports.take(true)), [[false, []]]);
  reports.forget();
  assert.deepEqual(summary(reports.take(true)), [[true, ['a', 'b']]]);
});

test('later reports have what changed, once', () => {
  const { reports, ports } = bed('a', 'b');
  reports.take(true);
  ports.set('b', { portId: 'b', state: 'error', reason: 'x'.repeat(999) });
  reports.note(['b', 'b']);
  const [report] = reports.take(true);
  assert.deepEqual(summary([report as HostStatusReport]), [[false, ['b']]]);
  assert.equal(report?.vifs[0]?.reason?.length, 256);
  assert.deepEqual(summary(reports.take(true)), [[false, []]]);
});

test('a port that is gone makes a full report due', () => {
  const { reports, ports } = bed('a', 'b');
  reports.take(true);
  ports.delete('b');
  reports.note(['b']);
  assert.deepEqual(summary(reports.take(false)), [[false, []]]);
  assert.equal(reports.isFullDue, true);
  assert.deepEqual(summary(reports.take(true)), [[true, ['a']]]);
  assert.equal(reports.isFullDue, false);
});

test('before the first round nothing is said of ports, and nothing is lost', () => {
  const { reports, hide, show } = bed('a');
  hide();
  assert.deepEqual(summary(reports.take(true)), [[false, []]]);
  show();
  assert.deepEqual(summary(reports.take(true)), [[true, ['a']]]);
});

test('many ports are several reports, of which the first alone is full', () => {
  const { reports } = bed(...Array.from({ length: 9000 }, (_, i) => `p${i}`));
  assert.deepEqual(
    reports.take(true).map((one) => [one.full, one.revision, one.vifs.length]),
    [
      [true, 7, 4096],
      [false, 7, 4096],
      [false, 7, 808],
    ],
  );
});

test('every report says what the kernel refuses by now, and nothing when it refuses nothing', () => {
  const { reports, kernel } = bed('a');
  assert.ok(!('refused' in (reports.take(true)[0] ?? {})));
  kernel.refused = { entries: 3, reason: 'x'.repeat(999) };
  for (let n = 0; n < 2; n += 1) {
    const [report] = reports.take(true);
    assert.deepEqual([report?.revision, report?.refused], [7, { entries: 3, reason: 'x'.repeat(256) }]);
  }
  kernel.refused = undefined;
  assert.ok(!('refused' in (reports.take(true)[0] ?? {})));
});
