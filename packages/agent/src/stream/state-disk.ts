import { spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Logger, sleep } from '@cable/kit';
import type { SliceWrite } from './slice-plan.ts';
import { SliceState } from './slice-state.ts';
import { assertRoom, FilesGoneError, type Identity, NO_STANDING, type Standing, StateFiles } from './state-files.ts';

/** How the disk does. `since`: ISO 8601, when it began to fail. `remedy`: what makes it work again. */
export type DiskStatus = {
  readonly ok: boolean;
  readonly reason: string | null;
  readonly remedy: string | null;
  readonly since: string | null;
};

const DISK_OK: DiskStatus = { ok: true, reason: null, remedy: null, since: null };

/** What a start found on disk: nothing is known to be recent. */
export type OpenedState = { readonly disk: StateDisk; readonly slices: SliceState; readonly standing: Standing };

type Deps = { readonly log: Logger; readonly signal: AbortSignal; readonly now: () => Date };

/** How long an update waits for its next transaction, of which a large one has many; then the agent goes on without. */
const PATIENCE_MS = 2_000;

/** How old the revision on disk may be while no content comes: that of the content never is. */
const NOTE_MS = 10_000;

/** Time between attempts at a disk that failed. */
const RETRY_MS = 10_000;

/** Starts that ended in the middle of reading, one after another, before another process tries the files: a broken file can end the one that reads it. */
const MAX_BROKEN_LOADS = 2;

/** Signals of a process that read where nothing is. (Who was killed had good files, maybe.) */
const CRASHES: ReadonlySet<string | null> = new Set(['SIGBUS', 'SIGSEGV', 'SIGABRT', 'SIGILL']);

/** Time to read a state to its end. */
const PROBE_MS = 60_000;

/** Opens the state in `<stateDir>/state` and reads what can be understood. Never throws: without a disk the agent works from memory. */
export async function openStateDisk(stateDir: string, deps: Deps): Promise<OpenedState> {
  const path = join(stateDir, 'state');
  const { slices, identity, ...loaded } = await loadFiles(openFiles(path, deps.log), path, deps.log);
  const disk = new StateDisk(path, {
    ...deps,
    ...loaded,
    identity: identity ?? { agentId: randomUUID(), session: null },
    everything: () => slices.all(),
  });
  if (identity === undefined) await disk.saveIdentity();
  return { disk, slices, standing: loaded.standing };
}

/** Files that can be read, if any. `problem`: why they cannot be written; undefined: they can. */
type Files =
  | { readonly files: StateFiles; readonly problem: undefined }
  | { readonly files: StateFiles | undefined; readonly problem: Error };

function openFiles(path: string, log: Logger): Files {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    assertRoom(path);
    noteLoad(path, log);
    return { files: new StateFiles(path), problem: undefined };
  } catch (err) {
    if (isUnwritable(err)) return openReadOnly(path, log, err);
    return openAnew(path, log, err);
  }
}

function openReadOnly(path: string, log: Logger, problem: Error): Files {
  // That it cannot be kept is said all the same.
  if (!existsSync(join(path, 'data.mdb'))) return { files: undefined, problem };
  log.error({ path, ...whyOf(problem) }, 'the state on disk cannot be written, reading what is there');
  try {
    return { files: new StateFiles(path, { readOnly: true }), problem };
  } catch (err) {
    log.error({ path, err }, 'the state on disk cannot be read, starting without');
    return { files: undefined, problem };
  }
}

function openAnew(path: string, log: Logger, cause: unknown): Files {
  log.error({ path, aside: asideOf(path), err: cause }, 'the state on disk is not usable, starting without');
  try {
    return { files: replaceFiles(path), problem: undefined };
  } catch (err) {
    log.error({ path, ...whyOf(err) }, 'the state cannot be kept on disk');
    return { files: undefined, problem: err instanceof Error ? err : new Error(String(err)) };
  }
}

/** `files`: those that can be written. */
type Loaded = Files & {
  /** Undefined: none was saved. */
  readonly identity: Identity | undefined;
  readonly slices: SliceState;
  readonly standing: Standing;
};

