/** Limits of addresses and projects, over HTTP. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { CableError, parseIpOrCidr } from '@cable/model';
import { type AuthenticatedCaller, noauth } from '../http/auth.ts';
import { type Edge, type EdgeAnswer, startEdge } from '../http/edge.fixture.ts';
import { credentialsOf } from '../policy/credentials.ts';
import { type LimitSettings, NO_LIMITS } from './request-limits.ts';
import { ANY_SHARE } from './shares.ts';

/** So slow that nothing comes into the bucket while a test runs. */
const SLOW = 0.001;

const NETWORK = JSON.stringify({ network: { name: 'n' } });

type As = { readonly ask: (method: string, path: string, body?: string) => ReturnType<Edge['ask']> };

function member(edge: Edge, project: string, headers: Readonly<Record<string, string>> = {}): As {
  const all = { 'x-project-id': project, 'x-roles': 'member', ...headers };
  return {
    ask: (method, path, body) => edge.ask(method, path, { headers: all, ...(body === undefined ? {} : { body }) }),
  };
}

function start(t: TestContext, settings: Partial<LimitSettings>): Promise<Edge> {
  return startEdge(t, {}, noauth(), { ...NO_LIMITS, ...settings });
}

async function until(what: () => boolean): Promise<void> {
  while (!what()) await new Promise((resolve) => setTimeout(resolve, 5));
}

test('a project that sends more than it may is told when to come again, and others go on', async (t) => {
  const share = { rate: 0.1, burst: 3, inFlight: Infinity };
  const edge = await start(t, { project: share, projects: new Map([['large', ANY_SHARE]]) });
  const one = member(edge, 'one');
  for (let i = 0; i < 3; i += 1) assert.equal((await one.ask('GET', '/v2.0/networks')).status, 200);
  const { status, headers, error } = await one.ask('POST', '/v2.0/networks', NETWORK);
  assert.equal(status, 429);
  assert.equal(error?.type, 'OverLimit');
  assert.equal(error?.message, 'This project sends more requests than it may.');
  assert.match(error?.detail ?? '', /^Nothing was done: send it again after (9|10) seconds\.$/);
  assert.match(String(headers['retry-after']), /^(9|10)$/);
  assert.equal((await member(edge, 'two').ask('GET', '/v2.0/networks')).status, 200);
  for (let i = 0; i < 10; i += 1) assert.equal((await member(edge, 'large').ask('GET', '/v2.0/networks')).status, 200);
  // Whoever names no roles is everything there, also an administrator.
  for (let i = 0; i < 10; i += 1)
    assert.equal((await edge.ask('GET', '/v2.0/networks', { headers: { 'x-project-id': 'one' } })).status, 200);
  for (let i = 0; i < 10; i += 1)
    assert.equal((await member(edge, 'one', { 'x-roles': 'Service' }).ask('GET', '/v2.0/networks')).status, 200);
  for (const path of ['/healthz', '/readyz']) assert.equal((await one.ask('GET', path)).status, 200);
  const { text } = await edge.ask('GET', '/metrics');
  assert.match(text, /cable_http_limited_total\{by="project",why="rate"\} 1\n/);
  assert.match(text, /cable_http_errors_total\{type="OverLimit",status="429"\} 1\n/);
  assert.match(text, /cable_http_limit_buckets\{by="project"\} 2\n/);
});

test('a project has as many requests under way as it may, also when it does not wait for their answers', async (t) => {
  const edge = await start(t, { project: { rate: Infinity, burst: Infinity, inFlight: 2 } });
  const one = member(edge, 'one');
  const { held, letGo } = edge.hold();
  const running = Array.from({ length: 2 }, () => one.ask('POST', '/v2.0/networks', NETWORK));
  await until(() => held() === 2);
  const { status, headers, error } = await one.ask('GET', '/v2.0/networks');
  assert.deepEqual([status, error?.type, headers['retry-after']], [429, 'OverLimit', '1']);
  const leaving = new AbortController();
  const others = { 'x-project-id': 'two', 'x-roles': 'member' };
  const left = Array.from({ length: 2 }, () =>
    edge
      .ask('POST', '/v2.0/networks', { headers: others, body: NETWORK, signal: leaving.signal })
      .catch((err: unknown) => err),
  );
  await until(() => held() === 4);
  leaving.abort();
  await Promise.all(left);
  assert.equal((await edge.ask('GET', '/v2.0/networks', { headers: others })).status, 429);
  letGo();
  for (const answer of await Promise.all(running)) assert.equal(answer.status, 201);
  let last = await one.ask('GET', '/v2.0/networks');
  while (last.status === 429) last = await one.ask('GET', '/v2.0/networks');
  assert.equal(last.status, 200);
  let theirs = await edge.ask('GET', '/v2.0/networks', { headers: others });
  while (theirs.status === 429) theirs = await edge.ask('GET', '/v2.0/networks', { headers: others });
  assert.equal(theirs.status, 200);
});

