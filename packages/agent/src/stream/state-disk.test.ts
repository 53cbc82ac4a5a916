import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { createLogger, type Logger, silentLogger } from '@cable/kit';
import { sourceProgram } from '@cable/kit/testing';
import { open } from 'lmdb';
import { openHostState } from './open-state.ts';
import type { SliceWrite } from './slice-plan.ts';
import { SliceState } from './slice-state.ts';
import { NO_POSITION, NO_STANDING, type Standing, StateFiles } from './state-files.ts';
import { linesAt } from './testing/state-at.ts';

const root = mkdtempSync(join(tmpdir(), `cable-state-${process.pid}-`));
after(() => rmSync(root, { recursive: true, force: true }));
let dirs = 0;

function freshDir(): string {
  dirs += 1;
  return join(root, String(dirs));
}

const HISTORY = { cluster: 'c', mark: '1-m' };
const QUIET = { log: silentLogger(), signal: new AbortController().signal };

/** A logger that keeps what it is told at the level `error`. */
function errorLog(): { readonly log: Logger; readonly errors: string[] } {
  const errors: string[] = [];
  return { log: { ...silentLogger(), error: (_fields, message) => errors.push(message) }, errors };
}

function contentOf(slices: SliceState): string[] {
  return Array.from(slices.all(), (one) => JSON.stringify(one)).sort();
}

function at(revision: number): Standing {
  return { ...NO_STANDING, position: { revision, history: null } };
}

async function stateAt(revision: number): Promise<SliceState> {
  const state = new SliceState();
  for (let n = 1; n <= revision; n += 1) {
    for (const line of linesAt(n)) state.stage(line);
    state.apply(await state.prepare('remove'));
  }
  return state;
}

/** Lets mocked time pass until the disk is written to again. */
async function writesAgain(t: TestContext, disk: { readonly status: { readonly ok: boolean } }): Promise<void> {
  while (!disk.status.ok) {
    t.mock.timers.tick(10_000);
    await new Promise(setImmediate);
  }
}

async function holdsRevision2(path: string): Promise<void> {
  const { slices, revision } = await readBack(path);
  assert.equal(revision, 2);
  assert.deepEqual(contentOf(slices), contentOf(await stateAt(2)));
}

async function readBack(path: string): Promise<{ slices: SliceState; revision: number; skipped: number }> {
  const files = new StateFiles(path);
  const slices = new SliceState();
  const { standing, skipped } = await files.load((key, item, held) => slices.load(key, item, held), true);
  await files.close();
  return { slices, revision: standing.position.revision, skipped };
}

test('a state comes back as it was, with its history and the agent’s id, and is not in sync', async () => {
  const stateDir = freshDir();
  const first = await openHostState({ host: 'h1', stateDir }, QUIET);
  assert.deepEqual(first.state.position, NO_POSITION);
  const long = {
    type: 'put',
    key: `policy:${'x'.repeat(5000)}`,
    item: 'y'.repeat(3000),
    held: { hash: 3, value: {} },
  } as const;
  for (const line of [...linesAt(1), ...linesAt(2), long]) first.state.take(line);
  await first.state.complete({ revision: 2, history: HISTORY });
  const digests = first.state.digests();
  await first.disk.close();
  const second = await openHostState({ host: 'h1', stateDir }, QUIET);
  assert.deepEqual(second.state.position, { revision: 2, history: HISTORY });
  assert.equal(second.state.agentId, first.state.agentId);
  assert.equal(second.state.synced, false);
  assert.deepEqual(second.state.digests(), digests);
  assert.equal(second.state.slices.item(`policy:${'x'.repeat(5000)}`, 'y'.repeat(3000)) !== undefined, true);
  const initial = await second.state.initialUpdate();
  assert.equal(initial.synced, false);
  assert.equal(initial.changes.length, 4);
  await second.disk.close();
});

