import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ipToBytes, macToBytes, parseIp, parseMac as parseMacText } from '@cable/model';
import { hex, parseAddress, parseMac, parseOrder, parsePrefix } from './address.ts';
import { createRandom } from './testing/random.ts';

const random = createRandom(7);

/** A text of these characters, or one of the samples with a character replaced, put in or taken out. */
function text(samples: readonly string[], characters: string): string {
  const sample = samples[random(samples.length)] ?? '';
  const at = random(sample.length + 1);
  const one = characters.charAt(random(characters.length));
  return sample.slice(0, at) + (random(3) === 0 ? '' : one) + sample.slice(at + random(2));
}

test('an address, right or nearly, means what it means to the API', () => {
  const samples = [
    '10.0.0.5',
    '192.168.255.254',
    '0.0.0.0',
    '255.255.255.255',
    '1.2.3',
    '2001:db8::1',
    '::ffff:1.2.3.4',
  ];
  let valid = 0;
  for (let i = 0; i < 20_000; i += 1) {
    const one = text(samples, '0123456789.:f -/');
    const ip = parseIp(one);
    const bytes = ip === undefined ? undefined : ipToBytes(ip);
    assert.deepEqual(parseAddress(one), bytes, one);
    if (bytes === undefined) continue;
    valid += 1;
    assert.deepEqual(parsePrefix(one), { bytes, length: 128, order: `${hex(bytes)}/128` }, one);
  }
  assert.ok(valid > 2_000);
});

test('a MAC address, right or nearly, means what it means to the API', () => {
  const samples = ['fa:16:3e:00:aB:09', 'FA-16-3E-00-ab-09', 'fa:16:3e:00:ab', 'fa163e00ab09'];
  let valid = 0;
  for (let i = 0; i < 20_000; i += 1) {
    const one = text(samples, '09afAFgG:-.@`');
    const mac = parseMacText(one);
    const bytes = mac === undefined ? undefined : macToBytes(mac);
    // The API takes more notations than it keeps: the agent reads what is kept.
    if (mac !== undefined) assert.deepEqual(parseMac(mac), bytes, one);
    if (mac === undefined || parseMac(one) !== undefined) assert.deepEqual(parseMac(one), bytes, one);
    if (mac !== undefined) valid += 1;
  }
  assert.ok(valid > 500);
});

test('the order of a prefix is read from addresses and CIDRs alike', () => {
  for (const one of ['10.0.0.5', '10.0.0.5/8', '0.0.0.0/0', '2001:db8::/32', 'x', '10.0.0.5/33']) {
    assert.equal(parseOrder(one), parsePrefix(one)?.order, one);
  }
});
