import { sleep } from '@cable/kit';
import { deleteLinksAside, type LinkRef } from '../net/link.ts';
import type { NetnsRef } from '../net/netns.ts';
import { NetlinkSocket } from '../net/socket.ts';

export type LinkRemoverOptions = {
  /** Network namespace of the links; default: the one this process is in. */
  readonly netns?: NetnsRef;
  /** How long links are gathered that go together, at the least, while others are removed. Default 3. */
  readonly gatherMs?: number;
};

/** The kernel takes about as long for one as for many. */
const GATHER_MS = 3;
/** Removals at a time. The links are gone early; each then keeps a thread until the kernel has nothing more of them. */
const LANES = 2;

type Batch = { readonly refs: Set<LinkRef>; readonly done: Promise<void> };

/**
 * The one way in which this agent deletes links: in another thread, at once if none is being removed, else those together that are asked for within a short time, and until the
 * next may go.
 */
export class LinkRemover {
  readonly #gatherMs: number;
  readonly #free: NetlinkSocket[];
  /** Resolves when the batches that were begun are done, well or not. */
  #running: Promise<unknown> = Promise.resolve();
  #gathering: Batch | undefined;
  #whenFree: (() => void) | undefined;

  constructor(options: LinkRemoverOptions = {}) {
    const at = options.netns === undefined ? {} : { netns: options.netns };
    this.#free = Array.from({ length: LANES }, () => new NetlinkSocket(at));
    this.#gatherMs = options.gatherMs ?? GATHER_MS;
  }

  /** Resolves when they are gone, and the kernel has nothing more of them; absent ones are. Of a veth pair both ends go. Rejects with NetlinkError when the kernel refuses. */
  remove(refs: Iterable<LinkRef>): Promise<void> {
    const wanted = [...refs];
    if (wanted.length === 0) return Promise.resolve();
    this.#gathering ??= this.#gather();
    for (const ref of wanted) this.#gathering.refs.add(ref);
    return this.#gathering.done;
  }

  /** What was asked for is removed first. */
  async close(): Promise<void> {
    await this.#gathering?.done.catch(() => undefined);
    await this.#running;
    for (const socket of this.#free) socket.close();
  }

  #gather(): Batch {
    const refs = new Set<LinkRef>();
    const isIdle = this.#free.length === LANES;
    const done = (isIdle ? Promise.resolve() : sleep(this.#gatherMs))
      .then(() => this.#lane())
      .then((socket) => {
        this.#gathering = undefined;
        return deleteLinksAside(socket, refs).finally(() => this.#release(socket));
      });
    this.#running = Promise.allSettled([this.#running, done]);
    return { refs, done };
  }

  /** One batch at a time waits for it. */
  async #lane(): Promise<NetlinkSocket> {
    for (;;) {
      const socket = this.#free.pop();
      if (socket !== undefined) return socket;
      await new Promise<void>((resolve) => {
        this.#whenFree = resolve;
      });
    }
  }

  #release(socket: NetlinkSocket): void {
    this.#free.push(socket);
    this.#whenFree?.();
  }
}
