import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatCidr } from '@cable/model';
import { parseLimits, readLimitsFile } from './limits-file.ts';

test('a file says which projects have limits of their own, and which addresses are not counted', () => {
  const { projects, unlimited } = parseLimits(
    'projects:\n  p1: {rate: 50, burst: 60, in_flight: 0}\n  p2: {in_flight: 3}\nunlimited_addresses: [192.0.2.1, "2001:db8::/32"]\n',
  );
  assert.deepEqual(Object.fromEntries(projects), {
    p1: { rate: 50, burst: 60, inFlight: Infinity },
    p2: { inFlight: 3 },
  });
  assert.deepEqual(unlimited.map(formatCidr), ['192.0.2.1/32', '2001:db8::/32']);
  for (const text of ['', '# nothing\n', '{}']) {
    assert.deepEqual(parseLimits(text), { projects: new Map(), unlimited: [] });
  }
});

test('a file that cannot be meant is refused with the place', () => {
  for (const [text, message] of [
    ['[]', /^the file: give a mapping/],
    ['project: {}', /^the file: project is not known: give projects, unlimited_addresses/],
    ['projects: {p: {rates: 1}}', /^projects: p: rates is not known: give rate, burst, in_flight/],
    ['projects: {p: {rate: -1}}', /^projects: p: rate: give a number/],
    ['projects: {p: {rate: fast}}', /^projects: p: rate: give a number/],
    ['projects: {p: 5}', /^projects: p: give a mapping/],
    ['unlimited_addresses: 192.0.2.1', /^unlimited_addresses: give a list/],
    ['unlimited_addresses: [192.0.2.300]', /^unlimited_addresses: "192.0.2.300" is neither/],
  ] as const) {
    assert.throws(() => parseLimits(text), { message }, text);
  }
  assert.throws(() => readLimitsFile('/nonexistent/limits.yaml'), {
    name: 'LimitsFileError',
    message: /^\/nonexistent\/limits.yaml: ENOENT/,
  });
});
