import type { Tables } from '../tables.ts';

type Heard = { readonly revision: number; readonly at: number };

/**
 * What each host has programmed: the higher of what its agent told this server not longer than `freshMs` ago, and what the store
 * says any server was told.
 */
export class Acknowledgements {
  readonly #tables: Pick<Tables, 'of' | 'modRevision'>;
  readonly #freshMs: number;
  readonly #now: () => number;
  readonly #heard = new Map<string, Heard>();

  constructor(tables: Pick<Tables, 'of' | 'modRevision'>, freshMs: number, now: () => number) {
    this.#tables = tables;
    this.#freshMs = freshMs;
    this.#now = now;
  }

  /** Takes over what an agent told this server. A lower revision than before is right too: the host may have been rebooted. */
  hear(host: string, revision: number): void {
    this.#heard.set(host, { revision, at: this.#now() });
  }

  /** Forgets what this server heard: another server was told less since. */
  forget(host: string): void {
    this.#heard.delete(host);
  }

  /** The last revision the host has programmed; 0: none. */
  of(host: string): number {
    return Math.max(this.#fresh(host)?.revision ?? 0, this.stored(host));
  }

  /** The same, as every server sees it. A host cannot have programmed what came after its word: that is from another store. */
  stored(host: string): number {
    const row = this.#tables.of('ack').get(host);
    const writtenAt = this.#tables.modRevision('ack', host) ?? 0;
    return row === undefined || row.revision > writtenAt ? 0 : row.revision;
  }

  /** Hosts whose word the store does not have yet. */
  unwritten(): { readonly host: string; readonly revision: number }[] {
    const found: { host: string; revision: number }[] = [];
    for (const host of this.#heard.keys()) {
      const heard = this.#fresh(host);
      if (heard === undefined) this.#heard.delete(host);
      else if (heard.revision !== this.stored(host)) found.push({ host, revision: heard.revision });
    }
    return found;
  }

  #fresh(host: string): Heard | undefined {
    const heard = this.#heard.get(host);
    return heard !== undefined && this.#now() - heard.at <= this.#freshMs ? heard : undefined;
  }
}
