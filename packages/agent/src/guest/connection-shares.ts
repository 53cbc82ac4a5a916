/** A connection, as far as it is needed here. */
export type Closable = { destroy(): unknown };

/** What became of a new connection; `evicted`: it stays, and one of another guest was closed for it. */
export type Admission = 'admitted' | 'evicted' | 'refused';

/**
 * Shares a bounded number of connections among guests. When all are taken, a guest that has fewer gets one of the guest that has most:
 * so many guests together cannot shut out another.
 */
export class ConnectionShares {
  readonly #limits: { readonly total: number; readonly perGuest: number };
  /** The oldest first. */
  readonly #open = new Map<number, Set<Closable>>();
  #count = 0;

  constructor(limits: { readonly total: number; readonly perGuest: number }) {
    this.#limits = limits;
  }

  /** Of `refused` nothing is kept: the caller closes it. */
  admit(vif: number, connection: Closable): Admission {
    const own = this.#open.get(vif)?.size ?? 0;
    if (own >= this.#limits.perGuest) return 'refused';
    const full = this.#count >= this.#limits.total;
    if (full && !this.#evictFor(own)) return 'refused';
    const connections = this.#open.get(vif) ?? new Set();
    this.#open.set(vif, connections.add(connection));
    this.#count += 1;
    return full ? 'evicted' : 'admitted';
  }

  /** It is closed; again is fine. */
  release(vif: number, connection: Closable): void {
    const connections = this.#open.get(vif);
    if (connections?.delete(connection) !== true) return;
    this.#count -= 1;
    if (connections.size === 0) this.#open.delete(vif);
  }

  /** Closes the oldest connection of the guest that has most. False: that has no more than the one who asks would have. */
  #evictFor(own: number): boolean {
    let most: { readonly vif: number; readonly connections: ReadonlySet<Closable> } | undefined;
    for (const [vif, connections] of this.#open) {
      if (connections.size > (most?.connections.size ?? own + 1)) most = { vif, connections };
    }
    const [oldest] = most?.connections ?? [];
    if (most === undefined || oldest === undefined) return false;
    this.release(most.vif, oldest);
    oldest.destroy();
    return true;
  }
}
