import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Json, refused, startHarness } from '../testing/harness.ts';

test('every operation in /openapi.json is served, the agents’ and the server’s own among them', async (t) => {
  const { send } = await startHarness(t);
  const { body } = await send('GET', '/openapi.json');
  const paths = Object.entries((body['paths'] ?? {}) as Readonly<Record<string, Json>>);
  const operations = paths.flatMap(([path, item]) => Object.keys(item).map((method) => [method.toUpperCase(), path]));
  for (const wanted of ['GET /cable/v1/status', 'GET /cable/v1/hosts/{id}/watch', 'GET /metrics', 'POST /v2.0/ports']) {
    assert.ok(
      operations.some((operation) => operation.join(' ') === wanted),
      wanted,
    );
  }
  for (const [method = '', path = ''] of operations) {
    const types = ['HTTPNotFound', 'HTTPMethodNotAllowed'];
    if (path === '/metrics') continue;
    const answer = await send(method, path.replace(/\{\w+\}/, 'x'));
    assert.ok(!types.includes(String(answer.body?.['NeutronError']?.['type'])), `${method} ${path}`);
  }
});

test('a wrong method on one of the server’s own paths is called that', async (t) => {
  const { send } = await startHarness(t);
  await refused(send('POST', '/cable/v1/status'), 405, 'HTTPMethodNotAllowed');
  await refused(send('GET', '/v2x0'), 404, 'HTTPNotFound');
});
