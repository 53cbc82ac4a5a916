import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '@cable/kit';
import { decodeDhcpMessage, encodeDhcpMessage } from './dhcp-message.ts';
import { encodeClasslessRoutes, OPTION } from './dhcp-options.ts';
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
      [224, new Uint8Array(600)],
      [12, new Uint8Array(4)],
    ],
  });
  const { bytes, omitted } = encodeDhcpMessage(message, 548);
  assert.deepEqual(omitted, [{ code: 224, value: new Uint8Array(600) }]);
  const decoded = decodeDhcpMessage(bytes);
  assert.ok(decoded.ok);
  assert.deepEqual([...decoded.message.options.keys()], [53, 12]);
  assert.deepEqual(bytes.subarray(44, 236), new Uint8Array(192));
});

test('options go on in file and sname, and none of at most 255 bytes is split', () => {
  const sizes = [250, 120, 55, 40] as const;
  const message = clientMessage(2, {
    options: sizes.map((size, index) => [224 + index, new Uint8Array(size).fill(7)]),
  });
  const { bytes, omitted } = encodeDhcpMessage(message, 548);
  assert.deepEqual(omitted, []);
  assert.equal(bytes[108], 225, 'file holds the one of 120 bytes');
  assert.equal(bytes[44], 226, 'sname holds the one of 55');
  const decoded = decodeDhcpMessage(bytes);
  assert.ok(decoded.ok);
  sizes.forEach((size, index) => {
    assert.equal(decoded.message.options.get(224 + index)?.length, size);
  });
});

test('property: whatever the options and the room, what was not omitted is read again', () => {
  const random = seededRandom(52);
  const below = (bound: number): number => Math.floor(random() * bound);
  let overloaded = 0;
  for (let round = 0; round < 3000; round += 1) {
    const options = new Map<number, Uint8Array>([[53, Uint8Array.of(2)]]);
    for (let i = below(12); i > 0; i -= 1) {
      const code = [1, 6, 12, 43, 121, 119, 224, 249][below(8)] ?? 1;
      options.set(
        code,
        Uint8Array.from({ length: below(4) === 0 ? below(700) : below(60) }, () => below(256)),
      );
    }
    const routes = Array.from({ length: below(70) }, () => ({ destination: 0, prefixLength: below(33), nexthop: 1 }));
    if (routes.length > 0) options.set(121, encodeClasslessRoutes(routes));
    const maxBytes = 300 + below(1200);
    const { bytes, omitted } = encodeDhcpMessage({ ...clientMessage(2), options }, maxBytes);
    assert.ok(bytes.length <= maxBytes);
    const decoded = decodeDhcpMessage(bytes);
    assert.ok(decoded.ok, `round ${round}`);
    const read = new Map(decoded.message.options);
    if (read.delete(52)) overloaded += 1;
    for (const { code, value } of omitted) read.set(code, Buffer.concat([read.get(code) ?? Buffer.alloc(0), value]));
    for (const [code, value] of options) {
      if (code === 249 && !read.has(249) && options.has(121)) continue;
      assert.deepEqual(Buffer.from(read.get(code) ?? [1, 2, 3]), Buffer.from(value), `round ${round}, option ${code}`);
    }
  }
  assert.ok(overloaded > 100);
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
