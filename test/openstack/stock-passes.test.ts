import assert from 'node:assert/strict';
import { test } from 'node:test';
import { differencesOf } from './stock-passes.ts';
import type { Result } from './tempest.ts';

const PASSES = new Set(['a.T.one', 'a.T.two', 'b.U.one', 'c.V.one']);

function result(id: string, status: Result['status'], why = ''): Result {
  return { id, status, seconds: 0, why };
}

function found(results: readonly Result[]): readonly string[] {
  return differencesOf(results, PASSES).map(({ id }) => id);
}

test('what a stock server passes is to pass, and to run', () => {
  const all = [result('a.T.one[id-1]', 'success'), result('b.U.one[id-2](egress)', 'success')];
  const rest = [result('a.T.two', 'success'), result('c.V.one', 'success')];
  assert.deepEqual(found([...all, ...rest]), []);
  assert.deepEqual(found(all), ['a.T.two', 'c.V.one'], 'what is not told of did not run');
  assert.deepEqual(found([...all, result('a.T.two', 'fail', 'x'), result('c.V.one', 'skip', 'y')]), [
    'a.T.two',
    'c.V.one',
  ]);
  assert.deepEqual(found([...all, ...rest, result('d.W.one', 'fail')]), [], 'the stock server does not pass it');
});

test('a class that is not set up stands for its tests, and only a known reason excuses it', () => {
  const rest = [result('a.T.one', 'success'), result('a.T.two', 'success'), result('b.U.one', 'success')];
  const skipped = (why: string): Result => result('setUpClass (c.V)', 'skip', why);
  assert.deepEqual(found([...rest, skipped('nobody knows')]), ['setUpClass (c.V)']);
  assert.deepEqual(found([...rest, skipped('local_ip extension not enabled.')]), []);
  assert.deepEqual(found([...rest, result('c.V.one', 'success'), result('tearDownClass (c.V)', 'fail')]), [
    'tearDownClass (c.V)',
  ]);
});
