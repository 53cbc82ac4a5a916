import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { createModelLoader } from '../../packages/cli/src/model-loader.ts';
import { runCommandLine } from '../../packages/cli/src/program.ts';
import { runProtonClient } from '../../packages/cli/src/protonclient/client.ts';
import { httpTransport } from '../../packages/kit/src/index.ts';
import { sourceProgram } from '../../packages/kit/src/testing/index.ts';

const SERVER = fileURLToPath(new URL('../../packages/server/src/main.ts', import.meta.url));
const MODELS = fileURLToPath(new URL('../../packages/proton/models/', import.meta.url));
const TENANT = '7d3f5b210a9c4e8db6f71c2d3e4f5a6b';

type Ran = { readonly status: number; readonly out: string; readonly err: string };

/** A server, and both command lines for it. */
async function startServer(t: TestContext) {
  const directory = await mkdtemp(join(tmpdir(), 'cable-protonclient-'));
  const socket = `unix:${directory}/s.sock`;
  const args = ['--store', `lmdb:${directory}/store`, '--listen', socket, '--proton-listen', '127.0.0.1:0'];
  const child = spawn(process.execPath, [...sourceProgram(SERVER), ...args], { stdio: ['ignore', 'pipe', 'ignore'] });
  t.after(async () => {
    child.kill('SIGKILL');
    await rm(directory, { recursive: true, force: true });
  });
  let port = '';
  for await (const line of createInterface({ input: child.stdout })) {
    port = /clients of Gluon on http:\/\/127\.0\.0\.1:(\d+)/.exec(line)?.[1] ?? '';
    if (port !== '') break;
  }
  const run = async (
    start: (deps: { print: (text: string) => void; printError: (text: string) => void }) => Promise<number>,
  ): Promise<Ran> => {
    const printed = { out: '', err: '' };
    const status = await start({
      print: (text) => {
        printed.out += text;
      },
      printError: (text) => {
        printed.err += text;
      },
    });
    return { status, ...printed };
  };
  const cable = (...words: readonly string[]): Promise<Ran> =>
    run((io) => {
      const env = { CABLE_SERVER: socket, XDG_CACHE_HOME: directory };
      const loadModels = createModelLoader({ env, fallback: [] });
      return runCommandLine(words, { ...io, env, loadModels, connect: httpTransport, version: '0' });
    });
  const proton = (...words: readonly string[]): Promise<Ran> =>
    run((io) => runProtonClient(words, { ...io, env: { OS_PROTON_PORT: port }, connect: httpTransport }));
  return { cable, proton };
}

test('Gluon’s command line has the commands of what is installed, and prints JSON', async (t) => {
  const { cable, proton } = await startServer(t);
  assert.match((await proton('vpn-list')).err, /the server has no API/);
  const done = await cable('proton', 'install', `${MODELS}net-l3vpn`);
  assert.equal(done.status, 0, done.err);
  const made = await proton('vpn-create', '--name', 'blue', '--tenant_id', TENANT, '--ipv4_family', '65000:1');
  assert.equal(made.status, 0, made.err);
  const vpn = JSON.parse(made.out) as { readonly id: string; readonly ipv4_family: string };
  assert.equal(vpn.ipv4_family, '65000:1');
  const shown = JSON.parse((await proton('--api', 'net-l3vpn', 'vpn-show', vpn.id)).out) as { readonly name: string };
  assert.equal(shown.name, 'blue');
  await proton('vpn-update', vpn.id, '--name', 'red');
  const { vpns } = JSON.parse((await proton('vpn-list')).out) as {
    readonly vpns: readonly { readonly name: string }[];
  };
  assert.deepEqual(
    vpns.map(({ name }) => name),
    ['red'],
  );
  assert.match((await proton('port-create', '--name', 'x')).err, /required option '--mac_address/);
  assert.match((await proton('--api', 'none', 'vpn-list')).err, /there is no API none[\s\S]*net-l3vpn/);
  assert.equal((await proton('vpn-delete', vpn.id)).status, 0);
  assert.equal((await cable('proton', 'install', `${MODELS}test`)).status, 0);
  assert.match((await proton('vpn-list')).err, /--api is needed: there are several/);
});

test('commands for protons come from the server, and say what became of a model', async (t) => {
  const { cable } = await startServer(t);
  assert.equal((await cable('proton', 'install', `${MODELS}net-l3vpn`)).status, 0);
  const made = await cable(
    'p',
    'net-l3vpn',
    'vpn',
    'create',
    'blue',
    '--tenant-id',
    TENANT,
    '--ipv4-family',
    '65000:1,65000:2',
    '--json',
  );
  assert.equal(made.status, 0, made.err);
  const again = await cable('proton', 'install', `${MODELS}net-l3vpn`);
  assert.match(again.out, /net-l3vpn 1\.0: unchanged/);
  const dry = await cable('proton', 'install', `${MODELS}net-l3vpn-v1.1`, '--dry-run');
  assert.match(dry.out, /net-l3vpn 1\.1: would be installed/);
  assert.match(dry.out, /VpnService/);
  assert.equal((await cable('proton', 'install', `${MODELS}net-l3vpn-v1.1`)).status, 0);
  assert.match((await cable('p', 'net-l3vpn', 'vpn', 'list')).out, /65000:2/);
  assert.match((await cable('proton', 'migrate', 'net-l3vpn')).out, /1 objects are migrated/);
  assert.match((await cable('proton', 'versions', 'net-l3vpn')).out, /1\.1/);
  assert.match((await cable('proton', 'explain', 'net-l3vpn', 'vpn')).out, /ipv4_route_targets/);
  assert.equal((await cable('proton', 'remove-version', 'net-l3vpn', '1.0')).status, 0);
  const refused = await cable('proton', 'remove', 'net-l3vpn');
  assert.equal(refused.status, 1);
  assert.match(refused.err, /has objects[\s\S]*--objects/);
  assert.equal((await cable('proton', 'remove', 'net-l3vpn', '--objects')).status, 0);
});
