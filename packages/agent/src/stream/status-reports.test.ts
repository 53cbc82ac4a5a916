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

function manyPorts(count: number): readonly string[] {
  return Array.from({ length: count }, (_, i) => `p${i}`);
}

test('many ports are several reports; a full one is in parts, that servers which know of none take for reports of some ports', () => {
  const { reports } = bed(...manyPorts(5000));
  const shape = (mayBeFull: boolean): unknown =>
    reports.take(mayBeFull).map((one) => [one.full, one.part, one.revision, one.vifs.length]);
  assert.deepEqual(shape(false), [
    [false, undefined, 7, 4096],
    [false, undefined, 7, 904],
  ]);
  assert.deepEqual(shape(true), [
    [false, { number: 1, of: 2 }, 7, 4096],
    [false, { number: 2, of: 2 }, 7, 904],
  ]);
});

test('a full report of as many ports as a line may have is a part: it must not look like the first line of several', () => {
  const { reports } = bed(...manyPorts(4096));
  assert.deepEqual(
    reports.take(true).map((one) => [one.full, one.part]),
    [[false, { number: 1, of: 1 }]],
  );
});

test('of more ports than a server keeps those that are up are told, and one that comes up takes a place', () => {
  const { reports, ports } = bed(...manyPorts(8200));
  const told = (mayBeFull: boolean): string[] =>
    reports.take(mayBeFull).flatMap((one) => one.vifs.map((vif) => vif.portId));
  for (let n = 0; n < 10; n += 1) ports.set(`p${n}`, { portId: `p${n}`, state: 'error', reason: 'full' });
  const first = told(true);
  assert.equal(first.length, 8192);
  assert.deepEqual(
    first.filter((id) => ports.get(id)?.state === 'error'),
    ['p0', 'p1'],
  );
  ports.set('p9', up('p9'));
  reports.note(['p9', 'p0']);
  assert.deepEqual(told(false), ['p0']);
  assert.ok(reports.isFullDue);
  const second = told(true);
  assert.equal(second.length, 8192);
  assert.ok(second.includes('p9') && !second.includes('p1'));
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
