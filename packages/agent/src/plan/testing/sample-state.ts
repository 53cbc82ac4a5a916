import { isDeepStrictEqual } from 'node:util';
import type { SliceHeader, SliceItem, SliceKey, SliceKind } from '@cable/model';
import type { SliceChange } from '../../stream/slice-reader.ts';
import type { LocalDevice, PlannedSlices } from '../inputs.ts';
import type { SampleSlice } from './sample.ts';

type Held = { header: object | undefined; readonly items: Map<string, object> };

/** Slices and devices in memory, for tests: what was changed is told by the next `take`. */
export class SampleState implements PlannedSlices {
  readonly #slices = new Map<SliceKey, Held>();
  readonly #devices = new Map<string, LocalDevice>();
  #changes = new Map<string, SliceChange>();
  #names = new Set<string>();

  header<K extends SliceKind>(key: `${K}:${string}`): SliceHeader<K> | undefined {
    return this.#slices.get(key as SliceKey)?.header as SliceHeader<K> | undefined;
  }

  item<K extends SliceKind>(key: `${K}:${string}`, item: string): SliceItem<K> | undefined {
    return this.#slices.get(key as SliceKey)?.items.get(item) as SliceItem<K> | undefined;
  }

  items<K extends SliceKind>(key: `${K}:${string}`): ReadonlyMap<string, SliceItem<K>> {
    return (this.#slices.get(key as SliceKey)?.items ?? new Map()) as ReadonlyMap<string, SliceItem<K>>;
  }

  byName(name: string): LocalDevice | undefined {
    return this.#devices.get(name);
  }

  get devices(): ReadonlyMap<string, LocalDevice> {
    return this.#devices;
  }

  keys(): readonly SliceKey[] {
    return [...this.#slices.keys()];
  }

  setHeader(key: SliceKey, header: object | undefined): void {
    const held = this.#held(key);
    if (isDeepStrictEqual(held.header, header)) return;
    held.header = header;
    this.#note(key, null);
  }

  setItem(key: SliceKey, item: string, value: object | undefined): void {
    const { items } = this.#held(key);
    if (isDeepStrictEqual(items.get(item), value)) return;
    if (value === undefined) items.delete(item);
    else items.set(item, value);
    this.#note(key, item);
  }

  setDevice(name: string, ifindex: number | undefined): void {
    if (this.#devices.get(name)?.ifindex === ifindex) return;
    if (ifindex === undefined) this.#devices.delete(name);
    else this.#devices.set(name, { name, ifindex });
    this.#names.add(name);
  }

  /** The slice is as given. */
  setSlice({ key, header, items }: SampleSlice): void {
    this.setHeader(key, header);
    for (const item of [...this.items(key).keys()]) if (!items.has(item)) this.setItem(key, item, undefined);
    for (const [item, value] of items) this.setItem(key, item, value);
  }

  /** There are these slices and no others. */
  replace(slices: readonly SampleSlice[]): void {
    const keys = new Set(slices.map((slice) => slice.key));
    for (const key of this.keys()) if (!keys.has(key)) this.drop(key);
    for (const slice of slices) this.setSlice(slice);
  }

  drop(key: SliceKey): void {
    for (const item of [...this.items(key).keys()]) this.setItem(key, item, undefined);
    this.setHeader(key, undefined);
    this.#slices.delete(key);
  }

  /** What changed since the last call. */
  take(): { readonly changes: readonly SliceChange[]; readonly devices: readonly string[] } {
    const taken = { changes: [...this.#changes.values()], devices: [...this.#names] };
    this.#changes = new Map();
    this.#names = new Set();
    return taken;
  }

  /** Everything there is, as changes. */
  all(): readonly SliceChange[] {
    return this.keys().flatMap((key) => [
      { key, item: null },
      ...Array.from(this.items(key).keys(), (item) => ({ key, item })),
    ]);
  }

  #held(key: SliceKey): Held {
    const held = this.#slices.get(key) ?? { header: undefined, items: new Map() };
    this.#slices.set(key, held);
    return held;
  }

  #note(key: SliceKey, item: string | null): void {
    this.#changes.set(`${key}\0${item ?? ''}`, { key, item });
  }
}
