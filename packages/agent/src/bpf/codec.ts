/** What the generated codecs (abi.gen.ts) are made of: fixed-size structs in the host's byte order, which is little-endian. */

/** Translates between a value and its fixed-size bytes. */
export type Codec<T> = {
  /** Bytes of every encoded value. */
  readonly size: number;
  /** Throws RangeError naming the field when a number or an array does not fit. */
  encode(value: T): Uint8Array;
  /** Throws RangeError when `bytes` is not exactly `size` long. */
  decode(bytes: Uint8Array): T;
};

/** A map of the vrouter: its name and the codecs of its keys and values. */
export type MapSpec<K, V> = {
  readonly name: string;
  /** Kind and meaning, as the header says it. */
  readonly description: string;
  readonly key: Codec<K>;
  readonly value: Codec<V>;
};

/**
 * Writes the fields of one struct at fixed offsets; what is not written is zero. Byte by byte, into Node's pool of small buffers: there are
 * hundreds of thousands of them, and an array with memory of its own, or a DataView on it, costs several times as much.
 */
export class StructWriter {
  readonly bytes: Uint8Array;
  readonly #name: string;

  constructor(name: string, size: number) {
    const pooled = Buffer.allocUnsafe(size);
    this.bytes = new Uint8Array(pooled.buffer, pooled.byteOffset, size).fill(0);
    this.#name = name;
  }

  u8(offset: number, field: string, value: number): void {
    this.bytes[offset] = this.#unsigned(field, value, 0xff);
  }

  u16(offset: number, field: string, value: number): void {
    this.#little(offset, this.#unsigned(field, value, 0xffff), 2);
  }

  u16be(offset: number, field: string, value: number): void {
    this.#big(offset, this.#unsigned(field, value, 0xffff), 2);
  }

  u32(offset: number, field: string, value: number): void {
    this.#little(offset, this.#unsigned(field, value, 0xffff_ffff), 4);
  }

  u32be(offset: number, field: string, value: number): void {
    this.#big(offset, this.#unsigned(field, value, 0xffff_ffff), 4);
  }

  u64(offset: number, field: string, value: bigint): void {
    if (BigInt.asUintN(64, value) !== value) throw this.#error(field, `${value} does not fit 64 unsigned bits`);
    this.#little(offset, Number(value & 0xffff_ffffn), 4);
    this.#little(offset + 4, Number(value >> 32n), 4);
  }

  /** Copies exactly `length` bytes. */
  raw(offset: number, field: string, value: Uint8Array, length: number): void {
    if (value.length !== length) throw this.#error(field, `needs ${length} bytes, got ${value.length}`);
    this.bytes.set(value, offset);
  }

  /** Writes at most `limit` items of `size` bytes each; the items not given stay zero. */
  list<T>(
    offset: number,
    field: string,
    items: readonly T[],
    shape: { readonly limit: number; readonly size: number },
    write: (at: number, item: T) => void,
  ): void {
    if (items.length > shape.limit) throw this.#error(field, `holds ${shape.limit} items, got ${items.length}`);
    for (const [i, item] of items.entries()) write(offset + i * shape.size, item);
  }

  #little(offset: number, value: number, size: number): void {
    for (let i = 0; i < size; i += 1) this.bytes[offset + i] = value >>> (8 * i);
  }

  #big(offset: number, value: number, size: number): void {
    for (let i = 0; i < size; i += 1) this.bytes[offset + i] = value >>> (8 * (size - 1 - i));
  }

  #unsigned(field: string, value: number, max: number): number {
    if (Number.isInteger(value) && value >= 0 && value <= max) return value;
    throw this.#error(field, `${value} is not an integer from 0 to ${max}`);
  }

  #error(field: string, problem: string): RangeError {
    return new RangeError(`${this.#name}.${field}: ${problem}`);
  }
}

/** Reads the fields of one struct at fixed offsets. */
export class StructReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;

  constructor(name: string, size: number, bytes: Uint8Array) {
    if (bytes.length !== size) throw new RangeError(`${name}: needs ${size} bytes, got ${bytes.length}`);
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  u8(offset: number): number {
    return this.#view.getUint8(offset);
  }

  u16(offset: number): number {
    return this.#view.getUint16(offset, true);
  }

  u16be(offset: number): number {
    return this.#view.getUint16(offset, false);
  }

  u32(offset: number): number {
    return this.#view.getUint32(offset, true);
  }

  u32be(offset: number): number {
    return this.#view.getUint32(offset, false);
  }

  u64(offset: number): bigint {
    return this.#view.getBigUint64(offset, true);
  }

  /** A copy of `length` bytes. */
  raw(offset: number, length: number): Uint8Array {
    return Uint8Array.from(this.#bytes.subarray(offset, offset + length));
  }

  list<T>(offset: number, count: number, size: number, read: (at: number) => T): T[] {
    return Array.from({ length: count }, (_, i) => read(offset + i * size));
  }
}

/** The key of an array map: its index. */
export const arrayIndex: Codec<number> = {
  size: 4,
  encode: (value) => {
    const out = new StructWriter('index', 4);
    out.u32(0, 'index', value);
    return out.bytes;
  },
  decode: (bytes) => new StructReader('index', 4, bytes).u32(0),
};
