import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bodyLimitOf, kindOf, kindOfBody, type RequestKind } from './request-kind.ts';

const ID = '/00000000-0000-4000-8000-000000000001';

test('a request’s kind follows from its method and path', () => {
  const cases: readonly (readonly [RequestKind, string, ...(readonly string[])])[] = [
    ['probe', 'GET', '/healthz', '/readyz', '/readyz/?x'],
    ['show', 'GET', '/', '/metrics', '/v2.0/', `/v2.0/ports${ID}?fields=id`, '/cable/v1/hosts/h1', '/cable/v1/status'],
    ['show', 'HEAD', `/v2.0/ports${ID}`],
    ['list', 'GET', '/v2.0/ports', '/v2.0/ports?limit=1', '/cable/v1/hosts', '/cable/v1/check', `/v2.0/qos${ID}/rules`],
    ['host', 'GET', '/cable/v1/hosts/h1/watch?since=0'],
    ['host', 'PUT', '/cable/v1/hosts/h1'],
    ['host', 'POST', '/cable/v1/hosts/h1/status'],
    ['write', 'POST', '/v2.0/ports', '/cable/v1/hosts', '/healthz'],
    ['write', 'PUT', `/v2.0/routers${ID}/add_router_interface`, '/cable/v1/hosts/h1/rename'],
    ['write', 'DELETE', `/v2.0/ports${ID}`, '/cable/v1/hosts/h1'],
    ['show', 'OPTIONS', '/v2.0/ports'],
    ['told', 'POST', '/neutron/port', '/neutron/anything'],
    ['write', 'POST', '/neutrons'],
  ];
  for (const [kind, method, ...urls] of cases) {
    for (const url of urls) assert.equal(kindOf(method, url), kind, `${method} ${url}`);
  }
});

test('the kind of a request of the plug-in follows from what its body asks for', () => {
  const asked = (operation: unknown): RequestKind => kindOfBody({ context: { operation } });
  assert.deepEqual(['READ', 'READALL', 'READCOUNT', 'CREATE', 7].map(asked), [
    'show',
    'list',
    'list',
    'write',
    'write',
  ]);
  for (const body of [undefined, null, [], 'x', { context: null }]) assert.equal(kindOfBody(body), 'write');
});

test('a bulk may be large, a report less, anything else little', () => {
  assert.equal(bodyLimitOf('POST', 'write', '/'), 4 << 20);
  assert.equal(bodyLimitOf('POST', 'write', '/cable/v1/join'), 16 << 10);
  assert.equal(bodyLimitOf('POST', 'write', '/cable/v1/hosts/a/certificate?x'), 16 << 10);
  assert.equal(bodyLimitOf('POST', 'host', '/'), 2 << 20);
  assert.equal(bodyLimitOf('PUT', 'write', '/'), 256 << 10);
  assert.equal(bodyLimitOf('PUT', 'host', '/'), 256 << 10);
});
