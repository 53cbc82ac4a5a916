import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import type { ServerResponse } from 'node:http';
import { test } from 'node:test';
import { Client, readAsked } from './asked.ts';

test('a request has half a minute, and less when its client says so', () => {
  const deadline = (given: string): number => readAsked({ 'request-timeout': given }, 1000).deadlineMs;
  assert.equal(readAsked({}, 1000).deadlineMs, 31_000);
  assert.equal(deadline('2'), 3000);
  assert.equal(deadline('0.25'), 1250);
  assert.equal(deadline('99999'), 31_000);
  for (const bad of ['', '0', '-1', '1s', '1e3', 'NaN', '1, 2', '.5']) {
    assert.throws(() => deadline(bad), /Invalid value for Request-Timeout header/, bad);
  }
});

test('an idempotency key is visible ASCII of bounded length', () => {
  const key = (given: string): string | undefined => readAsked({ 'idempotency-key': given }, 0).idempotencyKey;
  assert.equal(readAsked({}, 0).idempotencyKey, undefined);
  for (const good of ['a', '"8e03978e-40d5-43dd-bc93-6894a57f9324"', '~'.repeat(255)]) assert.equal(key(good), good);
  for (const bad of ['', 'a b', 'a\t', 'é', 'a'.repeat(256), 'one, two']) {
    assert.throws(() => key(bad), /Invalid value for Idempotency-Key header/, bad);
  }
});

test('the signal of a request aborts when its client leaves, and not when it has been answered', () => {
  for (const [writableFinished, isAborted] of [
    [false, true],
    [true, false],
  ] as const) {
    const raw = Object.assign(new EventEmitter(), { destroyed: false, writableFinished }) as unknown as ServerResponse;
    const client = new Client({ raw });
    const { signal } = client;
    let closes = 0;
    client.onClose(() => {
      closes += 1;
    });
    assert.deepEqual([signal.aborted, client.isClosed, closes], [false, false, 0]);
    raw.emit('close');
    client.onClose(() => {
      closes += 1;
    });
    assert.deepEqual([signal.aborted, client.isClosed, closes], [isAborted, true, 2]);
  }
});
