import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { silentLogger } from '@cable/kit';
import { sourceProgram } from '@cable/kit/testing';
import { openStore } from '@cable/store';
import { mountSmall } from './testing/small-disk.ts';

const MAIN = fileURLToPath(new URL('./main.ts', import.meta.url));

test('the process listens on TCP and a Unix socket, survives kill -9 and drains on SIGTERM', async (t) => {
  const directory = await temporaryDirectory(t);
  const socket = join(directory, 'server.sock');
  const args = ['--store', `lmdb:${directory}/store`, '--listen', '127.0.0.1:0', '--listen', `unix:${socket}`];
  const first = await startProcess(t, args);
  assert.match(first.urls[0] ?? '', /^http:\/\/127\.0\.0\.1:\d+$/);
  assert.equal(first.urls[1], `unix:${socket}`);
  assert.equal((await stat(socket)).mode & 0o777, 0o600);
  const created = await send(socket, 'POST', '/v2.0/networks', { network: { name: 'kept' } });
  assert.equal(created.status, 201);
  const answer = await fetch(`${first.urls[0]}/v2.0/networks`);
  assert.match(await answer.text(), /kept/);

  first.child.kill('SIGKILL');
  await once(first.child, 'exit');
  const second = await startProcess(t, args);
  assert.match((await send(socket, 'GET', '/v2.0/networks')).text, /kept/);
  second.child.kill('SIGTERM');
  const [code] = await once(second.child, 'exit');
  assert.equal(code, 0);
});

test('noauth is refused on an address that others can reach', async (t) => {
  const directory = await temporaryDirectory(t);
  for (const address of ['0.0.0.0:0', '[::]:0', '192.0.2.1:1']) {
    const args = ['--store', `lmdb:${directory}/store`, '--listen', '127.0.0.1:0', '--listen', address];
    const child = spawnServer(t, args);
    let errors = '';
    child.stderr?.on('data', (chunk: Buffer) => {
      errors += chunk.toString();
    });
    const [code] = await once(child, 'exit');
    assert.equal(code, 2);
    assert.match(errors, /noauth.*\n {2}See what it takes with --help\./);
  }
});

test('limits that cannot be meant are refused, and so is a file of them', async (t) => {
  const directory = await temporaryDirectory(t);
  const store = ['--store', `lmdb:${directory}/store`];
  for (const args of [
    ['--project-rate', '-1'],
    ['--address-rate', '5:0'],
    ['--address-rate', '0:5'],
    ['--project-in-flight', '1.5'],
    ['--trusted-proxy', '192.0.2.0/33'],
    ['--proxy-header', 'x-real-ip'],
  ]) {
    const { code, errors } = await failedStart(t, [...store, ...args]);
    assert.deepEqual([code, errors.includes(args[0] ?? '')], [2, true], errors);
  }
  const file = join(directory, 'limits.yaml');
  await writeFile(file, 'projects: {p: {speed: 1}}\n');
  const { code, errors } = await failedStart(t, [...store, '--limits-file', file]);
  assert.equal(code, 1);
  assert.match(errors, /cable server: .*limits\.yaml: projects: p: speed is not known/);
});

test('a file of limits is read anew on SIGHUP', async (t) => {
  const directory = await temporaryDirectory(t);
  const file = join(directory, 'limits.yaml');
  await writeFile(file, 'projects: {p: {rate: 0.001, burst: 1}}\n');
  const args = ['--store', `lmdb:${directory}/store`, '--listen', '127.0.0.1:0', '--limits-file', file];
  const { child, urls } = await startProcess(t, args);
  const ask = async (): Promise<number> => {
    const answer = await fetch(`${urls[0]}/v2.0/networks`, {
      headers: { 'x-project-id': 'p', 'x-roles': 'member' },
    });
    await answer.text();
    return answer.status;
  };
  assert.deepEqual([await ask(), await ask()], [200, 429]);
  await writeFile(file, 'projects: {}\n');
  child.kill('SIGHUP');
  while ((await ask()) !== 200);
});

test('an underlay MTU that agents would refuse is refused', async (t) => {
  const directory = await temporaryDirectory(t);
  for (const bytes of ['1279', '65536', '1500.5']) {
    const { code, errors } = await failedStart(t, ['--store', `lmdb:${directory}/store`, '--underlay-mtu', bytes]);
    assert.equal(code, 2);
    assert.match(errors, /--underlay-mtu .*Give a number from 1280 to 65535\./);
  }
});

test('a default quota that cannot be is refused', async (t) => {
  const directory = await temporaryDirectory(t);
  for (const [value, status, words] of [
    ['port', 2, /--quota .*Give TYPE=COUNT, e.g. port=500/],
    ['port=-2', 2, /--quota .*Give TYPE=COUNT/],
    ['host=3', 1, /--quota: host is not counted: give one of network, subnet, port/],
  ] as const) {
    const { code, errors } = await failedStart(t, ['--store', `lmdb:${directory}/store`, '--quota', value]);
    assert.equal(code, status);
    assert.match(errors, words);
  }
});

test('a limit that would let nothing in is refused', async (t) => {
  const directory = await temporaryDirectory(t);
  for (const [option, value, range] of [
    ['--max-writes', '0', '4 to 100000'],
    ['--max-lists', 'x', '1 to 100000'],
    ['--max-body-mib', '4', '8 to 2047'],
    ['--max-connections', '-1', '16 to 1000000'],
  ] as const) {
    const { code, errors } = await failedStart(t, ['--store', `lmdb:${directory}/store`, `${option}=${value}`]);
    assert.equal(code, 2);
    assert.match(errors, new RegExp(`${option} .*Give a number from ${range}\\.`));
  }
});

