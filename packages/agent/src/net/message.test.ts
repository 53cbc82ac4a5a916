import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  bytes,
  decodeAttributes,
  decodeMessages,
  encodeMessage,
  fixedHeader,
  nest,
  readText,
  readU32,
  text,
  u8,
  u16be,
  u32,
} from './message.ts';

const HEAD = { type: 16, flags: 5, sequence: 77 };

test('a message with nested attributes is read as it was written', () => {
  const attributes = [u8(1, 200), text(3, 'eth0'), nest(18, [text(1, 'vxlan'), nest(2, [u16be(15, 4789), u32(9, 7)])])];
  const data = encodeMessage(HEAD, fixedHeader([1, 2], [1, 0], [2, 3]), attributes);
  const [message, ...others] = decodeMessages(data);
  assert.ok(message !== undefined);
  assert.deepEqual(others, []);
  assert.deepEqual([message.type, message.flags, message.sequence], [16, 5, 77]);
  const found = decodeAttributes(message.body, 4);
  assert.deepEqual(found.get(1), Uint8Array.of(200));
  assert.equal(readText(found.get(3)), 'eth0');
  const info = decodeAttributes(found.get(18) ?? new Uint8Array());
  assert.equal(readText(info.get(1)), 'vxlan');
  const inner = decodeAttributes(info.get(2) ?? new Uint8Array());
  assert.deepEqual(inner.get(15), Uint8Array.of(0x12, 0xb5));
  assert.equal(readU32(inner.get(9)), 7);
});

test('several messages in one datagram are told apart, whatever their padding', () => {
  const one = encodeMessage({ ...HEAD, sequence: 1 }, Uint8Array.of(9), [bytes(1, Uint8Array.of(1, 2, 3))]);
  const two = encodeMessage({ ...HEAD, sequence: 2 }, new Uint8Array(), []);
  assert.deepEqual(
    decodeMessages(new Uint8Array(Buffer.concat([one, two]))).map((m) => m.sequence),
    [1, 2],
  );
});

test('lengths that contradict the data end the list', () => {
  const good = encodeMessage(HEAD, new Uint8Array(), [u32(1, 1)]);
  for (const claimed of [0, 3, 15, 25, 0xffff_ffff]) {
    const bad = good.slice();
    new DataView(bad.buffer).setUint32(0, claimed, true);
    assert.deepEqual(decodeMessages(bad), [], `length ${claimed}`);
  }
  for (const claimed of [0, 3, 9, 0xffff]) {
    const body = good.slice(16);
    new DataView(body.buffer).setUint16(0, claimed, true);
    assert.equal(decodeAttributes(body).size, 0, `length ${claimed}`);
  }
  assert.equal(readU32(undefined), 0);
  assert.equal(readU32(Uint8Array.of(1)), 0);
  assert.equal(readText(Uint8Array.of(97, 98)), 'ab');
});

test('random bytes are read without a throw and without reading past the end', () => {
  let seed = 1;
  const random = (): number => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
    return seed >>> 16;
  };
  for (let i = 0; i < 2000; i++) {
    const data = Uint8Array.from({ length: random() % 80 }, () => (random() % 3 === 0 ? random() % 40 : 0));
    for (const { body } of decodeMessages(data))
      for (const value of decodeAttributes(body).values()) assert.ok(value.length <= 80);
  }
});