test('kill -9 at any time leaves a whole revision, not older than the last one handed out', {
  timeout: 120_000,
}, async () => {
  const stateDir = freshDir();
  const script = fileURLToPath(new URL('testing/state-writer.ts', import.meta.url));
  let revision = 0;
  for (let run = 0; run < 8; run += 1) {
    const child = spawn(process.execPath, [...sourceProgram(script), stateDir], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const exited = once(child, 'exit');
    let printed = revision;
    let lines = 0;
    for await (const line of createInterface({ input: child.stdout })) {
      printed = Number(line);
      lines += 1;
      if (lines === 12 + run * 9) setTimeout(() => child.kill('SIGKILL'), run);
    }
    await exited;
    const { slices, revision: found, skipped } = await readBack(join(stateDir, 'state'));
    assert.ok(found >= printed, `on disk ${found}, handed out ${printed}`);
    assert.ok(found > revision);
    assert.equal(skipped, 0);
    assert.deepEqual(contentOf(slices), contentOf(await stateAt(found)));
    revision = found;
  }
});

test('an update of many transactions is there as a whole or not at all, whichever of them is the last', async () => {
  const before = await stateAt(9);
  const after = await stateAt(20);
  const update: SliceWrite[] = [...after.all()];
  for (const { key, item } of before.all()) {
    if (!update.some((write) => write.key === key && write.item === item)) update.push({ key, item, held: null });
  }
  let outcomes = 0;
  for (let crashAt = 1; ; crashAt += 1) {
    const path = freshDir();
    let commits = Number.NEGATIVE_INFINITY;
    const beforeCommit = (): void => {
      commits += 1;
      if (commits === crashAt) throw new Error('crash');
    };
    const files = new StateFiles(path, { beforeCommit });
    await files.load(() => undefined, true);
    await files.commit([...before.all()], at(9));
    commits = 0;
    const failed = await files.commit(update, at(20)).then(
      () => false,
      () => true,
    );
    await files.close();
    const { slices, revision, skipped } = await readBack(path);
    assert.equal(skipped, 0);
    assert.deepEqual(contentOf(slices), contentOf(revision === 9 ? before : after), `crash before commit ${crashAt}`);
    outcomes |= revision === 9 ? 1 : 2;
    if (!failed) break;
  }
  assert.equal(outcomes, 3, 'both were seen');
});

test('after a commit that failed the next one leaves the same as if it had not', async () => {
  const path = freshDir();
  let commits = 0;
  let failAt = 0;
  const beforeCommit = (): void => {
    commits += 1;
    if (commits === failAt) throw new Error('no space');
  };
  const files = new StateFiles(path, { beforeCommit });
  await files.load(() => undefined, true);
  const state = new SliceState();
  let failures = 0;
  for (let n = 1; n <= 120; n += 1) {
    for (const line of linesAt(n)) state.stage(line);
    const prepared = await state.prepare('remove');
    commits = 0;
    failAt = 1 + ((n / 10) % 12);
    await files.commit(prepared.writes, at(n)).catch(async () => {
      failures += 1;
      await files.commit(prepared.writes, at(n));
    });
    state.apply(prepared);
  }
  await files.close();
  assert.ok(failures > 5, `${failures} failures`);
  const { slices, revision } = await readBack(path);
  assert.equal(revision, 120);
  assert.deepEqual(contentOf(slices), contentOf(state));
});

test('files that are not LMDB’s are put aside, and the agent starts without', async () => {
  const stateDir = freshDir();
  mkdirSync(join(stateDir, 'state'), { recursive: true });
  writeFileSync(join(stateDir, 'state', 'data.mdb'), 'not a database '.repeat(2000));
  const { log, errors } = errorLog();
  const { state, disk } = await openHostState({ host: 'h1', stateDir }, { ...QUIET, log });
  assert.deepEqual([state.position, disk.status.ok, errors.length], [NO_POSITION, true, 1]);
  assert.match(readFileSync(join(stateDir, 'state.unusable', 'data.mdb'), 'utf8'), /^not a database/);
  await state.complete({ revision: 1, history: null });
  await disk.close();
});

test('files whose reading ends the process are given up after two starts', { timeout: 60_000 }, async () => {
  const stateDir = freshDir();
  const first = await openHostState({ host: 'h1', stateDir }, QUIET);
  for (let n = 1; n <= 30; n += 1) {
    for (const line of linesAt(n)) first.state.take(line);
    await first.state.complete({ revision: n, history: null });
  }
  await first.disk.close();
  truncateSync(join(stateDir, 'state', 'data.mdb'), 8192);
  const script = fileURLToPath(new URL('testing/state-writer.ts', import.meta.url));
  let starts = 0;
  for (let printed = false; !printed; starts += 1) {
    assert.ok(starts < 4, 'the agent never starts');
    const child = spawn(process.execPath, [...sourceProgram(script), stateDir], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const exited = once(child, 'exit');
    for await (const line of createInterface({ input: child.stdout })) {
      if (line !== '') printed = true;
      child.kill('SIGKILL');
    }
    await exited;
  }
  assert.ok(starts <= 3);
});

for (const [what, spoil] of [
  ['starts that were killed', () => undefined],
  ['a broken lock file', (state: string) => writeFileSync(join(state, 'lock.mdb'), Buffer.alloc(8192, 0xa5))],
] as const) {
  test(`good files outlast ${what}`, { timeout: 60_000 }, async () => {
    const stateDir = freshDir();
    const first = await openHostState({ host: 'h1', stateDir }, QUIET);
    for (const line of linesAt(1)) first.state.take(line);
    await first.state.complete({ revision: 1, history: HISTORY });
    await first.disk.close();
    writeFileSync(join(stateDir, 'state', 'loading'), '2');
    spoil(join(stateDir, 'state'));
    const again = await openHostState({ host: 'h1', stateDir }, QUIET);
    assert.deepEqual(again.state.position, { revision: 1, history: HISTORY });
    assert.equal(again.state.agentId, first.state.agentId);
    await again.disk.close();
  });
}

test('entries that make no sense are left out, and the state is of no revision then', async () => {
  const stateDir = freshDir();
  const first = await openHostState({ host: 'h1', stateDir }, QUIET);
  for (const line of linesAt(1)) first.state.take(line);
  await first.state.complete({ revision: 1, history: HISTORY });
  await first.disk.close();
  const env = open<string, string>({ path: join(stateDir, 'state'), noSubdir: false, maxDbs: 8, encoding: 'string' });
  await env.openDB({ name: 'item', encoding: 'string' }).put('1/broken', '[1,');
  await env.close();
  const { log, errors } = errorLog();
  const second = await openHostState({ host: 'h1', stateDir }, { ...QUIET, log });
  assert.deepEqual(second.state.position, { revision: 0, history: HISTORY });
  assert.equal((await second.state.initialUpdate()).changes.length, 2);
  assert.equal(errors.length, 1);
  await second.disk.close();
});

test('what another format left is cleared; the agent’s id stays', async () => {
  const stateDir = freshDir();
  const first = await openHostState({ host: 'h1', stateDir }, QUIET);
  for (const line of linesAt(1)) first.state.take(line);
  await first.state.complete({ revision: 1, history: HISTORY });
  await first.disk.close();
  const env = open<string, string>({ path: join(stateDir, 'state'), noSubdir: false, maxDbs: 8, encoding: 'string' });
  await env.openDB({ name: 'meta', encoding: 'string' }).put('format', '99');
  await env.close();
  const second = await openHostState({ host: 'h1', stateDir }, QUIET);
  assert.deepEqual(second.state.position, NO_POSITION);
  assert.deepEqual([...second.state.givenKeys()], []);
  assert.equal(second.state.agentId, first.state.agentId);
  await second.disk.close();
});

test('what is kept though the server left it out is found again as such, with its time; so is the number of the content', async () => {
  const stateDir = freshDir();
  const first = await openHostState({ host: 'h1', stateDir }, { ...QUIET, now: () => new Date(5) });
  const long = 'p'.repeat(3000);
  first.state.take({ type: 'header', key: 'host:h1', held: { hash: 1, value: { host: 'h1' } } });
  for (let n = 0; n < 15; n += 1) {
    first.state.take({ type: 'put', key: 'host:h1', item: `${n}${long}`, held: { hash: n, value: {} } });
  }
  first.state.take({ type: 'put', key: 'policy:p', item: 'rule', held: { hash: 1, value: {} } });
  await first.state.complete({ revision: 1, history: HISTORY });
  first.state.take({ type: 'drop', key: 'host:h1' });
  first.state.take({ type: 'drop', key: 'policy:p' });
  first.state.take({ type: 'header', key: 'network:n', held: { hash: 7, value: {} } });
  await first.state.complete({ revision: 2, history: HISTORY });
  await first.disk.close();
  const second = await openHostState({ host: 'h1', stateDir }, QUIET);
  assert.deepEqual(second.state.heldRemoval, { absent: 15, before: 15, since: new Date(5).toISOString() });
  assert.deepEqual(second.state.digests(), { 'network:n': 7 });
  assert.deepEqual(second.state.slices.header('host:h1'), { host: 'h1' });
  const initial = await second.state.initialUpdate();
  assert.deepEqual([initial.commit, initial.revision, initial.changes.length], [2, 2, 18]);
  await second.state.confirmRemoval();
  await second.disk.close();
  const third = await openHostState({ host: 'h1', stateDir }, QUIET);
  assert.deepEqual([third.state.heldRemoval, [...third.state.slices.keys()]], [null, ['network:n']]);
  await third.disk.close();
});

test('the session of a run is the previous one of the next run that gets as far as a server', async () => {
  const stateDir = freshDir();
  const run = async (session: string | null): Promise<string | null> => {
    const { state, disk } = await openHostState({ host: 'h1', stateDir }, QUIET);
    if (session !== null) await state.saveSession(session);
    const { previousSession } = state;
    await disk.close();
    return previousSession;
  };
  assert.deepEqual([await run('a'), await run(null), await run('b'), await run('c')], [null, 'a', 'a', 'b']);
});

test('revisions without content are written every 10 s, with the next content, and at the end', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const stateDir = freshDir();
  const { state, disk } = await openHostState({ host: 'h1', stateDir }, QUIET);
  const env = open<string, string>({ path: join(stateDir, 'state'), noSubdir: false, maxDbs: 8, encoding: 'string' });
  const meta = env.openDB<string, string>({ name: 'meta', encoding: 'string' });
  const onDisk = (): { readonly revision: number; readonly mark: string } => {
    env.resetReadTxn();
    const { position } = JSON.parse(meta.get('standing') ?? '') as Standing;
    return { revision: position.revision, mark: position.history?.mark ?? '' };
  };
  const complete = (revision: number): Promise<unknown> =>
    state.complete({ revision, history: { cluster: 'c', mark: `${revision}-m` } });
  const untilOnDisk = async (revision: number): Promise<void> => {
    while (onDisk().revision !== revision) await new Promise(setImmediate);
  };
  for (const line of linesAt(1)) state.take(line);
  await complete(1);
  assert.equal(onDisk().revision, 1);
  for (let revision = 2; revision <= 30; revision += 1) {
    await complete(revision);
    t.mock.timers.tick(300);
  }
  assert.equal(onDisk().revision, 1, '8.7 s later');
  t.mock.timers.tick(1300);
  await untilOnDisk(30);
  assert.deepEqual(onDisk(), { revision: 30, mark: '30-m' });
  await complete(31);
  for (const line of linesAt(2)) state.take(line);
  await complete(32);
  assert.equal(onDisk().revision, 32, 'content is there at once');
  t.mock.timers.tick(20_000);
  assert.deepEqual(onDisk(), { revision: 32, mark: '32-m' }, 'an older revision does not follow');
  await complete(33);
  await disk.close();
  assert.equal(onDisk().revision, 33);
  await env.close();
});

/** A file system of its own, so that it can be full or read-only; unmounted at the end. */
function mountOwn(
  t: { after(fn: () => void): void },
  size: string,
): { readonly dir: string; remount(how: string): void } {
  const dir = mkdtempSync(join(tmpdir(), `cable-state-${process.pid}-mount-`));
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, `cable-state-${process.pid}`, dir]);
  t.after(() => {
    while (readFileSync('/proc/self/mounts', 'utf8').includes(` ${dir} `)) execFileSync('umount', ['--lazy', dir]);
    rmSync(dir, { recursive: true, force: true });
  });
  return { dir, remount: (how) => execFileSync('mount', ['-o', `remount,${how}`, dir]) };
}

