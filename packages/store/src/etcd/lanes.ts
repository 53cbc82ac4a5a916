/**
 * Definite answers. A request that writes carries a step in a lane, a key that only this store writes: it compares that the lane has what it was given
 * last and gives it something new. So whether a request whose answer is lost was done can be read from its lane; and it can be kept from ever being
 * done, by giving the lane something else first.
 */
import { randomBytes } from 'node:crypto';
import { type Logger, sleep } from '@cable/kit';
import { StoreError } from '../errors.ts';
import type { EtcdConnection, Member } from './connection.ts';
import { type EtcdMethods, explainError, isRefusal, isUnavailable } from './rpc.ts';
import type { TxnRequest, TxnResponse } from './schema.ts';
import { encodeTakeBack, type LaneStep } from './wire.ts';

/** Where lanes are, unless a store is opened with another prefix. */
export const LANES = '/cable/meta/lane/';

/** A request without an answer for so long is taken back. */
const SILENCE_MS = 1000;
/** How long one attempt to take a request back may take. */
const TAKE_BACK_MS = 1000;
/** Lanes of a store that died are removed after this. */
const LEASE_SECONDS = 60;
const KEEP_ALIVE_MS: number = (LEASE_SECONDS * 1000) / 4;
/** How long the end of a store waits for its lanes to be removed. */
const REVOKE_MS = 1000;

export type LanesDeps = {
  readonly connection: EtcdConnection;
  readonly methods: Pick<EtcdMethods, 'txn' | 'range' | 'leaseGrant' | 'leaseRevoke'>;
  /** False: the lease is gone. */
  readonly keepAlive: (lease: string) => Promise<boolean>;
  readonly log: Logger;
  /** The keys of all stores' lanes start with it. */
  readonly prefix: string;
};

/** What became of a request that writes. */
export type Fate =
  | { readonly kind: 'answered'; readonly answer: TxnResponse }
  /** etcd refused it: nothing was done. */
  | { readonly kind: 'refused'; readonly error: StoreError }
  /** It was not done and will not be. */
  | { readonly kind: 'not-done' }
  /** It was done at this revision; its answer is lost. */
  | { readonly kind: 'done'; readonly revision: number }
  | { readonly kind: 'unknown'; readonly error: StoreError };

/** A lane. `value`: what it has, as long as no request is on its way in it; null: it was not used yet, and is not there. */
export type Lane = { readonly key: Buffer; readonly lease: string; value: Buffer | null };

/** The lanes of one store, opened as they are needed; closed with it, or by the end of their lease. */
export class Lanes {
  readonly #deps: LanesDeps;
  /** Part of each value, so that no other store has the same. */
  readonly #name: string = randomBytes(8).toString('hex');
  readonly #keeping: NodeJS.Timeout;
  #idle: Lane[] = [];
  #lease: Promise<string> | undefined;
  #opened = 0;
  #values = 0;

  constructor(deps: LanesDeps) {
    this.#deps = deps;
    this.#keeping = setInterval(() => void this.#keep(), KEEP_ALIVE_MS);
    this.#keeping.unref();
  }

  /** A lane that is free. Throws `StoreError`. */
  async take(): Promise<Lane> {
    return this.#idle.pop() ?? (await this.#open());
  }

  /** Gives back a lane in which nothing was sent. */
  give(lane: Lane): void {
    this.#idle.push(lane);
  }

