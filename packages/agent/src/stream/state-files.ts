import { createHash } from 'node:crypto';
import { closeSync, existsSync, openSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { assertDiskRoom, startTurns } from '@cable/kit';
import type { StoreHistory } from '@cable/model';
import { type Database, open, type RootDatabase } from 'lmdb';
import { isRecord, parseJson } from '../json.ts';
import { isHash } from './digest.ts';
import type { Removal } from './removal-guard.ts';
import { isRevision, parseHistory } from './server-line.ts';
import type { SliceWrite } from './slice-plan.ts';
import type { Held } from './staged-lines.ts';

/** Where a state is: the last revision taken, and in which history. Revision 0: nothing; history null: not known. */
export type Position = { readonly revision: number; readonly history: StoreHistory | null };

export const NO_POSITION: Position = { revision: 0, history: null };

/** What is kept beside the content. */
export type Standing = {
  readonly position: Position;
  /** Of the content: the number of changes of it so far; 0: none, or it is not known whose it is. */
  readonly commit: number;
  /** Null: everything that is held is the server's. */
  readonly removal: Removal | null;
};

export const NO_STANDING: Standing = { position: NO_POSITION, commit: 0, removal: null };

/** What the agent knows of itself: its id, and the session that was the last to be known to a server. */
export type Identity = { readonly agentId: string; readonly session: string | null };

/** Layout of the environment; what another number wrote is not read. What is inside a header or an item is not part of it. */
const FORMAT = 1;

/** Writes of one transaction: what queueing them keeps the event loop for is a few milliseconds. */
const BATCH = 200;

/** What is left free of the disk: others write meanwhile. */
const RESERVE_BYTES = 8 * 1024 * 1024;

/** Pages from the root to an entry, which are written anew with it. */
const PATH_BYTES = 16 * 1024;

/** Entries read at once. */
const PAGE = 256;

/** Longest item name that is a key as it is; LMDB takes 1978 bytes. */
const MAX_KEY_CHARS = 400;

export type StateFilesOptions = {
  /** Default false. */
  readonly readOnly?: boolean;
  /** Called before each transaction; what it throws is why the transaction fails. Lets a test crash between any two. */
  readonly beforeCommit?: () => void;
};

/** The files that are open are not those at the path any more: whoever opens the path later finds nothing of what is written. */
export class FilesGoneError extends Error {
  constructor(path: string) {
    super(`the files in ${path} were removed or replaced while they were in use`);
    this.name = 'FilesGoneError';
  }
}

/** In the first page of every environment (`mdb.c`, `MDB_meta`). */
const MAGIC = 0xbeef_c0de;
const MAGIC_AT = 24;

/** What was read, and how many entries were passed over because they made no sense. */
export type LoadedFiles = { readonly standing: Standing; readonly skipped: number };

/**
 * The LMDB environment of a host's state, one key an item.
 * `slice` number → [key, header's hash, header, 1 if only kept] (a slice's key may be longer than LMDB takes) · `item` `<number>/<item>` → [hash, value,
 * item if it is not in the key, 1 if only kept] · `journal` number → a write of an update that takes more than one transaction · `meta` → format, standing,
 * the agent's id and session, whether the journal is whole.
 *
 * `overlappingSync`: a commit is there for whoever opens the files next, also after `kill -9`, before it is on the disk; after a crash of the machine LMDB goes
 * back to the last commit that is. Commits are made by lmdb's own thread.
 */
export class StateFiles {
  readonly #env: RootDatabase<string, Key>;
  readonly #databases: Databases;
  readonly #path: string;
  /** Which file is open, by device and inode. */
  readonly #file: string;
  /** Number of each slice. */
  readonly #numbers = new Map<string, number>();
  #next = 1;
  /** True: no state is there that a reader could take for whole. */
  #blank = true;
  /** True: the journal has all of an update whose position counts already. */
  #journalIsWhole = false;

  readonly #beforeCommit: () => void;
  #transactions = 0;

  /** Throws what LMDB says when the files cannot be opened or are not its own. `assertRoom` comes before, unless they are only read. */
  constructor(path: string, options: StateFilesOptions = {}) {
    if (!isLmdbOrNew(join(path, 'data.mdb'))) throw new Error('data.mdb is not a file of LMDB');
    this.#path = path;
    this.#beforeCommit = options.beforeCommit ?? ((): void => undefined);
    this.#env = open<string, Key>({
      path,
      noSubdir: false,
      overlappingSync: options.readOnly !== true,
      // Its own grouping leaves a promise that nobody can handle when a commit fails; ours is by `batch`.
      eventTurnBatching: false,
      maxDbs: 8,
      encoding: 'string',
      readOnly: options.readOnly === true,
    });
    this.#file = fileAt(path);
    const byNumber = { encoding: 'string', keyEncoding: 'ordered-binary' } as const;
    this.#databases = {
      slice: this.#env.openDB({ name: 'slice', ...byNumber }),
      item: this.#env.openDB({ name: 'item', encoding: 'string' }),
      journal: this.#env.openDB({ name: 'journal', ...byNumber }),
      meta: this.#env.openDB({ name: 'meta', encoding: 'string' }),
    };
  }

  /** How many were committed: tells a disk that is slow from one that does not answer. */
  get transactions(): number {
    return this.#transactions;
  }

  /** Who the agent is, whatever else is there; undefined: nothing was saved. */
  identity(): Identity | undefined {
    const agentId = this.#databases.meta.get('agent');
    return agentId === undefined ? undefined : { agentId, session: this.#databases.meta.get('session') ?? null };
  }

  async saveIdentity({ agentId, session }: Identity): Promise<void> {
    await this.#put([
      ['meta', 'agent', agentId],
      ['meta', 'session', session],
    ]);
  }

  /** Gives what is there, in turns. An update that was written to the journal as a whole is part of it. `writable` false: nothing is mended on disk. */
  async load(take: (key: string, item: string | null, held: Held) => void, writable: boolean): Promise<LoadedFiles> {
    const standing = this.#readStanding();
    if (standing === undefined) {
      if (writable) await this.#clear();
      return { standing: NO_STANDING, skipped: 0 };
    }
    if (writable && this.#databases.meta.get('journal') === 'whole') await this.#finishJournal();
    const names = new Map<number, string>();
    let skipped = 0;
    await readPages(this.#databases.slice, 0, (number, text) => {
      const entry = parseSlice(text);
      if (entry === undefined) {
        skipped += 1;
        return;
      }
      names.set(number, entry.key);
      this.#numbers.set(entry.key, number);
      this.#next = Math.max(this.#next, number + 1);
      if (entry.header !== null) take(entry.key, null, entry.header);
    });
    await readPages(this.#databases.item, '', (id, text) => {
      const slash = id.indexOf('/');
      const key = names.get(Number(id.slice(0, slash)));
      const entry = parseItem(text, id.slice(slash + 1));
      if (key === undefined || entry === undefined) skipped += 1;
      else take(key, entry.item, entry.held);
    });
    this.#blank = false;
    return { standing, skipped };
  }

  /**
   * Writes an update: all of it or, to whoever opens the files later, nothing. Resolves when it is committed; rejects with why it was not, and may be
   * tried again. One at a time.
   */
  async commit(writes: readonly SliceWrite[], standing: Standing): Promise<void> {
    /** Slices that get their number now; not if the commit fails. */
    const numbered = new Set<string>();
    try {
      if (this.#journalIsWhole) await this.#finishJournal();
      if (writes.length <= BATCH) {
        await this.#put([...this.#entriesOf(writes, numbered), ...standingEntries(standing)]);
      } else if (this.#blank) await this.#commitParts(writes, standing, numbered);
      else await this.#commitByJournal(writes, standing, numbered);
    } catch (err) {
      for (const key of numbered) this.#numbers.delete(key);
      throw err;
    }
    for (const write of writes) if (write.gone) this.#numbers.delete(write.key);
    this.#blank = false;
  }

  async close(): Promise<void> {
    await this.#env.close();
  }

  /** Undefined: there is nothing that this version understands. */
  #readStanding(): Standing | undefined {
    if (this.#databases.meta.get('format') !== String(FORMAT)) return undefined;
    return parseStanding(this.#databases.meta.get('standing') ?? '');
  }

  /** For the first state: it counts once the standing is there, which comes last. */
  async #commitParts(writes: readonly SliceWrite[], standing: Standing, numbered: Set<string>): Promise<void> {
    for (let at = 0; at < writes.length; at += BATCH) {
      await this.#put(this.#entriesOf(writes.slice(at, at + BATCH), numbered));
    }
    await this.#put(standingEntries(standing));
  }

  /** Notes all writes, then that they are all there, then makes them: whoever opens the files in between makes them instead. */
  async #commitByJournal(writes: readonly SliceWrite[], standing: Standing, numbered: Set<string>): Promise<void> {
    await this.#clearJournal();
    let next = 0;
    for (let at = 0; at < writes.length; at += BATCH) {
      const notes = this.#entriesOf(writes.slice(at, at + BATCH), numbered).map((entry): Entry => {
        next += 1;
        return ['journal', next, JSON.stringify(entry)];
      });
      await this.#put(notes);
    }
    await this.#put([['meta', 'journal', 'whole'], ...standingEntries(standing)]);
    this.#journalIsWhole = true;
    numbered.clear();
    await this.#finishJournal();
  }

  /** Makes the writes of a whole journal. */
  async #finishJournal(): Promise<void> {
    for (;;) {
      const page = [...this.#databases.journal.getRange({ limit: BATCH })];
      if (page.length === 0) break;
      const entries = page.flatMap(({ key, value }): Entry[] => {
        const entry = parseJson(value);
        return isEntry(entry) ? [entry, ['journal', key, null]] : [['journal', key, null]];
      });
      await this.#put(entries);
    }
    await this.#put([['meta', 'journal', null]]);
    this.#journalIsWhole = false;
  }

  /** Removes what an unfinished journal left. */
  async #clearJournal(): Promise<void> {
    for (;;) {
      const page = [...this.#databases.journal.getKeys({ limit: BATCH })];
      if (page.length === 0) return;
      await this.#put(page.map((key): Entry => ['journal', key, null]));
    }
  }

  async #clear(): Promise<void> {
    await this.#put([
      ['meta', 'format', null],
      ['meta', 'standing', null],
      ['meta', 'journal', null],
    ]);
    await Promise.all([
      this.#databases.slice.clearAsync(),
      this.#databases.item.clearAsync(),
      this.#databases.journal.clearAsync(),
    ]);
  }

  #entriesOf(writes: readonly SliceWrite[], numbered: Set<string>): readonly Entry[] {
    return writes.flatMap((write) => this.#entries(write, numbered));
  }

  /** A slice gets its number with its first write; its entry is made then, also when its header has not come. */
  #entries(write: SliceWrite, numbered: Set<string>): readonly Entry[] {
    const { key, item, held } = write;
    let number = this.#numbers.get(key);
    if (write.gone) return number === undefined ? [] : [['slice', number, null]];
    const entries: Entry[] = [];
    if (number === undefined) {
      if (held === null) return [];
      number = this.#next;
      this.#next += 1;
      this.#numbers.set(key, number);
      numbered.add(key);
      if (item !== null) entries.push(['slice', number, formatSlice(key, null)]);
    }
    if (item === null) entries.push(['slice', number, formatSlice(key, held)]);
    else entries.push(['item', itemId(number, item), held === null ? null : formatItem(item, held)]);
    return entries;
  }

  /** One transaction. */
  async #put(entries: readonly Entry[]): Promise<void> {
    this.#beforeCommit();
    if (fileAt(this.#path) !== this.#file) throw new FilesGoneError(this.#path);
    assertRoom(this.#path, entries);
    try {
      await this.#env.batch(() => {
        // Within a batch the batch's promise tells of a failure.
        for (const [database, key, value] of entries) {
          const into = this.#databases[database];
          void (value === null ? into.remove(key) : into.put(key, value));
        }
      });
      // What is read next must see it.
      this.#env.resetReadTxn();
      this.#transactions += 1;
    } catch (err) {
      throw await commitErrorOf(err);
    }
  }
}