/** Leaves no byte of the file system free. */
function fill(dir: string): void {
  const file = openSync(join(dir, 'full'), 'w');
  const bytes = Buffer.alloc(65_536);
  try {
    for (;;) writeSync(file, bytes);
  } catch (err) {
    assert.match(String(err), /ENOSPC/);
  } finally {
    closeSync(file);
  }
}

test('a full disk: the state goes on in memory, the status says so, and what was missed is written later', {
  timeout: 60_000,
}, async (t) => {
  const { dir, remount } = mountOwn(t, '12m');
  const stop = new AbortController();
  t.after(() => stop.abort());
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { log, errors } = errorLog();
  const { state, disk } = await openHostState({ host: 'h1', stateDir: dir }, { log, signal: stop.signal });
  const value = { text: 'v'.repeat(4000) };
  let n = 0;
  while (disk.status.ok) {
    n += 1;
    assert.ok(n < 2000);
    state.take({ type: 'put', key: 'group:g', item: `i${n}`, held: { hash: n, value } });
    const outcome = await state.complete({ revision: n, history: HISTORY });
    assert.equal(outcome.kind, 'applied');
  }
  assert.match(disk.status.reason ?? '', /space/i);
  assert.equal(errors.length, 1);
  state.take({ type: 'put', key: 'group:g', item: 'later', held: { hash: 1, value } });
  await state.complete({ revision: n + 1, history: HISTORY });
  assert.equal(state.slices.size('group:g'), n + 1);
  remount('size=64m');
  await writesAgain(t, disk);
  await disk.close();
  const { slices, revision } = await readBack(join(dir, 'state'));
  assert.equal(revision, n + 1);
  assert.equal(slices.size('group:g'), n + 1);
});

