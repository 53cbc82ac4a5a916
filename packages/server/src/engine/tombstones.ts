/** Deletes of any size in one transaction: what is deleted goes, a tombstone says that its parts went with it, and their keys are swept later. */
import { type Logger, type Loop, sleep, startLoop, startTurns } from '@cable/kit';
import type { AnyObject, ResourceModel } from '@cable/model';
import { type Compare, MAX_TXN_BYTES, MAX_TXN_OPS, type Op, type Store, txnBytes } from '@cable/store';
import { objectKey, objectPrefix, prefixOfTarget, referencePrefix, TYPE_KEYS, tombstoneKey, typeKey } from '../keys.ts';
import { covers, parseObject, TOMBSTONES, type Tombstone } from '../rows.ts';
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
    for (const row of [...table.values()] as unknown as readonly Tombstone[]) {
      const since = this.#since.get(row.id) ?? monotonicMs();
      this.#since.set(row.id, since);
      if (this.#own.has(row.id) || monotonicMs() - since >= patienceMs) await this.#sweep(row);
    }
  }

  async #sweep(tombstone: Tombstone): Promise<void> {
    const { tables, store, resources, log, signal } = this.#deps;
    const revision = tables.modRevision(TOMBSTONES, tombstone.id) ?? 0;
    const key = tombstoneKey(tombstone.of.type, tombstone.of.id);
    const isThere: Compare = { kind: 'modRevision', key, revision };
    const turns = startTurns();
    let count = 0;
    // Parts may name the whole by several attributes; one pass takes them all.
    for (const type of new Set(tombstone.parts.map((one) => one.type))) {
      const resource = resources.find(type);
      // A server that has the type loaded does it.
      if (resource === undefined) return;
      let batch = startBatch(isThere);
      for await (const page of store.listPages(objectPrefix(type))) {
        for (const kv of page.kvs) {
          signal.throwIfAborted();
          if (turns.due()) await turns.next();
          const row = parseObject(resource, kv.value);
          if (row === undefined || !covers(tombstone, revision, type, row, kv.modRevision)) continue;
          this.#add(batch, type, row, kv.modRevision);
          count += 1;
          if (!isFull(batch)) continue;
          await this.#send(batch);
          batch = startBatch(isThere);
        }
      }
      if (batch.ops.length > 0) await this.#send(batch);
    }
    await this.#send({ compares: [isThere], ops: [{ kind: 'delete', key }], bytes: 0 });
    this.#own.delete(tombstone.id);
    log.info({ of: tombstone.id, parts: count }, 'the parts of a deleted object were swept from the store');
  }

  #add(batch: Batch, type: string, row: AnyObject, revision: number): void {
    const key = objectKey(type, row.id);
    const compare: Compare = { kind: 'modRevision', key, revision };
    const keys = [key, ...this.#deps.keys.keysOf(type, row, lookAt(this.#deps)).keys()];
    const ops = keys.map((one): Op => ({ kind: 'delete', key: one }));
    batch.compares.push(compare);
    batch.ops.push(...ops);
    batch.bytes += txnBytes([compare], ops);
  }

  async #send({ compares, ops }: Batch): Promise<void> {
    const { changeover, store, tables, resources } = this.#deps;
    const leave = await changeover.enter();
    try {
      refuseBehind({ tables, resources });
      const { ok } = await store.txn(compares, ops);
      if (!ok) throw new Error('somebody else sweeps it, too');
    } finally {
      leave();
    }
  }
}

type Batch = { readonly compares: Compare[]; readonly ops: Op[]; bytes: number };

function startBatch(isThere: Compare): Batch {
  return { compares: [isThere], ops: [], bytes: txnBytes([isThere], []) };
}

function isFull({ ops, bytes }: Batch): boolean {
  return ops.length >= MAX_TXN_OPS / SHARE / 4 || bytes >= MAX_TXN_BYTES / SHARE;
}