/** Value null: removed. */
type Entry = readonly [database: keyof Databases, key: Key, value: string | null];

type Databases = Readonly<Record<'slice' | 'item' | 'journal' | 'meta', Database<string, Key>>>;

type Key = string | number;

function isEntry(value: unknown): value is Entry {
  return (
    Array.isArray(value) &&
    ((value[0] === 'slice' && typeof value[1] === 'number') || (value[0] === 'item' && typeof value[1] === 'string')) &&
    (value[2] === null || typeof value[2] === 'string')
  );
}

function standingEntries(standing: Standing): readonly Entry[] {
  return [
    ['meta', 'format', String(FORMAT)],
    ['meta', 'standing', JSON.stringify(standing)],
  ];
}

/** Undefined: it makes no sense. */
function parseStanding(text: string): Standing | undefined {
  const value = parseJson(text);
  if (!isRecord(value) || !isRecord(value['position']) || !isRevision(value['commit'])) return undefined;
  const { revision, history } = value['position'];
  if (!isRevision(revision)) return undefined;
  return {
    position: { revision, history: parseHistory(history) ?? null },
    commit: value['commit'],
    removal: parseRemoval(value['removal']),
  };
}

function parseRemoval(value: unknown): Removal | null {
  if (!isRecord(value)) return null;
  const { before, since } = value;
  return isRevision(before) && typeof since === 'string' ? { before, since } : null;
}

