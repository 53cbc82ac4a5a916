/** Deletes of any size in one transaction: what is deleted goes, a tombstone says that its parts went with it, and their keys are swept later. */
import { type Logger, type Loop, sleep, startLoop, startTurns } from '@cable/kit';
import type { AnyObject, ResourceModel } from '@cable/model';
import { type Compare, MAX_TXN_BYTES, MAX_TXN_OPS, type Op, type Store, txnBytes } from '@cable/store';
import { objectKey, objectPrefix, prefixOfTarget, referencePrefix, TYPE_KEYS, tombstoneKey, typeKey } from '../keys.ts';
import { parseObject } from '../object-text.ts';
import { covers, TOMBSTONES, type Tombstone } from '../rows.ts';
import { LOADED_TYPES, type Tables } from '../tables.ts';
import type { EngineDeps, Planning } from './context.ts';
import { refuseBehind } from './loaded-types.ts';
import { lookAt } from './plan.ts';
import { reviseParents } from './references.ts';
import type { Holder } from './registry.ts';

/** From so many parts of a type on they are swept: fewer go faster, and leave nothing, in the transaction itself. */
const FROM_PARTS = 512;

/** What another server has laid is left to that one for so long; when somebody waits for it, for less. */
const OTHERS_MS = 10_000;
const WAITED_FOR_MS = 1000;
/** How long who waits for a sweep waits before looking again. */
const WAIT_MS = 100;
const LOOK_EVERY_MS = 2500;

/** Part of a transaction's limits that a sweep takes at once: clients wait for it. */
const SHARE = 8;

/**
 * Plans a tombstone for an object that the plan deletes when it has very many parts; answers those which need no more planning. Only leaves (`isLeaf`) are left
 * to it: each of their writes revises the whole, so the compare of the whole is theirs too, and nothing can come to refer to them.
 */
export async function layTombstone(
  planning: Planning,
  { type }: ResourceModel,
  row: AnyObject,
): Promise<ReadonlySet<Holder>> {
  const { deps, plan } = planning;
  const { current } = deps.resources;
  const buried = current.holdersOf(type).filter(({ holder, index, onDelete }) => {
    if (onDelete !== 'cascade' || !current.isLeaf(holder.type)) return false;
    return deps.tables.any(holder.type).count(index, row.id) >= FROM_PARTS;
  });
  if (buried.length === 0) return NONE;
  const turns = startTurns();
  for (const { holder, index } of buried) {
    for (const part of deps.tables.any(holder.type).by(index, row.id)) {
      if (turns.due()) await turns.next();
      for (const one of deps.modules.of(holder.type)) one.remove?.(planning, part);
      // Its other wholes change by it.
      reviseParents(planning, holder, part, undefined);
      for (const key of deps.keys.keysOf(holder.type, part, plan).keys()) {
        // What stands under the whole would keep it from going.
        if (prefixOfTarget(key) === referencePrefix(type, row.id)) plan.deleteKey(key);
      }
    }
  }
  const parts = buried.map(({ holder, index }) => ({ type: holder.type, attribute: index }));
  plan.put(tombstoneKey(type, row.id), JSON.stringify({ parts }));
  // A type that another server has loaded just now might refer to the parts.
  const known = [...deps.tables.any(LOADED_TYPES).values()].map(({ id }) => typeKey(id));
  plan.requireEmpty(TYPE_KEYS, known);
  return new Set(buried);
}

const NONE: ReadonlySet<Holder> = new Set();

export type SweeperDeps = Pick<EngineDeps, 'resources' | 'keys' | 'changeover' | 'addresses' | 'monotonicMs'> & {
  readonly store: Pick<Store, 'listPages' | 'txn'>;
  readonly tables: Tables;
  readonly log: Logger;
  readonly signal: AbortSignal;
};

/**
 * Takes from the store what tombstones cover, and then the tombstones. Every server does, its own at once and another's after a while: each step compares what it
 * deletes, so it harms nobody to do it twice.
 */
export class Sweeper {
  readonly #deps: SweeperDeps;
  readonly #loop: Loop;
  readonly #own = new Set<string>();
  /** Since when others' are known, in ms of `monotonicMs`. */
  readonly #since = new Map<string, number>();
  #isWaitedFor = false;

  constructor(deps: SweeperDeps) {
    this.#deps = deps;
    const { log, signal } = deps;
    this.#loop = startLoop({ name: 'sweep', log, signal, everyMs: LOOK_EVERY_MS, run: () => this.#round() });
  }

  /** Resolves after the signal aborted. */
  get done(): Promise<void> {
    return this.#loop.done;
  }

