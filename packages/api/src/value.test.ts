import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Attribute } from '@cable/model';
import { parseValue } from './value.ts';

type Case = readonly [Attribute, unknown, unknown];

test('values are made canonical', () => {
  const cases: readonly Case[] = [
    [{ type: 'boolean' }, 'True', true],
    [{ type: 'boolean' }, 0, false],
    [{ type: 'integer' }, '12', 12],
    [{ type: 'integer', values: [4] }, '4', 4],
    [{ type: 'uuid' }, '00000000000040008000AAAAAAAAAAAA', '00000000-0000-4000-8000-aaaaaaaaaaaa'],
    [{ type: 'mac' }, 'FA-16-3E-00-00-01', 'fa:16:3e:00:00:01'],
    [{ type: 'ip' }, '2001:DB8::0', '2001:db8::'],
    [{ type: 'ip' }, '2001:DB8:0:0:0:0:192.0.2.1', '2001:db8::c000:201'],
    [{ type: 'cidr' }, '2001:DB8:0::/48', '2001:db8::/48'],
    [{ type: 'ip-or-cidr' }, '2001:DB8::5/64', '2001:db8::/64'],
    [{ type: 'ip-or-cidr' }, '10.0.0.5/24', '10.0.0.0/24'],
    [{ type: 'ip-or-cidr' }, '10.0.0.5', '10.0.0.5'],
    [{ type: 'string', values: ['IPv4', 'IPv6'] }, 'ipv4', 'IPv4'],
    [{ type: 'string', nullable: true }, null, null],
    [{ type: 'list', items: { type: 'ip' }, default: [] }, null, []],
    [{ type: 'object', properties: { a: { type: 'integer' } } }, { a: '1' }, { a: 1 }],
    [{ type: 'object', properties: { a: { type: 'integer' } }, besides: 'ignored' }, { a: 1, b: {} }, { a: 1 }],
    [{ type: 'hostname' }, 'web-1', 'web-1'],
    [{ type: 'base64' }, 'aGk=', 'aGk='],
  ];
  for (const [attribute, given, expected] of cases) {
    assert.deepEqual(parseValue(attribute, given), { ok: true, value: expected }, JSON.stringify(given));
  }
});

test('bad values are refused with Neutron’s reasons', () => {
  const cases: readonly Case[] = [
    [{ type: 'boolean' }, 'maybe', "'maybe' cannot be converted to boolean"],
    [{ type: 'integer' }, 1.5, "'1.5' is not an integer"],
    [{ type: 'integer' }, true, "'True' is not an integer"],
    [{ type: 'integer', minimum: 5 }, 4, "'4' is too small - must be at least '5'"],
    [{ type: 'integer', maximum: 5 }, 6, "'6' is too large - must be no larger than '5'"],
    [{ type: 'string' }, 5, "'5' is not a valid string"],
    [{ type: 'string', maxLength: 2 }, 'abc', "'abc' exceeds maximum length of 2"],
    [{ type: 'string', values: ['a', 'b'] }, 'c', "'c' is not in ['a', 'b']"],
    [{ type: 'string' }, 'a\u0000', 'the text has a NUL or half a surrogate pair'],
    [{ type: 'string' }, '\ud800', 'the text has a NUL or half a surrogate pair'],
    [{ type: 'string' }, null, "'None' is not a valid string"],
    [{ type: 'uuid' }, 'x', "'x' is not a valid UUID"],
    [{ type: 'ip' }, '10.0.0.300', "'10.0.0.300' is not a valid IP address"],
    [{ type: 'ip' }, 'fe80::1%eth0', "'fe80::1%eth0' is not a valid IP address"],
    [{ type: 'ip' }, '[2001:db8::1]', "'[2001:db8::1]' is not a valid IP address"],
    [{ type: 'ip' }, '2001:db8::10.0.0', "'2001:db8::10.0.0' is not a valid IP address"],
    [{ type: 'ip' }, '1:'.repeat(5000), `'${'1:'.repeat(150)}...' is not a valid IP address`],
    [{ type: 'ip' }, '::FFFF:10.0.0.1', "'::FFFF:10.0.0.1' is IPv4 in IPv6 form, which no packet has: give it as IPv4"],
    [
      { type: 'cidr' },
      '::ffff:10.0.0.0/120',
      "'::ffff:10.0.0.0/120' is IPv4 in IPv6 form, which no packet has: give it as IPv4",
    ],
    [
      { type: 'ip-or-cidr' },
      '::ffff:a00:1',
      "'::ffff:a00:1' is IPv4 in IPv6 form, which no packet has: give it as IPv4",
    ],
    [{ type: 'cidr' }, '2001:db8::/129', "'2001:db8::/129' is not a valid IP subnet"],
    [
      { type: 'cidr' },
      '2001:db8::1/64',
      "'2001:db8::1/64' isn't a recognized IP subnet cidr, '2001:db8::/64' is recommended",
    ],
    [{ type: 'cidr' }, '10.0.0.1/24', "'10.0.0.1/24' isn't a recognized IP subnet cidr, '10.0.0.0/24' is recommended"],
    [{ type: 'cidr' }, 'net', "'net' is not a valid IP subnet"],
    [{ type: 'mac' }, '00:11', "'00:11' is not a valid MAC address"],
    [{ type: 'list', items: { type: 'ip' } }, 'x', "'x' is not a list"],
    [{ type: 'list', items: { type: 'string' } }, ['a', 'a'], "Duplicate items in the list: 'a'"],
    [{ type: 'list', items: { type: 'string' }, maxLength: 1 }, ['a', 'b'], 'the list has 2 elements, more than 1'],
    [{ type: 'object', properties: {} }, { b: 1 }, 'Unexpected keys supplied: b'],
    [{ type: 'object', properties: { a: { type: 'ip', required: true } } }, {}, 'Expected keys not found: a'],
    [{ type: 'dict' }, [], "'[]' is not a dictionary"],
    [{ type: 'dict' }, { a: 'x'.repeat(20000) }, 'exceeds maximum length of 16384'],
    [{ type: 'base64' }, 'a', 'the text is not valid base64'],
  ];
  for (const [attribute, given, reason] of cases) {
    const parsed = parseValue(attribute, given);
    assert.deepEqual(parsed.ok ? parsed : parsed.reason, reason, JSON.stringify(given));
  }
});

test('a long value is shortened in its reason', () => {
  const parsed = parseValue({ type: 'ip' }, 'x'.repeat(100_000));
  assert.ok(!parsed.ok && parsed.reason.length < 400);
});

test('names from JavaScript itself are no attributes', () => {
  const object: Attribute = { type: 'object', properties: { a: { type: 'string' } } };
  for (const name of ['__proto__', 'constructor', 'toString']) {
    assert.ok(!parseValue(object, JSON.parse(`{"${name}": "x"}`)).ok, name);
  }
});

test('length is counted in characters, and a whole number stands for its digits where the declaration says so', () => {
  const name = { type: 'string', maxLength: 3 } as const;
  assert.deepEqual(parseValue(name, '😀😀😀'), { ok: true, value: '😀😀😀' });
  assert.equal(parseValue(name, '😀😀😀😀').ok, false);
  assert.equal(parseValue(name, 6).ok, false);
  assert.deepEqual(parseValue({ ...name, orInteger: true }, 6), { ok: true, value: '6' });
  assert.equal(parseValue({ ...name, orInteger: true }, 6.5).ok, false);
});
