import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { accessFromClouds, readAccess } from './clouds.ts';
import { accessFromEnvironment } from './environment.ts';

const PLAIN = `
clouds:
  site:
    auth:
      auth_url: https://keystone:5000
      username: cable
      password: 12345
      project_name: service
      user_domain_name: Default
    region_name: one
    interface: internal
`;

const of = (text: string, name: string | null = null) => accessFromClouds(text, { file: 'clouds.yaml', name });

test('a cloud is read as clients read it', () => {
  assert.deepEqual(of(PLAIN), {
    urls: ['https://keystone:5000/v3'],
    auth: { kind: 'password', user: { name: 'cable', domain: { name: 'Default' } }, password: '12345' },
    scope: { kind: 'project', name: 'service', domain: { id: 'default' } },
    ca: null,
    verify: true,
    region: 'one',
    interface: 'internal',
    endpoints: {},
  });
  const two = of(PLAIN.replace('https://keystone:5000', '[http://a/identity/v3/, http://b:5000/v2.0]'));
  assert.deepEqual(two.urls, ['http://a/identity/v3', 'http://b:5000/v3']);
  const credential = of(
    'clouds: {a: {auth: {auth_url: http://k/v3, application_credential_id: i, application_credential_secret: s}}}',
  );
  assert.deepEqual(credential.auth, { kind: 'application credential', credential: { id: 'i' }, secret: 's' });
  const system = of(
    'clouds: {a: {auth: {auth_url: http://k, username: u, password: p, system_scope: all}, verify: false}}',
  );
  assert.deepEqual([system.scope, system.verify], [{ kind: 'system' }, false]);
});

test('what cannot be used is told with its place, and without what is in the file', () => {
  for (const [text, told] of [
    ['clouds: [', /clouds.yaml is no YAML: line 1/],
    ['', /clouds is not there|no mapping/],
    ['clouds: {}', /has the clouds/],
    ['clouds: {a: {}, b: {}}', /a, b: say which one/],
    ['clouds: {a: {auth: {}}}', /names no auth_url/],
    ['clouds: {a: {auth: {auth_url: keystone}}}', /no address/],
    ['clouds: {a: {auth: {auth_url: http://u:secret@k}}}', /no address/],
    ['clouds: {a: {auth: {auth_url: http://k, username: u}}}', /names no password/],
    ['clouds: {a: {auth: {auth_url: http://k, password: p}}}', /names no username/],
    ['clouds: {a: {auth: {auth_url: http://k, username: [u], password: p}}}', /username is a text/],
    ['clouds: {a: {auth: {auth_url: http://k, username: u, password: p}, interface: x}}', /interface is/],
  ] as const) {
    assert.throws(() => of(text), { name: 'AccessError', message: told }, text);
  }
  assert.throws(() => of(PLAIN, 'other'), /no cloud other, but site/);
  const broken = `${PLAIN}      password: "top-secret\n`;
  assert.throws(
    () => of(broken),
    (err: Error) => !err.message.includes('top-secret'),
  );
});

test('a secret that others may read is refused', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'cable-clouds-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const file = join(directory, 'clouds.yaml');
  writeFileSync(file, PLAIN);
  chmodSync(file, 0o644);
  assert.throws(() => readAccess(file, null, { isSecret: true }), /others may read it: chmod/);
  chmodSync(file, 0o640);
  assert.equal(readAccess(file, null, { isSecret: true }).region, 'one');
  assert.throws(() => readAccess(join(directory, 'none'), null, { isSecret: true }), /cannot be read/);
});

test('variables say the same as a cloud', (t) => {
  const env = {
    OS_AUTH_URL: 'http://k:5000/',
    OS_USERNAME: 'u',
    OS_PASSWORD: 'p',
    OS_TENANT_NAME: 't',
    OS_INTERFACE: 'publicURL',
  };
  assert.deepEqual(accessFromEnvironment(env)?.scope, { kind: 'project', name: 't', domain: { id: 'default' } });
  assert.equal(accessFromEnvironment({}), null);
  assert.equal(accessFromEnvironment({ ...env, OS_AUTH_TYPE: 'none' }), null);
  assert.throws(() => accessFromEnvironment({ OS_AUTH_URL: 'http://k' }), /names no password/);
  const token = accessFromEnvironment({ OS_AUTH_URL: 'http://k', OS_TOKEN: 'x', OS_PROJECT_ID: 'i' });
  assert.deepEqual(
    [token?.auth, token?.scope],
    [
      { kind: 'token', token: 'x' },
      { kind: 'project', id: 'i' },
    ],
  );
  const directory = mkdtempSync(join(tmpdir(), 'cable-clouds-'));
  t.after(() => rmSync(directory, { recursive: true }));
  writeFileSync(join(directory, 'c.yaml'), PLAIN);
  const cloud = { OS_CLOUD: 'site', OS_CLIENT_CONFIG_FILE: join(directory, 'c.yaml') };
  assert.equal(accessFromEnvironment(cloud)?.region, 'one');
});
