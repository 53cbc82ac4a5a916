import type { ClientDuplexStream } from '@grpc/grpc-js';
import { StoreError } from '../errors.ts';
import { msUntil } from '../waiting.ts';
import type { EtcdConnection, Member } from './connection.ts';
import { startPatience } from './patience.ts';
import { type EtcdMethods, explainError, openBidi } from './rpc.ts';

type Request = { readonly ID: string };
type Response = { readonly ID: string; readonly TTL: string };
type Waiter = { resolve(alive: boolean): void; reject(err: unknown): void };

/** A stream without an answer for so long is left for another. */
const SILENCE_MS = 1000;

/** Keeps any number of leases alive over one stream, which is opened when first needed and again after it broke. */
export class KeepAliveStream {
  readonly #connection: EtcdConnection;
  readonly #methods: Pick<EtcdMethods, 'leaseKeepAlive'>;
  readonly #waiters = new Map<string, Waiter[]>();
  #call: ClientDuplexStream<Request, Response> | undefined;

  constructor(connection: EtcdConnection, methods: Pick<EtcdMethods, 'leaseKeepAlive'>) {
    this.#connection = connection;
    this.#methods = methods;
  }

  /** False: the lease is gone. Throws `unavailable` when no member answered in time. */
  async keepAlive(lease: string): Promise<boolean> {
    const deadlineMs = performance.now() + this.#connection.timeoutMs;
    for (;;) {
      const member = await this.#connection.member({ deadlineMs });
      this.#call ??= this.#open(member);
      try {
        return await this.#send(this.#call, lease, deadlineMs);
      } catch (err) {
        this.#connection.throwIfClosed();
        if (performance.now() >= deadlineMs) throw explainError(err, 'keep-alive of a lease');
      }
    }
  }

  close(): void {
    this.#call?.cancel();
  }

  /** Another stream is to be asked: a member that asks a leader that has stopped goes on waiting for that one when there is another. */
  #leave(call: ClientDuplexStream<Request, Response>, err: unknown): void {
    if (this.#call !== call) return;
    this.#call = undefined;
    const all = [...this.#waiters.values()].flat();
    this.#waiters.clear();
    for (const waiter of all) waiter.reject(err);
  }

  #open(member: Member): ClientDuplexStream<Request, Response> {
    const call = openBidi(member.client, this.#methods.leaseKeepAlive);
    const cancel = (): void => call.cancel();
    member.ends.add(cancel);
    call.on('data', (response: Response) => {
      this.#connection.heard();
      const waiters = this.#waiters.get(response.ID);
      waiters?.shift()?.resolve(response.TTL !== '0');
      if (waiters?.length === 0) this.#waiters.delete(response.ID);
    });
    const broke = (err: unknown): void => {
      member.ends.delete(cancel);
      if (this.#call === call) this.#connection.fail(member, err);
      this.#leave(call, err);
    };
    call.on('error', broke);
    call.on('end', () => broke(new StoreError('unavailable', 'etcd ended the keep-alive stream')));
    return call;
  }

  async #send(call: ClientDuplexStream<Request, Response>, lease: string, deadlineMs: number): Promise<boolean> {
    const silence = new StoreError('unavailable', 'etcd did not answer a keep-alive');
    const leave = (): void => {
      this.#leave(call, silence);
      call.cancel();
    };
    const stop = startPatience(Math.min(SILENCE_MS, msUntil(deadlineMs)), leave);
    try {
      return await new Promise<boolean>((resolve, reject) => {
        this.#waiters.set(lease, [...(this.#waiters.get(lease) ?? []), { resolve, reject }]);
        call.write({ ID: lease });
      });
    } finally {
      stop();
    }
  }
}
