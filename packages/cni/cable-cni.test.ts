import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer, type IncomingHttpHeaders } from 'node:http';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const HERE = dirname(fileURLToPath(import.meta.url));
const EXECUTABLE = join(HERE, '../../build/cni/cable-cni');
const directory = mkdtempSync(join(tmpdir(), `cable-cni-${process.pid}-`));
const socket = join(directory, 'agent.sock');
const CONF = { cniVersion: '1.0.0', name: 'pods', type: 'cable-cni', network: 'blue', socket };

const ADD = { CNI_COMMAND: 'ADD' };

before(() => execFileSync('make', ['-s', '-C', HERE]));
after(() => rmSync(directory, { recursive: true, force: true }));

type Ended = { readonly status: number | null; readonly stdout: string; readonly json: Record<string, unknown> };

/** Runs the executable with these variables and nothing else in its environment. */
async function run(env: Readonly<Record<string, string>>, input: Buffer | object): Promise<Ended> {
  const child = spawn(EXECUTABLE, [], { env: { ...env }, stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = once(child, 'exit');
  child.stdin.on('error', () => undefined);
  child.stdin.end(Buffer.isBuffer(input) ? input : JSON.stringify(input));
  let stdout = '';
  for await (const chunk of child.stdout) stdout += chunk;
  const [status] = await ended;
  return { status, stdout, json: stdout === '' ? {} : JSON.parse(stdout) };
}

async function listening<T>(server: Server, body: () => Promise<T>): Promise<T> {
  const open = new Set<Socket>();
  server.on('connection', (one) => {
    open.add(one.on('error', () => undefined));
  });
  server.listen(socket);
  await once(server, 'listening');
  try {
    return await body();
  } finally {
    for (const one of open) one.destroy();
    server.close();
    await once(server, 'close');
  }
}

/** An agent that answers every call so, and what it was asked. */
async function withAgent(status: number, answer: string, env: Readonly<Record<string, string>>, input: object) {
  const asked: { method?: string; url?: string; headers: IncomingHttpHeaders; body: string }[] = [];
  const server = createHttpServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    const { method = '', url = '', headers } = request;
    asked.push({ method, url, headers, body });
    response.writeHead(status).end(answer);
  });
  const ended = await listening(server, () => run(env, input));
  return { ended, asked };
}

/** Something that writes these bytes to whoever connects, and closes. */
function withBytes(bytes: string | Buffer, input: object = CONF): Promise<Ended> {
  const server = createServer({ allowHalfOpen: true }, (one) => {
    one.resume();
    one.end(bytes);
  });
  return listening(server, () => run(ADD, input));
}

test('the CNI variables and the configuration reach the agent, its answer the runtime', async () => {
  const env = {
    CNI_COMMAND: 'ADD',
    CNI_CONTAINERID: 'c1',
    CNI_NETNS: '/run/netns/x',
    CNI_IFNAME: 'eth0',
    CNI_ARGS: 'IgnoreUnknown=1;K8S_POD_NAME=a b',
    CNI_PATH: '/opt/cni/bin',
  };
  const { ended, asked } = await withAgent(200, '{"cniVersion":"1.0.0"}', env, CONF);
  assert.deepEqual(ended, { status: 0, stdout: '{"cniVersion":"1.0.0"}\n', json: { cniVersion: '1.0.0' } });
  assert.equal(asked.length, 1);
  const [request] = asked;
  assert.equal(`${request?.method} ${request?.url}`, 'POST /cni');
  assert.deepEqual(JSON.parse(request?.body ?? ''), CONF);
  for (const [name, value] of Object.entries(env)) {
    assert.equal(request?.headers[`cni-${name.slice(4).toLowerCase()}`], value);
  }
});

test('an empty success prints nothing', async () => {
  const { ended } = await withAgent(200, '', { CNI_COMMAND: 'DEL' }, CONF);
  assert.deepEqual(ended, { status: 0, stdout: '', json: {} });
});

for (const status of [400, 500, 503]) {
  test(`a failure of the agent (${status}) is printed and ends 1`, async () => {
    const failure = { cniVersion: '1.0.0', code: 7, msg: 'network: is missing' };
    const { ended } = await withAgent(status, JSON.stringify(failure), ADD, CONF);
    assert.equal(ended.status, 1);
    assert.deepEqual(ended.json, failure);
  });
}

test('VERSION needs no agent', async () => {
  const ended = await run({ CNI_COMMAND: 'VERSION' }, { cniVersion: '0.4.0', socket: '/nowhere' });
  assert.equal(ended.status, 0);
  const supportedVersions = ['0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'];
  assert.deepEqual(ended.json, { cniVersion: '0.4.0', supportedVersions });
});