/** Throws when the disk takes no writes, or has no room for the transaction, or for new files. */
export function assertRoom(path: string, entries: readonly Entry[] = []): void {
  let needed = RESERVE_BYTES;
  for (const [, , value] of entries) needed += PATH_BYTES + 2 * (value?.length ?? 0);
  assertDiskRoom(path, needed);
}

/** Empty: there is none. */
function fileAt(path: string): string {
  const stat = statSync(join(path, 'data.mdb'), { throwIfNoEntry: false });
  return stat === undefined ? '' : `${stat.dev}:${stat.ino}`;
}

/** False: a file of something else, at which LMDB would end the process. */
function isLmdbOrNew(path: string): boolean {
  if (!existsSync(path)) return true;
  const file = openSync(path, 'r');
  try {
    const head = Buffer.alloc(MAGIC_AT + 4);
    const bytes = readSync(file, head, 0, head.length, 0);
    return bytes === 0 || head.readUInt32LE(MAGIC_AT) === MAGIC || head.readUInt32BE(MAGIC_AT) === MAGIC;
  } finally {
    closeSync(file);
  }
}

async function readPages<K extends Key>(
  database: Database<string, Key>,
  first: K,
  take: (key: K, value: string) => void,
): Promise<void> {
  const turns = startTurns();
  let last: K | undefined;
  for (;;) {
    const page = [...database.getRange({ start: last ?? first, limit: PAGE + 1 })];
    for (const { key, value } of page) if (key !== last) take(key as K, value);
    if (page.length <= PAGE) return;
    last = page.at(-1)?.key as K;
    await turns.next();
  }
}

