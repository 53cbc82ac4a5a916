import type { RefusedEntries } from '@cable/model';
import type { ServerRow } from '../rows.ts';
import type { Tables } from '../tables.ts';

/** Hosts that a server names one by one because they have programmed less than its others. */
const MAX_BEHIND = 64;

export type AcknowledgementsDeps = {
  readonly tables: Pick<Tables, 'of'>;
  /** Id of this server. */
  readonly server: string;
  /** True while something for the host is due, or was written without a bookmark behind it; and while it has no stream here. */
  readonly owes: (host: string) => boolean;
};

/** Hosts whose kernels have refused entries that a server names: if there are more, the cause is not with one of them. */
const MAX_REFUSED = 64;

type Heard = { acked: number; sent: number; entry: number };

/** What each host has programmed: this server's own hosts as they say themselves, the others as their servers say. */
export class Acknowledgements {
  readonly #deps: AcknowledgementsDeps;
  readonly #local = new Map<string, Heard>();
  /** What kernels of this server's hosts have refused: few, as a rule none. */
  readonly #refused = new Map<string, RefusedEntries>();

  constructor(deps: AcknowledgementsDeps) {
    this.#deps = deps;
  }

  /** The host is about to be this server's, as its entry of that number. `isNewRun`: it may have been rebooted, and has to speak anew. */
  enter(host: string, entry: number, isNewRun: boolean): void {
    const heard = this.#of(host);
    heard.entry = entry;
    if (!isNewRun) return;
    Object.assign(heard, { acked: 0, sent: 0 });
    this.#refused.delete(host);
  }

  /** The entry is void: the host is another server's, or not alive. Nothing when there is a later one. */
  leave(host: string, entry: number): void {
    const heard = this.#local.get(host);
    if (heard === undefined || heard.entry > entry) return;
    this.#local.delete(host);
    this.#refused.delete(host);
  }

  /** What all hosts have said is of another history of the store. */
  clear(): void {
    for (const heard of this.#local.values()) Object.assign(heard, { acked: 0, sent: 0 });
  }

  /** A stream opened, whose client holds everything up to `since`: it has to acknowledge that too. */
  opened(host: string, since: number): void {
    this.#of(host).sent = since;
  }

  /** A bookmark (or `sync`) was sent that follows content. */
  sent(host: string, revision: number): void {
    this.#of(host).sent = revision;
  }

  /** What the agent says. A lower revision than before is right too. */
  hear(host: string, revision: number): void {
    this.#of(host).acked = revision;
  }

  /** What the host's kernel has refused, as its agent says now. True: it is another matter than before, refused or not. */
  hearRefused(host: string, refused: RefusedEntries | undefined): boolean {
    if (refused === undefined) return this.#refused.delete(host);
    const isNew = !this.#refused.has(host);
    this.#refused.set(host, refused);
    return isNew;
  }

  /** Hosts of this server whose kernels have refused entries. */
  refused(): ServerRow['refused'] {
    return Object.fromEntries([...this.#refused].slice(0, MAX_REFUSED));
  }

  /** True when the host has programmed all that concerns it up to the revision. */
  covers(host: string, revision: number): boolean {
    return this.#reached(host) >= revision;
  }

  /** The last revision that the host itself is known to have programmed. */
  programmed(host: string): number {
    if (this.#isElsewhere(host)) return acknowledgedRevision(this.#deps.tables, host) ?? 0;
    return this.#local.get(host)?.acked ?? 0;
  }

  /** Infinite for a host of this server that has acknowledged all that was sent to it. */
  #reached(host: string): number {
    const heard = this.#local.get(host);
    if (heard === undefined || this.#isElsewhere(host)) return this.programmed(host);
    const isUpToDate = heard.acked > 0 && heard.acked >= heard.sent && !this.#deps.owes(host);
    return isUpToDate ? Number.POSITIVE_INFINITY : heard.acked;
  }

  #isElsewhere(host: string): boolean {
    const row = this.#deps.tables.of('alive').get(host);
    return row !== undefined && row.server !== this.#deps.server;
  }

  /** What this server tells the others and people of its hosts, when everything up to the revision has been compiled here. */
  floor(revision: number): Pick<ServerRow, 'floor' | 'behind'> {
    const reached = [...this.#local.keys()]
      .map((host) => [host, Math.min(this.#reached(host), revision)] as const)
      .sort(([, a], [, b]) => a - b);
    const floor = reached[MAX_BEHIND]?.[1] ?? revision;
    const behind = reached.slice(0, MAX_BEHIND).filter(([, at]) => at < floor);
    return { floor, behind: Object.fromEntries(behind) };
  }

  #of(host: string): Heard {
    const heard = this.#local.get(host) ?? { acked: 0, sent: 0, entry: 0 };
    this.#local.set(host, heard);
    return heard;
  }
}

/** What the host's kernel has refused, as its server last said; undefined: nothing, or it is not alive. */
export function refusedEntries(tables: Pick<Tables, 'of'>, host: string): RefusedEntries | undefined {
  const alive = tables.of('alive').get(host);
  const server = alive?.server == null ? undefined : tables.of('server').get(alive.server);
  return server === undefined ? undefined : ofHost(server.refused, host);
}

/** The last revision that the host has programmed, as its server last said; null: that is not known: it is not alive, or has not said it since it came back. */
export function acknowledgedRevision(tables: Pick<Tables, 'of'>, host: string): number | null {
  const alive = tables.of('alive').get(host);
  const server = alive?.server == null ? undefined : tables.of('server').get(alive.server);
  // What the server said before it knew of the host is not about it.
  if (alive === undefined || server === undefined || alive.entry > server.entered) return null;
  return (ofHost(server.behind, host) ?? server.floor) || null;
}

/** A host may be named like what every object has, for example `constructor`. */
function ofHost<T>(hosts: Readonly<Record<string, T>>, host: string): T | undefined {
  return Object.hasOwn(hosts, host) ? hosts[host] : undefined;
}
