/** `cable` asks a real server over https, as whom a certificate names. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { httpTransport } from '@cable/kit';
import { BUILT_IN_RESOURCES } from '@cable/model';
import { initAuthorities, issueWithKey, replaceFile, validityFrom } from '@cable/pki';
import { createModelLoader } from '../../packages/cli/src/model-loader.ts';
import { runCommandLine } from '../../packages/cli/src/program.ts';
import { type SecureServer, startSecureServer } from './secure-server.ts';

let server: SecureServer;
let files: { readonly ca: string; readonly cert: string; readonly key: string };
const undone: (() => unknown)[] = [];

before(async () => {
  server = await startSecureServer({ after: (undo) => void undone.push(undo) }, ['--listen', '127.0.0.2:0']);
  const made = await cable(`pki issue user alice --in-project p1 --with-role admin --out ${place('alice')}`);
  assert.deepEqual([made.status, made.err], [0, '']);
  files = {
    ca: join(server.directory, 'pki', 'authority.pem'),
    cert: `${place('alice')}.pem`,
    key: `${place('alice')}.key`,
  };
});

after(async () => {
  for (const undo of undone.reverse()) await undo();
});

function place(name: string): string {
  return join(server.directory, name);
}

type Outcome = { readonly status: number; readonly out: string; readonly err: string };

/** In an environment of its own. */
async function cable(words: string, more: Readonly<Record<string, string>> = {}): Promise<Outcome> {
  let [out, err] = ['', ''];
  const env = { XDG_CACHE_HOME: join(server.directory, 'cache'), ...more };
  const dir = words.startsWith('pki') ? ['--dir', join(server.directory, 'pki')] : [];
  const status = await runCommandLine([...words.split(' '), ...dir], {
    env,
    loadModels: createModelLoader({ env, fallback: BUILT_IN_RESOURCES }),
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

function shown(more: Partial<typeof files> = {}): string {
  const { ca, cert, key } = { ...files, ...more };
  return `--ca ${ca} --cert ${cert} --key ${key}`;
}

test('who shows a certificate is its user, in its project, by options or the environment', async () => {
  const made = await cable(`--server ${server.url} ${shown()} network create n1 --json`);
  assert.deepEqual([made.status, made.err], [0, '']);
  assert.equal(JSON.parse(made.out).project_id, 'p1');
  const env = { CABLE_SERVER: server.url, CABLE_CA: files.ca, CABLE_CERT: files.cert, CABLE_KEY: files.key };
  const listed = await cable('network list --json', env);
  assert.deepEqual(
    JSON.parse(listed.out).map(({ name }: { name: string }) => name),
    ['n1'],
  );
  const token = await cable('join-token create --host node-1', env);
  assert.deepEqual([token.status, token.err], [0, '']);
  assert.match(token.out, /token +\| [0-9a-f]{12}\./);
  // Those of the environment are for https, and nothing where another way is named.
  const local = await cable(`--server unix:${server.directory}/api.sock network list`, env);
  assert.deepEqual([local.status, local.err], [0, '']);
});

test('each thing that is wrong is said with what to do', async () => {
  const https = `--server ${server.url}`;
  const other = await initAuthorities(place('other'), new Date());
  const give = async (name: string, made: { readonly certificate: string; readonly key: string }): Promise<string> => {
    await replaceFile(place(`${name}.pem`), made.certificate);
    await replaceFile(place(`${name}.key`), made.key);
    return shown({ cert: place(`${name}.pem`), key: place(`${name}.key`) });
  };
  const bob = { kind: 'user', name: 'bob', projectId: 'p1', roles: ['member'] } as const;
  const validity = validityFrom(new Date(), 86_400_000);
  const longAgo = validityFrom(new Date(Date.now() - 2 * 86_400_000), 86_400_000);
  const foreign = await give('foreign', await issueWithKey(other.authority, { identity: bob, validity }));
  const expired = await give('expired', await issueWithKey(server.authority, { identity: bob, validity: longAgo }));
  const node = await give(
    'node',
    await issueWithKey(server.authority, { identity: { kind: 'host', name: 'node-1' }, validity }),
  );
  const otherCa = join(place('other'), 'authority.pem');
  const cases: readonly (readonly [string, RegExp, Readonly<Record<string, string>>?])[] = [
    [`${https} network list`, /an authority that is not trusted here.*\n {2}.*--ca or CABLE_CA: authority\.pem/],
    [`${https} ${shown({ ca: otherCa })} network list`, /not trusted here.*\n {2}.*--ca or CABLE_CA/],
    [
      `--server ${server.urls.find((url) => url.includes('127.0.0.2'))} ${shown()} network list`,
      /of other names and addresses: use one of them, or issue another.*cable pki issue server/,
    ],
    [
      `${https} --ca ${files.ca} network list`,
      /none was shown.*\n {2}.*cable pki issue\. It is shown with --cert and --key/,
    ],
    [`${https} ${expired} network list`, /expired\.pem has expired at .*: put another there/],
    [`${https} ${foreign} network list`, /of no authority that is trusted here.*\n {2}.*cable pki issue user/],
    [
      `${https} ${node} network list`,
      /node\.pem is the certificate of .*node-1, which is no user\n {2}.*cable pki issue user/,
    ],
    [`${https} --cert ${files.cert} network list`, /--cert .* and --key .* go together/],
    [`${https} ${shown({ key: place('node.key') })} network list`, /node\.key is not the key of .*alice\.pem/],
    [`${https} ${shown({ ca: place('none') })} network list`, /none is not there: give the path/],
    [`--server http://127.0.0.1:1 ${shown()} network list`, /--ca has no effect: http:.* is not asked by https/],
    [
      `${https} ${shown()} --project p2 network list`,
      /--project has no effect when a certificate says who asks\n {2}.*--in-project/,
    ],
    [`${https} ${shown()} network list`, /CABLE_ROLE has no effect/, { CABLE_ROLE: 'admin' }],
    [`--server ${server.url.replace('https', 'http')} network list`, /HTTPS is spoken here|closed the connection/],
  ];
  const key = await readFile(files.key, 'utf8');
  for (const [words, message, env] of cases) {
    const { status, out, err } = await cable(words, env);
    assert.match(err, message, words);
    assert.ok(status > 0, words);
    assert.equal(out, '');
    assert.ok(!err.includes(key.slice(40, 80)), words);
  }
});
