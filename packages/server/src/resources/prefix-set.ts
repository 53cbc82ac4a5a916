/** Sets of addresses of one version of IP, as prefixes: what a subnet pool has, and what of it is free. */
import { formatCidr, type IpPrefix, ipBits } from '@cable/model';

/** `full`: every address; undefined: none. */
type Node = 'full' | Branch | undefined;

/** `lengths`: bit n is set when a block of the set with prefix length n lies below. */
type Branch = { readonly low: Node; readonly high: Node; readonly lengths: bigint };

/**
 * An immutable set. Its blocks are the fewest prefixes that have its addresses and no others. Adding, removing and looking cost the length of the prefix, whatever
 * the set has; a changed set shares with the one of before what is the same.
 */
export class PrefixSet {
  readonly #version: 4 | 6;
  readonly #root: Node;

  private constructor(version: 4 | 6, root: Node) {
    this.#version = version;
    this.#root = root;
  }

  /** Of another version than the first prefix none may be; without prefixes it has no addresses, of either. */
  static of(prefixes: Iterable<IpPrefix>): PrefixSet {
    let set = EMPTY;
    for (const prefix of prefixes) set = set.with(prefix);
    return set;
  }

  with(prefix: IpPrefix): PrefixSet {
    const { version } = prefix.base;
    return new PrefixSet(version, added(this.#root, 0, prefix));
  }

  without(prefix: IpPrefix): PrefixSet {
    return this.#isOther(prefix) ? this : new PrefixSet(this.#version, removed(this.#root, 0, prefix));
  }

  /** True when it has every address of the prefix. */
  covers(prefix: IpPrefix): boolean {
    return this.#isOther(prefix) ? false : this.#at(prefix) === 'full';
  }

  /** True when it has an address of the prefix. */
  overlaps(prefix: IpPrefix): boolean {
    return this.#isOther(prefix) ? false : this.#at(prefix) !== undefined;
  }

  /** The lowest prefix of the length in the smallest block that has room for it; undefined: none has. */
  smallestWithRoom(length: number): IpPrefix | undefined {
    const fitting = lengthsOf(this.#root, 0) & ((1n << BigInt(length + 1)) - 1n);
    if (fitting === 0n) return undefined;
    const wanted = fitting.toString(2).length - 1;
    const bit = 1n << BigInt(wanted);
    let [node, depth, value] = [this.#root, 0, 0n];
    while (node !== 'full' && node !== undefined) {
      const isHigh: boolean = (lengthsOf(node.low, depth + 1) & bit) === 0n;
      value = (value << 1n) | (isHigh ? 1n : 0n);
      node = isHigh ? node.high : node.low;
      depth += 1;
    }
    const bits = this.#version === 4 ? 32 : 128;
    return { base: { version: this.#version, value: value << BigInt(bits - depth) }, prefixLength: length };
  }

  /** By address. */
  blocks(): readonly IpPrefix[] {
    const found: IpPrefix[] = [];
    const bits = this.#version === 4 ? 32 : 128;
    const walk = (node: Node, depth: number, value: bigint): void => {
      if (node === undefined) return;
      if (node === 'full') {
        found.push({ base: { version: this.#version, value: value << BigInt(bits - depth) }, prefixLength: depth });
        return;
      }
      walk(node.low, depth + 1, value << 1n);
      walk(node.high, depth + 1, (value << 1n) | 1n);
    };
    walk(this.#root, 0, 0n);
    return found;
  }

  /** The blocks as texts. */
  texts(): readonly string[] {
    return this.blocks().map(formatCidr);
  }

  #isOther({ base }: IpPrefix): boolean {
    return this.#root === undefined || base.version !== this.#version;
  }

  /** What it has of the prefix. */
  #at(prefix: IpPrefix): Node {
    let node = this.#root;
    for (let depth = 0; depth < prefix.prefixLength; depth += 1) {
      if (node === undefined || node === 'full') return node;
      node = isHighAt(prefix, depth) ? node.high : node.low;
    }
    return node;
  }

  static readonly EMPTY: PrefixSet = new PrefixSet(4, undefined);
}

const { EMPTY } = PrefixSet;

function lengthsOf(node: Node, depth: number): bigint {
  if (node === undefined) return 0n;
  return node === 'full' ? 1n << BigInt(depth) : node.lengths;
}

/** A node at the depth. */
function nodeOf(low: Node, high: Node, depth: number): Node {
  if (low === high && (low === 'full' || low === undefined)) return low;
  return { low, high, lengths: lengthsOf(low, depth + 1) | lengthsOf(high, depth + 1) };
}

function added(node: Node, depth: number, prefix: IpPrefix): Node {
  if (node === 'full' || depth === prefix.prefixLength) return 'full';
  const isHigh = isHighAt(prefix, depth);
  const low = isHigh ? node?.low : added(node?.low, depth + 1, prefix);
  return nodeOf(low, isHigh ? added(node?.high, depth + 1, prefix) : node?.high, depth);
}

function removed(node: Node, depth: number, prefix: IpPrefix): Node {
  if (node === undefined || depth === prefix.prefixLength) return undefined;
  const { low, high } = node === 'full' ? { low: 'full', high: 'full' } : node;
  const isHigh = isHighAt(prefix, depth);
  return isHigh
    ? nodeOf(low as Node, removed(high as Node, depth + 1, prefix), depth)
    : nodeOf(removed(low as Node, depth + 1, prefix), high as Node, depth);
}

function isHighAt({ base }: IpPrefix, depth: number): boolean {
  return ((base.value >> BigInt(ipBits(base) - 1 - depth)) & 1n) === 1n;
}
