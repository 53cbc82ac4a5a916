import { createBackoff, type Logger, sleep } from '@cable/kit';
import type { StoreEvent, WatchBatch, WatchOptions } from '../contract.ts';
import { StoreError } from '../errors.ts';
import { watchedKeys } from '../limits.ts';
import type { EtcdConnection, Member } from './connection.ts';
import { type EtcdMethods, explainError, openBidi } from './rpc.ts';
import type { WatchRequest, WatchResponse } from './schema.ts';
import { type OpenWatches, WatchProgress } from './watch-progress.ts';
import { decodeKeyValue, prefixEnd, revisionOf } from './wire.ts';

export type WatchDeps = {
  readonly connection: EtcdConnection;
  readonly methods: Pick<EtcdMethods, 'watch'>;
  readonly open: OpenWatches;
  readonly log: Logger;
};

/** Keys with the prefix, below the bound if there is one, from revision `next` on. */
type Wanted = { readonly prefix: string; readonly below: string | undefined; readonly next: number };

/** Watches, over as many connections as it takes, from where the last one ended. Throws `compacted` and `closed`. */
export async function* watchPrefix(deps: WatchDeps, prefix: string, options: WatchOptions): AsyncGenerator<WatchBatch> {
  const progress = new WatchProgress(watchedKeys(prefix, options.below), options.fromRevision - 1);
  deps.open.add(progress);
  try {
    yield* resume(deps, prefix, options, progress);
  } finally {
    deps.open.remove(progress);
  }
}

async function* resume(
  deps: WatchDeps,
  prefix: string,
  { signal, below, fromRevision }: WatchOptions,
  progress: WatchProgress,
): AsyncGenerator<WatchBatch> {
  const backoff = createBackoff({ minMs: 50, maxMs: 2000 });
  let next = Math.max(1, fromRevision);
  let isFailing = false;
  let stuckAt: Member | undefined;
  while (!signal.aborted) {
    deps.connection.throwIfClosed();
    try {
      const limits = { signal, deadlineMs: performance.now() + deps.connection.timeoutMs };
      const member = await deps.connection.member(limits, stuckAt);
      stuckAt = undefined;
      const onStuck = (): void => {
        stuckAt = member;
      };
      for await (const batch of watchOnce(deps, member, { prefix, below, next }, signal, { progress, onStuck })) {
        if (isFailing) deps.log.info({ prefix, revision: batch.revision }, 'watch resumed');
        isFailing = false;
        backoff.reset();
        next = batch.revision + 1;
        yield batch;
        if (signal.aborted) return;
      }
    } catch (err) {
      if (signal.aborted) return;
      deps.connection.throwIfClosed();
      const error = explainError(err, 'watch');
      if (!error.retryable) throw error;
      if (!isFailing) deps.log.warn({ prefix, next, err: error }, 'watch broke, will resume');
      isFailing = true;
    }
    await sleep(backoff.next(), signal);
  }
}

type Care = { readonly progress: WatchProgress; readonly onStuck: () => void };

/** One stream. Ends when the stream or the signal does. */
async function* watchOnce(
  { connection, methods }: WatchDeps,
  member: Member,
  wanted: Wanted,
  signal: AbortSignal,
  { progress, onStuck }: Care,
): AsyncGenerator<WatchBatch> {
  const call = openBidi(member.client, methods.watch);
  const cancel = (): void => call.cancel();
  const creation = setTimeout(cancel, connection.timeoutMs);
  signal.addEventListener('abort', cancel, { once: true });
  member.ends.add(cancel);
  let isStuck = false;
  const stuck = (): void => {
    isStuck = true;
    onStuck();
    cancel();
  };
  try {
    if (signal.aborted) return;
    call.write(createRequest(wanted));
    const reader = new BatchReader(wanted.next, () => clearTimeout(creation));
    progress.listen(stuck);
    for await (const response of call) {
      connection.heard();
      const batch = reader.take(response);
      progress.heard(batch?.revision ?? 0);
      if (batch !== undefined) yield batch;
      progress.listen(stuck);
    }
  } catch (err) {
    if (isStuck) throw new StoreError('unavailable', 'a watch did not tell in time of what was written', err);
    if (!signal.aborted && !(err instanceof StoreError)) connection.fail(member, err);
    throw err;
  } finally {
    progress.rest();
    clearTimeout(creation);
    signal.removeEventListener('abort', cancel);
    member.ends.delete(cancel);
    call.cancel();
  }
}

/**
 * Starts one revision early (its events are dropped): etcd refuses a start before its compaction, but at exactly the compacted
 * revision it goes on without the deletes of that revision. So history that lacks something is always refused.
 */
function createRequest({ prefix, below, next }: Wanted): WatchRequest {
  return {
    create_request: {
      key: Buffer.from(prefix),
      range_end: rangeEnd(prefix, below),
      start_revision: Math.max(1, next - 1),
      progress_notify: true,
      fragment: true,
    },
  };
}

function rangeEnd(prefix: string, below: string | undefined): Buffer {
  const end = prefixEnd(prefix);
  const bound = below === undefined ? end : Buffer.from(below);
  return Buffer.compare(bound, end) < 0 ? bound : end;
}

/** Makes batches of a stream's answers. */
class BatchReader {
  readonly #onCreated: () => void;
  #next: number;
  #events: StoreEvent[] = [];

  constructor(next: number, onCreated: () => void) {
    this.#next = next;
    this.#onCreated = onCreated;
  }

  /** The batch that ends with this answer; undefined: it ends none. Throws what etcd ends the watch with. */
  take(response: WatchResponse): WatchBatch | undefined {
    if (response.created) this.#onCreated();
    if (response.canceled) throw cancelError(response);
    for (const event of response.events) {
      if (Number(event.kv.mod_revision) >= this.#next) this.#events.push(decodeEvent(event));
    }
    if (response.fragment || response.created) return undefined;
    const events = this.#events;
    const isProgress = response.events.length === 0 && events.length === 0;
    const revision = isProgress ? revisionOf(response) : lastRevision(events);
    if (revision < this.#next) return undefined;
    this.#events = [];
    this.#next = revision + 1;
    return { revision, events };
  }
}

function cancelError(response: WatchResponse): StoreError {
  if (response.compact_revision !== '0') {
    const first = Number(response.compact_revision) + 1;
    return new StoreError('compacted', `history before revision ${first} is gone`);
  }
  return new StoreError('unavailable', `etcd ended the watch: ${response.cancel_reason}`);
}

function decodeEvent(event: WatchResponse['events'][number]): StoreEvent {
  return event.type === 0
    ? { kind: 'put', kv: decodeKeyValue(event.kv) }
    : { kind: 'delete', key: event.kv.key.toString(), modRevision: Number(event.kv.mod_revision) };
}

/** etcd sends a revision's events in one response, fragments put together; the header's revision may be ahead of them. */
function lastRevision(events: readonly StoreEvent[]): number {
  const last = events.at(-1);
  return last === undefined ? 0 : last.kind === 'put' ? last.kv.modRevision : last.modRevision;
}
