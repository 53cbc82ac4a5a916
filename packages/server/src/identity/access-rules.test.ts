import assert from 'node:assert/strict';
import { test } from 'node:test';
import { allowsAccess, matchesPath } from './access-rules.ts';

test('a pattern is a path with places for parts of it', () => {
  for (const [pattern, path, expected] of [
    ['/v2.0/networks', '/v2.0/networks', true],
    ['/v2.0/networks', '/v2x0/networks', false],
    ['/v2.0/networks', '/v2.0/networks/', false],
    ['/v2.0/networks/*', '/v2.0/networks/a', true],
    ['/v2.0/networks/*', '/v2.0/networks/', false],
    ['/v2.0/networks/*', '/v2.0/networks/a/b', false],
    ['/v2.0/networks/{id}', '/v2.0/networks/a', true],
    ['/v2.0/**', '/v2.0/', true],
    ['/v2.0/**', '/v2.0/networks/a/b', true],
    ['/v2.0/**/tags', '/v2.0/networks/a/tags', true],
    ['/v2.0/**/tags', '/v2.0/networks/a/tags/b', false],
    ['**', '/any/thing', true],
    ['', '', true],
    ['', '/', false],
    ['/v2.0/netw*ks', '/v2.0/networks', true],
    ['/(a|b)+', '/a', false],
    ['/(a|b)+', '/(a|b)+', true],
  ] as const) {
    assert.equal(matchesPath(pattern, path), expected, `${pattern} ${path}`);
  }
});

test('a pattern that takes other engines for ever takes steps times characters', () => {
  const pattern = `${'**a'.repeat(40)}b`;
  assert.equal(matchesPath(pattern, `/${'a'.repeat(8000)}`), false);
});

test('rules of other services and of other methods allow nothing here', () => {
  const rule = { service: 'network', method: 'GET', path: '/v2.0/**' };
  assert.equal(allowsAccess([rule], 'GET', '/v2.0/ports'), true);
  assert.equal(allowsAccess([rule], 'POST', '/v2.0/ports'), false);
  assert.equal(allowsAccess([{ ...rule, service: 'compute' }], 'GET', '/v2.0/ports'), false);
  assert.equal(allowsAccess([], 'GET', '/v2.0/ports'), false);
});