test('a start on a full disk: what is there is read and stays, and all is written once there is room', {
  timeout: 60_000,
}, async (t) => {
  const { dir, remount } = mountOwn(t, '12m');
  const first = await openHostState({ host: 'h1', stateDir: dir }, QUIET);
  for (const line of linesAt(1)) first.state.take(line);
  await first.state.complete({ revision: 1, history: HISTORY });
  await first.disk.close();
  fill(dir);
  const stop = new AbortController();
  t.after(() => stop.abort());
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const second = await openHostState({ host: 'h1', stateDir: dir }, { ...QUIET, signal: stop.signal });
  assert.deepEqual(second.state.position, { revision: 1, history: HISTORY });
  assert.equal(second.state.agentId, first.state.agentId);
  for (const line of linesAt(2)) second.state.take(line);
  assert.equal((await second.state.complete({ revision: 2, history: HISTORY })).kind, 'applied');
  for (let tries = 0; tries < 3; tries += 1) {
    t.mock.timers.tick(10_000);
    for (let turns = 0; turns < 10; turns += 1) await new Promise(setImmediate);
  }
  assert.deepEqual(readdirSync(dir).sort(), ['full', 'state']);
  assert.match(second.disk.status.reason ?? '', /space/i);
  remount('size=64m');
  await writesAgain(t, second.disk);
  await second.disk.close();
  await holdsRevision2(join(dir, 'state'));
});