test('VERSION needs no configuration either; one that is malformed is told', async () => {
  const bare = await run({ CNI_COMMAND: 'VERSION' }, Buffer.alloc(0));
  assert.deepEqual([bare.status, (bare.json['supportedVersions'] as readonly string[]).at(-1)], [0, '1.1.0']);
  assert.equal((await run({ CNI_COMMAND: 'VERSION' }, Buffer.from('{'))).json['code'], 6);
  assert.equal((await run(ADD, Buffer.alloc(0))).json['code'], 6);
});

for (const [command, code] of [
  ['ADD', 11],
  ['DEL', 11],
  ['CHECK', 11],
  ['GC', 11],
  ['STATUS', 50],
] as const) {
  test(`${command} without an agent fails with code ${code}, the socket and the remedy`, async () => {
    const { status, json } = await run({ CNI_COMMAND: command }, { ...CONF, socket: '/nowhere/agent.sock' });
    assert.equal(status, 1);
    assert.equal(json['code'], code);
    assert.equal(json['cniVersion'], '1.0.0');
    assert.match(String(json['msg']), /\/nowhere\/agent\.sock: No such file/);
    assert.match(String(json['details']), /cable agent/);
  });
}

test('a file that is no socket, and a socket without an agent, are no agent', async () => {
  writeFileSync(join(directory, 'file'), '');
  const crash = `require('net').createServer().listen('${directory}/left', () => process.kill(process.pid, 'SIGKILL'))`;
  spawnSync(process.execPath, ['-e', crash]);
  for (const name of ['file', 'left']) {
    const { json } = await run(ADD, { ...CONF, socket: join(directory, name) });
    assert.equal(json['code'], 11);
    assert.match(String(json['msg']), /Connection refused/);
  }
});

const BAD_INPUT: readonly (readonly [string, string, number, RegExp])[] = [
  ['nothing', '', 6, /^network configuration: /],
  ['half an object', '{"a":', 6, /line 1/],
  ['more than an object', '{} {}', 6, /^network configuration: /],
  ['a list', '[]', 6, /not an object/],
  ['text that is not UTF-8', '{"a":"\xff"}', 6, /^network configuration: /],
  ['nesting without end', '['.repeat(100_000), 6, /^network configuration: /],
  ['a socket that is no string', '{"socket":7}', 7, /^socket: /],
  ['a relative socket', '{"socket":"agent.sock"}', 7, /^socket: /],
  ['a socket path too long', `{"socket":"/${'x'.repeat(107)}"}`, 7, /^socket: /],
  ['more than 8 MiB', `{"a":"${'x'.repeat(8 * 1024 * 1024)}"}`, 6, /longer than 8 MiB/],
];

for (const [name, input, code, says] of BAD_INPUT) {
  test(`${name} on standard input fails with code ${code}`, async () => {
    const ended = await run(ADD, Buffer.from(input, 'latin1'));
    assert.equal(ended.status, 1);
    assert.equal(ended.json['code'], code);
    assert.match(String(ended.json['msg']), says);
  });
}

const BAD_ENVIRONMENT: readonly (readonly [string, Readonly<Record<string, string>>, RegExp])[] = [
  ['no command', {}, /^CNI_COMMAND: /],
  ['an empty command', { CNI_COMMAND: '' }, /^CNI_COMMAND: /],
  ['a line end', { ...ADD, CNI_ARGS: 'a=b\r\nX-Evil: 1' }, /^CNI_ARGS: .*control/],
  ['a bell', { ...ADD, CNI_CONTAINERID: 'a\x07' }, /^CNI_CONTAINERID: .*control/],
  ['what is not ASCII', { ...ADD, CNI_NETNS: '/run/netns/ü' }, /^CNI_NETNS: /],
  ['2049 bytes', { ...ADD, CNI_PATH: 'x'.repeat(2049) }, /^CNI_PATH: is longer/],
];

for (const [name, env, says] of BAD_ENVIRONMENT) {
  test(`${name} in the environment fails with code 4`, async () => {
    const ended = await run(env, CONF);
    assert.equal(ended.status, 1);
    assert.equal(ended.json['code'], 4);
    assert.match(String(ended.json['msg']), says);
  });
}

const CHUNKED = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n';

