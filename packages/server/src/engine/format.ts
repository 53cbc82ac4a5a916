/** Which form the store's derived keys have (claims, references, marks), and how an older store gets it. */
import { ExpectedError, type Logger, sleep, startTurns } from '@cable/kit';
import { MAX_TXN_BYTES, MAX_TXN_OPS, type Op, type Store, txnBytes } from '@cable/store';
import { DERIVED, FORMAT, FORMAT_LOCK, OBJECTS, SERVERS } from '../keys.ts';
import type { EngineDeps } from './context.ts';
import { ownedOutside } from './old-gateways.ts';
import { silentRouters, strayLegs } from './old-routers.ts';
import { repeatedRules } from './old-rules.ts';
import { sharingOfOld } from './old-sharing.ts';
import { type Addresses, lookAt } from './plan.ts';

/** The number of the form. One that is higher than that of a server is not for this server. */
const CURRENT = 7;

/** What objects of an older form lack, by the form that first had it; each the same again when it is asked again. What comes together is done together. */
const CHANGES: readonly (readonly [number, (deps: FormatDeps) => Iterable<readonly Op[]>])[] = [
  [4, sharingOfOld],
  [5, repeatedRules],
  [6, silentRouters],
  [6, strayLegs],
  [7, ownedOutside],
];

/** How long to wait for servers of an older version, or for one that makes the keys: those that were stopped run out after 20 s. */
const WAIT_MS = 30_000;
const LOOK_EVERY_MS = 250;
const LOCK_TTL_SECONDS = 15;
const KEEP_EVERY_MS = 4000;

export type FormatDeps = Pick<EngineDeps, 'tables' | 'resources' | 'keys' | 'monotonicMs'> & {
  readonly addresses: Addresses;
  readonly store: Pick<Store, 'get' | 'list' | 'txn' | 'grantLease' | 'keepAlive' | 'revokeLease'>;
  /** True: other processes may have the store open. */
  readonly isStoreShared: boolean;
  readonly log: Logger;
  readonly signal: AbortSignal;
};

/**
 * Sees to it that the derived keys have this server's form: makes them anew from the objects of a store that has an older one. The tables must have been
 * started. Throws `ExpectedError` when the store is of a newer version, or an older server is running.
 */
export async function ensureFormat(deps: FormatDeps): Promise<void> {
  const { store, monotonicMs, signal } = deps;
  const deadlineMs = monotonicMs() + WAIT_MS;
  for (;;) {
    signal.throwIfAborted();
    const known = await store.get(FORMAT);
    const format = known === undefined ? 0 : Number(known.value);
    if (format === CURRENT) return;
    if (format > CURRENT) {
      throw new ExpectedError(
        `--store: it was written by a newer version of Cable (form ${format} of its keys; this version knows ${CURRENT}): start that version`,
      );
    }
    if ((await isEmpty(deps)) ? await writeFormat(deps, []) : await migrate(deps, format, known?.modRevision ?? 0))
      return;
    if (monotonicMs() >= deadlineMs) {
      throw new ExpectedError(
        '--store: a server of an older version runs on it: stop all of those first, then start this one',
      );
    }
    await sleep(LOOK_EVERY_MS, signal);
  }
}

async function isEmpty({ store }: FormatDeps): Promise<boolean> {
  const both = await Promise.all([store.list(`${OBJECTS}network/`), store.list(`${DERIVED}`)]);
  return both.every(({ kvs }) => kvs.length === 0);
}

/** False: somebody else does it, or an older server runs. */
async function migrate(deps: FormatDeps, from: number, formatRevision: number): Promise<boolean> {
  const { store, log, isStoreShared } = deps;
  if (isStoreShared && (await store.list(SERVERS)).kvs.length > 0) return false;
  const lease = await store.grantLease(LOCK_TTL_SECONDS);
  const keeping = setInterval(() => void store.keepAlive(lease).catch(() => {}), KEEP_EVERY_MS);
  try {
    const taken = await store.txn(
      [
        { kind: 'absent', key: FORMAT_LOCK },
        { kind: 'modRevision', key: FORMAT, revision: formatRevision },
      ],
      [{ kind: 'put', key: FORMAT_LOCK, value: '', lease }],
    );
    if (!taken.ok) return false;
    log.warn({ from, to: CURRENT }, 'makes the keys of all objects anew');
    for (const [form, changes] of CHANGES) if (from < form) await changeObjects(deps, changes(deps));
    await remakeKeys(deps);
    const isDone = await writeFormat(deps, [{ kind: 'exists', key: FORMAT_LOCK }]);
    if (isDone) log.info({ format: CURRENT }, 'keys of all objects were made anew');
    return isDone;
  } finally {
    clearInterval(keeping);
    await store.revokeLease(lease).catch(() => {});
  }
}

async function writeFormat(
  { store }: FormatDeps,
  compares: readonly { kind: 'exists'; key: string }[],
): Promise<boolean> {
  return (await store.txn(compares, [{ kind: 'put', key: FORMAT, value: String(CURRENT) }])).ok;
}

/** Its objects have keys of their own, so the tables have them before the keys are made. */
async function changeObjects(deps: FormatDeps, changes: Iterable<readonly Op[]>): Promise<void> {
  for (const ops of inTransactions(changes)) {
    const revision = await commit(deps.store, ops);
    if (!(await deps.tables.waitFor(revision, WAIT_MS)))
      throw new ExpectedError('--store: it does not tell what was written to it: start the server again');
  }
}

/** As many together as a transaction takes, with room: whoever reads the tables meanwhile sees what is done already. */
function* inTransactions(changes: Iterable<readonly Op[]>): Iterable<readonly Op[]> {
  let ops: Op[] = [];
  let bytes = 0;
  for (const own of changes) {
    const more = txnBytes([], own);
    if (ops.length > 0 && (ops.length + own.length > MAX_TXN_OPS || bytes + more > MAX_TXN_BYTES / 2)) {
      yield ops;
      [ops, bytes] = [[], 0];
    }
    ops.push(...own);
    bytes += more;
  }
  if (ops.length > 0) yield ops;
}

/** Deletes them all, and writes those of each object. Whoever dies in the middle leaves a store without its form, and the next begins anew. */
async function remakeKeys(deps: FormatDeps): Promise<void> {
  const { tables, resources, keys, store } = deps;
  const look = lookAt(deps);
  const turns = startTurns();
  await commit(store, [{ kind: 'deletePrefix', prefix: DERIVED }]);
  let ops: Op[] = [];
  let bytes = 0;
  for (const { type, stored } of resources.all) {
    for (const row of stored ? tables.any(type).values() : []) {
      if (turns.due()) await turns.next();
      const own = [...keys.keysOf(type, row, look)].map(([key, { value }]): Op => ({ kind: 'put', key, value }));
      const more = txnBytes([], own);
      if (ops.length + own.length >= MAX_TXN_OPS || bytes + more > MAX_TXN_BYTES / 2) {
        await commit(store, ops);
        [ops, bytes] = [[], 0];
      }
      ops.push(...own);
      bytes += more;
    }
  }
  if (ops.length > 0) await commit(store, ops);
}

/** Two objects that have one claim in an old store are a breach that the check tells of; the last one has the key then. */
async function commit(store: FormatDeps['store'], ops: readonly Op[]): Promise<number> {
  const byKey = new Map(ops.map((op) => ['key' in op ? op.key : op.prefix, op]));
  const done = await store.txn([{ kind: 'exists', key: FORMAT_LOCK }], [...byKey.values()]);
  if (!done.ok)
    throw new ExpectedError('--store: making its keys anew took too long to keep the lock: start the server again');
  return done.revision;
}
