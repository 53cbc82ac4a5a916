/** Egress to names: keeps what DNS tells ports that their policies mean by names, and sees that the data plane has it before the guest (docs/design/fqdn.md). */
import { type Logger, startLoop } from '@cable/kit';
import { meansDomain } from '@cable/model';
import type { ToldAnswer } from '../guest/told-answer.ts';
import { parseOrder } from '../plan/address.ts';
import type { ToldChange } from '../plan/inputs.ts';
import { isIn, isSpecial, type PrefixSet } from '../plan/inside.ts';
import type { ToldFile } from './told-file.ts';
import { addressesInUse, type FlowMaps } from './told-flows.ts';
import type { Taken, ToldPair, ToldTable } from './told-table.ts';

/** After its time an address counts on for who has asked just before it was over, and has a little to do before it connects. */
export const GRACE_MS = 60_000;
/** RFC 8767 §4: no longer than a week. */
const MAX_TTL_MS = 7 * 86_400_000;
/** How much longer it is to count than what is kept says, before that is kept. */
const KEEP_AGAIN_MS = 30_000;
const LOOK_MS = 30_000;

export type ToldNamesDeps = {
  readonly table: ToldTable;
  readonly file: Pick<ToldFile, 'load' | 'write'>;
  /** Ports by which the guest sends that asked by one, that one among them. */
  readonly portsOf: (portId: string) => readonly string[];
  /** Names that the policies of a port mean. */
  readonly domainsOf: (portId: string) => readonly string[];
  /** Addresses that this host and others have: whoever is told one is told nothing outside. */
  readonly hosts: () => PrefixSet;
  /** Addresses for which the policies have no room. */
  readonly withheld: () => number;
  /** Resolves when the data plane has it. */
  readonly changed: (changes: readonly ToldChange[]) => Promise<void>;
  /** Whether it is a port of this host; asked only where it is known which are. */
  readonly isHere: (portId: string) => boolean;
  /** Whether the server has said since the start what is of this host: what was kept of it may have been lost. */
  readonly isSynced: () => boolean;
  /** Undefined: it is not programmed. */
  readonly vifOf: (portId: string) => number | undefined;
  readonly flows: FlowMaps;
  /** Monotonic: what counts ends by it, and not when somebody sets the clock. */
  readonly nowMs: () => number;
  /** Unix time, for what is kept. */
  readonly unixMs: () => number;
  /** CLOCK_MONOTONIC. */
  readonly nowNs: () => bigint;
  readonly log: Logger;
  readonly signal: AbortSignal;
};

export class ToldNames {
  readonly #deps: ToldNamesDeps;
  /** Until when (`nowMs`) the file says that a pair counts, by port, address and name. */
  readonly #kept = new Map<string, number>();
  /** Addresses of ports that are on their way into the data plane and the file. */
  readonly #underWay = new Map<string, Promise<unknown>>();
  #inUse = 0;

  constructor(deps: ToldNamesDeps) {
    this.#deps = deps;
  }

