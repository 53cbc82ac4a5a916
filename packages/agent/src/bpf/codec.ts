/** What the generated codecs (abi.gen.ts) are made of: fixed-size structs in the host's byte order, which is little-endian. */

/**
 * Bytes as a string, one character (0 to 255) for each: a fraction of an array's memory, compared in one step, and found in a Map. Made by
 * `Codec.text` and `byteText`; `textBytes` gives the bytes.
 */
export type ByteText = string;

/** Translates between a value and its fixed-size bytes. */
export type Codec<T> = {
  /** Bytes of every encoded value. */
  readonly size: number;
  /** Throws RangeError naming the field when a number or an array does not fit. */
  encode(value: T): Uint8Array;
  /** As `encode`, as byte text. */
  text(value: T): ByteText;
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

/** The bytes as text. */
export function byteText(bytes: Uint8Array): ByteText {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
}

/** The bytes of a text. */
export function textBytes(text: ByteText): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'latin1'));
}

/** Where in the struct the number of a field, or the first of a list of numbers, begins, in bytes. */
export function fieldAt<T extends object>(codec: Codec<T>, field: keyof T): number {
  const zero = codec.decode(new Uint8Array(codec.size));
  const one = typeof zero[field] === 'bigint' ? 1n : 1;
  return codec.encode({ ...zero, [field]: Array.isArray(zero[field]) ? [one] : one }).indexOf(1);
}

/** The codec of a struct, from what writes its fields, always all of them, and what reads them. */
export function structCodec<T>(
  name: string,
  size: number,
  write: (out: StructWriter, value: T) => void,
  read: (bytes: StructReader) => T,
): Codec<T> {
  const out = new StructWriter(name, size);
  return {
    size,
    encode: (value) => {
      write(out, value);
      return new Uint8Array(out.bytes);
    },
    text: (value) => {
      write(out, value);
      return out.bytes.toString('latin1', 0, size);
    },
    decode: (bytes) => read(new StructReader(name, size, bytes)),
  };
}

/** Writes the fields of one struct at fixed offsets, in bytes that are used for one value after the other; what is never written is zero. */
export class StructWriter {
  readonly bytes: Buffer;
  readonly #name: string;
  readonly #view: DataView;

  constructor(name: string, size: number) {
    this.bytes = Buffer.alloc(size);
    this.#name = name;
    this.#view = new DataView(this.bytes.buffer, this.bytes.byteOffset, size);
  }

  u8(offset: number, field: string, value: number): void {
    this.#view.setUint8(offset, this.#unsigned(field, value, 0xff));
  }

  u16(offset: number, field: string, value: number): void {
    this.#view.setUint16(offset, this.#unsigned(field, value, 0xffff), true);
  }

  u16be(offset: number, field: string, value: number): void {
    this.#view.setUint16(offset, this.#unsigned(field, value, 0xffff));
  }

  u32(offset: number, field: string, value: number): void {
    this.#view.setUint32(offset, this.#unsigned(field, value, 0xffff_ffff), true);
  }

  u32be(offset: number, field: string, value: number): void {
    this.#view.setUint32(offset, this.#unsigned(field, value, 0xffff_ffff));
  }

  u64(offset: number, field: string, value: bigint): void {
    if (BigInt.asUintN(64, value) !== value) throw this.#error(field, `${value} does not fit 64 unsigned bits`);
    this.#view.setBigUint64(offset, value, true);
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
    this.bytes.fill(0, offset + items.length * shape.size, offset + shape.limit * shape.size);
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
    return new Uint8Array(this.#bytes.subarray(offset, offset + length));
  }

  list<T>(offset: number, count: number, size: number, read: (at: number) => T): T[] {
    return Array.from({ length: count }, (_, i) => read(offset + i * size));
  }
}

/** The key of an array map: its index. */
export const arrayIndex: Codec<number> = structCodec(
  'index',
  4,
  (out, value) => out.u32(0, 'index', value),
  (bytes) => bytes.u32(0),
);
