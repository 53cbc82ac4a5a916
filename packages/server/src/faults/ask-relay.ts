import { type Logger, type Loop, startLoop } from '@cable/kit';
import { CableError, type ErrorCode, type HostAsk, isErrorCode } from '@cable/model';
import { type KeyValue, MAX_TXN_BYTES, type Op, type Store } from '@cable/store';
import { unreachable } from '../hosts/host-asks.ts';
import { relayedAnswerKey, relayedAskKey, relayPrefix } from '../keys.ts';
import { isFields } from '../rows.ts';
import { storeErrorCode } from '../store-errors.ts';
import { RelayTraffic } from './relay-traffic.ts';

/** Longer than a server waits for the agent. */
const TIMEOUT_MS = 12_000;
/** Asks of one server that others have not answered yet. */
const MAX_OPEN = 64;

export type AskRelayDeps = {
  readonly store: Pick<Store, 'txn' | 'watch' | 'compact'>;
  /** Id of this server. */
  readonly server: string;
  /** Id of its lease, as it is now. */
  readonly lease: () => string;
  /** A revision that the store has reached. */
  readonly revision: () => number;
  /** Asks a host that watches this server. Throws `CableError`. */
  readonly askHere: (host: string, ask: HostAsk) => Promise<unknown>;
  /** Of a clock that never goes back. */
  readonly monotonicMs: () => number;
  readonly log: Logger;
  readonly signal: AbortSignal;
};

type Waiting = {
  readonly host: string;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: CableError) => void;
};

type Answer = { readonly value: unknown } | { readonly code: ErrorCode; readonly message: string };

/**
 * Asks for hosts that watch other servers of the store: by keys in it, since servers need not reach each other. Each key goes with the lease of who wrote it, is watched by who
 * it is for alone, and is deleted once it was taken.
 */
export class AskRelay {
  readonly #deps: AskRelayDeps;
  readonly #loop: Loop;
  readonly #traffic: RelayTraffic;
  readonly #waiting = new Map<number, Waiting>();
  #revision: number;
  #watching = new AbortController();
  #last = 0;

  constructor(deps: AskRelayDeps) {
    this.#deps = deps;
    this.#revision = deps.revision();
    const { store, revision, monotonicMs, log, signal } = deps;
    const compact = (before: number): Promise<void> => store.compact(before);
    this.#traffic = new RelayTraffic({ compact, revision, monotonicMs, log });
    this.#loop = startLoop({ name: 'relay', log, signal, run: () => this.#follow() });
  }

  /** The store has another history: what is written from now on counts. */
  restart(): void {
    this.#revision = this.#deps.revision();
    this.#watching.abort();
    this.#loop.trigger();
  }

  /** Resolves after the signal aborted. */
  get done(): Promise<void> {
    return this.#loop.done;
  }

  /** Asks by the server that the host watches. Throws as `Streams.ask`, and `HostUnreachable` when that server does not answer. */
  async ask(of: string, host: string, ask: HostAsk): Promise<unknown> {
    if (this.#waiting.size >= MAX_OPEN)
      throw new CableError('ServiceUnavailable', `${MAX_OPEN} questions to other servers are open already.`);
    const { store, server, lease } = this.#deps;
    this.#last += 1;
    const number = this.#last;
    const key = relayedAskKey(of, server, number);
    let timer: NodeJS.Timeout | undefined;
    const answered = new Promise<unknown>((resolve, reject) => {
      this.#waiting.set(number, { host, resolve, reject });
      const late = unreachable(host, `the server that its agent watches did not answer within ${TIMEOUT_MS / 1000} s`);
      timer = setTimeout(() => reject(late), TIMEOUT_MS);
    });
    try {
      const value = JSON.stringify({ host, ask });
      await Promise.race([answered, store.txn([], [{ kind: 'put', key, value, lease: lease() }])]);
      return await answered;
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(number);
      answered.catch(() => {});
      this.#forget(key, relayedAnswerKey(server, number));
    }
  }

  async #follow(): Promise<void> {
    const { store, server, signal } = this.#deps;
    const prefix = relayPrefix(server);
    this.#watching = new AbortController();
    const either = AbortSignal.any([signal, this.#watching.signal]);
    try {
      for await (const batch of store.watch(prefix, { fromRevision: this.#revision + 1, signal: either })) {
        for (const event of batch.events)
          if (event.kind === 'put') this.#take(event.kv, event.kv.key.slice(prefix.length));
        if (!either.aborted) this.#revision = batch.revision;
      }
    } catch (err) {
      // What was asked meanwhile is given up by who asked it.
      if (storeErrorCode(err) === 'compacted') this.#revision = this.#deps.revision();
      throw err;
    }
  }

  #take(kv: KeyValue, name: string): void {
    const [kind, by = '', number = ''] = name.split('/');
    if (kind === 'ask') {
      void this.#answer(kv, by, Number(number)).catch((err: unknown) => {
        this.#deps.log.warn({ err, by }, 'what another server asked was not answered');
      });
      return;
    }
    const waiting = this.#waiting.get(Number(by));
    if (waiting === undefined) this.#forget(kv.key);
    else settle(waiting, kv.value);
  }

  async #answer(kv: KeyValue, by: string, number: number): Promise<void> {
    const { store, askHere, lease, signal } = this.#deps;
    const { host, ask } = JSON.parse(kv.value) as { readonly host: string; readonly ask: HostAsk };
    let value = JSON.stringify(await answerOf(host, () => askHere(host, ask)));
    if (!(await this.#traffic.pass(Buffer.byteLength(value), signal))) value = JSON.stringify(TOO_MUCH);
    const key = relayedAnswerKey(by, number);
    const ops: readonly Op[] = [
      { kind: 'put', key, value, lease: lease() },
      { kind: 'delete', key: kv.key },
    ];
    // Who asked has given up if the key is gone.
    await store.txn([{ kind: 'exists', key: kv.key }], ops);
  }

  #forget(...keys: readonly string[]): void {
    const ops = keys.map((key): Op => ({ kind: 'delete', key }));
    void this.#deps.store.txn([], ops).catch(() => {
      // They go with the lease.
    });
  }
}

const TOO_MUCH: Answer = {
  code: 'ServiceUnavailable',
  message: 'Too much is answered by other servers of the store at once.',
};

async function answerOf(host: string, ask: () => Promise<unknown>): Promise<Answer> {
  try {
    const value = await ask();
    const size = Buffer.byteLength(JSON.stringify(value));
    if (size < MAX_TXN_BYTES / 2) return { value };
    return { code: 'HostRefusesAsk', message: `What host ${host} answers is too long (${size} bytes): ask for less.` };
  } catch (err) {
    if (err instanceof CableError) return { code: err.code, message: err.message };
    throw err;
  }
}

function settle({ host, resolve, reject }: Waiting, text: string): void {
  const said: unknown = JSON.parse(text);
  if (isFields(said) && 'value' in said) {
    resolve(said['value']);
    return;
  }
  const code = isFields(said) && isErrorCode(said['code']) ? said['code'] : 'HostUnreachable';
  const message = isFields(said) ? String(said['message']) : '';
  reject(new CableError(code, message, { fields: { host } }));
}