async function loadFiles(opened: Files, path: string, log: Logger): Promise<Loaded> {
  const { files, problem } = opened;
  if (files === undefined) return nothingLoaded(opened);
  const slices = new SliceState();
  try {
    const isWritable = problem === undefined;
    const { standing, skipped } = await files.load((key, item, held) => slices.load(key, item, held), isWritable);
    if (skipped > 0)
      log.error({ path, skipped }, 'parts of the state on disk are not understood, going on without them');
    const loaded = { identity: files.identity(), slices, standing: skipped > 0 ? partOf(standing) : standing };
    forgetLoad(path);
    if (isWritable) return { files, problem, ...loaded };
    await files.close();
    return { files: undefined, problem, ...loaded };
  } catch (err) {
    await files.close().catch(() => undefined);
    return nothingLoaded(problem === undefined ? openAnew(path, log, err) : { files: undefined, problem });
  }
}

function nothingLoaded(files: Files): Loaded {
  return { ...files, identity: undefined, slices: new SliceState(), standing: NO_STANDING };
}

/** With a part missing it is not the state of that revision. */
function partOf(standing: Standing): Standing {
  return { ...standing, position: { ...standing.position, revision: 0 }, commit: 0 };
}

/** Leaves a note that the files are being read; gives them up when earlier starts died meanwhile, and of that. */
function noteLoad(path: string, log: Logger): void {
  const died = Number(readText(join(path, 'loading')) ?? 0);
  const isSuspect = died >= MAX_BROKEN_LOADS;
  // It holds nothing that outlasts the processes that have it open, and this is the only one.
  if (isSuspect) rmSync(join(path, 'lock.mdb'), { force: true });
  const signal = isSuspect ? signalOfProbe(path) : null;
  if (CRASHES.has(signal)) {
    log.error({ path, aside: asideOf(path), signal }, 'reading the state on disk ends the process, starting without');
    moveAside(path);
  }
  writeFileSync(join(path, 'loading'), String(isSuspect ? 1 : died + 1));
}

/** The signal that ends a process which reads the files; null: none does. */
function signalOfProbe(path: string): NodeJS.Signals | null {
  const program = fileURLToPath(new URL(`state-probe${extname(import.meta.url)}`, import.meta.url));
  const options = { stdio: 'ignore', timeout: PROBE_MS } as const;
  return spawnSync(process.execPath, [...process.execArgv, program, path], options).signal;
}

