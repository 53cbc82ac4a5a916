/** How much of what hosts answer goes through the store, which keeps whatever was in it until its history is compacted. */
import { type Logger, sleep } from '@cable/kit';

export type RelayTrafficDeps = {
  /** Forgets the store's history before the revision. */
  readonly compact: (revision: number) => Promise<void>;
  /** A revision that the store has reached. */
  readonly revision: () => number;
  /** Of a clock that never goes back. */
  readonly monotonicMs: () => number;
  readonly log: Pick<Logger, 'warn'>;
  readonly sleep?: typeof sleep;
};

/** Answers of so many bytes a second are let through, after a pause so many seconds' at once. */
const BYTES_A_SECOND = 1 << 20;
const PAUSE_SECONDS = 4;
/** A shorter answer does not wait: what was dropped, a trace. */
const SHORT_BYTES = 16 << 10;
/** Who would wait longer is refused. */
const MAX_WAIT_MS = 5000;
/** After so many bytes, and not before a watch that lags by so much has come by, history is compacted. */
const COMPACT_BYTES = 32 << 20;
const LAG_MS = 60_000;

/** Of one server. */
export class RelayTraffic {
  readonly #deps: RelayTrafficDeps;
  readonly #sleep: typeof sleep;
  /** When all that was let through is paid for. */
  #paidMs = 0;
  #bytes = 0;
  /** The revision at which the last mark was set; undefined: none was. */
  #mark: { readonly revision: number; readonly atMs: number } | undefined;

  constructor(deps: RelayTrafficDeps) {
    this.#deps = deps;
    this.#sleep = deps.sleep ?? sleep;
  }

  /** Resolves when an answer of so many bytes may be put into the store; false: too much is. */
  async pass(bytes: number, signal: AbortSignal): Promise<boolean> {
    const now = this.#deps.monotonicMs();
    const paid = Math.max(this.#paidMs, now - PAUSE_SECONDS * 1000);
    const wait = paid - now;
    const isShort = bytes <= SHORT_BYTES;
    if (!isShort && wait > MAX_WAIT_MS) return false;
    this.#paidMs = Math.min(paid + (bytes / BYTES_A_SECOND) * 1000, now + 2 * MAX_WAIT_MS);
    if (!isShort && wait > 0) await this.#sleep(wait, signal);
    this.#count(bytes);
    return true;
  }

  /** What was put in before the last mark but one is of use to nobody. */
  #count(bytes: number): void {
    const { monotonicMs, revision, compact, log } = this.#deps;
    this.#bytes += bytes;
    this.#mark ??= { revision: revision(), atMs: monotonicMs() };
    if (this.#bytes < COMPACT_BYTES || monotonicMs() - this.#mark.atMs < LAG_MS) return;
    const { revision: before } = this.#mark;
    this.#bytes = 0;
    this.#mark = { revision: revision(), atMs: monotonicMs() };
    compact(before).catch((err: unknown) => log.warn({ err }, 'history was not compacted, will retry'));
  }
}