const REPLIES: readonly (readonly [string, string, number, RegExp])[] = [
  ['nothing', '', 11, /before the reply was whole/],
  ['three letters', 'HTT', 11, /before the reply was whole/],
  ['three other letters', 'SSH', 5, /first line/],
  ['no HTTP', 'SSH-2.0-x\r\n\r\n', 5, /first line/],
  ['half a header', 'HTTP/1.1 200 OK\r\nContent-', 11, /before the reply was whole/],
  ['a status of letters', 'HTTP/1.1 2x0 OK\r\n\r\n', 5, /first line/],
  ['a status of four digits', 'HTTP/1.1 2000 OK\r\n\r\n', 5, /first line/],
  ['half a body', 'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}', 11, /before the reply was whole/],
  ['more than the body', 'HTTP/1.1 200 OK\r\ncontent-length:1\r\n\r\n{}', 5, /as long as/],
  ['a negative length', 'HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n', 5, /not a number/],
  ['an endless length', `HTTP/1.1 200 OK\r\nContent-Length: ${'9'.repeat(30)}\r\n\r\n`, 5, /not a number/],
  ['a compressed body', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nx', 5, /transfer encoding/],
  ['a chunk without a size', `${CHUNKED}\r\n{}\r\n0\r\n\r\n`, 5, /chunk/],
  ['a chunk longer than the rest', `${CHUNKED}f\r\n{}\r\n0\r\n\r\n`, 11, /before the reply was whole/],
  ['a chunk longer than it says', `${CHUNKED}1\r\n{}\r\n0\r\n\r\n`, 5, /chunk/],
  ['a chunk with half a size', `${CHUNKED}2\r\n{}\r\n1`, 11, /before the reply was whole/],
  ['a chunk with half an end of its size', `${CHUNKED}2\r`, 11, /before the reply was whole/],
  ['a chunk with half its end', `${CHUNKED}2\r\n{}\r`, 11, /before the reply was whole/],
  ['an end of chunks without its line', `${CHUNKED}2\r\n{}\r\n0\r\n`, 11, /before the reply was whole/],
  ['a chunk of gigabytes', `${CHUNKED}fffffffff\r\n{}\r\n`, 5, /chunk/],
  ['chunks without an end', `${CHUNKED}2\r\n{}\r\n`, 11, /before the reply was whole/],
  ['bytes after the last chunk', `${CHUNKED}2\r\n{}\r\n0\r\n\r\nx`, 5, /more than the body/],
  ['a body that is not JSON', 'HTTP/1.1 200 OK\r\n\r\nwell', 5, /not a JSON object/],
  ['a body that is a list', 'HTTP/1.1 200 OK\r\n\r\n[]', 5, /not a JSON object/],
  ['an error without a code', 'HTTP/1.1 404 Not Found\r\n\r\n{"a":1}', 5, /404 without a CNI error/],
  ['an error without a body', 'HTTP/1.1 500 X\r\n\r\n', 5, /500 without a CNI error/],
];

for (const [name, bytes, code, says] of REPLIES) {
  test(`a reply of ${name} fails with code ${code}`, async () => {
    const { status, json } = await withBytes(bytes);
    assert.equal(status, 1);
    assert.equal(json['code'], code);
    assert.match(String(json['msg']), says);
  });
}

test('an agent that ends while it is asked is to be asked again, or does not make ready', async () => {
  for (const [command, code] of [
    ['DEL', 11],
    ['STATUS', 50],
  ] as const) {
    const server = createServer((one) => one.once('data', () => one.destroy()));
    const { json } = await listening(server, () => run({ CNI_COMMAND: command }, CONF));
    assert.equal(json['code'], code);
    assert.match(String(json['msg']), /^the Cable agent does not answer at /);
  }
});

test('a reply that ends with the connection is taken', async () => {
  assert.equal((await withBytes('HTTP/1.1 200 OK\r\n\r\n{"a":1}')).stdout, '{"a":1}\n');
});

test('chunks are joined', async () => {
  const ended = await withBytes(`${CHUNKED}4\r\n{"a"\r\n3\r\n:1}\r\n0\r\n\r\n`);
  assert.deepEqual([ended.status, ended.stdout], [0, '{"a":1}\n']);
});

test('a reply over 1 MiB is refused', async () => {
  const { json } = await withBytes(`HTTP/1.1 200 OK\r\n\r\n"${'x'.repeat(3 * 1024 * 1024)}"`);
  assert.match(String(json['msg']), /longer than 1 MiB/);
});

test('an agent that refuses before it has read a large request is heard', async () => {
  const failure = '{"code":6,"msg":"too long"}';
  const large = { ...CONF, filler: 'x'.repeat(4 * 1024 * 1024) };
  const server = createServer({ allowHalfOpen: true }, (one) => {
    one.pause();
    one.end(`HTTP/1.1 413 X\r\n\r\n${failure}`, () => setTimeout(() => one.destroy(), 50));
  });
  const { json } = await listening(server, () => run(ADD, large));
  assert.deepEqual(json, JSON.parse(failure));
});

for (const version of [`${'x'.repeat(30)}ü`, '1.0.0\n', '9'.repeat(40), '']) {
  test(`a cniVersion that is none (${JSON.stringify(version.slice(0, 8))}) does not stand in the way of an answer`, async () => {
    const { status, json } = await run(ADD, { ...CONF, cniVersion: version, socket: 7 });
    assert.deepEqual([status, json['code'], json['cniVersion']], [1, 7, '1.1.0']);
  });
}

test('a path that is not UTF-8 is told all the same', () => {
  const script = `mount -t tmpfs cable-cni-test /run && d=/run/cable/$(printf '\\377') && mkdir -p "$d" && touch "$d/agent.sock" && CNI_COMMAND=ADD exec "$0"`;
  const input = JSON.stringify({ ...CONF, socket: undefined });
  const { status, stdout } = spawnSync('unshare', ['-m', 'sh', '-c', script, EXECUTABLE], { input, encoding: 'utf8' });
  assert.equal(status, 1);
  assert.match(JSON.parse(stdout).msg, /at \/run\/cable\/\?\/agent\.sock: Connection refused/);
});

/** Listens at the paths in AGENTS, leaves sockets without an agent at those in LEFT, then says `ready`. */
const LISTEN = `
const { createServer } = require('node:http');
const { mkdirSync } = require('node:fs');
const { dirname } = require('node:path');
const { spawnSync } = require('node:child_process');
const [agents, left] = [process.env.AGENTS, process.env.LEFT].map((paths) => paths.split(' ').filter(Boolean));
const crash = 'require("net").createServer().listen(process.argv[1], () => process.kill(process.pid, "SIGKILL"))';
for (const path of [...agents, ...left]) mkdirSync(dirname(path), { recursive: true });
for (const path of left) spawnSync(process.execPath, ['-e', crash, path]);
const answer = (path) => (request, response) => response.end(JSON.stringify({ path }));
const listening = agents.map((path) => new Promise((done) => createServer(answer(path)).listen(path, done)));
Promise.all(listening).then(() => console.log('ready'));
`;

/** The answer without `socket` on a machine whose /run/cable has these sockets: with an agent, and left by one. */
function runAmong(agents: readonly string[], left: readonly string[]): { status: number | null; stdout: string } {
  const script = `mount -t tmpfs cable-cni-test /run; mkfifo /run/ready
    "$NODE" -e "$LISTEN" >/run/ready & exec 3</run/ready; read -r _ <&3; "$0"; s=$?; kill $!; exit $s`;
  const paths = (names: readonly string[]): string => names.map((name) => `/run/cable/${name}`).join(' ');
  const mine = { LISTEN, AGENTS: paths(agents), LEFT: paths(left), NODE: process.execPath };
  const input = JSON.stringify({ ...CONF, socket: undefined });
  const env = { ...ADD, ...mine, PATH: process.env['PATH'] ?? '' };
  return spawnSync('unshare', ['-m', 'sh', '-c', script, EXECUTABLE], { input, encoding: 'utf8', env });
}

test('a socket that a killed agent left is no agent, wherever it is', () => {
  const { stdout } = runAmong(['two/agent.sock'], ['agent.sock', 'one/agent.sock', 'three/agent.sock']);
  assert.deepEqual(JSON.parse(stdout), { path: '/run/cable/two/agent.sock' });
  const none = runAmong([], ['one/agent.sock']);
  assert.match(JSON.parse(none.stdout).msg, /at \/run\/cable\/one\/agent\.sock: Connection refused/);
});

test('where several agents run, the one to ask must be named', () => {
  const { status, stdout } = runAmong(['one/agent.sock', 'two/agent.sock'], []);
  const { code, msg, details } = JSON.parse(stdout);
  assert.deepEqual([status, code, msg], [1, 7, 'socket: is not set, and 2 agents run on this host']);
  assert.match(details, /set "socket" .* such as \/run\/cable\/(one|two)\/agent\.sock$/);
  const { stdout: first } = runAmong(['agent.sock', 'one/agent.sock', 'two/agent.sock'], []);
  assert.deepEqual(JSON.parse(first), { path: '/run/cable/agent.sock' });
});

test('a large configuration and a large answer pass whole', async () => {
  const large = { ...CONF, filler: 'x'.repeat(2 * 1024 * 1024) };
  const answer = JSON.stringify({ filler: 'y'.repeat(900 * 1024) });
  const { ended, asked } = await withAgent(200, answer, ADD, large);
  assert.equal(ended.stdout, `${answer}\n`);
  assert.deepEqual(JSON.parse(asked[0]?.body ?? ''), large);
});