function forgetLoad(path: string): void {
  try {
    rmSync(join(path, 'loading'), { force: true });
  } catch {
    // A disk that cannot be written: nor was the note.
  }
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

function asideOf(path: string): string {
  return `${path}.unusable`;
}

/** One earlier environment is kept, for whoever wants to know. */
function moveAside(path: string): void {
  rmSync(asideOf(path), { recursive: true, force: true });
  renameSync(path, asideOf(path));
  mkdirSync(path, { recursive: true, mode: 0o700 });
}

/** New files in the place of what is there, which stays while there is no room for them. */
function replaceFiles(path: string): StateFiles {
  assertRoom(path);
  moveAside(path);
  return new StateFiles(path);
}

/** True: the files may be good, but this disk takes nothing now. */
function isUnwritable(err: unknown): err is Error {
  return err instanceof Error && (IS_FULL.test(err.message) || IS_FORBIDDEN.test(err.message));
}

/** For the log: a disk that takes nothing is no defect, so there is no stack of it. */
function whyOf(err: unknown): object {
  return isUnwritable(err) ? { reason: err.message } : { err };
}

const IS_FULL = /ENOSPC|EDQUOT|No space/;
const IS_FORBIDDEN = /EROFS|EACCES|EPERM|Read-only|Permission/;
const IS_GONE = /removed or replaced/;

function remedyFor(reason: string, path: string): string {
  const then = 'the state is in memory, and is written then';
  if (IS_FULL.test(reason)) return `make room on the file system of ${path}: ${then}`;
  if (IS_GONE.test(reason)) return `leave ${path} alone while the agent runs: all of ${then}`;
  if (IS_FORBIDDEN.test(reason)) return `let the agent write to ${path}: ${then}`;
  return `see whether the disk of ${path} works: ${then}`;
}

type DiskDeps = Deps & {
  readonly identity: Identity;
  /** Undefined: none that can be written yet, because of `problem`. */
  readonly files: StateFiles | undefined;
  readonly problem: Error | undefined;
  /** Of what was read. */
  readonly standing: Standing;
  /** The applied state, for a disk that missed some of it. */
  readonly everything: () => Iterable<SliceWrite>;
};

/** Keeps the host's state on disk: every update is committed before it is used. What a failing disk misses is written when it works again. */
export class StateDisk {
  readonly agentId: string;
  /** The session that was the last to be known to a server before this process; null: none is remembered. */
  readonly previousSession: string | null;
  #identity: Identity;
  #identityIsDue = false;
  readonly #path: string;
  readonly #deps: DiskDeps;
  #files: StateFiles | undefined;
  /** The update that is to be written next; undefined: none but what was missed. */
  #next: readonly SliceWrite[] | undefined;
  /** What updates that could not be written at once have to write: of each slice and item the last word. */
  readonly #missed = new Map<string, SliceWrite>();
  /** Undefined: nothing waits to be written. */
  #standing: Standing | undefined;
  /** The last that was to be written, or was read. */
  #latest: Standing;
  /** Waits for the next content, or for its time; undefined: nothing does. */
  #noted: Standing | undefined;
  #noteTimer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  #status: DiskStatus = DISK_OK;

  constructor(path: string, deps: DiskDeps) {
    this.#path = path;
    this.#deps = deps;
    this.#files = deps.files;
    this.#identity = deps.identity;
    this.#latest = deps.standing;
    this.agentId = deps.identity.agentId;
    this.previousSession = deps.identity.session;
    if (deps.files !== undefined) return;
    // What was read is to be in files that can be written, whether or not more of it comes.
    this.#standing = deps.standing;
    this.#fail(deps.problem);
  }

  get status(): DiskStatus {
    return this.#status;
  }

  /** Keeps who the agent is, as `save` keeps an update. Does not throw. */
  async saveIdentity(): Promise<void> {
    this.#identityIsDue = true;
    await this.#writeInTime();
  }

  /** Keeps the session that a server knows from now on. Does not throw. */
  async saveSession(session: string): Promise<void> {
    if (this.#identity.session === session) return;
    this.#identity = { ...this.#identity, session };
    await this.saveIdentity();
  }

  /** Resolves when the update is committed; or when the disk fails or does not answer: then it is written later. Does not throw. */
  async save(writes: readonly SliceWrite[], standing: Standing): Promise<void> {
    if (this.#standing === undefined && this.#running === undefined) this.#next = writes;
    else for (const write of writes) this.#missed.set(nameOf(write), write);
    this.#standing = standing;
    this.#latest = standing;
    this.#forgetNote();
    await this.#writeInTime();
  }

  /** Keeps where the state is though its content is what it was: with the next content, or within 10 s. */
  note(standing: Standing): void {
    this.#noted = standing;
    this.#noteTimer ??= setTimeout(() => void this.#saveNoted(), NOTE_MS);
  }

  /** Writes what waits, as far as the disk does it in time, and closes the files. */
  async close(): Promise<void> {
    await this.#saveNoted();
    if (!(await this.#runInTime())) return;
    await this.#files?.close();
    this.#files = undefined;
  }

  async #saveNoted(): Promise<void> {
    const standing = this.#noted;
    this.#forgetNote();
    if (standing !== undefined) await this.save([], standing);
  }

  #forgetNote(): void {
    clearTimeout(this.#noteTimer);
    this.#noteTimer = undefined;
    this.#noted = undefined;
  }

  /** A disk that failed is not waited for. */
  async #writeInTime(): Promise<void> {
    if (!this.#status.ok) return;
    if (!(await this.#runInTime())) this.#fail(new Error(`no write was done within ${PATIENCE_MS} ms`));
  }

  /** False: the disk does not answer. */
  async #runInTime(): Promise<boolean> {
    const done = this.#run().then(() => true);
    for (;;) {
      const before = this.#files?.transactions;
      const stop = new AbortController();
      const isDone = await Promise.race([done, sleep(PATIENCE_MS, stop.signal).then(() => false)]);
      // Without a reason of ours an error with its stack is made, for every write.
      stop.abort(null);
      if (isDone || this.#files?.transactions === before) return isDone;
    }
  }

  #run(): Promise<void> {
    this.#running ??= this.#writeAll().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #writeAll(): Promise<void> {
    while (this.#standing !== undefined || (this.#identityIsDue && this.#files !== undefined)) {
      try {
        await this.#writeNext();
        this.#recover();
      } catch (err) {
        if (err instanceof FilesGoneError) await this.#giveUpFiles();
        this.#fail(err);
        return;
      }
    }
  }

  /** What they hold is lost, whatever was committed: with the next attempt everything is written to new ones. */
  async #giveUpFiles(): Promise<void> {
    const files = this.#files;
    this.#files = undefined;
    this.#standing ??= this.#latest;
    await files?.close().catch(() => undefined);
  }

  async #writeNext(): Promise<void> {
    if (this.#identityIsDue && this.#files !== undefined) {
      await this.#files.saveIdentity(this.#identity);
      this.#identityIsDue = false;
    }
    const standing = this.#standing;
    if (standing === undefined) return;
    const writes = this.#takeWrites();
    this.#standing = undefined;
    try {
      if (this.#files === undefined) await this.#startAnew(writes, standing);
      else await this.#files.commit(writes, standing);
    } catch (err) {
      this.#miss(writes);
      this.#standing ??= standing;
      throw err;
    }
  }

  #takeWrites(): readonly SliceWrite[] {
    const next = this.#next ?? [];
    this.#next = undefined;
    if (this.#missed.size === 0) return next;
    this.#miss(next);
    const writes = [...this.#missed.values()];
    this.#missed.clear();
    return writes;
  }

  /** Keeps writes that are older than all that was missed so far. */
  #miss(writes: readonly SliceWrite[]): void {
    for (const write of writes) {
      const name = nameOf(write);
      if (!this.#missed.has(name)) this.#missed.set(name, write);
    }
  }

  /** Files that could not be opened for writing, or not at all: whatever they hold, all that is known is written to new ones. */
  async #startAnew(writes: readonly SliceWrite[], standing: Standing): Promise<void> {
    mkdirSync(this.#path, { recursive: true, mode: 0o700 });
    const files = replaceFiles(this.#path);
    try {
      await files.saveIdentity(this.#identity);
      const all = new Map<string, SliceWrite>();
      for (const write of this.#deps.everything()) all.set(nameOf(write), write);
      for (const write of writes) all.set(nameOf(write), write);
      await files.commit([...all.values()], standing);
    } catch (err) {
      await files.close().catch(() => undefined);
      throw err;
    }
    this.#files = files;
    this.#identityIsDue = false;
  }

  #fail(err: unknown): void {
    const reason = err instanceof Error ? err.message : String(err);
    const { log, now, signal } = this.#deps;
    if (this.#status.ok) {
      log.error(
        { path: this.#path, ...whyOf(err) },
        'the state cannot be kept on disk, going on without and trying again',
      );
      void sleep(RETRY_MS, signal).then(() => this.#retry());
    }
    const since = this.#status.since ?? now().toISOString();
    this.#status = { ok: false, reason, remedy: remedyFor(reason, this.#path), since };
  }

  async #retry(): Promise<void> {
    const { signal } = this.#deps;
    while (!signal.aborted && !this.#status.ok) {
      await this.#run();
      if (!this.#status.ok) await sleep(RETRY_MS, signal);
    }
  }

  #recover(): void {
    if (this.#status.ok) return;
    this.#deps.log.info({ path: this.#path }, 'the state is kept on disk again');
    this.#status = DISK_OK;
  }
}

/** The slice or item that it is about. */
function nameOf({ key, item }: SliceWrite): string {
  return item === null ? key : `${key}\0${item}`;
}
