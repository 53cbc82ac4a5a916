import assert from 'node:assert/strict';
import { test } from 'node:test';
import { onAbort } from './on-abort.ts';

test('who waits for an abort is told once, also of one that was, and not after taking it back', () => {
  let told: readonly string[] = [];
  const tell = (text: string): void => {
    told = [...told, text];
  };
  const stop = new AbortController();
  onAbort(stop.signal, () => tell('waits'));
  const takeBack = onAbort(stop.signal, () => tell('has gone'));
  takeBack();
  assert.deepEqual(told, []);
  stop.abort();
  assert.deepEqual(told, ['waits']);
  onAbort(stop.signal, () => tell('late'))();
  assert.deepEqual(told, ['waits', 'late']);
});
