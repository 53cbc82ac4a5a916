import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ExpectedError } from './expected.ts';
import { createLogger } from './log.ts';

/** What the log says of an error. */
function logged(err: unknown): Readonly<Record<string, unknown>> {
  const lines: string[] = [];
  const log = createLogger('info', { write: (text) => lines.push(text), flush: () => undefined });
  log.error({ err }, 'it failed');
  return (JSON.parse(lines[0] ?? '') as { err: Record<string, unknown> }).err;
}

const expected = (cause?: unknown): ExpectedError => new ExpectedError('the disk is full: make room', { cause });

test('an expected error is logged without a stack, whatever the system or a peer said', () => {
  const refused = Object.assign(new Error('ENOSPC: no space left'), { code: 'ENOSPC' });
  const unavailable = Object.assign(new Error('14 UNAVAILABLE'), { code: 14 });
  for (const cause of [undefined, expected(), refused, expected(refused), unavailable]) {
    const err = logged(expected(cause));
    assert.equal(err['message'], 'the disk is full: make room');
    assert.equal(JSON.stringify(err).includes('log.test.ts'), false);
  }
});

test('a surprise has its stack, also behind an expected error', () => {
  const misuse = Object.assign(new Error('wrong'), { code: 'ERR_INVALID_ARG_TYPE' });
  for (const err of [new TypeError('x'), expected(new TypeError('x')), expected(expected(new Error('x'))), misuse]) {
    assert.match(String(logged(err)['stack']), /log\.test\.ts/);
  }
});
