import type { SliceKey } from '@cable/model';

/** What the watermarks need of the slices. */
export type WatchedSlices = {
  readonly revision: number;
  /** Hosts that need the slice. */
  subscribers(key: SliceKey): Iterable<string>;
  reaches(host: string, key: SliceKey): boolean;
};

export type SliceWatermarksDeps = {
  readonly slices: WatchedSlices;
  readonly isAlive: (host: string) => boolean;
  /** True when the host has programmed all that concerns it up to the revision. */
  readonly covers: (host: string, revision: number) => boolean;
  /** The last revision that the host itself is known to have programmed. */
  readonly programmed: (host: string) => number;
  /** True for a host of another server. */
  readonly isElsewhere: (host: string) => boolean;
  /** True for a live host that is waited for in what is its own alone. */
  readonly isLate: (host: string) => boolean;
};

/** A port that waits for a slice's content as of a revision. */
export type Wait = { readonly portId: string; readonly revision: number };

/** Hosts are counted for a revision of a slice; ports wait for the count to fall to nothing. */
type Round = {
  readonly key: SliceKey;
  readonly revision: number;
  /** Live subscribers that have not acknowledged it. */
  remaining: number;
  readonly ports: Set<string>;
};

/** Who waits for a later revision of a slice while a round is under way; they get one round together, when it is over. */
type Next = { revision: number; readonly ports: Set<string> };

type Watched = { round: Round; next: Next | undefined };

/**
 * Which ports wait for which slices. For a slice that something waits for, one round is under way: it has a revision, and counts the live
 * subscribers that have not acknowledged it. What waits for a later revision meanwhile forms the next round. So a change costs the hosts that
 * answer it, however many ports share them.
 *
 * A round goes on when its last port has gone: it keeps a port that changes all the time from counting the hosts each time.
 */
export class SliceWatermarks {
  readonly #deps: SliceWatermarksDeps;
  readonly #watched = new Map<SliceKey, Watched>();
  /** For each port that waits, the slices it waits for. */
  readonly #ports = new Map<string, Set<SliceKey>>();
  /** For each host that is counted, the rounds, each with the revision it has to acknowledge. */
  readonly #hosts = new Map<string, Map<Round, number>>();
  #wants = 0;

  constructor(deps: SliceWatermarksDeps) {
    this.#deps = deps;
  }

  /** Ports with a host to wait for. */
  get ports(): number {
    return this.#ports.size;
  }

  /** Slices with a round under way. */
  get slices(): number {
    return this.#watched.size;
  }

  /** Highest revision that was ever waited for from a host of another server. */
  get wants(): number {
    return this.#wants;
  }

  /** True when every live host that needs them has programmed the slices' revisions that the port waits for. */
  isProven(portId: string): boolean {
    return !this.#ports.has(portId);
  }

  /** True when a round counts the host. */
  isCounted(host: string): boolean {
    return this.#hosts.has(host);
  }

