import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Turns } from './turns.ts';

test('calls that share a key run one after the other, others at once', async () => {
  const turns = new Turns();
  const begun: string[] = [];
  const ends = new Map<string, () => void>();
  const call = (name: string, ...keys: readonly string[]): Promise<void> =>
    turns.run(keys, () => {
      begun.push(name);
      return new Promise((resolve) => ends.set(name, resolve));
    });
  const calls = [call('a', 'x'), call('b', 'x', 'y'), call('c', 'y'), call('d', 'z'), call('e')];
  const idle = (): Promise<unknown> => new Promise(setImmediate);
  await idle();
  assert.deepEqual([...begun].sort(), ['a', 'd', 'e']);
  ends.get('a')?.();
  await idle();
  assert.deepEqual(begun.slice(3), ['b']);
  ends.get('b')?.();
  await idle();
  assert.deepEqual(begun.slice(3), ['b', 'c']);
  for (const end of ends.values()) end();
  await Promise.all(calls);
  assert.ok(!turns.has('x') && !turns.has('y') && !turns.has('z'));
});

test('a call that fails does not keep the next from running', async () => {
  const turns = new Turns();
  const failed = turns.run(['x'], () => Promise.reject(new Error('no')));
  const next = turns.run(['x'], async () => 7);
  assert.ok(turns.has('x'));
  await assert.rejects(failed, /no/);
  assert.equal(await next, 7);
});
