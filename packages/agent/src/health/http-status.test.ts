import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fuzz } from '../guest/testing/fuzz.ts';
import { httpStatus } from './http-status.ts';

const bytes = (text: string): Uint8Array => Buffer.from(text, 'latin1');

for (const [what, answer, status] of [
  ['an answer', 'HTTP/1.1 200 OK\r\nServer: x\r\n\r\n', 200],
  ['one without a reason', 'HTTP/1.0 503\r\n', 503],
  ['one of a server that ends lines by itself', 'HTTP/1.1 204 \n', 204],
  ['the beginning of one', 'HTTP/1.1 20', undefined],
  ['nothing yet', '', undefined],
  ['another protocol', 'SSH-2.0-x\r\n', null],
  ['the beginning of another protocol', 'SSH', null],
  ['a status that is none', 'HTTP/1.1 99 x\r\n', null],
  ['a status with a tail', 'HTTP/1.1 2000 x\r\n', null],
  ['another version', 'HTTP/2.0 200 x\r\n', null],
  ['a line without an end', `HTTP/1.1 200 ${'x'.repeat(2000)}`, null],
] as const) {
  test(`the status of ${what}: ${status}`, () => {
    assert.equal(httpStatus(bytes(answer)), status);
  });
}

test('fuzz: a status is one that is there, and more of an answer changes none', () => {
  const corpus = ['HTTP/1.1 200 OK\r\n\r\n', 'HTTP/1.0 503 \r\nA: b\r\n', 'HTTP/1.1 301'].map(bytes);
  const outcomes = fuzz({
    corpus,
    rounds: 10_000,
    maxBytes: 2000,
    judge: (input) => {
      const status = httpStatus(input);
      assert.ok(
        status === null || status === undefined || (Number.isInteger(status) && status >= 100 && status <= 599),
      );
      const longer = httpStatus(Buffer.concat([input, bytes('x')]));
      if (status !== undefined) assert.equal(longer, status);
      for (let at = 0; at < Math.min(input.length, 40); at += 1) {
        const part = httpStatus(input.subarray(0, at));
        if (part !== undefined) assert.equal(status, part);
      }
      return String(status === undefined || status === null ? status : 'a status');
    },
  });
  assert.deepEqual([...outcomes.keys()].sort(), ['a status', 'null', 'undefined']);
});
