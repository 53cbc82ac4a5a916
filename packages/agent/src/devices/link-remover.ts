import { sleep } from '@cable/kit';
import { deleteLinksAside, type LinkRef } from '../net/link.ts';
import type { NetnsRef } from '../net/netns.ts';
import { NetlinkSocket } from '../net/socket.ts';

export type LinkRemoverOptions = {
  /** Network namespace of the links; default: the one this process is in. */
  readonly netns?: NetnsRef;
  /** How long links are gathered that go together, at the least: those that come while others are removed go next. Default 3. */
  readonly gatherMs?: number;
};

/** The kernel takes about as long for one as for many, and has its hands full meanwhile. */
const GATHER_MS = 3;

type Batch = { readonly refs: Set<LinkRef>; readonly done: Promise<void> };

/** The one way in which this agent deletes links: in another thread, those together that are asked for within a short time. */
export class LinkRemover {
  readonly #socket: NetlinkSocket;
  readonly #gatherMs: number;
  #running: Promise<void> = Promise.resolve();
  #gathering: Batch | undefined;

  constructor(options: LinkRemoverOptions = {}) {
    this.#socket = new NetlinkSocket(options.netns === undefined ? {} : { netns: options.netns });
    this.#gatherMs = options.gatherMs ?? GATHER_MS;
  }

  /** Resolves when they are gone; absent ones are. Of a veth pair both ends go. Rejects with NetlinkError when the kernel refuses. */
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
    this.#socket.close();
  }

  #gather(): Batch {
    const refs = new Set<LinkRef>();
    const done = Promise.all([sleep(this.#gatherMs), this.#running]).then(() => {
      this.#gathering = undefined;
      return deleteLinksAside(this.#socket, refs);
    });
    this.#running = done.catch(() => undefined);
    return { refs, done };
  }
}