  /** Sends a request once, and finds out what became of it. The lane is free again after that, or given up. Does not throw. */
  async send(lane: Lane, member: Member, encode: (step: LaneStep) => TxnRequest): Promise<Fate> {
    const step: LaneStep = { key: lane.key, lease: lane.lease, from: lane.value, to: this.#value() };
    try {
      const { connection, methods } = this.#deps;
      const answer = await connection.send(member, methods.txn, encode(step), { patienceMs: SILENCE_MS });
      return answer.succeeded ? this.#stepped(lane, step.to, { kind: 'answered', answer }) : this.#lost(lane);
    } catch (err) {
      const error = explainError(err, 'transaction');
      if (isRefusal(error)) return await this.#refused(lane, step, error);
      if (isUnavailable(err)) this.#deps.connection.fail(member, err);
      return await this.#takeBack(lane, step, member, error);
    }
  }

  /** Removes the lanes: a request that is still on its way will not be done any more. */
  async close(): Promise<void> {
    clearInterval(this.#keeping);
    const { connection, methods } = this.#deps;
    if (this.#lease === undefined || connection.healthy() === undefined) return;
    const limits = { deadlineMs: performance.now() + REVOKE_MS };
    await this.#lease.then((ID) => connection.call(methods.leaseRevoke, { ID }, limits)).catch(() => undefined);
  }

  /** etcd says no. When it has no room left it may have done it all the same: the one that is the first to pass the quota when others are on their way too. */
  async #refused(lane: Lane, step: LaneStep, error: StoreError): Promise<Fate> {
    // The lease that is gone may be that of the lane.
    if (error.code === 'lease-gone' && step.from === null && !(await this.#isAlive(lane.lease)))
      return this.#lost(lane);
    if (error.code !== 'full') return this.#stepped(lane, step.from, { kind: 'refused', error });
    const { connection, methods } = this.#deps;
    const found = await connection.call(methods.range, { key: lane.key }).catch(() => undefined);
    if (found === undefined) return { kind: 'unknown', error };
    const [kv] = found.kvs;
    if (kv === undefined && step.from !== null) return { kind: 'unknown', error };
    if (kv === undefined || !kv.value.equals(step.to))
      return this.#stepped(lane, step.from, { kind: 'refused', error });
    return this.#stepped(lane, step.to, { kind: 'done', revision: Number(kv.mod_revision) });
  }

  /** Gives the lane something else than the request would, through another member if there is one, for as long as it takes. */
  async #takeBack(lane: Lane, step: LaneStep, but: Member, error: StoreError): Promise<Fate> {
    const { connection, methods } = this.#deps;
    const mine = { ...step, to: this.#value() };
    for (;;) {
      let member: Member | undefined;
      try {
        member = await connection.member({}, but);
        const limits = { patienceMs: TAKE_BACK_MS };
        return this.#fateOf(lane, step, mine, await connection.send(member, methods.txn, encodeTakeBack(mine), limits));
      } catch (err) {
        // Without room nothing can be put into the lane.
        if (connection.closed.aborted || isRefusal(explainError(err, 'transaction'))) return { kind: 'unknown', error };
        if (member !== undefined && isUnavailable(err)) connection.fail(member, err);
        await sleep(50, connection.closed);
      }
    }
  }

  #fateOf(lane: Lane, step: LaneStep, mine: LaneStep, answer: TxnResponse): Fate {
    if (answer.succeeded) return this.#stepped(lane, mine.to, { kind: 'not-done' });
    const kv = answer.responses[0]?.response_range?.kvs[0];
    if (kv === undefined) {
      const error = new StoreError('unavailable', 'the lane of a transaction has gone');
      return { kind: 'unknown', error };
    }
    if (kv.value.equals(step.to)) {
      return this.#stepped(lane, step.to, { kind: 'done', revision: Number(kv.mod_revision) });
    }
    // An attempt before this one was done, and its answer lost.
    if (kv.value.equals(mine.to)) return this.#stepped(lane, mine.to, { kind: 'not-done' });
    return this.#lost(lane);
  }

  #stepped(lane: Lane, value: Buffer | null, fate: Fate): Fate {
    lane.value = value;
    this.#idle.push(lane);
    return fate;
  }

  /** The lane is not as it was left: its lease has ended, or the store was restored from an older state. What compares it can never be done. */
  #lost({ key, lease }: Lane): Fate {
    void this.#forget(lease);
    this.#deps.log.warn({ lane: key.toString() }, 'lane of transactions is not as it was left, opening another');
    return { kind: 'not-done' };
  }

  /** A lane is made by the first request in it: that compares it absent. What is late finds its lease gone when the lane has gone. */
  async #open(): Promise<Lane> {
    const { connection, methods } = this.#deps;
    this.#lease ??= connection.call(methods.leaseGrant, { TTL: LEASE_SECONDS }).then(({ ID }) => ID);
    const lease = await this.#lease.catch((err: unknown) => {
      this.#lease = undefined;
      throw err;
    });
    this.#opened += 1;
    return { key: Buffer.from(`${this.#deps.prefix}${this.#name}/${this.#opened}`), lease, value: null };
  }

  async #keep(): Promise<void> {
    const lease = await this.#lease?.catch(() => undefined);
    if (lease !== undefined && !(await this.#isAlive(lease))) await this.#forget(lease);
  }

  /** Without an answer it is taken to be: it is asked for again long before its end. */
  #isAlive(lease: string): Promise<boolean> {
    return this.#deps.keepAlive(lease).catch(() => true);
  }

  async #forget(lease: string): Promise<void> {
    this.#idle = this.#idle.filter((lane) => lane.lease !== lease);
    if ((await this.#lease?.catch(() => undefined)) === lease) this.#lease = undefined;
  }

  #value(): Buffer {
    this.#values += 1;
    return Buffer.from(`${this.#name}/${this.#values}`);
  }
}
