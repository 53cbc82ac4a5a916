import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MAX_MEMBERS_A_REPORT } from '@cable/model';
import { MemberReports } from './member-reports.ts';

/** Members, all up; what is not among them is gone. */
function startReports(...ids: readonly string[]) {
  const members = new Set(ids);
  const reports = new MemberReports({
    members,
    healthOf: (memberId) => ({ memberId, state: members.has(memberId) ? 'up' : 'gone', reason: null }),
  });
  const take = (mayBeFull: boolean): string =>
    reports
      .take(mayBeFull)
      .map(({ full, members: told }) => `${full ? 'all' : 'some'} ${told.map((one) => `${one.memberId} ${one.state}`)}`)
      .join('; ');
  return { members, reports, take };
}

test('at first changes are told, and all as soon as they are known to be all', () => {
  const { members, reports, take } = startReports('a', 'b');
  assert.equal(take(false), '');
  reports.note(['a']);
  assert.equal(take(false), 'some a up');
  assert.equal(take(true), 'all a up,b up');
  assert.equal(take(true), '');
  members.delete('b');
  reports.note(['b']);
  assert.equal(take(true), 'some b gone');
  reports.forget();
  assert.equal(take(true), 'all a up');
});

test('a host that probes nobody says so, once', () => {
  const { take } = startReports();
  assert.equal(take(true), 'all ');
  assert.equal(take(true), '');
});

test('more than a report may name are told in several, none of which is all', () => {
  const { reports } = startReports(...Array.from({ length: MAX_MEMBERS_A_REPORT + 5 }, (_, n) => `m${n}`));
  assert.deepEqual(
    reports.take(true).map(({ full, members }) => [full, members.length]),
    [
      [false, MAX_MEMBERS_A_REPORT],
      [false, 5],
    ],
  );
});