test('who brings bad tokens is refused before anybody is asked about them, also for upgrades and agents’ paths', async (t) => {
  let asked = 0;
  const nobody = (): Promise<never> => {
    asked += 1;
    throw new CableError('HTTPUnauthorized', 'No.');
  };
  const settings = { ...NO_LIMITS, address: { rate: SLOW, burst: 4, inFlight: Infinity } };
  const edge = await startEdge(t, {}, nobody, settings);
  const headers = { 'x-auth-token': 'bad' };
  for (const path of ['/v2.0/networks', '/metrics', '/cable/v1/hosts/h1', '/v2.0/ports'])
    assert.equal((await edge.ask('GET', path, { headers })).status, 401, path);
  for (const path of ['/v2.0/networks', '/metrics', '/cable/v1/hosts/h1', '/cable/v1/hosts/h1/watch', '/'])
    assert.equal((await edge.ask('GET', path, { headers })).status, 429, path);
  const upgrade = await edge.raw(
    'GET /cable/v1/hosts/h1/watch HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: x\r\nX-Auth-Token: bad\r\n\r\n',
  );
  assert.match(upgrade, /^HTTP\/1\.1 429 .*\r\nretry-after: \d+\r\n/s);
  assert.equal(asked, 4);
  // An agent brings a certificate and no token.
  assert.equal((await edge.ask('PUT', '/cable/v1/hosts/h1', { body: '{}' })).status, 401);
  // A Unix socket has no address.
  assert.equal((await edge.ask('GET', '/v2.0/networks', { isUnix: true })).status, 401);
});

test('an address that a trusted proxy names counts, and what a body has is not read', async (t) => {
  const loopback = parseIpOrCidr('127.0.0.0/8');
  assert.ok(loopback);
  const free = parseIpOrCidr('203.0.113.0/24');
  assert.ok(free);
  const edge = await start(t, {
    address: { rate: SLOW, burst: 2, inFlight: Infinity },
    proxies: { proxies: [loopback], header: 'x-forwarded-for' },
    unlimited: [free],
  });
  const from = (address: string): As => member(edge, 'one', { 'x-forwarded-for': address });
  for (let i = 0; i < 2; i += 1) assert.equal((await from('198.51.100.1').ask('GET', '/v2.0/networks')).status, 200);
  assert.equal((await from('8.8.8.8, 198.51.100.1').ask('GET', '/v2.0/networks')).status, 429);
  assert.equal((await from('198.51.100.2').ask('GET', '/v2.0/networks')).status, 200);
  for (let i = 0; i < 5; i += 1) assert.equal((await from('203.0.113.9').ask('GET', '/v2.0/networks')).status, 200);
  const refused = await edge.raw(
    'POST /v2.0/ports HTTP/1.1\r\nHost: localhost\r\nX-Roles: member\r\nX-Forwarded-For: 198.51.100.1\r\nContent-Type: application/json\r\nContent-Length: 4000000\r\n\r\n',
  );
  assert.match(refused, /^HTTP\/1\.1 429 .*\r\nconnection: close\r\n/s);
  const { text } = await edge.ask('GET', '/metrics', { headers: { 'x-forwarded-for': '203.0.113.1' } });
  assert.match(text, /cable_http_limited_total\{by="address",why="rate"\} 2\n/);
});

test('who turns out to be an administrator or a service is given back what his address paid', async (t) => {
  const edge = await start(t, { address: { rate: SLOW, burst: 2, inFlight: 2 } });
  for (let i = 0; i < 10; i += 1) assert.equal((await edge.ask('GET', '/v2.0/networks')).status, 200);
  const one = member(edge, 'one');
  for (let i = 0; i < 2; i += 1) assert.equal((await one.ask('GET', '/v2.0/networks')).status, 200);
  assert.equal((await one.ask('GET', '/v2.0/networks')).status, 429);
});

test('other settings count from the next request on', async (t) => {
  const edge = await start(t, { project: { rate: SLOW, burst: 1, inFlight: Infinity } });
  const one = member(edge, 'one');
  assert.equal((await one.ask('GET', '/v2.0/networks')).status, 200);
  assert.equal((await one.ask('GET', '/v2.0/networks')).status, 429);
  edge.server.shares.take({ ...NO_LIMITS });
  assert.equal((await one.ask('GET', '/v2.0/networks')).status, 200);
});

test('who is nobody shares no place with all others who are', async (t) => {
  const nobody = { ...credentialsOf({ projectId: '', roles: [] }), projectId: null, userId: null, isAdmin: false };
  const share = { rate: SLOW, burst: 1, inFlight: 1 };
  const caller = { kind: 'user', credentials: nobody, projectGiven: false } as const;
  const edge = await startEdge(t, {}, async () => caller, { ...NO_LIMITS, project: share });
  for (let i = 0; i < 3; i += 1) assert.notEqual((await edge.ask('GET', '/v2.0/networks')).status, 429);
});

test('one host has so many requests under way at most, and others go on', { timeout: 60_000 }, async (t) => {
  const caller = (host: unknown): AuthenticatedCaller => ({ kind: 'host', host: String(host) });
  const edge = await startEdge(t, {}, async ({ headers }) => caller(headers['x-test-host']));
  const register = (host: string, at: number): ReturnType<Edge['ask']> => {
    const body = JSON.stringify({ underlay: `192.0.2.${at}`, agentVersion: '1' });
    return edge.ask('PUT', `/cable/v1/hosts/${host}`, { headers: { 'x-test-host': host }, body });
  };
  const { letGo } = edge.hold();
  const all = Array.from({ length: 40 }, () => register('h1', 1));
  const refused: EdgeAnswer[] = [];
  for (const one of all) void one.then((answer) => answer.status === 429 && refused.push(answer));
  await until(() => refused.length === 24);
  for (const { status, error, headers } of refused) {
    assert.deepEqual([status, error?.type, headers['retry-after']], [429, 'OverLimit', '1']);
    assert.match(error?.message ?? '', /^This host has as many requests under way as it may\.$/);
  }
  const other = register('h2', 2);
  letGo();
  assert.equal((await other).status, 204);
  const answers = await Promise.all(all);
  assert.equal(answers.filter(({ status }) => status === 204).length, 16);
  const { refused: counted } = edge.server.shares.counts;
  assert.deepEqual(counted, [{ by: 'host', why: 'in_flight', count: 24 }]);
});
