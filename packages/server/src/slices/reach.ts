import type { NodeKey } from '@cable/compiler';
import type { Turns } from '@cable/kit';
import { Slice } from './slice.ts';
import { SliceMap } from './slice-map.ts';

export type ReachOptions = {
  /** A slice that some host has come to need: it is to be computed. */
  readonly onCreate: (slice: Slice) => void;
  /** A host began or ceased to need a slice. */
  readonly onMove: (host: string, slice: Slice, needed: boolean) => void;
  /** No host needs the slice any more: it may be forgotten at the end of the batch, if that is still so. */
  readonly onAbandon: (slice: Slice) => void;
  /** Revision at which a host is said to begin to need what it comes to need. */
  readonly revision: () => number;
};

/**
 * Which host needs which slices: what can be reached by references from `host:<name>`. For each host is counted from how many of its
 * slices another is referred to: from one, as a rule, and only what is more is kept. References come at once and go at the end of a batch, so that what only moves from one reference to another is not
 * forgotten in between.
 */
export class Reach {
  readonly #options: ReachOptions;
  readonly #slices = new Map<NodeKey, Slice>();
  readonly #hosts = new Set<string>();
  /** By slice and host: how many more slices than one, among those that the host needs, refer to it. */
  readonly #more = new SliceMap<number>();
  /** References that the slice's subscribers have not followed yet. */
  readonly #come = new SliceMap<true>();
  /** References that nothing in the slice makes any more, as it seemed. */
  readonly #gone = new SliceMap<true>();

  constructor(options: ReachOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#slices.size;
  }

  hosts(): Iterable<string> {
    return this.#hosts;
  }

  hasHost(host: string): boolean {
    return this.#hosts.has(host);
  }

  slice(key: NodeKey): Slice | undefined {
    return this.#slices.get(key);
  }

  slices(): Iterable<Slice> {
    return this.#slices.values();
  }

  needs(host: string, key: NodeKey): boolean {
    return this.#slices.get(key)?.subscribers.has(host) === true;
  }

  /** Everything the host needs. */
  keysOf(host: string): Iterable<NodeKey> {
    const found = new Set<NodeKey>();
    this.#find(host, `host:${host}`, found);
    return found;
  }

  addHost(host: string): void {
    if (this.#hosts.has(host)) return;
    this.#hosts.add(host);
    this.#enter(host, `host:${host}`);
  }

  removeHost(host: string): void {
    if (!this.#hosts.has(host)) return;
    this.#leave(host, `host:${host}`);
    this.#hosts.delete(host);
  }

  /** One more part of the slice refers to these. */
  addRefs(slice: Slice, keys: readonly NodeKey[]): void {
    for (const key of keys) {
      const count = slice.refs.get(key);
      slice.refs.set(key, (count ?? 0) + 1);
      if (count === undefined) this.#come.set(slice, key, true);
    }
  }

  /** One part of the slice less refers to these. */
  removeRefs(slice: Slice, keys: readonly NodeKey[]): void {
    for (const key of keys) {
      const count = (slice.refs.get(key) ?? 0) - 1;
      slice.refs.set(key, count);
      if (count === 0) this.#gone.set(slice, key, true);
    }
  }

  /** Lets subscribers follow the references that have come. */
  async follow(turns: Turns): Promise<void> {
    for (const slice of this.#come.slices()) {
      for (const [key] of this.#come.entriesOf(slice)) {
        this.#come.delete(slice, key);
        for (const host of slice.subscribers.keys()) {
          this.#enter(host, key as NodeKey);
          if (turns.due()) await turns.next();
        }
      }
    }
  }

  /** Ends the references that are gone, for their subscribers too. */
  async release(turns: Turns): Promise<void> {
    for (const slice of this.#gone.slices()) {
      for (const [key] of this.#gone.entriesOf(slice)) {
        this.#gone.delete(slice, key);
        if (slice.refs.get(key as NodeKey) !== 0) continue;
        slice.refs.delete(key as NodeKey);
        for (const host of slice.subscribers.keys()) {
          this.#leave(host, key as NodeKey);
          if (turns.due()) await turns.next();
        }
      }
    }
  }

  /** The slice is no more; nothing may refer to it. */
  forget(slice: Slice): void {
    this.#slices.delete(slice.key);
    this.#come.drop(slice);
    this.#gone.drop(slice);
    this.#more.drop(slice);
  }

  #find(host: string, key: NodeKey, found: Set<NodeKey>): void {
    const slice = this.#slices.get(key);
    if (slice?.subscribers.has(host) !== true || found.has(key)) return;
    found.add(key);
    for (const ref of slice.refs.keys()) this.#find(host, ref, found);
  }

  #enter(host: string, key: NodeKey): void {
    if (!this.#hosts.has(host)) return;
    const slice = this.#slices.get(key) ?? this.#create(key);
    if (slice.subscribers.has(host)) {
      this.#more.set(slice, host, (this.#more.get(slice, host) ?? 0) + 1);
      return;
    }
    slice.subscribers.set(host, this.#options.revision());
    this.#options.onMove(host, slice, true);
    for (const ref of slice.refs.keys()) if (!this.#come.has(slice, ref)) this.#enter(host, ref);
  }

  #leave(host: string, key: NodeKey): void {
    const slice = this.#slices.get(key);
    if (!this.#hosts.has(host) || slice?.subscribers.has(host) !== true) return;
    const more = this.#more.get(slice, host);
    if (more !== undefined) {
      if (more === 1) this.#more.delete(slice, host);
      else this.#more.set(slice, host, more - 1);
      return;
    }
    slice.subscribers.delete(host);
    this.#options.onMove(host, slice, false);
    for (const ref of slice.refs.keys()) if (!this.#come.has(slice, ref)) this.#leave(host, ref);
    if (slice.subscribers.size === 0) this.#options.onAbandon(slice);
  }

  #create(key: NodeKey): Slice {
    const slice = new Slice(key);
    this.#slices.set(key, slice);
    this.#options.onCreate(slice);
    return slice;
  }
}
