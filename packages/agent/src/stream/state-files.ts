import { createHash } from 'node:crypto';
import { startTurns } from '@cable/kit';
import type { StoreHistory } from '@cable/model';
import { type Database, open, type RootDatabase } from 'lmdb';
import { isRecord, parseJson } from '../json.ts';
import { isHash } from './digest.ts';
import type { SliceWrite } from './slice-state.ts';
import type { Held } from './staged-lines.ts';

/** Where a state is: the last revision taken, and in which history. Revision 0: nothing; history null: not known. */
export type Position = { readonly revision: number; readonly history: StoreHistory | null };

export const NO_POSITION: Position = { revision: 0, history: null };

/** Layout of the environment; what another number wrote is not read. What is inside a header or an item is not part of it. */
const FORMAT = 1;

/** Writes of one transaction: what queueing them keeps the event loop for is a few milliseconds. */
const BATCH = 400;

/** Entries read at once. */
const PAGE = 256;

/** Longest item name that is a key as it is; LMDB takes 1978 bytes. */
const MAX_KEY_CHARS = 400;

/** What was read, and how many entries were passed over because they made no sense. */
export type LoadedFiles = { readonly position: Position; readonly skipped: number };

/**
 * The LMDB environment of a host's state, one key an item.
 * `slice` number → [key, header's hash, header] (a slice's key may be longer than LMDB takes) · `item` `<number>/<item>` → [hash, value, item if it is not in the key]
 * · `journal` number → a write of an update that takes more than one transaction · `meta` → format, position, agent's id, whether the journal is whole.
 *
 * `overlappingSync`: a commit is there for whoever opens the files next, also after `kill -9`, before it is on the disk; after a crash of the machine LMDB goes
 * back to the last commit that is. Commits are made by lmdb's own thread.
 */
export class StateFiles {
  readonly #env: RootDatabase<string, string>;
  readonly #slices: Database<string, number>;
  readonly #items: Database<string, string>;
  readonly #journal: Database<string, number>;
  readonly #meta: Database<string, string>;
  /** Number of each slice. */
  readonly #numbers = new Map<string, number>();
  #next = 1;
  /** True: no state is there that a reader could take for whole. */
  #blank = true;
  /** True: the journal has all of an update whose position counts already. */
  #journalIsWhole = false;

