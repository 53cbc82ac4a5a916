/** For tests: slices of one host, as a server would have sent them. */
import type { HostPolicyRule, SliceHeader, SliceItem, SliceKey, SliceKind } from '@cable/model';
import type { SliceChange, SliceReader } from '../stream/slice-reader.ts';

type Held = { header: unknown; readonly items: Map<string, unknown> };

/** What is set counts at once; `changes` tells since it was last asked. */
export class FakeSlices implements Pick<SliceReader, 'header' | 'item' | 'items' | 'keys'> {
  readonly #slices = new Map<string, Held>();
  #changes: SliceChange[] = [];

  header<K extends SliceKind>(key: `${K}:${string}`): SliceHeader<K> | undefined {
    return this.#slices.get(key)?.header as SliceHeader<K> | undefined;
  }

  item<K extends SliceKind>(key: `${K}:${string}`, item: string): SliceItem<K> | undefined {
    return this.#slices.get(key)?.items.get(item) as SliceItem<K> | undefined;
  }

  items<K extends SliceKind>(key: `${K}:${string}`): Iterable<readonly [item: string, value: SliceItem<K>]> {
    return (this.#slices.get(key)?.items ?? new Map()) as Map<string, SliceItem<K>>;
  }

  keys(): Iterable<SliceKey> {
    return this.#slices.keys() as Iterable<SliceKey>;
  }

  setHeader<K extends SliceKind>(key: `${K}:${string}`, header: SliceHeader<K>): void {
    this.#of(key).header = header;
    this.#changes.push({ key, item: null });
  }

  setItem<K extends SliceKind>(key: `${K}:${string}`, item: string, value: SliceItem<K> | undefined): void {
    if (value === undefined) this.#of(key).items.delete(item);
    else this.#of(key).items.set(item, value);
    this.#changes.push({ key, item });
  }

  /** The host has one policy, in these directions, with these rules; none: it has no policy. */
  setPolicy(host: string, directions: readonly ('ingress' | 'egress')[], rules: readonly PolicyRule[]): void {
    const key = 'host_policies:p1' as const;
    if (directions.length === 0) {
      this.setHeader(`host:${host}`, { host });
      return;
    }
    this.setHeader(key, {
      id: 'p1',
      writes: [1],
      ingress: directions.includes('ingress'),
      egress: directions.includes('egress'),
    });
    for (const item of [...this.#of(key).items.keys()]) this.setItem(key, item, undefined);
    for (const [at, rule] of rules.entries()) this.setItem(key, `p1/${at}`, { policyId: 'p1', ...rule });
    this.setHeader(`host:${host}`, { host, policies: key });
  }

  takeChanges(): readonly SliceChange[] {
    const changes = this.#changes;
    this.#changes = [];
    return changes;
  }

  #of(key: string): Held {
    const held = this.#slices.get(key) ?? { header: undefined, items: new Map<string, unknown>() };
    this.#slices.set(key, held);
    return held;
  }
}

export type PolicyRule = Omit<HostPolicyRule, 'policyId'>;
