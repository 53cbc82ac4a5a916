/** What policies' annotations ask to have written down. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { askedLog, toldWithLog } from './policy-log.ts';

const ENABLE = 'ovn.kubernetes.io/enable_log';
const ACTIONS = 'ovn.kubernetes.io/log_acl_actions';

test('annotations say what is written down of a policy, ours before those of Kube-OVN', () => {
  const cases: readonly (readonly [Readonly<Record<string, string>>, string])[] = [
    [{}, 'none'],
    [{ 'cable.io/log': 'allow' }, 'allow'],
    [{ 'cable.io/log': ' all ' }, 'all'],
    [{ 'cable.io/log': 'none', [ENABLE]: 'true' }, 'none'],
    [{ 'cable.io/log': '', [ENABLE]: 'true' }, 'drop'],
    [{ [ENABLE]: 'false', [ACTIONS]: 'allow' }, 'none'],
    [{ [ACTIONS]: 'allow' }, 'none'],
    [{ [ENABLE]: 'true', [ACTIONS]: 'allow' }, 'allow'],
    [{ [ENABLE]: 'true', [ACTIONS]: 'allow, drop' }, 'all'],
    [{ [ENABLE]: 'true', [ACTIONS]: 'pass' }, 'none'],
  ];
  for (const [annotations, log] of cases) assert.deepEqual(askedLog(annotations), { log }, JSON.stringify(annotations));
});

test('what is not known has nothing written down, and names the annotation and what to give', () => {
  const cases: readonly (readonly [Readonly<Record<string, string>>, string])[] = [
    [{ 'cable.io/log': 'yes' }, 'annotation cable.io/log: "yes" is not known: give none, allow, drop, all'],
    [{ [ENABLE]: 'on' }, `annotation ${ENABLE}: "on" is not known: give true or false`],
    [
      { [ENABLE]: 'true', [ACTIONS]: 'allow,reject' },
      `annotation ${ACTIONS}: "reject" is not known: give allow, drop, or both with a comma between`,
    ],
  ];
  for (const [annotations, problem] of cases) assert.deepEqual(askedLog(annotations), { log: 'none', problem });
});

test('a server of before is told nothing of logs unless somebody asks for one', () => {
  const row = (log?: string) => ({ id: 'a', ...(log === undefined ? {} : { log }) }) as never;
  assert.deepEqual(toldWithLog({ log: 'none', pods: '' }, undefined), { pods: '' });
  assert.deepEqual(toldWithLog({ log: 'none', pods: '' }, row()), { pods: '' });
  assert.deepEqual(toldWithLog({ log: 'none', pods: '' }, row('all')), { pods: '', log: 'none' });
  assert.deepEqual(toldWithLog({ log: 'drop', pods: '' }, row()), { pods: '', log: 'drop' });
});
