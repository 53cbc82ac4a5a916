import type { SliceHeader, SliceItem, SliceKey, SliceKind, StoreHistory } from '@cable/model';

/**
 * The slices of this host, as of the last applied change. It is live: a change is applied at once as a whole, and told by a `StateUpdate`. Values are
 * never modified, so an unchanged item stays the same object. Slices of unknown kinds are not shown.
 */
export type SliceReader = {
  /** Undefined: no such slice, or its header has not come. */
  header<K extends SliceKind>(key: `${K}:${string}`): SliceHeader<K> | undefined;
  item<K extends SliceKind>(key: `${K}:${string}`, item: string): SliceItem<K> | undefined;
  /** All items of the slice with their keys; none when there is no such slice. Not to be used on after an await. */
  items<K extends SliceKind>(key: `${K}:${string}`): Iterable<readonly [item: string, value: SliceItem<K>]>;
  /** Keys of the slice's items. */
  itemKeys(key: SliceKey): Iterable<string>;
  /** Number of the slice's items. */
  size(key: SliceKey): number;
  /** Keys of all slices. */
  keys(): Iterable<SliceKey>;
};

/** `item` null: the header. What it is now, or that it is gone, is in the `SliceReader`. */
export type SliceChange = { readonly key: SliceKey; readonly item: string | null };

/** The state went from one whole revision to another. */
export type StateUpdate = {
  /** What counts as programmed once these changes are in the kernel; 0: nothing has ever been received. */
  readonly revision: number;
  /** The store's history in which that revision is; null: not known (protocol 1, or an operator gave the old one up). */
  readonly history: StoreHistory | null;
  /**
   * Number of the change of content that it brings, or of the last one: it rises by one with each, and with none when only the revision moves. On disk at
   * least this one is found again by the agent of the same id, while the revision may be 10 s old. 0: not known.
   */
  readonly commit: number;
  /** True once this process was in sync with a server: only then is the state known to be whole and recent. */
  readonly synced: boolean;
  /** What is different now, each once; empty when only the revision moved. */
  readonly changes: readonly SliceChange[];
};
