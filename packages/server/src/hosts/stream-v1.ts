import type { Writable } from 'node:stream';
import { type NodeKey, splitKey } from '@cable/compiler';
import type { CableError, SliceKey, SliceKeyV1, SliceKindV1, WatchLineV1 } from '@cable/model';
import type { SliceStore } from '../slices/slice-store.ts';
import { StreamOutput } from './stream-output.ts';
import type { SlicesV1 } from './stream-v1-slices.ts';

export type HostStreamV1Options = {
  readonly host: string;
  /** The client has everything up to this revision, and the store has it soon; 0: nothing. */
  readonly since: number;
  readonly store: SliceStore;
  readonly slices: SlicesV1;
  readonly out: Writable;
  /** Content up to the revision has gone out to the host, or its first `sync`. */
  readonly sent: (host: string, revision: number) => void;
  /** Called when there is something to send that must wait until the store is settled. */
  readonly onWait: (stream: HostStreamV1) => void;
  /** Told of a defect that ends the stream. */
  readonly onError: (err: unknown) => void;
  /** Called once, when the stream is over, with the reason. */
  readonly onEnd: (reason: string) => void;
  /** A line is sent at least this often. */
  readonly keepaliveMs: number;
  /** A client that takes nothing for so long is cut; it resumes with `since`. */
  readonly stalledMs: number;
};

/** A referent goes out before what refers to it. */
const SEND_ORDER: Readonly<Record<SliceKindV1, number>> = { group: 0, policy: 1, router: 2, network: 3, host: 4 };

/**
 * One client's stream of protocol 1 (`WatchLineV1`): whole slices, down only. It holds only the keys whose lines are due; what is sent is the slice as
 * it is by then.
 */
export class HostStreamV1 {
  /** For whoever keeps the streams: this one is to be pumped at the end of the batch. */
  isTouched = false;
  /** Agents of protocol 1 do not name their runs. */
  readonly session: string = '';
  readonly #options: HostStreamV1Options;
  readonly #output: StreamOutput;
  readonly #due = new Set<SliceKeyV1>();
  /** What the client has been sent: the same is not sent twice. */
  readonly #sent = new Map<SliceKeyV1, string>();
  #state: 'new' | 'catching up' | 'live' | 'ended' = 'new';
  #isSending = false;
  /** Revision of the last `sync` or `bookmark`. */
  #bookmark: number;
  /** True: something was sent, or found to be as it was sent, that no bookmark has followed. */
  #unmarked = false;
  readonly #notBefore: number;
  readonly #startedAt = performance.now();
  #onRoom: () => void = () => {};
  #stop: () => void = () => {};

  constructor(options: HostStreamV1Options) {
    this.#options = options;
    this.#bookmark = options.since;
    this.#notBefore = Math.max(options.since, options.store.taken);
    this.#output = new StreamOutput(options.out, () => this.#onRoom());
  }

