/**
 * Connections to the port where nodes join, of whoever. No source keeps others out: where all places are taken, the oldest connection of the source that has most gives way, and nobody
 * begins more handshakes than his share of the processor allows. What counts as a source: `admission-sources.ts`; tenants' pods leave by the address of their node, so their share is that
 * one node's. Sources that are known and those that are not keep each other from no more than half of the places.
 */
import type { Socket } from 'node:net';
import { KnownSources, NET_SHARES, type Source, sourceOf } from './admission-sources.ts';

export type DoorLimits = {
  /** Open connections of all. */
  readonly connections: number;
  /** How long one may last, whatever it does. */
  readonly lifeMs: number;
  /** Connections that an address may begin at once, and how many more each second. */
  readonly burst: number;
  readonly perSecond: number;
};

/** A handshake costs milliseconds: 32 a second are a tenth of a processor. */
export const DOOR_LIMITS: DoorLimits = { connections: 256, lifeMs: 30_000, burst: 64, perSecond: 32 };

/** Sources that are remembered; beyond, the one that has begun nothing for the longest is forgotten. */
const MAX_SOURCES = 8192;

/** `left`: connections that it may begin, as of `atMs`. */
type Allowance = { left: number; atMs: number };

type Held = { readonly socket: Socket; readonly source: Source; readonly isKnown: boolean };

export class AdmissionDoor {
  readonly #limits: DoorLimits;
  readonly #known: KnownSources;
  readonly #now: () => number;
  /** By address, and by network; who began one last is last. */
  readonly #addresses = new Map<string, Allowance>();
  readonly #nets = new Map<string, Allowance>();
  /** The oldest first. */
  readonly #open = new Set<Held>();

  /** `now` in milliseconds. */
  constructor(
    limits: DoorLimits = DOOR_LIMITS,
    known: KnownSources = new KnownSources(),
    now: () => number = () => performance.now(),
  ) {
    this.#limits = limits;
    this.#known = known;
    this.#now = now;
  }

  get open(): number {
    return this.#open.size;
  }

  /** A connection that was accepted: it is closed at once, or when its time is over, or when it gives way. */
  take(socket: Socket): void {
    socket.on('error', () => socket.destroy());
    const source = socket.remoteAddress === undefined ? undefined : sourceOf(socket.remoteAddress);
    if (source === undefined || !this.#mayBegin(source)) {
      socket.destroy();
      return;
    }
    const held = { socket, source, isKnown: this.#known.has(source) };
    this.#open.add(held);
    const end = setTimeout(() => socket.destroy(), this.#limits.lifeMs);
    end.unref();
    socket.once('close', () => {
      clearTimeout(end);
      this.#open.delete(held);
    });
    if (this.#open.size > this.#limits.connections) this.#giveWay();
  }

  #mayBegin(source: Source): boolean {
    const asked = [this.#allowanceOf(this.#addresses, source.address, 1)];
    if (!this.#known.has(source)) asked.push(this.#allowanceOf(this.#nets, source.net, NET_SHARES));
    if (asked.some(({ left }) => left < 1)) return false;
    for (const allowance of asked) allowance.left -= 1;
    return true;
  }

  #allowanceOf(of: Map<string, Allowance>, key: string, shares: number): Allowance {
    const [most, perSecond] = [this.#limits.burst * shares, this.#limits.perSecond * shares];
    const now = this.#now();
    const before = of.get(key) ?? { left: most, atMs: now };
    const allowance = { left: Math.min(most, before.left + ((now - before.atMs) * perSecond) / 1000), atMs: now };
    of.delete(key);
    of.set(key, allowance);
    const [oldest] = of.keys();
    if (of.size > MAX_SOURCES && oldest !== undefined) of.delete(oldest);
    return allowance;
  }

  #giveWay(): void {
    const all = [...this.#open];
    const strangers = all.filter(({ isKnown }) => !isKnown);
    const kind = strangers.length * 2 > all.length ? strangers : all.filter(({ isKnown }) => isKnown);
    const [oldest] = mostOf(
      mostOf(kind, ({ net }) => net),
      ({ address }) => address,
    );
    if (oldest === undefined) return;
    this.#open.delete(oldest);
    oldest.socket.destroy();
  }
}

/** Those of the source that has most; of several the one whose oldest is older. */
function mostOf(all: readonly Held[], keyOf: (source: Source) => string): readonly Held[] {
  const groups = new Map<string, Held[]>();
  for (const held of all) {
    const group = groups.get(keyOf(held.source)) ?? [];
    group.push(held);
    groups.set(keyOf(held.source), group);
  }
  return [...groups.values()].reduce<readonly Held[]>((most, group) => (group.length > most.length ? group : most), []);
}
