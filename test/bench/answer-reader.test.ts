import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Answer, AnswerReader } from '../../bench/control/answer-reader.ts';

const ANSWERS: readonly (readonly [text: string, answer: Answer])[] = [
  [
    'HTTP/1.1 201 Created\r\nContent-Type: application/json\r\ncontent-length: 7\r\n\r\n{"a":1}',
    { status: 201, bodyBytes: 7, refusal: '' },
  ],
  ['HTTP/1.1 204 No Content\r\nDate: now\r\n\r\n', { status: 204, bodyBytes: 0, refusal: '' }],
  ['HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n', { status: 200, bodyBytes: 0, refusal: '' }],
  [
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"a":\r\n10\r\n"123456789\\r\\n"}\r\n0\r\n\r\n',
    { status: 200, bodyBytes: 21, refusal: '' },
  ],
  [
    'HTTP/1.1 503 Service Unavailable\r\ncontent-length: 9\r\nretry-after: 1\r\n\r\ntoo much.',
    { status: 503, bodyBytes: 9, refusal: 'too much.' },
  ],
];

test('answers with a length, without a body and in chunks are read, one after the other', () => {
  const reader = new AnswerReader();
  for (const [text, answer] of ANSWERS) assert.deepEqual(reader.push(Buffer.from(text)), answer);
});

test('an answer may come in any two pieces, or byte by byte', () => {
  for (const [text, answer] of ANSWERS) {
    const bytes = Buffer.from(text);
    for (let at = 1; at < bytes.length; at += 1) {
      const reader = new AnswerReader();
      assert.equal(reader.push(bytes.subarray(0, at)), undefined);
      assert.deepEqual(reader.push(bytes.subarray(at)), answer);
    }
    const reader = new AnswerReader();
    const answers = [...bytes].map((byte) => reader.push(Buffer.of(byte)));
    assert.deepEqual(answers.at(-1), answer);
    assert.ok(answers.slice(0, -1).every((one) => one === undefined));
  }
});

test('what is no answer, or has no end, is an error', () => {
  for (const text of [
    'GET / HTTP/1.1\r\n\r\n',
    'HTTP/1.1 200 OK\r\n\r\n',
    'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n',
  ]) {
    assert.throws(() => new AnswerReader().push(Buffer.from(text)), Error, text);
  }
});