  /** This server has deleted the object; its tombstone, if it laid one, is for this server to sweep. */
  deleted(type: string, id: string): void {
    const tombstone = `${type}/${id}`;
    if (this.#deps.tables.any(TOMBSTONES).get(tombstone) === undefined) return;
    this.#own.add(tombstone);
    this.#loop.trigger();
  }

  /** Waits a while for what is swept, which is done sooner by that. Ends early when the signal aborts. */
  async wait(signal: AbortSignal): Promise<void> {
    this.#isWaitedFor = true;
    this.#loop.trigger();
    await sleep(WAIT_MS, signal);
  }

  async #round(): Promise<void> {
    const { tables, monotonicMs } = this.#deps;
    const patienceMs = this.#isWaitedFor ? WAITED_FOR_MS : OTHERS_MS;
    this.#isWaitedFor = false;
    const table = tables.any(TOMBSTONES);
    for (const id of this.#since.keys()) if (table.get(id) === undefined) this.#since.delete(id);
    const due: Due[] = [];
    for (const row of [...table.values()] as unknown as readonly Tombstone[]) {
      const since = this.#since.get(row.id) ?? monotonicMs();
      this.#since.set(row.id, since);
      if (this.#own.has(row.id) || monotonicMs() - since >= patienceMs) due.push(this.#dueOf(row));
    }
    // A server that has the types loaded does the others.
    const ours = due.filter(({ of: { parts } }) =>
      parts.every(({ type }) => this.#deps.resources.find(type) !== undefined),
    );
    if (ours.length > 0) await this.#sweep(ours);
  }

  #dueOf(of: Tombstone): Due {
    const key = tombstoneKey(of.of.type, of.of.id);
    return { of, key, revision: this.#deps.tables.modRevision(TOMBSTONES, of.id) ?? 0, parts: 0 };
  }

  /** One pass through the objects of each type, however many tombstones there are. */
  async #sweep(all: readonly Due[]): Promise<void> {
    const { log } = this.#deps;
    const failed = new Set<Due>();
    for (const type of new Set(all.flatMap(({ of: { parts } }) => parts.map((one) => one.type)))) {
      await this.#sweepType(type, all, failed);
    }
    let last = startBatch();
    for (const one of all) {
      if (failed.has(one)) continue;
      add(last, one, [], [{ kind: 'delete', key: one.key }]);
      if (!isFull(last)) continue;
      await this.#send(last, failed);
      last = startBatch();
    }
    if (last.ops.length > 0) await this.#send(last, failed);
    for (const one of all) {
      if (failed.has(one)) continue;
      this.#own.delete(one.of.id);
      log.info({ of: one.of.id, parts: one.parts }, 'the parts of a deleted object were swept from the store');
    }
    if (failed.size > 0) throw new Error('somebody else sweeps, too');
  }

  async #sweepType(type: string, all: readonly Due[], failed: Set<Due>): Promise<void> {
    const { store, resources, signal } = this.#deps;
    const resource = resources.named(type);
    const find = finderOf(type, all);
    const turns = startTurns();
    let batch = startBatch();
    for await (const page of store.listPages(objectPrefix(type))) {
      for (const kv of page.kvs) {
        signal.throwIfAborted();
        if (turns.due()) await turns.next();
        const row = parseObject(resource, kv.value);
        const due = row === undefined ? undefined : find(row, kv.modRevision);
        if (row === undefined || due === undefined) continue;
        this.#add(batch, due, type, row, kv.modRevision);
        due.parts += 1;
        if (!isFull(batch)) continue;
        await this.#send(batch, failed);
        batch = startBatch();
      }
    }
    if (batch.ops.length > 0) await this.#send(batch, failed);
  }

  #add(batch: Batch, due: Due, type: string, row: AnyObject, revision: number): void {
    const key = objectKey(type, row.id);
    const keys = [key, ...this.#deps.keys.keysOf(type, row, lookAt(this.#deps)).keys()];
    const ops = keys.map((one): Op => ({ kind: 'delete', key: one }));
    add(batch, due, [{ kind: 'modRevision', key, revision }], ops);
  }

  /** One that is not as it was is another server's by now: what the batch is of is `failed`, and looked at again. */
  async #send({ of, compares, ops }: Batch, failed: Set<Due>): Promise<void> {
    const { changeover, store, tables, resources } = this.#deps;
    const leave = await changeover.enter();
    try {
      refuseBehind({ tables, resources });
      const { ok } = await store.txn(compares, ops);
      if (!ok) for (const one of of) failed.add(one);
    } finally {
      leave();
    }
  }
}

/** A tombstone whose parts are to be swept. `parts`: so many were. */
type Due = { readonly of: Tombstone; readonly key: string; readonly revision: number; parts: number };

/** Finds the tombstone that covers an object of the type. */
function finderOf(type: string, all: readonly Due[]): (row: AnyObject, written: number) => Due | undefined {
  const byAttribute = new Map<string, Map<unknown, Due>>();
  for (const due of all) {
    for (const part of due.of.parts) {
      if (part.type !== type) continue;
      const wholes = byAttribute.get(part.attribute) ?? new Map<unknown, Due>();
      byAttribute.set(part.attribute, wholes);
      wholes.set(due.of.of.id, due);
    }
  }
  return (row, written) => {
    for (const [attribute, wholes] of byAttribute) {
      const due = wholes.get(row[attribute]);
      if (due !== undefined && covers(due.of, due.revision, type, row, written)) return due;
    }
    return undefined;
  };
}

type Batch = { readonly of: Set<Due>; readonly compares: Compare[]; readonly ops: Op[]; bytes: number };

function startBatch(): Batch {
  return { of: new Set(), compares: [], ops: [], bytes: 0 };
}

/** The tombstone must be there still. */
function add(batch: Batch, due: Due, compares: readonly Compare[], ops: readonly Op[]): void {
  const isThere: Compare = { kind: 'modRevision', key: due.key, revision: due.revision };
  const all = batch.of.has(due) ? compares : [isThere, ...compares];
  batch.of.add(due);
  batch.compares.push(...all);
  batch.ops.push(...ops);
  batch.bytes += txnBytes(all, ops);
}

function isFull({ ops, bytes }: Batch): boolean {
  return ops.length >= MAX_TXN_OPS / SHARE / 4 || bytes >= MAX_TXN_BYTES / SHARE;
}
