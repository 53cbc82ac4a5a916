import type { ToldChange, ToldReader } from '../plan/inputs.ts';

/** Pairs of an address and a name. NPEP-133 asks for a hundred addresses of a name. */
const MAX_OF_PORT = 2048;
/** As much as all that a set of policies may have beside it: what guests are told does not fill the maps. */
const MAX_OF_HOST = 16_384;

/** One address that a port was told for a name. `order`: `Prefix.order`. `untilMs`: of a clock that never jumps; in the file Unix time. */
export type ToldPair = {
  readonly portId: string;
  readonly name: string;
  readonly order: string;
  readonly untilMs: number;
};

/** By name: until when. */
type Names = Map<string, number>;
type OfPort = { readonly orders: Map<string, Names>; pairs: number };

export type ToldTableOptions = {
  /** Default 2,048. */
  readonly maxOfPort?: number;
  /** Default 16,384. */
  readonly maxOfHost?: number;
};

/** What became otherwise: pairs that are new or count longer, those that are gone, and the addresses. */
export type Taken = {
  readonly pairs: readonly ToldPair[];
  readonly gone: readonly ToldPair[];
  readonly changes: readonly ToldChange[];
};

/**
 * Addresses that ports were told for names that their policies mean. Each port has so many at the most, and the host; where the host is full, who has less than its share takes the place of
 * what is over first of who has most.
 */
export class ToldTable implements ToldReader {
  readonly #ports = new Map<string, OfPort>();
  readonly #maxOfPort: number;
  readonly #maxOfHost: number;
  #pairs = 0;
  #refused = 0;

  constructor({ maxOfPort = MAX_OF_PORT, maxOfHost = MAX_OF_HOST }: ToldTableOptions = {}) {
    this.#maxOfPort = maxOfPort;
    this.#maxOfHost = maxOfHost;
  }

  /** Pairs that there are, and those that there was no room for so far. */
  get size(): { readonly ports: number; readonly pairs: number; readonly refused: number } {
    return { ports: this.#ports.size, pairs: this.#pairs, refused: this.#refused };
  }

  of(portId: string): ReadonlyMap<string, ReadonlyMap<string, number>> {
    return this.#ports.get(portId)?.orders ?? NOTHING;
  }

  ports(): Iterable<string> {
    return this.#ports.keys();
  }

  *pairs(): Generator<ToldPair> {
    for (const [portId, { orders }] of this.#ports) {
      for (const [order, names] of orders) {
        for (const [name, untilMs] of names) yield { portId, name, order, untilMs };
      }
    }
  }

  /** What was said of how long an address counts stands, however short a later answer is. */
  take({ portId, name, orders, untilMs }: Omit<ToldPair, 'order'> & { readonly orders: readonly string[] }): Taken {
    const pairs: ToldPair[] = [];
    const gone: ToldPair[] = [];
    const changes: ToldChange[] = [];
    for (const order of orders) {
      const before = this.#ports.get(portId)?.orders.get(order)?.get(name);
      if (before !== undefined && before >= untilMs) continue;
      if (before === undefined) {
        const room = this.#makeRoom(portId);
        if (room === undefined) {
          this.#refused += 1;
          continue;
        }
        gone.push(...room);
        changes.push(...room, { portId, order });
      }
      this.#put({ portId, name, order, untilMs });
      pairs.push({ portId, name, order, untilMs });
    }
    return { pairs, gone, changes };
  }

  /** Ports with addresses of which some name is over, each with these addresses. */
  over(nowMs: number): ReadonlyMap<string, readonly string[]> {
    const found = new Map<string, readonly string[]>();
    for (const [portId, { orders }] of this.#ports) {
      const over = [...orders].flatMap(([order, names]) =>
        [...names.values()].some((untilMs) => untilMs <= nowMs) ? [order] : [],
      );
      if (over.length > 0) found.set(portId, over);
    }
    return found;
  }

  /** Forgets what is over of these addresses of a port. */
  forget(portId: string, orders: readonly string[], nowMs: number): Taken {
    const gone: ToldPair[] = [];
    for (const order of orders) {
      for (const [name, untilMs] of this.#ports.get(portId)?.orders.get(order) ?? []) {
        if (untilMs <= nowMs) gone.push({ portId, name, order, untilMs });
      }
    }
    for (const pair of gone) this.#delete(pair);
    return { pairs: [], gone, changes: gone };
  }

  /** The port is no more. */
  forgetPort(portId: string): Taken {
    return this.forget(portId, [...(this.#ports.get(portId)?.orders.keys() ?? [])], Number.POSITIVE_INFINITY);
  }

  #put({ portId, name, order, untilMs }: ToldPair): void {
    const port = this.#ports.get(portId) ?? { orders: new Map<string, Names>(), pairs: 0 };
    this.#ports.set(portId, port);
    const names = port.orders.get(order) ?? new Map<string, number>();
    port.orders.set(order, names);
    if (!names.has(name)) {
      port.pairs += 1;
      this.#pairs += 1;
    }
    names.set(name, untilMs);
  }

  #delete({ portId, name, order }: Omit<ToldPair, 'untilMs'>): void {
    const port = this.#ports.get(portId);
    const names = port?.orders.get(order);
    if (port === undefined || names?.delete(name) !== true) return;
    if (names.size === 0) port.orders.delete(order);
    port.pairs -= 1;
    this.#pairs -= 1;
    if (port.pairs === 0) this.#ports.delete(portId);
  }

  /** What has gone for one more; undefined: there is no room. */
  #makeRoom(portId: string): readonly ToldPair[] | undefined {
    const own = this.#ports.get(portId)?.pairs ?? 0;
    if (own >= this.#maxOfPort) return undefined;
    if (this.#pairs < this.#maxOfHost) return [];
    const holders = this.#ports.size + (own === 0 ? 1 : 0);
    if (own >= Math.floor(this.#maxOfHost / holders)) return undefined;
    const [most] = [...this.#ports].sort(([, a], [, b]) => b.pairs - a.pairs);
    const gone = most === undefined ? undefined : firstOver(...most);
    if (gone === undefined) return undefined;
    this.#delete(gone);
    return [gone];
  }
}

const NOTHING: ReadonlyMap<string, ReadonlyMap<string, number>> = new Map();

/** What of a port is over first. */
function firstOver(portId: string, { orders }: OfPort): ToldPair | undefined {
  let first: ToldPair | undefined;
  for (const [order, names] of orders) {
    for (const [name, untilMs] of names) {
      if (first === undefined || untilMs < first.untilMs) first = { portId, name, order, untilMs };
    }
  }
  return first;
}