test('a first start on a full disk makes no files and ends nothing', async (t) => {
  const { dir } = mountOwn(t, '12m');
  fill(dir);
  const stop = new AbortController();
  t.after(() => stop.abort());
  const { state, disk } = await openHostState({ host: 'h1', stateDir: dir }, { ...QUIET, signal: stop.signal });
  assert.equal(disk.status.ok, false);
  assert.match(disk.status.reason ?? '', /^No space left: \d+ KiB are free, \d+ KiB are needed$/);
  assert.match(disk.status.remedy ?? '', /^make room on the file system of .*\/state: /);
  for (const line of linesAt(1)) state.take(line);
  assert.equal((await state.complete({ revision: 1, history: HISTORY })).kind, 'applied');
  assert.equal(existsSync(join(dir, 'state', 'data.mdb')), false);
});

test('a full disk is said without a stack, at a first start, at a later one and in between', async (t) => {
  for (const before of ['nothing', 'a state', 'a running agent'] as const) {
    const { dir } = mountOwn(t, '12m');
    const lines: string[] = [];
    const log = createLogger('info', { write: (line) => lines.push(line), flush: () => undefined });
    const stop = new AbortController();
    t.after(() => stop.abort());
    const deps = { log, signal: stop.signal };
    const first = before === 'nothing' ? undefined : await openHostState({ host: 'h1', stateDir: dir }, deps);
    if (before === 'a state') await first?.disk.close();
    fill(dir);
    const { state, disk } =
      before === 'a running agent' && first !== undefined
        ? first
        : await openHostState({ host: 'h1', stateDir: dir }, deps);
    for (const line of linesAt(1)) state.take(line);
    assert.equal((await state.complete({ revision: 1, history: HISTORY })).kind, 'applied');
    assert.equal(disk.status.ok, false);
    assert.ok(lines.length > 0 && lines.length <= 2, `${before}: ${lines.join('')}`);
    for (const line of lines) assert.doesNotMatch(line, /"stack"/, before);
  }
});

