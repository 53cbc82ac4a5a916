import { type AskFault, FOLLOW_LEASE_MS } from '@cable/model';

/** Something that is done for who asks about a port, for as long as he asks. */
export type Lease = {
  readonly id: string;
  port: { readonly id: string; readonly projectId: string };
};

export type LeaseDeps = {
  /** Letters and digits that nobody guesses. */
  readonly newLease: () => string;
  /** Calls `call` after `ms`, unless what is returned is called before. */
  readonly after: (ms: number, call: () => void) => () => void;
  /** Of a clock that never goes back. */
  readonly monotonicMs: () => number;
};

export type LeaseLimits = {
  readonly aHost: number;
  readonly aProject: number;
  readonly aPort: number;
  /** What there are so many of already, as in `8 ports of the host are followed`. */
  readonly said: (count: number, of: 'host' | 'project' | 'port') => string;
};

/** Who asks again and again does so each second: one who has not for so long gives his place to another of his project’s. */
const IDLE_MS = 4000;

/** A project may begin so many at once, and another each so often: each loads a program, and has flows decided anew. */
const BEGINS = 8;
const BEGIN_MS = 2000;

const TOO_OFTEN: AskFault = {
  code: 'failed',
  message: `the project begins anew too often; again in ${BEGIN_MS / 1000} s`,
};

type Held<L> = { readonly lease: L; cancel: () => void; askedMs: number };

/** Leases by their ids. One that nobody asks for ends; a new agent knows of none. */
export class Leases<L extends Lease> {
  readonly #deps: LeaseDeps;
  readonly #limits: LeaseLimits;
  readonly #onEnd: (lease: L) => void;
  readonly #held = new Map<string, Held<L>>();
  /** By project: when it has as many as at once again. */
  readonly #begun = new Map<string, number>();

  /** `onEnd`: is told once of each that ends. */
  constructor(deps: LeaseDeps, limits: LeaseLimits, onEnd: (lease: L) => void) {
    this.#deps = deps;
    this.#limits = limits;
    this.#onEnd = onEnd;
  }

  get size(): number {
    return this.#held.size;
  }

  all(): readonly L[] {
    return [...this.#held.values()].map(({ lease }) => lease);
  }

  /** That of the port which is so called. */
  find(id: string | null, portId: string): L | undefined {
    const lease = this.#held.get(id ?? '')?.lease;
    return lease?.port.id === portId ? lease : undefined;
  }

  newId(): string {
    return this.#deps.newLease();
  }

  /** Why there can be no more of the port; undefined: one can, and is counted as begun. */
  refusal(port: Lease['port']): AskFault | undefined {
    const { aHost, aProject, aPort, said } = this.#limits;
    const isOfProject = ({ lease }: Held<L>): boolean => lease.port.projectId === port.projectId;
    const bounds = [
      ['port', aPort, ({ lease }: Held<L>) => lease.port.id === port.id],
      ['project', aProject, isOfProject],
      ['host', aHost, () => true],
    ] as const;
    for (const [of, most, counts] of bounds) {
      const there = [...this.#held.values()].filter(counts);
      if (there.length >= most && !this.#makeRoom(there.filter(isOfProject)))
        return { code: 'failed', message: said(most, of) };
    }
    return this.#mayBegin(port.projectId) ? undefined : TOO_OFTEN;
  }

  add(lease: L): void {
    this.#held.set(lease.id, { lease, cancel: () => undefined, askedMs: 0 });
    this.renew(lease);
  }

  /** It was asked for. */
  renew(lease: L): void {
    const held = this.#held.get(lease.id);
    if (held === undefined) return;
    held.cancel();
    held.askedMs = this.#deps.monotonicMs();
    held.cancel = this.#deps.after(FOLLOW_LEASE_MS, () => this.end(lease));
  }

  end(lease: L | undefined): void {
    const held = this.#held.get(lease?.id ?? '');
    if (held === undefined) return;
    this.#held.delete(held.lease.id);
    held.cancel();
    this.#onEnd(held.lease);
  }

  close(): void {
    for (const lease of this.all()) this.end(lease);
  }

  #mayBegin(projectId: string): boolean {
    const now = this.#deps.monotonicMs();
    for (const [id, fullMs] of this.#begun) if (fullMs <= now) this.#begun.delete(id);
    const fullMs = Math.max(this.#begun.get(projectId) ?? now, now) + BEGIN_MS;
    if (fullMs > now + BEGINS * BEGIN_MS) return false;
    this.#begun.set(projectId, fullMs);
    return true;
  }

  /** The one that nobody has asked for for the longest time ends. */
  #makeRoom(held: readonly Held<L>[]): boolean {
    const oldest = held.reduce<Held<L> | undefined>(
      (first, one) => (first === undefined || one.askedMs < first.askedMs ? one : first),
      undefined,
    );
    if (oldest === undefined || this.#deps.monotonicMs() - oldest.askedMs < IDLE_MS) return false;
    this.end(oldest.lease);
    return true;
  }
}