  /** Throws what LMDB says when the files cannot be opened or are not its own. */
  constructor(path: string, options: { readonly readOnly?: boolean } = {}) {
    this.#env = open<string, string>({
      path,
      noSubdir: false,
      overlappingSync: options.readOnly !== true,
      // Its own grouping leaves a promise that nobody can handle when a commit fails; ours is by `batch`.
      eventTurnBatching: false,
      maxDbs: 8,
      encoding: 'string',
      readOnly: options.readOnly === true,
    });
    this.#slices = this.#env.openDB({ name: 'slice', encoding: 'string', keyEncoding: 'ordered-binary' });
    this.#items = this.#env.openDB({ name: 'item', encoding: 'string' });
    this.#journal = this.#env.openDB({ name: 'journal', encoding: 'string', keyEncoding: 'ordered-binary' });
    this.#meta = this.#env.openDB({ name: 'meta', encoding: 'string' });
  }

  /** The agent's id, whatever else is there; undefined: none was saved. */
  agentId(): string | undefined {
    return this.#meta.get('agent');
  }

  async saveAgentId(id: string): Promise<void> {
    await this.#commit(() => void this.#meta.put('agent', id));
  }

  /** Gives what is there, in turns. An update that was written to the journal as a whole is part of it. `writable` false: nothing is mended on disk. */
  async load(take: (key: string, item: string | null, held: Held) => void, writable: boolean): Promise<LoadedFiles> {
    const position = this.#readPosition();
    if (position === undefined) {
      if (writable) await this.#clear();
      return { position: NO_POSITION, skipped: 0 };
    }
    if (writable && this.#meta.get('journal') === 'whole') await this.#finishJournal();
    const names = new Map<number, string>();
    let skipped = 0;
    await readPages(this.#slices, 0, (number, text) => {
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
    await readPages(this.#items, '', (id, text) => {
      const slash = id.indexOf('/');
      const key = names.get(Number(id.slice(0, slash)));
      const entry = parseItem(text, id.slice(slash + 1));
      if (key === undefined || entry === undefined) skipped += 1;
      else take(key, entry.item, entry.held);
    });
    this.#blank = false;
    return { position, skipped };
  }

  /**
   * Writes an update: all of it or, to whoever opens the files later, nothing. Resolves when it is committed; rejects with why it was not, and may be
   * tried again. One at a time.
   */
  async commit(writes: readonly SliceWrite[], position: Position): Promise<void> {
    /** Slices that get their number now; not if the commit fails. */
    const numbered = new Set<string>();
    try {
      if (this.#journalIsWhole) await this.#finishJournal();
      if (writes.length <= BATCH) {
        await this.#commit(() => {
          for (const write of writes) for (const entry of this.#entries(write, numbered)) this.#put(entry);
          this.#putPosition(position);
        });
      } else if (this.#blank) await this.#commitParts(writes, position, numbered);
      else await this.#commitByJournal(writes, position, numbered);
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
  #readPosition(): Position | undefined {
    if (this.#meta.get('format') !== String(FORMAT)) return undefined;
    const value = parseJson(this.#meta.get('position') ?? '');
    if (!isRecord(value) || !Number.isSafeInteger(value['revision']) || Number(value['revision']) < 0) return undefined;
    const history = value['history'];
    const known =
      isRecord(history) && typeof history['cluster'] === 'string' && typeof history['mark'] === 'string'
        ? { cluster: history['cluster'], mark: history['mark'] }
        : null;
    return { revision: Number(value['revision']), history: known };
  }

  #putPosition(position: Position): void {
    // Within a batch the batch's promise tells of a failure.
    void this.#meta.put('format', String(FORMAT));
    void this.#meta.put('position', JSON.stringify(position));
  }

  /** For the first state: it counts once the position is there, which comes last. */
  async #commitParts(writes: readonly SliceWrite[], position: Position, numbered: Set<string>): Promise<void> {
    for (let at = 0; at < writes.length; at += BATCH) {
      await this.#commit(() => {
        for (const write of writes.slice(at, at + BATCH))
          for (const entry of this.#entries(write, numbered)) this.#put(entry);
      });
    }
    await this.#commit(() => this.#putPosition(position));
  }

  /** Notes all writes, then that they are all there, then makes them: whoever opens the files in between makes them instead. */
  async #commitByJournal(writes: readonly SliceWrite[], position: Position, numbered: Set<string>): Promise<void> {
    await this.#clearJournal();
    let at = 0;
    for (let first = 0; first < writes.length; first += BATCH) {
      await this.#commit(() => {
        for (const write of writes.slice(first, first + BATCH)) {
          for (const entry of this.#entries(write, numbered)) {
            void this.#journal.put(at, JSON.stringify(entry));
            at += 1;
          }
        }
      });
    }
    await this.#commit(() => {
      void this.#meta.put('journal', 'whole');
      this.#putPosition(position);
    });
    this.#journalIsWhole = true;
    numbered.clear();
    await this.#finishJournal();
  }

  /** Makes the writes of a whole journal. */
  async #finishJournal(): Promise<void> {
    for (;;) {
      const page = [...this.#journal.getRange({ limit: BATCH })];
      if (page.length === 0) break;
      await this.#commit(() => {
        for (const { key, value } of page) {
          const entry = parseJson(value);
          if (isEntry(entry)) this.#put(entry);
          void this.#journal.remove(key);
        }
      });
    }
    await this.#commit(() => void this.#meta.remove('journal'));
    this.#journalIsWhole = false;
  }

  async #clearJournal(): Promise<void> {
    for (;;) {
      const page = [...this.#journal.getKeys({ limit: BATCH })];
      if (page.length === 0) return;
      await this.#commit(() => {
        for (const key of page) void this.#journal.remove(key);
      });
    }
  }

  async #clear(): Promise<void> {
    await this.#commit(() => {
      for (const name of ['format', 'position', 'journal']) void this.#meta.remove(name);
    });
    await Promise.all([this.#slices.clearAsync(), this.#items.clearAsync(), this.#journal.clearAsync()]);
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

  #put([database, key, value]: Entry): void {
    if (database === 'slice') void (value === null ? this.#slices.remove(key) : this.#slices.put(key, value));
    else void (value === null ? this.#items.remove(key) : this.#items.put(key, value));
  }

  async #commit(write: () => void): Promise<void> {
    try {
      await this.#env.batch(write);
      // What is read next must see it.
      this.#env.resetReadTxn();
    } catch (err) {
      throw await commitErrorOf(err);
    }
  }
}

/** Null: removed. */
type Entry =
  | readonly [database: 'slice', key: number, value: string | null]
  | readonly [database: 'item', key: string, value: string | null];

function isEntry(value: unknown): value is Entry {
  return (
    Array.isArray(value) &&
    ((value[0] === 'slice' && typeof value[1] === 'number') || (value[0] === 'item' && typeof value[1] === 'string')) &&
    (value[2] === null || typeof value[2] === 'string')
  );
}

async function readPages<K extends string | number>(
  database: Database<string, K>,
  first: K,
  take: (key: K, value: string) => void,
): Promise<void> {
  const turns = startTurns();
  let last: K | undefined;
  for (;;) {
    const page = [...database.getRange({ start: last ?? first, limit: PAGE + 1 })];
    for (const { key, value } of page) if (key !== last) take(key, value);
    if (page.length <= PAGE) return;
    last = page.at(-1)?.key;
    await turns.next();
  }
}

function itemId(number: number, item: string): string {
  if (item.length <= MAX_KEY_CHARS) return `${number}/${item}`;
  return `${number}/${createHash('sha256').update(item).digest('hex')}`;
}

function formatSlice(key: string, header: Held | null): string {
  return JSON.stringify([key, header?.hash ?? null, header?.value ?? null]);
}

function parseSlice(text: string): { readonly key: string; readonly header: Held | null } | undefined {
  const entry = parseJson(text);
  if (!Array.isArray(entry)) return undefined;
  const [key, hash, value] = entry as readonly unknown[];
  if (typeof key !== 'string') return undefined;
  if (hash === null) return { key, header: null };
  return isHash(hash) && isRecord(value) ? { key, header: { hash, value } } : undefined;
}

function formatItem(item: string, { hash, value }: Held): string {
  return JSON.stringify(item.length <= MAX_KEY_CHARS ? [hash, value] : [hash, value, item]);
}

function parseItem(text: string, inKey: string): { readonly item: string; readonly held: Held } | undefined {
  const entry = parseJson(text);
  if (!Array.isArray(entry)) return undefined;
  const [hash, value, item = inKey] = entry as readonly unknown[];
  return isHash(hash) && isRecord(value) && typeof item === 'string' ? { item, held: { hash, value } } : undefined;
}

/** What lmdb says about why a commit failed: it rejects with an error that promises another one. */
async function commitErrorOf(err: unknown): Promise<unknown> {
  if (!(err instanceof Error && 'commitError' in err)) return err;
  return await Promise.resolve(err.commitError).then(
    () => err,
    (cause: unknown) => cause,
  );
}