test('a disk that is full at a start works again as soon as there is room, though nothing new comes', {
  timeout: 60_000,
}, async (t) => {
  for (const before of ['nothing', 'a state'] as const) {
    const { dir, remount } = mountOwn(t, '12m');
    const first = before === 'a state' ? await openHostState({ host: 'h1', stateDir: dir }, QUIET) : undefined;
    for (const line of linesAt(1)) first?.state.take(line);
    await first?.state.complete({ revision: 1, history: HISTORY });
    await first?.disk.close();
    fill(dir);
    const stop = new AbortController();
    t.after(() => stop.abort());
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const { state, disk } = await openHostState({ host: 'h1', stateDir: dir }, { ...QUIET, signal: stop.signal });
    assert.match(disk.status.reason ?? '', /^No space left: /, before);
    remount('size=64m');
    await writesAgain(t, disk);
    assert.deepEqual(disk.status, { ok: true, reason: null, remedy: null, since: null }, before);
    await disk.close();
    t.mock.timers.reset();
    const again = await openHostState({ host: 'h1', stateDir: dir }, QUIET);
    assert.equal(again.state.agentId, state.agentId);
    assert.deepEqual(contentOf((await readBack(join(dir, 'state'))).slices), contentOf(await stateAt(first ? 1 : 0)));
    await again.disk.close();
  }
});

test('a read-only disk: what is there is read, and all is written once it can be', { timeout: 60_000 }, async (t) => {
  const { dir, remount } = mountOwn(t, '64m');
  const first = await openHostState({ host: 'h1', stateDir: dir }, QUIET);
  for (const line of linesAt(1)) first.state.take(line);
  await first.state.complete({ revision: 1, history: HISTORY });
  await first.disk.close();
  remount('ro');
  const stop = new AbortController();
  t.after(() => stop.abort());
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const second = await openHostState({ host: 'h1', stateDir: dir }, { ...QUIET, signal: stop.signal });
  assert.deepEqual(second.state.position, { revision: 1, history: HISTORY });
  assert.equal(second.state.agentId, first.state.agentId);
  assert.equal(second.disk.status.ok, false);
  for (const line of linesAt(2)) second.state.take(line);
  assert.equal((await second.state.complete({ revision: 2, history: HISTORY })).kind, 'applied');
  remount('rw');
  await writesAgain(t, second.disk);
  await second.disk.close();
  await holdsRevision2(join(dir, 'state'));
  assert.equal(existsSync(join(dir, 'state', 'loading')), false);
});

