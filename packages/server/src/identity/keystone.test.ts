/** A server that asks a Keystone, over HTTP. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, type TestContext, test } from 'node:test';
import { KeystoneSession } from '@cable/keystone';
import { type FakeKeystone, serviceAccess, startFakeKeystone } from '@cable/keystone/testing';
import { silentLogger } from '@cable/kit';
import { type Edge, startEdge } from '../http/edge.fixture.ts';
import { NO_LIMITS } from '../limits/request-limits.ts';
import { keystoneAuthenticator } from './keystone-authenticator.ts';
import { TokenBook } from './token-book.ts';

let keystone: FakeKeystone;
before(async () => {
  keystone = await startFakeKeystone();
});
after(() => keystone.close());

type Site = Edge & { readonly book: TokenBook };

async function startSite(t: TestContext): Promise<Site> {
  const monotonicMs = (): number => performance.now();
  const session = new KeystoneSession({ access: serviceAccess(keystone), monotonicMs, timeoutMs: 500 });
  t.after(() => session.close());
  t.after(() => {
    keystone.fault = null;
  });
  const book = new TokenBook({ keystone: session, freshMs: 60_000, monotonicMs, log: silentLogger() });
  const { proxies } = NO_LIMITS;
  const authenticate = keystoneAuthenticator({
    ...{ book, uri: 'https://keystone.example/v3', serviceRoles: ['service'], proxies },
  });
  return { ...(await startEdge(t, {}, authenticate)), book };
}

/** A project of its own with a user who has the role in it. */
async function someone(
  role: string,
): Promise<{ readonly project: string; readonly name: string; readonly token: string }> {
  const name = `u-${randomUUID()}`;
  const project = await keystone.createProject(name);
  const user = await keystone.createUser(name, [{ role, project: name }]);
  return { project, name, token: await keystone.token(user, { project: name }) };
}

const NETWORK = JSON.stringify({ network: { name: 'n' } });
const json = { 'content-type': 'application/json' };
const UNAUTHORIZED = {
  error: { code: 401, title: 'Unauthorized', message: 'The request you have made requires authentication.' },
};

test('who asks is whom Keystone gave the token, whatever else the request says', async (t) => {
  const { ask } = await startSite(t);
  const [member, other] = [await someone('member'), await someone('member')];
  const headers = { ...json, 'x-auth-token': member.token };
  const smuggled = {
    ...headers,
    ...{ 'x-roles': 'admin', 'x-project-id': other.project, 'x-tenant-id': other.project, 'x-user-id': 'root' },
    ...{ 'x-is-admin-project': 'True', 'x-service-roles': 'service', 'x-identity-status': 'Confirmed' },
    ...{ 'openstack-system-scope': 'all', x_roles: 'admin' },
  };
  const made = await ask('POST', '/v2.0/networks', { headers: smuggled, body: NETWORK });
  assert.equal(made.status, 201, made.text);
  const { network } = JSON.parse(made.text) as { network: { id: string; project_id: string } };
  assert.equal(network.project_id, member.project);
  const hers = await ask('GET', `/v2.0/networks/${network.id}`, { headers: { 'x-auth-token': other.token } });
  assert.equal(hers.status, 404);
  const shared = JSON.stringify({ network: { shared: true } });
  assert.equal((await ask('POST', '/v2.0/networks', { headers: smuggled, body: shared })).status, 403);
  for (const path of ['/cable/v1/status', '/metrics'])
    assert.equal((await ask('GET', path, { headers: smuggled })).status, 403);
});

test('who brings no good token is told where to get one, in the words of Keystone’s own middleware', async (t) => {
  const { ask } = await startSite(t);
  const { token } = await someone('member');
  const forged = `${token.slice(0, -2)}AA`;
  for (const [name, headers] of Object.entries({
    none: {},
    empty: { 'x-auth-token': '' },
    forged: { 'x-auth-token': forged },
    huge: { 'x-auth-token': 'x'.repeat(10_000) },
    two: { 'x-auth-token': `${token}, ${token}` },
    'a service’s alone': { 'x-service-token': token },
    'a forged service’s': { 'x-auth-token': token, 'x-service-token': forged },
    'in another header': { authorization: `Bearer ${token}` },
  })) {
    for (const path of [
      '/v2.0/networks',
      '/v2.0',
      '/v2.0/extensions',
      '/openapi.json',
      '/metrics',
      '/cable/v1/hosts/h/watch',
    ]) {
      const answer = await ask('GET', path, { headers });
      assert.equal(answer.status, 401, `${name} ${path}`);
      assert.equal(answer.headers['www-authenticate'], 'Keystone uri="https://keystone.example/v3"');
      assert.deepEqual(JSON.parse(answer.text), UNAUTHORIZED);
    }
  }
  for (const path of ['/', '/healthz', '/readyz']) assert.equal((await ask('GET', path)).status, 200, path);
});

test('a body is not asked for before the token is known to be good', async (t) => {
  const { raw } = await startSite(t);
  const head = ['POST /v2.0/networks HTTP/1.1', 'host: x', 'content-type: application/json', 'content-length: 100000'];
  const answer = await raw(`${[...head, 'expect: 100-continue', 'x-auth-token: no', '', ''].join('\r\n')}`);
  assert.match(answer, /^HTTP\/1\.1 401 /);
  assert.doesNotMatch(answer, /100 Continue/);
});

