/** What a session says of tokens, whichever Keystone it asks: the fake one and the real one pass it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Access } from '../access.ts';
import { accessFromEnvironment } from '../environment.ts';
import { revokes } from '../revocation.ts';
import { KeystoneSession } from '../session.ts';
import type { TokenInfo } from '../token-info.ts';

type User = { readonly name: string; readonly password: string };
type Scope = { readonly project: string } | { readonly domain: string } | { readonly system: 'all' };

/** What the suite asks of a Keystone under test. */
export type TestedKeystone = {
  readonly url: string;
  readonly admin: User;
  readonly service: User;
  token(user: User, scope: Scope): Promise<string>;
  request(method: string, path: string, body?: unknown): Promise<unknown>;
  createProject(name: string): Promise<string>;
  createUser(
    name: string,
    grants: readonly { readonly role: 'admin' | 'member' | 'reader'; readonly project?: string }[],
  ): Promise<User & { readonly id: string }>;
};

/** Who asks it about tokens. */
export function serviceAccess({ url, service }: Pick<TestedKeystone, 'url' | 'service'>): Access {
  const access = accessFromEnvironment({
    OS_AUTH_URL: url,
    OS_USERNAME: service.name,
    OS_PASSWORD: service.password,
    OS_PROJECT_NAME: 'service',
    OS_USER_DOMAIN_ID: 'default',
    OS_PROJECT_DOMAIN_ID: 'default',
  });
  assert.ok(access !== null);
  return access;
}

export function keystoneSuite(name: string, keystoneOf: () => TestedKeystone): void {
  const open = (t: { after(end: () => void): void }, change: Partial<Access> = {}): KeystoneSession => {
    const access = { ...serviceAccess(keystoneOf()), ...change };
    const session = new KeystoneSession({ access, monotonicMs: () => performance.now(), timeoutMs: 30_000 });
    t.after(() => session.close());
    return session;
  };
  const info = async (session: KeystoneSession, token: string): Promise<TokenInfo> => {
    const found = await session.validate(token, { allowExpired: false });
    assert.ok(found !== null, 'Keystone does not know the token');
    return found;
  };
  const revoke = async (token: string): Promise<void> => {
    const headers = { 'x-auth-token': token, 'x-subject-token': token, connection: 'close' };
    const answer = await fetch(`${keystoneOf().url}/auth/tokens`, { method: 'DELETE', headers });
    assert.equal(answer.status, 204);
  };

  test(`${name}: a token of a project has its user, project and roles, those that are implied among them`, async (t) => {
    const keystone = keystoneOf();
    const project = await keystone.createProject('suite-alpha');
    const alice = await keystone.createUser('suite-alice', [{ role: 'member', project: 'suite-alpha' }]);
    const session = open(t);
    const found = await info(session, await keystone.token(alice, { project: 'suite-alpha' }));
    assert.deepEqual([found.user.id, found.user.name, found.user.domainId], [alice.id, 'suite-alice', 'default']);
    assert.deepEqual([found.project?.id, found.project?.domainId], [project, 'default']);
    assert.deepEqual([...found.roles].sort(), ['member', 'reader']);
    assert.deepEqual([found.domain, found.isSystem, found.isAdminProject], [null, false, true]);
    assert.ok(found.expiresAtMs > (session.keystoneMs ?? Number.POSITIVE_INFINITY));
  });

  test(`${name}: a token of the system has no project`, async (t) => {
    const keystone = keystoneOf();
    const found = await info(open(t), await keystone.token(keystone.admin, { system: 'all' }));
    assert.deepEqual([found.project, found.isSystem], [null, true]);
    assert.ok(found.roles.includes('admin'));
  });

  test(`${name}: what is no token is none`, async (t) => {
    const session = open(t);
    for (const text of ['x', 'gAAAAABnot-one', 'x'.repeat(4000)]) {
      assert.equal(await session.validate(text, { allowExpired: true }), null, text.slice(0, 20));
    }
  });

  test(`${name}: a token that was revoked is none, and an event says so`, async (t) => {
    const keystone = keystoneOf();
    const session = open(t);
    const token = await keystone.token(keystone.admin, { project: 'admin' });
    const other = await info(session, await keystone.token(keystone.admin, { system: 'all' }));
    const found = await info(session, token);
    await revoke(token);
    assert.equal(await session.validate(token, { allowExpired: false }), null);
    const events = await session.revocations(null);
    assert.ok(events.some((event) => revokes(event, found)));
    assert.ok(!events.some((event) => 'audit_id' in event && revokes(event, other)));
  });

  test(`${name}: tokens of a project that was disabled, and of a user who was, are none; an event says so of the user`, async (t) => {
    const keystone = keystoneOf();
    const session = open(t);
    const project = await keystone.createProject('suite-beta');
    const bob = await keystone.createUser('suite-bob', [{ role: 'member', project: 'suite-beta' }]);
    const token = await keystone.token(bob, { project: 'suite-beta' });
    await info(session, token);
    await keystone.request('PATCH', `/projects/${project}`, { project: { enabled: false } });
    assert.equal(await session.validate(token, { allowExpired: false }), null);
    await keystone.createProject('suite-gamma');
    const carol = await keystone.createUser('suite-carol', [{ role: 'reader', project: 'suite-gamma' }]);
    const hers = await keystone.token(carol, { project: 'suite-gamma' });
    const found = await info(session, hers);
    assert.deepEqual(found.roles, ['reader']);
    await keystone.request('PATCH', `/users/${carol.id}`, { user: { enabled: false } });
    assert.equal(await session.validate(hers, { allowExpired: false }), null);
    assert.ok((await session.revocations(null)).some((event) => revokes(event, found)));
  });

  test(`${name}: when the session’s own token is revoked it gets another`, async (t) => {
    const keystone = keystoneOf();
    const session = open(t);
    const first = await session.token();
    assert.equal(await session.token(), first);
    await revoke(first);
    // Tokens of one second may share what tells them apart when they are revoked.
    await info(session, await keystone.token(keystone.admin, { project: 'admin' }));
    assert.notEqual(await session.token(), first);
  });

  test(`${name}: of several addresses the ones that do not answer are passed over`, async (t) => {
    const keystone = keystoneOf();
    const urls = ['http://127.0.0.1:1/v3', keystone.url];
    await info(open(t, { urls }), await keystone.token(keystone.admin, { project: 'admin' }));
  });

  test(`${name}: a wrong password is told apart from a Keystone that is away`, async (t) => {
    const auth = { kind: 'password', user: { name: 'service', domain: { id: 'default' } }, password: 'guess' } as const;
    await assert.rejects(open(t, { auth }).token(), { name: 'KeystoneError', kind: 'refused' });
    await assert.rejects(open(t, { urls: ['http://127.0.0.1:1/v3'] }).token(), { name: 'KeystoneError', kind: 'away' });
  });
}