test('a disk that becomes read-only while the agent runs ends nothing', { timeout: 60_000 }, async (t) => {
  const { dir } = mountOwn(t, '64m');
  const stop = new AbortController();
  t.after(() => stop.abort());
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { state, disk } = await openHostState({ host: 'h1', stateDir: dir }, { ...QUIET, signal: stop.signal });
  // A file that is open for writing forbids `remount,ro`; to whoever opens it the file system is the same.
  execFileSync('mount', ['--bind', '-o', 'ro', dir, dir]);
  for (let n = 1; n <= 20; n += 1) {
    for (const line of linesAt(n)) state.take(line);
    assert.equal((await state.complete({ revision: n, history: HISTORY })).kind, 'applied');
  }
  assert.equal(disk.status.ok, false);
  assert.match(disk.status.reason ?? '', /EROFS|read-only/i);
  assert.match(disk.status.remedy ?? '', /^let the agent write to /);
  execFileSync('umount', ['--lazy', dir]);
  await writesAgain(t, disk);
  await disk.close();
  assert.deepEqual(contentOf((await readBack(join(dir, 'state'))).slices), contentOf(await stateAt(20)));
});

for (const [what, disturb] of [
  ['removed', (dir: string) => rmSync(dir, { recursive: true })],
  [
    'removed, and made anew without anything in it',
    (dir: string) => {
      rmSync(dir, { recursive: true });
      mkdirSync(dir);
    },
  ],
  [
    'put aside, and replaced by a copy',
    (dir: string) => {
      renameSync(dir, `${dir}.old`);
      cpSync(`${dir}.old`, dir, { recursive: true });
    },
  ],
] as const) {
  test(`a directory that is ${what} while the agent runs is noticed and said, and all is written anew`, async (t) => {
    const { stateDir, state, disk } = await openWithMockedTimers(t);
    disturb(stateDir);
    for (const line of linesAt(2)) state.take(line);
    assert.equal((await state.complete({ revision: 2, history: HISTORY })).kind, 'applied');
    assert.match(disk.status.reason ?? '', /state were removed or replaced/);
    assert.match(disk.status.remedy ?? '', /^leave .*state alone/);
    await writesAgain(t, disk);
    for (const line of linesAt(3)) state.take(line);
    await state.complete({ revision: 3, history: HISTORY });
    assert.equal(disk.status.ok, true);
    await disk.close();
    const again = await openHostState({ host: 'h1', stateDir }, QUIET);
    assert.equal(again.state.agentId, state.agentId);
    assert.deepEqual(again.state.position, { revision: 3, history: HISTORY });
    await again.disk.close();
    assert.deepEqual(contentOf((await readBack(join(stateDir, 'state'))).slices), contentOf(await stateAt(3)));
  });
}

/** A state of revision 1 on disk; its retries come when the test lets time pass. */
async function openWithMockedTimers(
  t: TestContext,
): Promise<Awaited<ReturnType<typeof openHostState>> & { readonly stateDir: string }> {
  const stateDir = freshDir();
  const stop = new AbortController();
  t.after(() => stop.abort());
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const opened = await openHostState({ host: 'h1', stateDir }, { ...QUIET, signal: stop.signal });
  for (const line of linesAt(1)) opened.state.take(line);
  await opened.state.complete({ revision: 1, history: HISTORY });
  return { ...opened, stateDir };
}

test('a directory that is removed is noticed also when nothing but a revision, or a session, comes', async (t) => {
  const { stateDir, state, disk } = await openWithMockedTimers(t);
  rmSync(stateDir, { recursive: true });
  await disk.saveSession('session-2');
  assert.match(disk.status.reason ?? '', /removed or replaced/);
  await writesAgain(t, disk);
  rmSync(stateDir, { recursive: true });
  await state.complete({ revision: 1, history: HISTORY });
  t.mock.timers.tick(10_000);
  while (disk.status.ok) await new Promise(setImmediate);
  await writesAgain(t, disk);
  await disk.close();
  const { slices, revision } = await readBack(join(stateDir, 'state'));
  assert.equal(revision, 1);
  assert.deepEqual(contentOf(slices), contentOf(await stateAt(1)));
});
