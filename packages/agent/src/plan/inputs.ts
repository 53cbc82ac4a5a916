import type { SliceHeader, SliceItem, SliceKey, SliceKind, StoreHistory } from '@cable/model';

/** The slices that the host has, as they are now. What has not been received is undefined, or an empty collection. */
export type SliceReader = {
  header(key: string): unknown;
  item(key: string, item: string): unknown;
  /** Not to be used on after an await. */
  items(key: string): Iterable<readonly [item: string, value: unknown]>;
};

/** One header (`item` null) or item that came, changed or went. */
export type SliceChange = { readonly key: SliceKey; readonly item: string | null };

/**
 * The state changed. `changes`: everything that is not as it was at the last update; at the first, everything there is. `synced`: it has been
 * in sync with the server in this run, so what is not in it is gone. `history`: the store's in which the revision is; null: not known.
 */
export type StateUpdate = {
  readonly revision: number;
  readonly history: StoreHistory | null;
  readonly synced: boolean;
  readonly changes: readonly SliceChange[];
};

/** A network device of this machine. */
export type LocalDevice = { readonly name: string; readonly ifindex: number };

/** The devices that are there now. */
export type DeviceReader = { byName(name: string): LocalDevice | undefined };

/** Service address slots: a port keeps its slot from `acquire` (which may be repeated) until `release`. Undefined: none is free. */
export type SlotSource = { acquire(portId: string): number | undefined; release(portId: string): void };

/** The kind of slice that a key names; it may be one that this agent does not know. */
export function kindOf(key: SliceKey): SliceKind {
  return key.slice(0, key.indexOf(':')) as SliceKind;
}

/** What the slice is about: the part of the key after the kind. */
export function idOf(key: SliceKey): string {
  return key.slice(key.indexOf(':') + 1);
}

/** A `SliceReader` whose values are taken for what the slice's kind says they are. */
export type TypedSlices = {
  header<K extends SliceKind>(kind: K, id: string): SliceHeader<K> | undefined;
  item<K extends SliceKind>(kind: K, id: string, item: string): SliceItem<K> | undefined;
  items<K extends SliceKind>(kind: K, id: string): Iterable<readonly [item: string, value: SliceItem<K>]>;
};

/** The server's word is taken for the shape of what it sent; a unit that meets another shape fails alone. */
export function typedSlices(slices: SliceReader): TypedSlices {
  return {
    header: <K extends SliceKind>(kind: K, id: string) => slices.header(`${kind}:${id}`) as SliceHeader<K> | undefined,
    item: <K extends SliceKind>(kind: K, id: string, item: string) =>
      slices.item(`${kind}:${id}`, item) as SliceItem<K> | undefined,
    items: <K extends SliceKind>(kind: K, id: string) =>
      slices.items(`${kind}:${id}`) as Iterable<readonly [string, SliceItem<K>]>,
  };
}
