import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeDhcpMessage, encodeDhcpMessage } from './dhcp-message.ts';
import { OPTION } from './dhcp-options.ts';
import { clientMessage } from './testing/dhcp-client.ts';

function packet(options: readonly number[], length = 0): Uint8Array {
  const bytes = new Uint8Array(Math.max(240 + options.length, length));
  bytes.set([1, 1, 6]);
  bytes.set([0x63, 0x82, 0x53, 0x63], 236);
  bytes.set(options, 240);
  return bytes;
}

test('a message survives encoding and decoding', () => {
  const long = Uint8Array.from({ length: 600 }, (_, index) => index & 255);
  const message = clientMessage(1, { ciaddr: 0xfffffffe, flags: 0x8000, options: [[224, long]] });
  const decoded = decodeDhcpMessage(encodeDhcpMessage(message, 1472).bytes);
  assert.deepEqual(decoded, { ok: true, message });
});

test('options that do not fit are left out and named, later ones that fit are kept', () => {
  const message = clientMessage(2, {
    options: [
      [224, new Uint8Array(400)],
      [12, new Uint8Array(4)],
    ],
  });
  const { bytes, omitted } = encodeDhcpMessage(message, 548);
  assert.deepEqual(omitted, [224]);
  const decoded = decodeDhcpMessage(bytes);
  assert.ok(decoded.ok);
  assert.deepEqual([...decoded.message.options.keys()], [53, 12]);
});

test('a reply is never shorter than BOOTP allows', () => {
  assert.equal(encodeDhcpMessage(clientMessage(5), 548).bytes.length, 300);
});

test('RFC 3396: an option in pieces is joined, overloaded file and sname are read in that order', () => {
  const bytes = packet([12, 1, 97, 52, 1, 3, 0, 12, 1, 98, 255]);
  bytes.set([12, 1, 99, 255], 108);
  bytes.set([12, 1, 100, 255], 44);
  const decoded = decodeDhcpMessage(bytes);
  assert.ok(decoded.ok);
  assert.deepEqual(Buffer.from(decoded.message.options.get(OPTION.hostname) ?? []).toString(), 'abcd');
});

test('a missing end mark is forgiven', () => {
  const decoded = decodeDhcpMessage(packet([53, 1, 1]));
  assert.ok(decoded.ok && decoded.message.options.has(53));
});

const REFUSED: readonly (readonly [string, Uint8Array, string])[] = [
  ['nothing', new Uint8Array(0), 'short'],
  ['a message cut before its cookie', packet([]).subarray(0, 239), 'short'],
  ['a message too long to be one', packet([255], 5000), 'long'],
  ['another hardware type', packet([255]).fill(6, 1, 2), 'not-ethernet'],
  ['another hardware address length', packet([255]).fill(16, 2, 3), 'not-ethernet'],
  ['plain BOOTP', packet([255]).fill(0, 236, 240), 'no-cookie'],
  ['an option over the end', packet([53, 9, 1]), 'bad-option'],
  ['an option without a length', packet([53]), 'bad-option'],
  ['an overload of 0', packet([52, 1, 0, 255]), 'bad-option'],
  ['an overload of 4', packet([52, 1, 4, 255]), 'bad-option'],
  ['an overload of two bytes', packet([52, 2, 1, 1, 255]), 'bad-option'],
];

for (const [name, bytes, reason] of REFUSED) {
  test(`decodeDhcpMessage refuses ${name}`, () => {
    assert.deepEqual(decodeDhcpMessage(bytes), { ok: false, reason });
  });
}
