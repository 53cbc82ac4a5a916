import { getLink, type Link, listLinks } from '../net/link.ts';
import type { NetlinkSocket } from '../net/socket.ts';
import type { LinkHint } from '../net/watch.ts';

/** Devices of the agent's namespace by name, as of the last `refresh`. */
export type LinkTable = ReadonlyMap<string, Link>;

/** Names that concern this agent: VIFs, and the links it makes itself. */
const OURS = /^(tap|cv|cb|cable)/;

/** More names than this in a hint: one dump is cheaper. */
const SINGLE_LOOKUPS = 16;

/** Whether a hint may be about a device of ours. */
export function concernsUs(hint: LinkHint): boolean {
  return hint.kind === 'all' || [...hint.names].some((name) => OURS.test(name));
}

/** Collects hints and looks for itself when asked. */
export class LinkReader {
  readonly #socket: NetlinkSocket;
  #links: ReadonlyMap<string, Link> = new Map();
  #stale: Set<string> | 'all' = 'all';

  constructor(socket: NetlinkSocket) {
    this.#socket = socket;
  }

  note(hint: LinkHint): void {
    if (hint.kind === 'all' || this.#stale === 'all') this.#stale = 'all';
    else for (const name of hint.names) this.#stale.add(name);
  }

  /** Everything may have changed: for changes this process made itself, whose hints may still be on their way. */
  invalidate(): void {
    this.#stale = 'all';
  }

  /** Throws when the kernel refuses; what was stale stays so. */
  read(): LinkTable {
    const stale = this.#stale;
    if (stale === 'all' || stale.size > SINGLE_LOOKUPS) {
      this.#links = new Map(listLinks(this.#socket).map((link) => [link.name, link]));
    } else if (stale.size > 0) {
      const links = new Map(this.#links);
      for (const name of stale) {
        const link = getLink(this.#socket, name);
        if (link === undefined) links.delete(name);
        else links.set(name, link);
      }
      this.#links = links;
    }
    this.#stale = new Set();
    return this.#links;
  }
}
