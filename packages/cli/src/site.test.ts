import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, type TestContext, test } from 'node:test';
import { type FakeKeystone, startFakeKeystone } from '@cable/keystone/testing';
import { httpTransport } from '@cable/kit';
import { BUILT_IN_RESOURCES } from '@cable/model';
import { runCommandLine } from './program.ts';
import type { Outcome } from './testing/run.ts';
import { type StubServer, startStub } from './testing/stub-server.ts';

type Environment = Readonly<Record<string, string>>;

/** Somebody whom Keystone knows, in a project of his own. */
type Person = { readonly env: Environment; readonly name: string; readonly password: string };

let keystone: FakeKeystone;
let network: StubServer;
let person: Person;

before(async () => {
  keystone = await startFakeKeystone();
  network = await startStub();
  await keystone.addEndpoint('network', 'cable', `${network.url}/v2.0/`);
  const name = `u-${randomUUID()}`;
  await keystone.createProject(name);
  const { password } = await keystone.createUser(name, [{ role: 'member', project: name }]);
  const env = { OS_AUTH_URL: keystone.url, OS_USERNAME: name, OS_PASSWORD: password, OS_PROJECT_NAME: name };
  person = { env, name, password };
});
after(async () => {
  network.close();
  await keystone.close();
});

async function cable(command: string, env: Environment): Promise<Outcome> {
  let [out, err] = ['', ''];
  const status = await runCommandLine(command.split(' '), {
    env: { HOME: '/nonexistent', ...env },
    loadModels: () => Promise.resolve(BUILT_IN_RESOURCES),
    connect: httpTransport,
    print: (text) => {
      out += text;
    },
    printError: (text) => {
      err += text;
    },
    version: '1.2.3',
  });
  return { status, out, err };
}

async function stub(t: TestContext, socket?: string): Promise<StubServer> {
  const server = await startStub({}, socket);
  t.after(() => server.close());
  return server;
}

function directoryOf(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), `cable-site-${process.pid}-`));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

test('who has the variables of openstack asks the server of the catalog, with a token and without a project', async () => {
  const { status, err } = await cable('network list', person.env);
  assert.deepEqual([status, err], [0, '']);
  assert.equal(network.requests.at(-1)?.split('?')[0], 'GET /v2.0/networks');
  assert.match(network.header('x-auth-token') ?? '', /./);
  assert.equal(network.header('x-project-id'), undefined);
  assert.equal(network.header('x-roles'), undefined);
});

test('a token is had once for all that a command asks', async () => {
  const before = keystone.asked.logins;
  assert.equal((await cable('status', person.env)).status, 1);
  assert.equal((await cable('network show no-such', person.env)).status, 1);
  assert.equal(keystone.asked.logins, before + 2);
});

test('a cloud of clouds.yaml is chosen with --os-cloud or OS_CLOUD, and --server names another server', async (t) => {
  const other = await stub(t);
  const file = join(directoryOf(t), 'clouds.yaml');
  const { name, password } = person;
  const auth = { auth_url: keystone.url, username: name, password, project_name: name, user_domain_id: 'default' };
  const clouds = { one: { auth }, two: { auth: { ...auth, password: 'wrong' } } };
  writeFileSync(file, JSON.stringify({ clouds }));
  const env = { OS_CLIENT_CONFIG_FILE: file };
  for (const [command, more] of [
    [`--os-cloud one --server ${other.url} network list`, {}],
    [`--os-cloud=one --server=${other.url} network list`, { OS_CLOUD: 'two' }],
    ['network list', { OS_CLOUD: 'one', CABLE_SERVER: other.url }],
  ] as const) {
    const before = other.requests.length;
    const { status, err } = await cable(command, { ...env, ...more });
    assert.deepEqual([status, err], [0, ''], command);
    assert.equal(other.requests.length, before + 1, command);
    assert.match(other.header('x-auth-token') ?? '', /./);
  }
  const refused = await cable('network list', { ...env, OS_CLOUD: 'two' });
  assert.equal(refused.status, 1);
  assert.match(refused.err, /does not take these credentials\n {2}Who logs in is said by OS_\* variables/);
  assert.doesNotMatch(refused.err, /wrong/);
  const missing = await cable('--os-cloud three network list', env);
  assert.deepEqual([missing.status, /has no cloud three, but one, two/.test(missing.err)], [1, true], missing.err);
});

test('over a Unix socket nobody logs in, nor for what concerns this machine alone', async (t) => {
  const local = await stub(t, join(directoryOf(t), 's.sock'));
  const before = keystone.asked.logins;
  assert.equal((await cable('network list', { ...person.env, CABLE_SERVER: local.url })).status, 0);
  assert.equal(local.header('x-auth-token'), undefined);
  assert.equal((await cable('show agent', person.env)).status, 1);
  assert.equal((await cable('--version', person.env)).status, 0);
  assert.equal(keystone.asked.logins, before);
});

test('what is chosen where nobody logs in is refused where somebody does', async () => {
  for (const [command, more, name] of [
    ['--project p network list', {}, '--project'],
    ['--role member network list', {}, '--role'],
    ['network list', { CABLE_PROJECT: 'p' }, 'CABLE_PROJECT'],
  ] as const) {
    const { status, err } = await cable(command, { ...person.env, ...more });
    assert.equal(status, 2);
    assert.match(err, new RegExp(`error: ${name} has no effect when Keystone says who asks\n`));
  }
});

test('a Keystone that is away, and a catalog without a network service, are told with what to do', async (t) => {
  const closed = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => closed.once('listening', resolve));
  const { port } = closed.address() as { port: number };
  await new Promise((resolve) => closed.close(resolve));
  const away = await cable('network list', { ...person.env, OS_AUTH_URL: `http://127.0.0.1:${port}/v3` });
  assert.equal(away.status, 1);
  assert.match(away.err, /does not answer: ECONNREFUSED\n/);
  const empty = await startFakeKeystone();
  t.after(() => empty.close());
  const { name, password } = empty.admin;
  const env = { OS_AUTH_URL: empty.url, OS_USERNAME: name, OS_PASSWORD: password, OS_PROJECT_NAME: 'admin' };
  const none = await cable('network list', env);
  assert.equal(none.status, 1);
  assert.match(none.err, /has no network service\n/);
  // The help is there all the same.
  assert.deepEqual((await cable('network --help', env)).status, 0);
});

test('who brings no token to a server that wants one is told how to log in', async (t) => {
  const error = { code: 401, title: 'Unauthorized', message: 'The request you have made requires authentication.' };
  const refusing = createHttpServer((_request, reply) => reply.writeHead(401).end(JSON.stringify({ error })));
  refusing.listen(0, '127.0.0.1');
  await once(refusing, 'listening');
  t.after(() => {
    refusing.close();
    refusing.closeAllConnections();
  });
  const { port } = refusing.address() as AddressInfo;
  const { status, err } = await cable('network list', { CABLE_SERVER: `http://127.0.0.1:${port}` });
  assert.equal(status, 1);
  assert.match(err, /\n {2}Who logs in is said by OS_\* variables, or by a cloud of clouds.yaml/);
});