test('an address that cannot be listened on ends the process with the address and the remedy', async (t) => {
  const directory = await temporaryDirectory(t);
  const other = createServer().listen(0, '127.0.0.1');
  t.after(() => other.close());
  await once(other, 'listening');
  const { port } = other.address() as AddressInfo;
  const file = join(directory, 'precious');
  await writeFile(file, 'kept');
  for (const [address, pattern] of [
    [`127.0.0.1:${port}`, /^cable server: cannot listen on 127\.0\.0\.1:\d+: another process does; .* --listen\n$/],
    [
      `unix:${directory}/none/s.sock`,
      /^cable server: cannot listen on unix:.*a path in a directory that exists.*--listen\n$/,
    ],
    [`unix:${file}`, /^cable server: .* it is there and no socket; .* --listen\n$/],
  ] as const) {
    const { code, errors } = await failedStart(t, ['--store', `lmdb:${directory}/store`, '--listen', address]);
    assert.equal(code, 1);
    assert.match(errors, pattern);
  }
  assert.equal(await readFile(file, 'utf8'), 'kept');
});

test('a server whose log nobody reads goes on, however much it logs', async (t) => {
  const directory = await temporaryDirectory(t);
  const socket = join(directory, 'server.sock');
  const args = ['--store', `lmdb:${directory}/store`, '--listen', `unix:${socket}`, '--log-level', 'debug'];
  const { child } = await startProcess(t, args, false);
  // Each is logged with some 250 bytes; a pipe takes 64 KiB.
  for (let i = 0; i < 1000; i += 1) {
    assert.equal((await send(socket, 'POST', '/v2.0/networks', { network: { nmae: 'x' } })).status, 400);
  }
  assert.equal((await send(socket, 'GET', '/healthz')).status, 200);
  let log = '';
  for await (const chunk of child.stderr ?? []) {
    log += String(chunk);
    if (log.includes('request refused')) break;
  }
  assert.match(log, /"level":20,.*"type":"HTTPBadRequest","status":400,.*"msg":"request refused"/);
});

test('a store that cannot be used ends the process with the option and the remedy alone', async (t) => {
  const directory = await temporaryDirectory(t);
  const store = await openStore(`lmdb:${directory}/taken`, { log: silentLogger() });
  t.after(() => store.close());
  for (const [address, pattern] of [
    ['redis:x', /^cable server: --store: "redis:x" is not understood; write lmdb:DIRECTORY or etcd:.*\n$/],
    ['lmdb:/proc/none', /^cable server: --store: cannot use the directory \/proc\/none \(.*\): choose another\n$/],
    ['etcd:127.0.0.1:1', /^cable server: no etcd answers at 127\.0\.0\.1:1: start it, or correct --store\n$/],
    [
      `lmdb:${directory}/taken`,
      /^cable server: --store: .* is in use by process \d+; .*stop that one, or use etcd.*\n$/,
    ],
  ] as const) {
    const { code, errors } = await failedStart(t, ['--store', address, '--listen', `unix:${directory}/s.sock`]);
    assert.equal(code, 1);
    assert.match(errors, pattern);
  }
});

test('a store whose disk is full ends the process with the directory and the remedy alone', async (t) => {
  const directory = await temporaryDirectory(t);
  const { path, leave } = mountSmall(t);
  const store = await openStore(`lmdb:${path}/store`, { log: silentLogger() });
  await store.txn([], [{ kind: 'put', key: '/cable/any', value: '' }]);
  await store.close();
  leave(5 << 20);
  for (const [address, pattern] of [
    ['store', /^cable server: --store: the disk of .*\/store is full \(.*\): nothing was written; make room on it\n$/],
    ['new', /^cable server: --store: no room in the directory .*\/new \(.*\): make room, or choose another\n$/],
  ] as const) {
    const args = ['--store', `lmdb:${path}/${address}`, '--listen', `unix:${directory}/s.sock`];
    const { code, errors } = await failedStart(t, args);
    assert.equal(code, 1);
    assert.match(errors, pattern);
  }
});

async function temporaryDirectory(t: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), `cable-main-${process.pid}-`));
  t.after(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

/** A start that is to fail: what it says, and how it ends. */
async function failedStart(
  t: TestContext,
  args: readonly string[],
): Promise<{ readonly code: number | null; readonly errors: string }> {
  const child = spawnServer(t, args);
  let errors = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    errors += chunk.toString();
  });
  const [code] = await once(child, 'close', { signal: AbortSignal.timeout(60_000) });
  return { code, errors };
}

function spawnServer(t: TestContext, args: readonly string[]): ChildProcess {
  const child = spawn(process.execPath, [...sourceProgram(MAIN), ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  t.after(() => child.kill('SIGKILL'));
  return child;
}

async function startProcess(
  t: TestContext,
  args: readonly string[],
  readsLog = true,
): Promise<{ child: ChildProcess; urls: string[] }> {
  const child = spawnServer(t, args);
  const urls: string[] = [];
  if (child.stdout === null) throw new Error('no output');
  if (readsLog) child.stderr?.resume();
  const wanted = args.filter((one) => one === '--listen').length;
  for await (const line of createInterface({ input: child.stdout })) {
    const match = /^listening on (.*)$/.exec(line);
    if (match?.[1] !== undefined) urls.push(match[1]);
    if (urls.length === wanted) return { child, urls };
  }
  throw new Error('the server ended before it listened');
}

function send(
  socketPath: string,
  method: string,
  path: string,
  body?: object,
): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const headers = body === undefined ? {} : { 'content-type': 'application/json' };
    const call = request({ socketPath, method, path, headers }, (response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => {
        text += chunk.toString();
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
    });
    call.on('error', reject);
    call.end(body === undefined ? undefined : JSON.stringify(body));
  });
}
