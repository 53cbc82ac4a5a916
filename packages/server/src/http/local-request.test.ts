import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HOST_UPGRADE } from '@cable/model';
import { startEdge } from './edge.fixture.ts';

const NETWORK = JSON.stringify({ network: { name: 'n' } });

test('without authentication only requests to this machine’s own names are taken', async (t) => {
  const { ask, url } = await startEdge(t);
  const get = async (host: string): Promise<number> =>
    (await ask('GET', '/v2.0/networks', { headers: { host } })).status;
  for (const host of ['localhost', `localhost:${url.port}`, 'LOCALHOST:1', '127.0.0.1', '127.9.8.7:80', '[::1]:9696']) {
    assert.equal(await get(host), 200, host);
  }
  for (const host of [
    ...['evil.example', 'evil.example:9696', 'localhost.evil.example', '127.0.0.1.evil.example', '10.0.0.1', '0.0.0.0'],
    ...[
      'localhost@evil.example',
      '127.1',
      '127.0.0.256',
      '[::2]',
      '::1',
      'localhost:x',
      ' ',
      'localhost, evil.example',
    ],
  ]) {
    assert.equal(await get(host), 403, host);
  }
  const { status, error } = await ask('POST', '/v2.0/networks', { body: NETWORK, headers: { host: 'evil.example' } });
  assert.deepEqual([status, error?.type], [403, 'HTTPForbidden']);
  assert.equal((await ask('GET', '/healthz', { headers: { host: 'balancer.example' } })).status, 200);
});

test('over a Unix socket any Host will do, or none', async (t) => {
  const { ask } = await startEdge(t);
  for (const host of ['localhost', 'anything.example']) {
    assert.equal((await ask('GET', '/v2.0/networks', { headers: { host }, isUnix: true })).status, 200);
  }
  const foreign = { origin: 'http://evil.example' };
  assert.equal((await ask('GET', '/v2.0/networks', { headers: foreign, isUnix: true })).status, 403);
});

test('a page of another site can write nothing, however it asks', async (t) => {
  const { ask, raw } = await startEdge(t);
  const post = async (headers: Record<string, string>): Promise<number> =>
    (await ask('POST', '/v2.0/networks', { body: NETWORK, headers })).status;
  for (const origin of [
    'http://evil.example',
    'https://localhost.evil.example',
    'null',
    'file://',
    'http://127.0.0.1.x',
    '',
  ]) {
    assert.equal(await post({ origin }), 403, origin);
  }
  assert.equal(await post({ 'sec-fetch-site': 'cross-site' }), 403);
  assert.equal(await post({ origin: 'http://localhost:3000', 'sec-fetch-site': 'same-site' }), 201);
  for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', '']) {
    assert.equal(await post({ 'content-type': type }), 415, type);
  }
  const asked = await ask('OPTIONS', '/v2.0/networks', {
    headers: { origin: 'http://evil.example', 'access-control-request-method': 'POST' },
  });
  assert.equal(asked.status, 403);
  assert.equal(asked.headers['access-control-allow-origin'], undefined);
  const own = await ask('OPTIONS', '/v2.0/networks', { headers: { origin: 'http://localhost:1' } });
  assert.deepEqual([own.status, own.headers['access-control-allow-origin']], [405, undefined]);
  for (const line of ['Host: evil.example', 'Host: localhost\r\nOrigin: http://evil.example']) {
    const watch = `GET /cable/v1/hosts/h1/watch HTTP/1.1\r\n${line}\r\nConnection: Upgrade\r\nUpgrade: ${HOST_UPGRADE}\r\n\r\n`;
    assert.match(await raw(watch), /^HTTP\/1\.1 403 .*"HTTPForbidden"/s);
  }
  assert.match(
    await raw('GET http://evil.example/v2.0/networks HTTP/1.0\r\nHost: localhost\r\n\r\n'),
    /^HTTP\/1\.1 403 /,
  );
  assert.match(
    await raw('GET /v2.0/networks HTTP/1.0\r\nHost: localhost\r\nHost: evil.example\r\n\r\n'),
    /^HTTP\/1\.1 400 /,
  );
  assert.match(await raw('GET /v2.0/networks HTTP/1.0\r\n\r\n'), /^HTTP\/1\.1 403 /);
});

test('a project’s id has at most 255 bytes, in a header and in a body', async (t) => {
  const { ask } = await startEdge(t);
  const emoji = '😀'.repeat(63);
  const inHeader = (text: string): Record<string, string> => ({ 'x-project-id': Buffer.from(text).toString('latin1') });
  const group = (project: string): string => JSON.stringify({ security_group: { name: 'g', project_id: project } });
  const post = (body: string, headers = {}): ReturnType<typeof ask> =>
    // As bytes: Node would write headers and text together, in the coding of the text.
    ask('POST', '/v2.0/security-groups', { body: Buffer.from(body), headers });
  assert.equal((await post(group(emoji))).status, 201);
  const asked = await post(JSON.stringify({ security_group: { name: 'h' } }), inHeader(emoji));
  assert.equal(JSON.parse(asked.text).security_group.project_id, emoji);
  for (const [body, headers] of [
    [group('😀'.repeat(64)), {}],
    [group('😀'.repeat(255)), {}],
    [JSON.stringify({ security_group: { name: 'h' } }), inHeader('😀'.repeat(64))],
    [JSON.stringify({ security_group: { name: 'h' } }), { 'x-project-id': '\xff' }],
  ] as const) {
    const { status, error } = await post(body, headers);
    assert.deepEqual([status, error?.type], [400, 'HTTPBadRequest']);
  }
});
