import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { connect, createServer, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { after, test } from 'node:test';
import { LineSink } from './standard-error.ts';

const LOG = new URL('./log.ts', import.meta.url).href;
const STANDARD_ERROR = new URL('./standard-error.ts', import.meta.url).href;
const directory = mkdtempSync(join(tmpdir(), `cable-log-${process.pid}-`));
let made = 0;

after(() => rmSync(directory, { recursive: true, force: true }));

/** Where a process logs to: its end for the process, and the other one, which nobody reads yet. */
type Target = { readonly fd: number; read(onText?: OnText): Promise<string>; leave(): void };

/** Hears all of what was read up to now, each time that there is more. */
type OnText = (text: string) => void;

type Kind = 'pipe' | 'socket';

async function open(kind: Kind): Promise<Target> {
  made += 1;
  return kind === 'pipe' ? openPipe(join(directory, `pipe${made}`)) : openSocket(join(directory, `socket${made}`));
}

function openPipe(path: string): Target {
  execFileSync('mkfifo', [path]);
  const far = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const fd = openSync(path, constants.O_WRONLY);
  const read = (onText?: OnText): Promise<string> => {
    closeSync(fd);
    return textOf(new Socket({ fd: far, readable: true, writable: false }), onText);
  };
  return { fd, read, leave: () => closeSync(far) };
}

async function openSocket(path: string): Promise<Target> {
  const server = createServer({ pauseOnConnect: true });
  server.listen(path);
  await once(server, 'listening');
  const connected = once(server, 'connection');
  const near = connect(path);
  const [far]: readonly Socket[] = (await connected) as Socket[];
  server.close();
  assert.ok(far);
  far.on('error', () => undefined);
  near.on('error', () => undefined);
  const { _handle: handle } = near as unknown as { readonly _handle: { readonly fd: number } };
  const read = (onText?: OnText): Promise<string> => {
    near.destroy();
    return textOf(far, onText);
  };
  return { fd: handle.fd, read, leave: () => far.destroy() };
}

async function textOf(stream: Readable, onText: OnText = () => undefined): Promise<string> {
  let text = '';
  for await (const chunk of stream) {
    text += chunk;
    onText(text);
  }
  return text;
}

/** A process that logs to the target; standard output tells how it fares, and is always read. `flushMs`: how long it waits for readers at its end. */
function logTo(fd: number, source: string, flushMs = 500): ChildProcess {
  const imports = `import { createLogger } from '${LOG}'; import { LineSink, sayLast } from '${STANDARD_ERROR}';`;
  const text = `${imports} const log = createLogger('info', new LineSink({ flushMs: ${flushMs} })); ${source}`;
  const flags = ['--import', 'tsx', '--conditions=cable-source', '--input-type=module', '-e', text];
  return spawn(process.execPath, flags, { stdio: ['pipe', 'pipe', fd], timeout: 60_000, killSignal: 'SIGKILL' });
}

const FLOOD = `
  const filler = 'x'.repeat(1000);
  for (let i = 0; i < 5000; i++) log.info({ i, filler }, 'flood');
  process.stdout.write('flooded');
`;

/** So that a reader need not be fast. */
const PATIENT_MS = 30_000;

async function said(child: ChildProcess): Promise<string> {
  assert.ok(child.stdout);
  const [text] = await Promise.race([once(child.stdout, 'data'), once(child, 'exit')]);
  return String(text);
}

async function exitCode(child: ChildProcess): Promise<number | null> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  return child.exitCode;
}

for (const kind of ['pipe', 'socket'] as const) {
  test(`a ${kind} that nobody reads does not stop a process, nor its end`, async () => {
    const target = await open(kind);
    const child = logTo(target.fd, `${FLOOD} log.error({}, 'last'); process.exit(3);`);
    assert.equal(await said(child), 'flooded');
    assert.equal(await exitCode(child), 3);
    await target.read();
  });

  test(`when a ${kind} is read again, whole lines come, and how many were dropped`, async () => {
    const target = await open(kind);
    const child = logTo(
      target.fd,
      `${FLOOD} process.stdin.once('data', () => { log.info({}, 'after'); process.exit(0); });`,
    );
    assert.equal(await said(child), 'flooded');
    let isTold = false;
    const text = await target.read((soFar) => {
      if (isTold || !soFar.includes('"dropped"')) return;
      isTold = true;
      child.stdin?.write('go on');
    });
    const lines: readonly Record<string, unknown>[] = text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    const kept = lines.filter((line) => line['msg'] === 'flood').map((line) => line['i']);
    const inOrder = kept.map((_, i) => i);
    assert.deepEqual(kept, inOrder, 'the first ones, in order');
    const told = lines.filter((line) => line['dropped'] !== undefined);
    assert.equal(told.length, 1);
    assert.equal(kept.length + Number(told[0]?.['dropped']), 5000);
    assert.equal(lines.at(-1)?.['msg'], 'after');
  });

  test(`what is logged at the end of a process comes out of a ${kind}, however it ends`, async () => {
    for (const end of ["throw new Error('end')", 'process.exit(1)', '']) {
      const target = await open(kind);
      const child = logTo(target.fd, `log.error({ n: 1 }, 'fatal'); ${end}`);
      const text = target.read();
      await exitCode(child);
      assert.match(await text, /"msg":"fatal"/, end);
    }
  });

  test(`the end of a process waits a little for a reader of a ${kind} that is behind`, async () => {
    const target = await open(kind);
    const flood = "for (let i = 0; i < 500; i++) log.info({ i, filler: 'x'.repeat(1000) }, 'flood');";
    const child = logTo(target.fd, `${flood} log.error({}, 'fatal'); process.exit(1);`, PATIENT_MS);
    const text = target.read();
    await exitCode(child);
    assert.match(await text, /"msg":"fatal"\}\n$/);
  });

  test(`last words come out of a ${kind} whose reader is behind, and end the process when there is none`, async () => {
    const target = await open(kind);
    const flood = "for (let i = 0; i < 500; i++) log.info({ i, filler: 'x'.repeat(1000) }, 'flood');";
    const child = logTo(target.fd, `${flood} sayLast('cable: ' + 'no '.repeat(9999), ${PATIENT_MS}); process.exit(5);`);
    const text = target.read();
    assert.equal(await exitCode(child), 5);
    assert.match(await text, /^cable: (no ){9999}$/m);
    const unread = await open(kind);
    assert.equal(await exitCode(logTo(unread.fd, `${FLOOD} sayLast('cable: no'); process.exit(6);`)), 6);
    await unread.read();
  });

  test(`a reader of a ${kind} that goes is no error`, async () => {
    const target = await open(kind);
    target.leave();
    const child = logTo(target.fd, `${FLOOD} process.exit(4);`);
    assert.equal(await said(child), 'flooded');
    assert.equal(await exitCode(child), 4);
  });
}

test('a file gets every line', async () => {
  const path = join(directory, 'log');
  const fd = openSync(path, 'w');
  assert.equal(await exitCode(logTo(fd, `${FLOOD} process.exit(0);`)), 0);
  closeSync(fd);
  assert.equal(readFileSync(path, 'utf8').split('\n').length, 5001);
});

test('a pipe is left as it was for others who write to it', async () => {
  const target = await open('pipe');
  const flags = (): string => /flags:\s*(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${target.fd}`, 'utf8'))?.[1] ?? '';
  const before = flags();
  new LineSink({ fd: target.fd }).write('x\n');
  assert.equal(flags(), before);
  target.leave();
  closeSync(target.fd);
});