function itemId(number: number, item: string): string {
  if (item.length <= MAX_KEY_CHARS) return `${number}/${item}`;
  return `${number}/${createHash('sha256').update(item).digest('hex')}`;
}

function formatSlice(key: string, header: Held | null): string {
  return JSON.stringify([key, header?.hash ?? null, header?.value ?? null, ...keptMark(header)]);
}

function parseSlice(text: string): { readonly key: string; readonly header: Held | null } | undefined {
  const entry = parseJson(text);
  if (!Array.isArray(entry)) return undefined;
  const [key, hash, value, kept] = entry as readonly unknown[];
  if (typeof key !== 'string') return undefined;
  if (hash === null) return { key, header: null };
  return isHash(hash) && isRecord(value) ? { key, header: heldOf(hash, value, kept) } : undefined;
}

function formatItem(item: string, held: Held): string {
  const long = item.length > MAX_KEY_CHARS;
  const name = long ? [item] : held.kept ? [null] : [];
  return JSON.stringify([held.hash, held.value, ...name, ...keptMark(held)]);
}

function parseItem(text: string, inKey: string): { readonly item: string; readonly held: Held } | undefined {
  const entry = parseJson(text);
  if (!Array.isArray(entry)) return undefined;
  const [hash, value, name, kept] = entry as readonly unknown[];
  const item = name ?? inKey;
  if (!isHash(hash) || !isRecord(value) || typeof item !== 'string') return undefined;
  return { item, held: heldOf(hash, value, kept) };
}

function keptMark(held: Held | null): readonly number[] {
  return held?.kept ? [1] : [];
}

function heldOf(hash: number, value: object, kept: unknown): Held {
  return kept === 1 ? { hash, value, kept: true } : { hash, value };
}

/** What lmdb says about why a commit failed: it rejects with an error that promises another one. */
async function commitErrorOf(err: unknown): Promise<unknown> {
  if (!(err instanceof Error && 'commitError' in err)) return err;
  return await Promise.resolve(err.commitError).then(
    () => err,
    (cause: unknown) => cause,
  );
}
