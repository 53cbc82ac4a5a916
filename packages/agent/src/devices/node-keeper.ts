import { cpus } from 'node:os';
import { type Logger, type Loop, startLoop } from '@cable/kit';
import { NETLINK, NetlinkSocket } from '../net/socket.ts';
import { foreignRules, type HostWarning } from './foreign-rules.ts';
import type { NodeLinks } from './node-links.ts';
import { NodeSysctls, sizeConnectionTracking } from './node-sysctls.ts';

export type NodeKeeperOptions = {
  /** This host's own links as a node; without one nothing is kept, and nothing looked at. */
  readonly links: Pick<NodeLinks, 'names' | 'versions'>;
  /** Connection tracking is left as it is. */
  readonly leavesConntrack: boolean;
  readonly hasDevice: (name: string) => boolean;
  readonly log: Logger;
  readonly signal: AbortSignal;
};

/** For status. */
export type NodeStatus = {
  /** Times that somebody changed settings which a node relies on, and they were put right. */
  readonly restored: number;
  /** What of this host stands in a node's way, and what to do about it. */
  readonly warnings: readonly HostWarning[];
};

/** `check` asks for a look, as when there are other links; `done` resolves after the signal aborted. */
export type NodeKeeper = { check(): void; status(): NodeStatus; readonly done: Promise<void> };

/** The kernel tells nobody when a sysctl changes. */
const EVERY_MS = 60_000;

/** Keeps what this host relies on as a node of a cluster, and says what of others stands in its way. */
export function startNodeKeeper(options: NodeKeeperOptions): NodeKeeper {
  const { log, signal } = options;
  const keeper = new Keeper(options);
  const loop: Loop = startLoop({ name: 'node keeper', log, signal, everyMs: EVERY_MS, run: async () => keeper.look() });
  return { check: () => loop.trigger(), status: () => keeper.status, done: loop.done.finally(() => keeper.close()) };
}

class Keeper {
  readonly #options: NodeKeeperOptions;
  readonly #sysctls = new NodeSysctls();
  /** Of netfilter; undefined: it was not asked yet. */
  #socket: NetlinkSocket | undefined;
  #isKept = false;
  #restored = 0;
  #warnings: readonly HostWarning[] = [];

  constructor(options: NodeKeeperOptions) {
    this.#options = options;
  }

  get status(): NodeStatus {
    return { restored: this.#restored, warnings: this.#warnings };
  }

  look(): void {
    const { names } = this.#options.links;
    if (names.length === 0) {
      this.#isKept = false;
      this.#warnings = [];
      return;
    }
    this.#keepSysctls(names);
    this.#warn();
  }

  close(): void {
    this.#socket?.close();
  }

  #keepSysctls(names: readonly string[]): void {
    const { links, leavesConntrack, log } = this.#options;
    const changes = [
      ...this.#sysctls.keep(names, links.versions),
      ...(leavesConntrack ? [] : sizeConnectionTracking(cpus().length)),
    ];
    if (changes.length > 0 && this.#isKept) {
      this.#restored += 1;
      log.warn({ sysctls: changes }, 'settings that this node relies on were changed, they were put right');
    } else if (changes.length > 0) log.info({ sysctls: changes }, 'settings that a node relies on were made');
    this.#isKept = true;
  }

  #warn(): void {
    const { hasDevice, log } = this.#options;
    const before = new Set(this.#warnings.map(({ what }) => what));
    this.#socket ??= new NetlinkSocket({ protocol: NETLINK.netfilter });
    this.#warnings = foreignRules(this.#socket, hasDevice);
    for (const { what, remedy } of this.#warnings) if (!before.has(what)) log.warn({ remedy }, what);
  }
}
