/** A client by the protocol: it holds what lines say, and what they say counts from the next `sync` or `bookmark`. */
import assert from 'node:assert/strict';
import { bucketOf, type ServerLine } from '@cable/model';
import { addHash, contentHash } from './slice-lines.ts';
import type { Contents } from './world.fixture.ts';

type Held = { header: Part | undefined; readonly items: Map<string, Part> };
type Part = { readonly hash: number; readonly value: unknown };

export class SliceClient {
  /** As of the last `sync` or `bookmark`. */
  #slices = new Map<string, Held>();
  #next = new Map<string, Held>();
  revision: number = 0;
  /** Lines taken, by type. */
  readonly counts: Record<string, number> = {};

  take(line: ServerLine): void {
    this.counts[line.type] = (this.counts[line.type] ?? 0) + 1;
    switch (line.type) {
      case 'header':
      case 'put':
        this.#put(line);
        break;
      case 'delete':
        this.#next.get(line.key)?.items.delete(line.item);
        break;
      case 'reset':
      case 'drop':
        this.#next.delete(line.key);
        break;
      case 'reset-buckets':
        this.#voidBuckets(line);
        break;
      case 'sync':
      case 'bookmark':
        this.#commit(line);
        break;
      case 'compare':
      case 'hello':
      case 'refused':
        break;
    }
  }

  /** The connection is gone: what no bookmark has followed is void. */
  disconnect(): void {
    this.#next = copy(this.#slices);
  }

  digests(): Record<string, number> {
    return Object.fromEntries([...this.#slices].map(([key, held]) => [key, digestOf(held)]));
  }

  /** Digests of the items of a slice, by bucket. */
  bucketDigests(key: string, of: number): number[] {
    const digests = Array<number>(of).fill(0);
    for (const [item, { hash }] of this.#slices.get(key)?.items ?? []) {
      const bucket = bucketOf(item, of);
      digests[bucket] = addHash(digests[bucket] ?? 0, hash);
    }
    return digests;
  }

  contents(): Contents {
    const contents: Contents = new Map();
    for (const [key, { header, items }] of this.#slices) {
      assert.notEqual(header, undefined, `${key} has no header`);
      contents.set(key, header?.value);
      for (const [item, { value }] of items) contents.set(`${key} ${item}`, value);
    }
    return contents;
  }

  #put(line: Extract<ServerLine, { readonly type: 'header' | 'put' }>): void {
    const item = line.type === 'put' ? line.item : null;
    assert.equal(line.hash, contentHash(line.key, item, JSON.stringify(line.value)));
    const held = this.#next.get(line.key) ?? { header: undefined, items: new Map() };
    this.#next.set(line.key, held);
    const part = { hash: line.hash, value: line.value };
    if (line.type === 'put') held.items.set(line.item, part);
    else held.header = part;
  }

  #voidBuckets({ key, of, buckets }: Extract<ServerLine, { readonly type: 'reset-buckets' }>): void {
    const items = this.#next.get(key)?.items;
    for (const item of [...(items?.keys() ?? [])]) if (buckets.includes(bucketOf(item, of))) items?.delete(item);
  }

  #commit(line: Extract<ServerLine, { readonly type: 'sync' | 'bookmark' }>): void {
    assert.ok(line.revision >= this.revision, 'revisions of sync and bookmark never fall');
    this.revision = line.revision;
    this.#slices = copy(this.#next);
    if (line.type !== 'sync') return;
    let digest = 0;
    for (const held of this.#slices.values()) digest = addHash(digest, digestOf(held));
    assert.equal(digest, line.digest, 'digest of sync');
  }
}

function digestOf({ header, items }: Held): number {
  let digest = header?.hash ?? 0;
  for (const { hash } of items.values()) digest = addHash(digest, hash);
  return digest;
}

function copy(slices: ReadonlyMap<string, Held>): Map<string, Held> {
  return new Map([...slices].map(([key, held]) => [key, { header: held.header, items: new Map(held.items) }]));
}

/** Parses lines as they come in pieces. */
export function lineReader(take: (line: ServerLine) => void): (chunk: Buffer) => void {
  let rest = '';
  return (chunk) => {
    const lines = (rest + chunk.toString()).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) take(JSON.parse(line) as ServerLine);
  };
}
