import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dnsNameKey } from './dns-name.ts';
import { meansDomain, parseDomainPattern } from './domain-pattern.ts';

test('a name of two labels or more is a pattern, and with a star before it', () => {
  assert.equal(parseDomainPattern('Kubernetes.IO.'), 'kubernetes.io');
  assert.equal(parseDomainPattern('*.Kubernetes.io'), '*.kubernetes.io');
  assert.equal(parseDomainPattern('a_b.c-d.io'), 'a_b.c-d.io');
  for (const text of [
    '',
    '.',
    '*',
    '*.',
    'io',
    '*.io',
    'a..b',
    'a.*.b',
    '*a.io',
    '**.a.io',
    '-a.io',
    'a-.io',
    'a b.io',
    `${'a'.repeat(64)}.io`,
    `${'a.'.repeat(128)}io`,
  ])
    assert.equal(parseDomainPattern(text), undefined, text);
});

test('a pattern means what the API reference says', () => {
  const means = (pattern: string, ...labels: readonly string[]): boolean => meansDomain(pattern, dnsNameKey(labels));
  assert.equal(means('kubernetes.io', 'Kubernetes', 'io'), true);
  for (const labels of [['www', 'kubernetes', 'io'], ['my-kubernetes', 'io'], ['wikipedia', 'org'], ['io']])
    assert.equal(means('kubernetes.io', ...labels), false, labels.join('.'));
  assert.equal(means('*.kubernetes.io', 'www', 'kubernetes', 'io'), true);
  assert.equal(means('*.kubernetes.io', 'latest', 'blog', 'kubernetes', 'io'), true);
  for (const labels of [
    ['kubernetes', 'io'],
    ['my-kubernetes', 'io'],
    ['wikipedia', 'org'],
  ])
    assert.equal(means('*.kubernetes.io', ...labels), false, labels.join('.'));
});

test('a label that has a dot in it is no way into a domain', () => {
  assert.equal(meansDomain('*.kubernetes.io', dnsNameKey(['a.kubernetes', 'io'])), false);
  assert.equal(meansDomain('*.kubernetes.io', dnsNameKey(['x\u0000', 'kubernetes', 'io'])), false);
  assert.equal(meansDomain('kubernetes.io', dnsNameKey(['kubernetes.io'])), false);
});