  /** Hosts that rounds count. */
  hosts(): string[] {
    return [...this.#hosts.keys()];
  }

  /** The port waits for the slice's content as of the revision. */
  await(portId: string, key: SliceKey, revision: number): void {
    const watched = this.#watched.get(key);
    if (watched === undefined) {
      // What has just been compiled is on its way to all of them, whatever they had before.
      const isFresh = revision >= this.#deps.slices.revision;
      const round = this.#start(key, revision, new Set([portId]), isFresh);
      if (round !== undefined) this.#watched.set(key, { round, next: undefined });
    } else if (watched.round.revision === revision) {
      this.#enlist(portId, key, watched.round.ports);
      watched.next?.ports.delete(portId);
    } else if (watched.round.revision < revision) {
      watched.round.ports.delete(portId);
      watched.next ??= { revision, ports: new Set() };
      watched.next.revision = Math.max(watched.next.revision, revision);
      this.#enlist(portId, key, watched.next.ports);
    } else if (watched.next?.ports.has(portId) !== true) {
      this.#enlist(portId, key, watched.round.ports);
    }
  }

  /** As `await` for each: with hosts that have programmed all of it already looked at a few times, and not once for each port. */
  awaitAll(key: SliceKey, waits: readonly Wait[]): void {
    const rising = [...waits].sort((a, b) => a.revision - b.revision);
    let [from, to] = [0, rising.length];
    // Whoever covers a revision covers those before it.
    if (rising.length > 0 && this.#isCovered(key, rising[to - 1]?.revision ?? 0)) from = to;
    while (from < to) {
      const middle = (from + to) >> 1;
      if (this.#isCovered(key, rising[middle]?.revision ?? 0)) from = middle + 1;
      else to = middle;
    }
    for (const { portId, revision } of rising.slice(from)) this.await(portId, key, revision);
  }

  /** The port waits for nothing any more. */
  forget(portId: string): void {
    for (const key of this.#ports.get(portId) ?? []) {
      const watched = this.#watched.get(key);
      watched?.round.ports.delete(portId);
      watched?.next?.ports.delete(portId);
    }
    this.#ports.delete(portId);
  }

  /** Nothing waits for anything. */
  clear(): void {
    this.#watched.clear();
    this.#ports.clear();
    this.#hosts.clear();
    this.#wants = 0;
  }

  /** More is known of what the host has programmed; gives the ports that wait for nothing any more. */
  acknowledged(host: string): string[] {
    const settled: string[] = [];
    for (const [round, revision] of [...(this.#hosts.get(host) ?? [])]) {
      if (this.#deps.covers(host, revision)) this.#strike(host, round, settled);
    }
    return settled;
  }

  /** The host is dead and not waited for; gives the ports that did. */
  died(host: string): string[] {
    const settled: string[] = [];
    for (const round of [...(this.#hosts.get(host)?.keys() ?? [])]) this.#strike(host, round, settled);
    return settled;
  }

  /** The host is late: what others need too does not wait for it; gives the ports that did. What is of that host alone goes on waiting. */
  late(host: string): string[] {
    const settled: string[] = [];
    for (const round of [...(this.#hosts.get(host)?.keys() ?? [])]) {
      if (!isOwn(round.key, host)) this.#strike(host, round, settled);
    }
    return settled;
  }

  /** The host is alive, or late no more: rounds under way count it too. */
  cameAlive(host: string): void {
    for (const { round } of this.#watched.values()) {
      if (this.#deps.slices.reaches(host, round.key)) this.#count(host, round, round.revision, false);
    }
  }

  /** The host came to need the slice, or needs it no more; gives the ports that do not wait any more. */
  reach(host: string, key: SliceKey, needed: boolean): string[] {
    const round = this.#watched.get(key)?.round;
    const settled: string[] = [];
    if (round === undefined) return settled;
    if (!needed) {
      if (this.#hosts.get(host)?.has(round) === true) this.#strike(host, round, settled);
    } else if (this.#deps.isAlive(host)) {
      // What it has acknowledged before it needed the slice says nothing about it.
      this.#count(host, round, Math.max(round.revision, this.#deps.slices.revision), true);
    }
    return settled;
  }

  /** True when a round would count nobody. */
  #isCovered(key: SliceKey, revision: number): boolean {
    const { slices, isAlive } = this.#deps;
    const isFresh = revision >= slices.revision;
    for (const host of slices.subscribers(key)) {
      if (isAlive(host) && !this.#isPassedOver(host, key) && !this.#has(host, revision, isFresh)) return false;
    }
    return true;
  }

  #isPassedOver(host: string, key: SliceKey): boolean {
    return this.#deps.isLate(host) && !isOwn(key, host);
  }

  #has(host: string, revision: number, isFresh: boolean): boolean {
    const { programmed, covers } = this.#deps;
    return isFresh ? programmed(host) >= revision : covers(host, revision);
  }

  /** A round of all live subscribers that have not acknowledged; undefined when there are none: then the ports do not wait. */
  #start(key: SliceKey, revision: number, ports: Set<string>, isFresh: boolean): Round | undefined {
    const { slices, isAlive } = this.#deps;
    const round: Round = { key, revision, remaining: 0, ports };
    for (const host of slices.subscribers(key)) if (isAlive(host)) this.#count(host, round, revision, isFresh);
    if (round.remaining === 0) return undefined;
    for (const portId of ports) this.#enlist(portId, key, ports);
    return round;
  }

  #count(host: string, round: Round, revision: number, isFresh: boolean): void {
    if (this.#isPassedOver(host, round.key) || this.#has(host, revision, isFresh)) return;
    const rounds = this.#hosts.get(host) ?? new Map<Round, number>();
    this.#hosts.set(host, rounds);
    if (!rounds.has(round)) round.remaining += 1;
    if (revision > this.#wants && this.#deps.isElsewhere(host)) this.#wants = revision;
    rounds.set(round, revision);
  }

  #strike(host: string, round: Round, settled: string[]): void {
    const rounds = this.#hosts.get(host);
    rounds?.delete(round);
    if (rounds?.size === 0) this.#hosts.delete(host);
    round.remaining -= 1;
    if (round.remaining === 0) this.#finish(round, settled);
  }

  #finish({ key, ports }: Round, settled: string[]): void {
    const next = this.#watched.get(key)?.next;
    this.#watched.delete(key);
    for (const portId of ports) this.#release(portId, key, settled);
    if (next === undefined || next.ports.size === 0) return;
    const round = this.#start(key, next.revision, next.ports, false);
    if (round !== undefined) this.#watched.set(key, { round, next: undefined });
    else for (const portId of next.ports) this.#release(portId, key, settled);
  }

  #enlist(portId: string, key: SliceKey, ports: Set<string>): void {
    ports.add(portId);
    const keys = this.#ports.get(portId);
    if (keys === undefined) this.#ports.set(portId, new Set([key]));
    else keys.add(key);
  }

  #release(portId: string, key: SliceKey, settled: string[]): void {
    const keys = this.#ports.get(portId);
    keys?.delete(key);
    if (keys?.size !== 0) return;
    this.#ports.delete(portId);
    settled.push(portId);
  }
}

/** True for a slice that is about one host's own ports, or its gateways. */
function isOwn(key: SliceKey, host: string): boolean {
  return key === `host:${host}` || key === `gateways:${host}`;
}
