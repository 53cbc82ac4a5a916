/** Fewer ports than this may go without a question. */
const LEAST = 10;

/** A removal of ports that waits for an operator. */
export type HeldRemoval = {
  /** Ports that would be removed, of how many. */
  readonly absent: number;
  readonly before: number;
  /** When it was first held, ISO 8601. */
  readonly since: string;
};

/** What the guard says about a change: let it through, or keep it back. */
export type GuardVerdict = { readonly held: HeldRemoval | null };

/**
 * Guards a host's ports against a server that does not know them any more. A change that leaves out more than half of them, and at least ten, is held
 * back until they are there again, or an operator confirms. Ports that are deleted one by one are not absent.
 */
export class RemovalGuard {
  #held: HeldRemoval | null = null;
  #confirmed = false;

  /** The removal that waits; null: none. */
  get held(): HeldRemoval | null {
    return this.#held;
  }

  /** Lets the removal that waits go through. Its size; null: none waits. */
  confirm(): HeldRemoval | null {
    this.#confirmed = this.#held !== null;
    return this.#held;
  }

  /** Judges what would be applied now. A confirmation counts for one judgement. */
  judge(ports: { readonly before: number; readonly absent: number }, now: Date): GuardVerdict {
    const suspicious = ports.absent >= LEAST && ports.absent > ports.before / 2;
    const held = suspicious && !this.#confirmed;
    this.#confirmed = false;
    this.#held = held ? { ...ports, since: this.#held?.since ?? now.toISOString() } : null;
    return { held: this.#held };
  }
}