  /** Sends what the client lacks, and from then on what changes. */
  start(): void {
    const { out, keepaliveMs } = this.#options;
    const timer = setInterval(() => this.#tick(), keepaliveMs);
    this.#stop = () => clearInterval(timer);
    out.on('close', () => this.end('client went away'));
    out.on('error', () => this.end('connection failed'));
    this.pump();
  }

  /** A slice that the host needs has changed. `whole`: the whole slices that it is in. */
  note(key: NodeKey, whole: readonly SliceKeyV1[]): void {
    if (this.#state !== 'catching up' && this.#state !== 'live') return;
    const { store, host } = this.#options;
    for (const one of whole) if (store.reaches(host, one)) this.#due.add(one);
    if (key.startsWith('network:') && store.reaches(host, `near:${splitKey(key).id}`)) this.#due.add(`host:${host}`);
  }

  /** The host began or ceased to need a slice. */
  noteMove(key: SliceKey): void {
    if ((this.#state === 'catching up' || this.#state === 'live') && isWhole(key)) this.#due.add(key);
  }

  /** True while something is due, or was written without a `sync` or bookmark behind it. */
  get owes(): boolean {
    return this.#state !== 'live' || this.#isSending || this.#unmarked || this.#due.size > 0;
  }

  /** Sends what is due, as far as the client keeps up; goes on by itself, so there is never more for the caller. */
  pump(): false {
    if (this.#state === 'new') this.#begin();
    if (this.#isSending || this.#state === 'new' || this.#state === 'ended') return false;
    this.#isSending = true;
    this.#send()
      .catch((err: unknown) => {
        this.#options.onError(err);
        this.end('stream failed');
      })
      .finally(() => {
        this.#isSending = false;
      });
    return false;
  }

  /** Ends the stream, as `end` does: protocol 1 has no line that says why. */
  refuse(error: CableError): void {
    this.end(error.message);
  }

  /** Ends the stream; idempotent. */
  end(reason: string): void {
    if (this.#state === 'ended') return;
    this.#state = 'ended';
    this.#stop();
    this.#onRoom();
    this.#options.out.destroy();
    this.#options.onEnd(reason);
  }

  #begin(): void {
    const { store, host, since, slices, onWait } = this.#options;
    if (!store.isSettled || store.revision < this.#notBefore) {
      onWait(this);
      return;
    }
    if (!store.hasHost(host)) {
      this.end('host was deleted');
      return;
    }
    this.#state = 'catching up';
    // What is as old as the server may come from an earlier server, of another version, that made other slices of equal tables.
    const known = since > store.loadedAt ? since : 0;
    for (const key of this.#keys()) {
      if (Math.max(slices.changedAt(key), store.neededSince(host, key)) > known) this.#due.add(key);
    }
  }

  #keys(): SliceKeyV1[] {
    const { store, host } = this.#options;
    return [...store.keysOf(host)].filter(isWhole);
  }

  async #send(): Promise<void> {
    while (this.#due.size > 0 && this.#state !== 'ended') {
      for (const key of [...this.#due].sort(compareKeys)) await this.#sendSlice(key);
    }
    if (this.#state !== 'ended') this.#endWithBookmark();
    this.#output.flush();
  }

  async #sendSlice(key: SliceKeyV1): Promise<void> {
    const { store, host, slices } = this.#options;
    while (!this.#output.hasRoom() && this.#state !== 'ended') await this.#room();
    if (this.#state === 'ended' || !this.#due.delete(key)) return;
    const composed = store.reaches(host, key) ? await slices.get(key) : undefined;
    // Also what came back to what it was before it was sent: somebody may wait for the host to say that it has it.
    this.#unmarked = true;
    if (composed === undefined) this.#sendDelete(key);
    else if (this.#sent.get(key) !== composed.content) {
      this.#sent.set(key, composed.content);
      this.#output.add(composed.line);
    }
  }

  #sendDelete(key: SliceKeyV1): void {
    this.#sent.delete(key);
    this.#add({ type: 'delete', key, revision: this.#options.store.revision });
  }

  #room(): Promise<void> {
    this.#output.flush();
    return new Promise((resolve) => {
      this.#onRoom = resolve;
    });
  }

  #endWithBookmark(): void {
    const { store, host, sent, onWait } = this.#options;
    if (this.#state === 'live' && !this.#unmarked) return;
    if (!store.isSettled) {
      onWait(this);
      return;
    }
    this.#bookmark = Math.max(this.#bookmark, store.revision);
    const revision = this.#bookmark;
    this.#add(this.#state === 'live' ? { type: 'bookmark', revision } : { type: 'sync', revision, keys: this.#keys() });
    this.#state = 'live';
    this.#unmarked = false;
    sent(host, revision);
  }

  #tick(): void {
    const { stalledMs, store } = this.#options;
    if (this.#output.stalledMs() > stalledMs) this.end('client is too slow');
    else if (this.#state === 'new' && performance.now() - this.#startedAt > stalledMs) this.end('stream did not begin');
    if (this.#state !== 'live' || this.#isSending || this.#unmarked || this.#due.size > 0) return;
    if (store.isSettled) this.#bookmark = Math.max(this.#bookmark, store.revision);
    this.#add({ type: 'bookmark', revision: this.#bookmark });
    this.#output.flush();
  }

  #add(line: Exclude<WatchLineV1, { readonly type: 'put' }>): void {
    this.#output.add(`${JSON.stringify(line)}\n`);
  }
}

function isWhole(key: SliceKey): key is SliceKeyV1 & SliceKey {
  return splitKey(key).kind in SEND_ORDER;
}

function compareKeys(a: SliceKeyV1, b: SliceKeyV1): number {
  return SEND_ORDER[splitKey(a).kind as SliceKindV1] - SEND_ORDER[splitKey(b).kind as SliceKindV1];
}
