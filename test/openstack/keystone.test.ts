/** The Keystone that the suites use is a real one: what it says of its tokens. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type Keystone, startKeystone } from './keystone.ts';

type Answer = {
  readonly token: {
    readonly user: { readonly name: string };
    readonly project?: { readonly id: string };
    readonly system?: { readonly all: boolean };
    readonly roles: readonly { readonly name: string }[];
    readonly catalog: readonly { readonly type: string; readonly endpoints: readonly { readonly url: string }[] }[];
  };
};

const directory = mkdtempSync(join(tmpdir(), `cable-keystone-${process.pid}-`));
let keystone: Keystone;

before(async () => {
  keystone = await startKeystone(directory);
});

after(async () => {
  await keystone?.close();
  rmSync(directory, { recursive: true, force: true });
});

test('a token of a project has its roles, those that they imply, and the catalog', async () => {
  const project = await keystone.createProject('alpha');
  const alice = await keystone.createUser('alice', [{ role: 'member', project: 'alpha' }]);
  await keystone.addEndpoint('network', 'neutron', 'http://127.0.0.1:9696');
  const { token } = await told(await keystone.token(alice, { project: 'alpha' }));
  assert.equal(token.user.name, 'alice');
  assert.equal(token.project?.id, project);
  assert.deepEqual(token.roles.map(({ name }) => name).sort(), ['member', 'reader']);
  const network = token.catalog.find(({ type }) => type === 'network');
  assert.deepEqual(new Set(network?.endpoints.map(({ url }) => url)), new Set(['http://127.0.0.1:9696']));
});

test('a token of the system has no project', async () => {
  const { token } = await told(await keystone.token(keystone.admin, { system: 'all' }));
  assert.deepEqual(token.system, { all: true });
  assert.equal(token.project, undefined);
});

test('a token that was revoked is not found', async () => {
  const revoked = await keystone.token(keystone.admin, { project: 'admin' });
  const answer = await fetch(`${keystone.url}/auth/tokens`, {
    method: 'DELETE',
    headers: { 'x-auth-token': revoked, 'x-subject-token': revoked },
  });
  assert.equal(answer.status, 204);
  await assert.rejects(told(revoked), /404/);
});

test('without the password there is no token', async () => {
  await assert.rejects(keystone.token({ name: 'admin', password: 'guess' }, { project: 'admin' }), /401/);
});

async function told(token: string): Promise<Answer> {
  const asking = await keystone.token(keystone.service, { project: 'service' });
  const headers = { 'x-auth-token': asking, 'x-subject-token': token };
  const answer = await fetch(`${keystone.url}/auth/tokens`, { headers, signal: AbortSignal.timeout(60_000) });
  if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
  return (await answer.json()) as Answer;
}
