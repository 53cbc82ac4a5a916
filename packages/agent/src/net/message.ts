/** Netlink messages (linux/netlink.h) as bytes: headers and attributes, encoded and decoded. Host byte order, little-endian. */

/** An attribute: its type, and its bytes or the attributes nested in it. */
export type Attribute = { readonly type: number; readonly data: Uint8Array | readonly Attribute[] };

/** One message without its header. */
export type NetlinkMessage = {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  readonly body: Uint8Array;
};

/** Attributes by type; of one that repeats, the last. */
export type AttributeMap = ReadonlyMap<number, Uint8Array>;

const HEADER = 16;
const ATTRIBUTE_HEADER = 4;
const NESTED = 0x8000;
const TYPE_MASK = 0x3fff;

export function u8(type: number, value: number): Attribute {
  return { type, data: Uint8Array.of(value) };
}

export function u16be(type: number, value: number): Attribute {
  return { type, data: Uint8Array.of(value >> 8, value & 0xff) };
}

export function u32be(type: number, value: number): Attribute {
  const data = Buffer.alloc(4);
  data.writeInt32BE(value | 0);
  return { type, data: new Uint8Array(data) };
}

export function u32(type: number, value: number): Attribute {
  return { type, data: u32Bytes(value) };
}

/** NUL-terminated. */
export function text(type: number, value: string): Attribute {
  return { type, data: new Uint8Array(Buffer.from(`${value}\0`)) };
}

export function bytes(type: number, data: Uint8Array): Attribute {
  return { type, data };
}

export function nest(type: number, data: readonly Attribute[]): Attribute {
  return { type, data };
}

/** A fixed header such as struct ifinfomsg. Each field is [bytes, value]. */
export function fixedHeader(...fields: readonly (readonly [1 | 2 | 4, number])[]): Uint8Array {
  const out = Buffer.alloc(fields.reduce((sum, [size]) => sum + size, 0));
  let at = 0;
  for (const [size, value] of fields) {
    out.writeUIntLE(value >>> 0, at, size);
    at += size;
  }
  return new Uint8Array(out);
}

export function u32Bytes(value: number): Uint8Array {
  return fixedHeader([4, value]);
}

export function encodeMessage(
  head: { readonly type: number; readonly flags: number; readonly sequence: number },
  fixed: Uint8Array,
  attributes: readonly Attribute[],
): Uint8Array {
  const parts = [fixed, padding(fixed.length), ...attributes.flatMap(encodeAttribute)];
  const size = parts.reduce((sum, part) => sum + part.length, HEADER);
  const header = fixedHeader([4, size], [2, head.type], [2, head.flags], [4, head.sequence], [4, 0]);
  return new Uint8Array(Buffer.concat([header, ...parts]));
}

/** Attributes one after the other, each padded to 4 bytes. */
export function encodeAttributes(attributes: readonly Attribute[]): Uint8Array {
  return new Uint8Array(Buffer.concat(attributes.flatMap(encodeAttribute)));
}

function encodeAttribute(attribute: Attribute): Uint8Array[] {
  const { type, data } = attribute;
  const nested = !(data instanceof Uint8Array);
  const parts = nested ? data.flatMap(encodeAttribute) : [data, padding(data.length)];
  const size = nested ? parts.reduce((sum, part) => sum + part.length, 0) : data.length;
  return [fixedHeader([2, size + ATTRIBUTE_HEADER], [2, nested ? type | NESTED : type]), ...parts];
}

function padding(size: number): Uint8Array {
  return new Uint8Array(align4(size) - size);
}

/** The messages in one datagram; stops at the first that contradicts its length. */
export function decodeMessages(datagram: Uint8Array): NetlinkMessage[] {
  const view = viewOf(datagram);
  const found: NetlinkMessage[] = [];
  for (let at = 0; at + HEADER <= datagram.length; ) {
    const size = view.getUint32(at, true);
    if (size < HEADER || at + size > datagram.length) break;
    found.push({
      type: view.getUint16(at + 4, true),
      flags: view.getUint16(at + 6, true),
      sequence: view.getUint32(at + 8, true),
      body: datagram.subarray(at + HEADER, at + size),
    });
    at += align4(size);
  }
  return found;
}

/** The attributes that follow `offset` bytes of fixed header. */
export function decodeAttributes(body: Uint8Array, offset = 0): AttributeMap {
  return new Map(listAttributes(body, offset));
}

/** As `decodeAttributes`, in order, with those that repeat. */
export function listAttributes(body: Uint8Array, offset = 0): (readonly [number, Uint8Array])[] {
  const view = viewOf(body);
  const found: (readonly [number, Uint8Array])[] = [];
  for (let at = align4(offset); at + ATTRIBUTE_HEADER <= body.length; ) {
    const size = view.getUint16(at, true);
    if (size < ATTRIBUTE_HEADER || at + size > body.length) break;
    found.push([view.getUint16(at + 2, true) & TYPE_MASK, body.subarray(at + ATTRIBUTE_HEADER, at + size)]);
    at += align4(size);
  }
  return found;
}

/** As `readU32`, of a number in network order. */
export function readU32be(data: Uint8Array | undefined): number {
  return data !== undefined && data.length >= 4 ? viewOf(data).getUint32(0, false) : 0;
}

/** 0 when absent or too short. */
export function readU32(data: Uint8Array | undefined): number {
  return data !== undefined && data.length >= 4 ? viewOf(data).getUint32(0, true) : 0;
}

/** Empty when absent. */
export function readText(data: Uint8Array | undefined): string {
  if (data === undefined) return '';
  const end = data.indexOf(0);
  return Buffer.from(end < 0 ? data : data.subarray(0, end)).toString();
}

export function viewOf(data: Uint8Array): DataView {
  return new DataView(data.buffer, data.byteOffset, data.byteLength);
}

function align4(size: number): number {
  return (size + 3) & ~3;
}
