import { type Logger, type Loop, sleep, startLoop } from '@cable/kit';
import type { NetnsRef } from '../net/netns.ts';
import { changedTable } from '../net/nft.ts';
import { NETLINK, NetlinkSocket } from '../net/socket.ts';
import { type NetlinkWatch, watchNftables } from '../net/watch.ts';
import {
  type Guard,
  type GuardDrops,
  type GuardSpec,
  guardDrops,
  guardFaults,
  isGuardTable,
  makeGuard,
} from './guard.ts';

export type GuardKeeperOptions = {
  /** What it shall be now. */
  readonly spec: () => GuardSpec;
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** The network namespace to guard; default: the one this process is in. */
  readonly netns?: NetnsRef;
};

/** For status. */
export type GuardStatus = {
  /** Why it is not there, or not as it should be; null: it is. */
  readonly error: string | null;
  /** Times that somebody removed or changed it, and it was put back. */
  readonly restored: number;
  /** What it has dropped since it was last made: at the start, or when it was restored. */
  readonly dropped: readonly GuardDrops[];
};

/** `check` asks for a look, as when a device has changed; `done` resolves after the signal aborted: the guard stays. */
export type GuardKeeper = { check(): void; status(): GuardStatus; readonly done: Promise<void> };

/** Somebody who removes it at once, again and again, is not answered more often. */
const REST_MS = 500;
/** A look without being told of anything. */
const EVERY_MS = 60_000;

/** Makes the guard, before this returns, and keeps it as it was made until the signal aborts. Where the kernel refuses, that is said, and tried again. */
export function startGuardKeeper(options: GuardKeeperOptions): GuardKeeper {
  const keeper = new Keeper(options);
  try {
    keeper.make();
  } catch (err) {
    options.log.error(
      { err },
      'the stack of this host is not guarded against guests whose device has no program: does the kernel have nf_tables?',
    );
  }
  return keeper.start();
}

class Keeper {
  readonly #options: GuardKeeperOptions;
  /** undefined: a kernel without netfilter has not given one. */
  #socket: NetlinkSocket | undefined;
  #watch: NetlinkWatch | undefined;
  #loop: Loop | undefined;
  #made: { readonly spec: string; readonly guard: Guard } | undefined;
  #error: string | null = null;
  #restored = 0;

  constructor(options: GuardKeeperOptions) {
    this.#options = options;
  }

  make(): void {
    const spec = this.#options.spec();
    try {
      this.#socket ??= new NetlinkSocket({ protocol: NETLINK.netfilter, ...at(this.#options) });
      this.#made = { spec: JSON.stringify(spec), guard: makeGuard(this.#socket, spec) };
      this.#watch ??= this.#startWatch();
      this.#error = null;
    } catch (err) {
      this.#error = err instanceof Error ? err.message : String(err);
      throw err;
    }
  }

  start(): GuardKeeper {
    const { log, signal } = this.#options;
    const loop = startLoop({ name: 'guard keeper', log, signal, everyMs: EVERY_MS, run: () => this.#keep() });
    this.#loop = loop;
    return {
      check: () => loop.trigger(),
      status: () => this.#status(),
      done: loop.done.finally(() => this.#socket?.close()),
    };
  }

  /** Hears when anybody changes the guard's tables. */
  #startWatch(): NetlinkWatch {
    let changed = false;
    return watchNftables({
      onMessage: (message) => {
        changed ||= isGuardTable(changedTable(message) ?? '');
      },
      onBurst: () => {
        if (changed) this.#loop?.trigger();
        changed = false;
      },
      onLoss: () => this.#loop?.trigger(),
      signal: this.#options.signal,
      ...at(this.#options),
    });
  }

  async #keep(): Promise<void> {
    const { spec, log, signal } = this.#options;
    if (this.#socket !== undefined && this.#made?.spec === JSON.stringify(spec())) {
      const faults = guardFaults(this.#socket, this.#made.guard);
      if (faults.length === 0) return;
      log.warn({ faults }, 'the guard of guests’ devices was changed, putting it right');
      this.#restored += 1;
    }
    this.make();
    await sleep(REST_MS, signal);
  }

  #status(): GuardStatus {
    const dropped = this.#socket === undefined || this.#error !== null ? [] : guardDrops(this.#socket);
    return { error: this.#error, restored: this.#restored, dropped };
  }
}

function at({ netns }: Pick<GuardKeeperOptions, 'netns'>): { readonly netns?: NetnsRef } {
  return netns === undefined ? {} : { netns };
}
