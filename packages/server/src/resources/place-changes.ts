/** How long who has lost a place does not take it back from one that lives. */
const SETTLED_MS = 60_000;

/**
 * Who has left which place, as far as it was seen here. Of two hosts between which the path is broken each takes the other for dead, and takes the place again as soon as it is told that it lost it:
 * so it is for who took it first, as long as that one reports, and the place does not go to and fro.
 */
export class PlaceChanges {
  readonly #active = new Map<string, string>();
  readonly #left = new Map<string, { readonly host: string; readonly atMs: number }>();

  /** The place is that host's now; empty: nobody's. */
  see(id: string, host: string, nowMs: number): void {
    const before = this.#active.get(id);
    this.#active.set(id, host);
    if (before !== undefined && before !== '' && before !== host) this.#left.set(id, { host: before, atMs: nowMs });
  }

  /** Whether the host has just lost the place. */
  hasJustLost(id: string, host: string, nowMs: number): boolean {
    const left = this.#left.get(id);
    return left?.host === host && nowMs - left.atMs < SETTLED_MS;
  }

  /** Forgets places that are not there any more. */
  keep(isThere: (id: string) => boolean): void {
    for (const known of [this.#active, this.#left]) for (const id of known.keys()) if (!isThere(id)) known.delete(id);
  }
}