  /** Takes up what was told before this run; before anything is planned. What is over by now goes with the first look, unless connections need it. */
  load(): void {
    const { table, file, nowMs } = this.#deps;
    const latestMs = nowMs() + MAX_TTL_MS;
    const aheadMs = this.#aheadMs();
    const hosts = [this.#deps.hosts()];
    for (const { portId, name, order, untilMs } of file.load()) {
      if (isIn(order, hosts)) continue;
      // The clock may have gone back.
      table.take({ portId, name, orders: [order], untilMs: Math.min(untilMs - aheadMs, latestMs) });
      this.#kept.set(keyOf({ portId, name, order }), untilMs - aheadMs);
    }
  }

  /** A guest is about to be told what `read` says, which is not called where no policy of its ports means names. Resolves when it may be; undefined: it may at once. */
  answered(asking: string, read: () => ToldAnswer | undefined): Promise<void> | undefined {
    const ports = this.#deps.portsOf(asking).filter((portId) => this.#deps.domainsOf(portId).length > 0);
    const told = ports.length === 0 ? undefined : read();
    return told === undefined ? undefined : this.#take(ports, told);
  }

  async #take(hearing: readonly string[], { names, addresses, ttlSeconds }: ToldAnswer): Promise<void> {
    const { table, domainsOf, nowMs, changed } = this.#deps;
    // What the asked name stands for is the word of who has it: names of others do not come to count by it.
    const [name] = names;
    if (name === undefined) return;
    const ports = hearing.filter((portId) => domainsOf(portId).some((one) => meansDomain(one, name)));
    if (ports.length === 0) return;
    const hosts = [this.#deps.hosts()];
    const parsed = addresses.flatMap((text) => parseOrder(text) ?? []);
    const orders = parsed.filter((order) => !isSpecial(order) && !isIn(order, hosts));
    const untilMs = nowMs() + Math.min(ttlSeconds * 1000, MAX_TTL_MS) + GRACE_MS;
    const taken = ports.map((portId) => table.take({ portId, name, orders, untilMs }));
    const pairs = taken.flatMap((one) => one.pairs);
    const changes = taken.flatMap((one) => one.changes);
    const due = pairs.filter(
      (pair) => (this.#kept.get(keyOf(pair)) ?? Number.NEGATIVE_INFINITY) + KEEP_AGAIN_MS <= pair.untilMs,
    );
    const isKept = this.#keep(
      due,
      taken.flatMap((one) => one.gone),
    );
    if (changes.length > 0) this.#hold(changes, Promise.all([isKept, changed(changes)]));
    // Of what another answer has told a moment ago, too.
    const held = ports.flatMap((portId) => orders.map((order) => this.#underWay.get(placeOf({ portId, order }))));
    await Promise.all([isKept, ...held]);
  }

  /** Whoever is told the same waits for it until it is done. */
  #hold(changes: readonly ToldChange[], done: Promise<unknown>): void {
    const places = changes.map(placeOf);
    for (const place of places) this.#underWay.set(place, done);
    const forget = (): void => {
      for (const place of places) if (this.#underWay.get(place) === done) this.#underWay.delete(place);
    };
    void done.then(forget, forget);
  }

  /** Of Unix time before `nowMs`. */
  #aheadMs(): number {
    return this.#deps.unixMs() - this.#deps.nowMs();
  }

  /** Counters, by name. */
  get counters(): Readonly<Record<string, number>> {
    const { ports, pairs, refused } = this.#deps.table.size;
    return {
      ...{ names_ports: ports, names_addresses: pairs, names_refused: refused, names_in_use: this.#inUse },
      names_withheld: this.#deps.withheld(),
    };
  }

  /** Forgets what is over again and again, until the signal aborts. */
  start(): { readonly done: Promise<void> } {
    const { log, signal } = this.#deps;
    return startLoop({ name: 'told names', log, signal, everyMs: LOOK_MS, run: () => this.look() });
  }

  /** Forgets what is over and no connection is left of, and what a host has come to have. As long as one is, its address counts: for further ones, too. */
  async look(): Promise<void> {
    const { table, isHere, isSynced, vifOf, flows, nowMs, nowNs, changed } = this.#deps;
    const gone: Taken[] = [];
    const left = isSynced() ? [...table.ports()].filter((portId) => !isHere(portId)) : [];
    for (const portId of left) gone.push(table.forgetPort(portId));
    const hosts = [this.#deps.hosts()];
    for (const portId of [...table.ports()]) {
      const near = [...table.of(portId).keys()].filter((order) => isIn(order, hosts));
      if (near.length > 0) gone.push(table.forget(portId, near, Number.POSITIVE_INFINITY));
    }
    const now = nowMs();
    const over = table.over(now);
    const byVif = new Map<number, readonly string[]>();
    for (const [portId, orders] of over) {
      const vif = vifOf(portId);
      if (vif !== undefined) byVif.set(vif, orders);
    }
    const used = await addressesInUse(flows, byVif, nowNs());
    this.#inUse = [...used.values()].reduce((sum, { size }) => sum + size, 0);
    for (const [portId, orders] of over) {
      const vif = vifOf(portId);
      // Of a port that is not programmed, as after a start, it is not known yet.
      if (vif === undefined || !byVif.has(vif)) continue;
      const free = orders.filter((order) => used.get(vif)?.has(order) !== true);
      gone.push(table.forget(portId, free, now));
    }
    const pairs = gone.flatMap((one) => one.gone);
    if (pairs.length === 0) return;
    await this.#keep([], pairs);
    await changed(gone.flatMap((one) => one.changes));
  }

  async #keep(pairs: readonly ToldPair[], gone: readonly ToldPair[]): Promise<void> {
    const { file, table } = this.#deps;
    for (const pair of gone) this.#kept.delete(keyOf(pair));
    for (const pair of pairs) this.#kept.set(keyOf(pair), pair.untilMs);
    const inFile = (pair: ToldPair): ToldPair => ({ ...pair, untilMs: pair.untilMs + this.#aheadMs() });
    const lines = [...pairs.map(inFile), ...gone.map((pair) => ({ ...pair, untilMs: 0 }))];
    const all = () => Array.from(table.pairs(), inFile);
    if (lines.length > 0) await file.write(lines, { pairs: all, count: table.size.pairs });
  }
}

function placeOf({ portId, order }: ToldChange): string {
  return `${portId} ${order}`;
}

function keyOf({ portId, name, order }: Omit<ToldPair, 'untilMs'>): string {
  return `${portId} ${order} ${name}`;
}
