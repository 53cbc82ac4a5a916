/**
 * A create that the plug-in sends once more to the next server, because it got no answer from the one before, makes no second object. It says nothing that would tell it from another
 * create of the same: a create of many comes as one request for each, with the same `request_id`, whose texts may be equal. But it sends the next of them only when the one before was
 * answered. So each is named by its text and by how many of that text were answered; the object has its id from that name (`Idempotency-Key`). The count is in the store.
 */
import { createHash } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { type Logger, sleep } from '@cable/kit';
import type { Op, Store } from '@cable/store';
import type { Asked } from '../engine/context.ts';
import { objectKey, repeatKey } from '../keys.ts';

export type RepeatsDeps = {
  readonly store: Pick<Store, 'get' | 'txn' | 'grantLease'>;
  readonly log: Logger;
  /** Milliseconds that never go back. */
  readonly monotonicMs: () => number;
  /** How long a server that made an object may take to say whether its answer got through; then it is taken for dead. Default 20 s. */
  readonly waitMs?: number;
};

/** One create, as it was sent. */
export type SentCreate = {
  /** Of the declared type whose object it makes. */
  readonly type: string;
  readonly requestId: string;
  /** Whom it is for, and what it says: JSON. */
  readonly said: unknown;
  /** The id that the object has which is made with this `Idempotency-Key`. */
  readonly idOf: (idempotencyKey: string) => string;
  readonly asked: Pick<Asked, 'signal' | 'isGone'>;
};

/** How many creates of one text were answered; `isBroken`: no answer to the next one got through. */
type Count = { readonly answered: number; readonly isBroken: boolean };

/** With the revision of its row; 0: there is none. */
type StoredCount = Count & { readonly revision: number };

type PutOp = Extract<Op, { readonly kind: 'put' }>;

const WAIT_MS = 20_000;
const LOOK_EVERY_MS = 20;
/** The plug-in waits for an answer for 2 minutes, from each server. */
const KEPT_SECONDS = 1200;
/** A lease is for the counts of so long a time. */
const LEASE_FOR_MS = 60_000;
const MOST_TOGETHER = 64;

export class Repeats {
  readonly #deps: RepeatsDeps;
  readonly #due = new Map<string, PutOp>();
  #lease: { readonly id: Promise<string>; readonly untilMs: number } | undefined;
  #writing: Promise<void> = Promise.resolve();

  constructor(deps: RepeatsDeps) {
    this.#deps = deps;
  }

  /**
   * The `Idempotency-Key` to make it with: that of the one before, if it was not answered, or the next. The fate of this one's answer, by `reply`, is counted. Throws
   * `StoreError`.
   */
  async begin(sent: SentCreate, reply: ServerResponse): Promise<string> {
    const name = nameOf(sent);
    const key = repeatKey(name);
    let begun: StoredCount | undefined;
    reply.once('close', () => {
      if (begun !== undefined) this.#ended(key, begun, reply);
    });
    let count = await this.#countOf(key);
    const untilMs = this.#deps.monotonicMs() + (this.#deps.waitMs ?? WAIT_MS);
    while (!count.isBroken && this.#deps.monotonicMs() < untilMs && !sent.asked.isGone) {
      if (!(await this.#isMade(sent, name, count))) break;
      const now = await this.#countOf(key);
      if (now.answered === count.answered && !now.isBroken) await sleep(LOOK_EVERY_MS, sent.asked.signal);
      count = now;
    }
    begun = count;
    return keyOf(name, count);
  }

  /** Resolves when what is known of answers by now is in the store, or was given up. */
  settled(): Promise<void> {
    return this.#writing;
  }

  /** An error made nothing: what is sent next may be the same. */
  #ended(key: string, { answered, revision }: StoredCount, reply: ServerResponse): void {
    if (!reply.writableFinished) this.#run(() => this.#writeBroken(key, { answered, isBroken: true }, revision));
    else if (reply.statusCode === 200) {
      const isWriting = this.#due.size > 0;
      this.#due.set(key, putOf(key, { answered: answered + 1, isBroken: false }));
      if (!isWriting) this.#run(() => this.#writeDue());
    }
  }

  #run(write: () => Promise<void>): void {
    this.#writing = this.#writing.then(write).catch((err: unknown) => {
      this.#lease = undefined;
      const message =
        'cannot write which creates of the plug-in were answered: equal ones that follow may be taken for repeats';
      this.#deps.log.warn({ err }, message);
    });
  }

  async #writeDue(): Promise<void> {
    while (this.#due.size > 0) {
      const due = [...this.#due].slice(0, MOST_TOGETHER);
      for (const [key] of due) this.#due.delete(key);
      const lease = await this.#currentLease();
      await this.#deps.store.txn(
        [],
        due.map(([, op]) => ({ ...op, lease })),
      );
    }
  }

  /** Another server may have answered the repeat by now. */
  async #writeBroken(key: string, count: Count, revision: number): Promise<void> {
    const lease = await this.#currentLease();
    await this.#deps.store.txn([{ kind: 'modRevision', key, revision }], [{ ...putOf(key, count), lease }]);
  }

  async #countOf(key: string): Promise<StoredCount> {
    const found = await this.#deps.store.get(key);
    if (found === undefined) return { answered: 0, isBroken: false, revision: 0 };
    return { ...(JSON.parse(found.value) as Count), revision: found.modRevision };
  }

  /** The store knows; the tables may be behind. */
  async #isMade({ type, idOf }: SentCreate, name: string, count: Count): Promise<boolean> {
    return (await this.#deps.store.get(objectKey(type, idOf(keyOf(name, count))))) !== undefined;
  }

  #currentLease(): Promise<string> {
    const nowMs = this.#deps.monotonicMs();
    if (this.#lease === undefined || this.#lease.untilMs <= nowMs) {
      this.#lease = { id: this.#deps.store.grantLease(KEPT_SECONDS), untilMs: nowMs + LEASE_FOR_MS };
    }
    return this.#lease.id;
  }
}

function putOf(key: string, count: Count): PutOp {
  return { kind: 'put', key, value: JSON.stringify(count) };
}

function nameOf({ type, requestId, said }: SentCreate): string {
  return createHash('sha256')
    .update(JSON.stringify([requestId, type, said]))
    .digest('hex')
    .slice(0, 40);
}

function keyOf(name: string, { answered }: Count): string {
  // No client’s key has a space in it: nobody makes what the door looks for.
  return `plugin ${name} ${answered}`;
}