test('roles make the difference that the secure defaults make', async (t) => {
  const { ask } = await startSite(t);
  const reader = await someone('reader');
  const headers = { ...json, 'x-auth-token': reader.token };
  assert.equal((await ask('GET', '/v2.0/networks', { headers })).status, 200);
  const refused = await ask('POST', '/v2.0/networks', { headers, body: NETWORK });
  assert.deepEqual([refused.status, refused.error?.type], [403, 'PolicyNotAuthorized']);
  const admin = { ...json, 'x-auth-token': await keystone.token(keystone.admin, { project: 'admin' }) };
  const body = JSON.stringify({ network: { project_id: reader.project } });
  const made = await ask('POST', '/v2.0/networks', { headers: admin, body });
  assert.equal(made.status, 201);
  const { networks } = JSON.parse((await ask('GET', '/v2.0/networks', { headers })).text) as { networks: unknown[] };
  assert.equal(networks.length, 1);
  assert.equal((await ask('GET', '/cable/v1/status', { headers: admin })).status, 200);
});

test('a token of the system makes no object, and sees none, under the secure defaults', async (t) => {
  const { ask } = await startSite(t);
  const headers = { ...json, 'x-auth-token': await keystone.token(keystone.admin, { system: 'all' }) };
  const without = await ask('POST', '/v2.0/networks', { headers, body: NETWORK });
  assert.deepEqual([without.status, without.error?.type], [400, 'HTTPBadRequest']);
  const named = JSON.stringify({ network: { project_id: 'p' } });
  assert.equal((await ask('POST', '/v2.0/networks', { headers, body: named })).status, 403);
  assert.deepEqual(JSON.parse((await ask('GET', '/v2.0/networks', { headers })).text), { networks: [] });
  assert.equal((await ask('GET', '/v2.0/security-groups', { headers })).status, 200);
  assert.equal((await ask('GET', '/v2.0/quotas', { headers })).status < 500, true);
  assert.equal((await ask('GET', '/cable/v1/status', { headers })).status, 200);
});

test('a token is good as long as Keystone says so, and revoked ones are not once that is told', async (t) => {
  const { ask, book } = await startSite(t);
  const { token } = await someone('member');
  const headers = { 'x-auth-token': token };
  assert.equal((await ask('GET', '/v2.0/networks', { headers })).status, 200);
  const own = { ...headers, 'x-subject-token': token, connection: 'close' };
  await fetch(`${keystone.url}/auth/tokens`, { method: 'DELETE', headers: own });
  const admin = await keystone.token(keystone.admin, { project: 'admin' });
  const told = await fetch(`${keystone.url}/OS-REVOKE/events`, {
    headers: { 'x-auth-token': admin, connection: 'close' },
  });
  book.revoke(((await told.json()) as { events: Record<string, string>[] }).events);
  assert.equal((await ask('GET', '/v2.0/networks', { headers })).status, 401);
});

test('while Keystone is away, who was known goes on, others are told to come again, and the server is ready', async (t) => {
  const { ask } = await startSite(t);
  const [known, unknown] = [await someone('member'), await someone('member')];
  const headers = { ...json, 'x-auth-token': known.token };
  assert.equal((await ask('GET', '/v2.0/networks', { headers })).status, 200);
  for (const fault of ['error', 'garbage', 'redirect', 'hang', 'half', 'unauthorized'] as const) {
    keystone.fault = fault;
    assert.equal((await ask('POST', '/v2.0/networks', { headers, body: NETWORK })).status, 201, fault);
    const refused = await ask('GET', '/v2.0/networks', { headers: { 'x-auth-token': unknown.token } });
    assert.deepEqual([refused.status, refused.error?.type], [503, 'ServiceUnavailable'], fault);
    assert.equal(refused.headers['retry-after'], '1');
    assert.equal((await ask('GET', '/readyz')).status, 200);
  }
});

test('a service passes on a request of a token that is over; without the service’s token, or one of no service, it is refused', async (t) => {
  const { ask } = await startSite(t);
  keystone.lifeMs = 1;
  const over = await someone('member');
  keystone.lifeMs = 3600_000;
  t.after(() => {
    keystone.lifeMs = 3600_000;
  });
  const service = await keystone.token(keystone.service, { project: 'service' });
  const { token: noService } = await someone('admin');
  const status = async (more: Readonly<Record<string, string>>): Promise<number> =>
    (await ask('GET', '/v2.0/networks', { headers: { 'x-auth-token': over.token, ...more } })).status;
  assert.equal(await status({}), 401);
  assert.equal(await status({ 'x-service-token': noService }), 401);
  assert.equal(await status({ 'x-service-token': service }), 200);
  assert.equal(await status({}), 401);
  assert.equal(await status({ 'x-service-token': over.token }), 401);
});

test('a restricted application credential asks for what it may, also of objects that are not there', async (t) => {
  const { ask } = await startSite(t);
  const name = `u-${randomUUID()}`;
  await keystone.createProject(name);
  const user = await keystone.createUser(name, [{ role: 'member', project: name }]);
  const rules = [{ service: 'network', method: 'GET', path: '/v2.0/networks' }];
  const token = await keystone.token(user, { project: name }, rules);
  const headers = { ...json, 'x-auth-token': token };
  assert.equal((await ask('GET', '/v2.0/networks?name=a', { headers })).status, 200);
  assert.equal((await ask('GET', '/v2.0/subnets', { headers })).status, 401);
  assert.equal((await ask('POST', '/v2.0/networks', { headers, body: NETWORK })).status, 401);
  const service = await keystone.token(keystone.service, { project: 'service' });
  assert.equal(
    (await ask('GET', '/v2.0/subnets', { headers: { ...headers, 'x-service-token': service } })).status,
    200,
  );
});
