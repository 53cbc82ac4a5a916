import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MessageSplitter } from './message-splitter.ts';
import { OvsdbError } from './ovsdb-error.ts';

const LIMITS = { bytes: 1000, depth: 8 };

test('messages come out whole wherever they were cut', () => {
  const messages = [{ a: '}{"\\', b: ['[', 'ä', '\\"'] }, [], { c: { d: [1, 2] } }];
  const bytes = Buffer.from(messages.map((one) => JSON.stringify(one)).join('\n'));
  for (let cut = 0; cut <= bytes.length; cut += 1) {
    const splitter = new MessageSplitter(LIMITS);
    const found = [...splitter.push(bytes.subarray(0, cut)), ...splitter.push(bytes.subarray(cut))];
    assert.deepEqual(found, messages);
  }
});

test('what is no message is refused', () => {
  const cases = ['HTTP/1.1 400', '{"a":}', '"text"', '17', ']', '{]', '['.repeat(9), `{"a":"${'x'.repeat(1000)}"}`];
  for (const text of cases) {
    assert.throws(
      () => new MessageSplitter(LIMITS).push(Buffer.from(text)),
      (err) => err instanceof OvsdbError && err.kind === 'hostile',
      text,
    );
  }
  assert.throws(() => new MessageSplitter(LIMITS).push(Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x7d])), OvsdbError);
});

test('a message that never ends is refused before it is large', () => {
  const splitter = new MessageSplitter(LIMITS);
  splitter.push(Buffer.from('{"a":"'));
  assert.throws(() => {
    for (let i = 0; i < 20; i += 1) splitter.push(Buffer.from('x'.repeat(100)));
  }, OvsdbError);
});
