import { END, FILE, FIXED_BYTES, type OmittedOption, OVERLOAD, packOptions, SNAME } from './dhcp-packing.ts';

/** DHCPv4 messages as bytes: RFC 2131 §2, options RFC 2132 and RFC 3396 (long options, option overload). */

/** A BOOTP message with its DHCP options. Addresses are unsigned 32-bit numbers; 0: none. */
export type DhcpMessage = {
  /** 1: from a client, 2: from a server. */
  readonly op: number;
  readonly xid: number;
  readonly secs: number;
  /** 0x8000: answer by broadcast. */
  readonly flags: number;
  readonly ciaddr: number;
  readonly yiaddr: number;
  readonly siaddr: number;
  readonly giaddr: number;
  /** Six bytes: only Ethernet is spoken. */
  readonly chaddr: Uint8Array;
  /** Fields for the next boot stage: a server's name, a file's; no bytes: none. What a client's message has there is not read. */
  readonly sname: Uint8Array;
  readonly file: Uint8Array;
  /** By code, in the order of the message; a code given several times is joined. */
  readonly options: ReadonlyMap<number, Uint8Array>;
};

export type DhcpDecoded =
  | { readonly ok: true; readonly message: DhcpMessage }
  | { readonly ok: false; readonly reason: 'short' | 'long' | 'not-ethernet' | 'no-cookie' | 'bad-option' };

/** `omitted`: what the size did not allow. */
export type DhcpEncoded = { readonly bytes: Uint8Array; readonly omitted: readonly OmittedOption[] };

const COOKIE = 0x63825363;
const MAX_BYTES = 4096;
/** The smallest message that every BOOTP client takes (RFC 1542 §2.1). */
const MIN_REPLY_BYTES = 300;
const PAD = 0;

/** Decodes a message from a client. Never throws. */
export function decodeDhcpMessage(bytes: Uint8Array): DhcpDecoded {
  if (bytes.length < FIXED_BYTES + 4) return { ok: false, reason: 'short' };
  if (bytes.length > MAX_BYTES) return { ok: false, reason: 'long' };
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (bytes[1] !== 1 || bytes[2] !== 6) return { ok: false, reason: 'not-ethernet' };
  if (view.getUint32(FIXED_BYTES) !== COOKIE) return { ok: false, reason: 'no-cookie' };
  const options = decodeOptions(bytes);
  if (options === undefined) return { ok: false, reason: 'bad-option' };
  const message: DhcpMessage = {
    op: view.getUint8(0),
    xid: view.getUint32(4),
    secs: view.getUint16(8),
    flags: view.getUint16(10),
    ciaddr: view.getUint32(12),
    yiaddr: view.getUint32(16),
    siaddr: view.getUint32(20),
    giaddr: view.getUint32(24),
    chaddr: bytes.slice(28, 34),
    sname: new Uint8Array(0),
    file: new Uint8Array(0),
    options,
  };
  return { ok: true, message };
}

/** All options: the options field, then `file`, then `sname` when they are overloaded (RFC 3396 §5); undefined: malformed. */
function decodeOptions(bytes: Uint8Array): Map<number, Uint8Array> | undefined {
  const options = new Map<number, Uint8Array>();
  if (!readOptions(bytes.subarray(FIXED_BYTES + 4), options)) return undefined;
  const overload = options.get(OVERLOAD);
  if (overload === undefined) return options;
  const fields = overload.length === 1 ? (overload[0] ?? 0) : 0;
  if (fields < 1 || fields > 3) return undefined;
  if ((fields & 1) !== 0 && !readOptions(bytes.subarray(FILE.from, FILE.to), options)) return undefined;
  if ((fields & 2) !== 0 && !readOptions(bytes.subarray(SNAME.from, SNAME.to), options)) return undefined;
  return options;
}

/** Adds the options of one field; false when one runs over its end. A missing end mark is forgiven. */
function readOptions(field: Uint8Array, into: Map<number, Uint8Array>): boolean {
  let at = 0;
  while (at < field.length) {
    const code = field[at] ?? END;
    if (code === END) return true;
    at += 1;
    if (code === PAD) continue;
    const length = field[at];
    if (length === undefined || at + 1 + length > field.length) return false;
    const value = field.slice(at + 1, at + 1 + length);
    const before = into.get(code);
    into.set(code, before === undefined ? value : concat(before, value));
    at += 1 + length;
  }
  return true;
}

function concat(a: Uint8Array, b: Uint8Array): Uint8Array {
  const joined = new Uint8Array(a.length + b.length);
  joined.set(a);
  joined.set(b, a.length);
  return joined;
}

/**
 * Encodes within `maxBytes` (at least 300). Options stand in map order as long as there is room. Else `file` and `sname` are used too if they are free
 * (RFC 2132 §9.3), options that are lists give up the items at their end, and others are left out. Options over 255 bytes are split (RFC 3396 §6), lists
 * between two items, for clients that do not join the parts.
 */
export function encodeDhcpMessage(message: DhcpMessage, maxBytes: number): DhcpEncoded {
  const bytes = new Uint8Array(Math.max(maxBytes, MIN_REPLY_BYTES));
  writeHeader(new DataView(bytes.buffer), bytes, message);
  const isFree = {
    sname: !writeField(bytes.subarray(SNAME.from, SNAME.to), message.sname),
    file: !writeField(bytes.subarray(FILE.from, FILE.to), message.file),
  };
  const { end, omitted } = packOptions(bytes, message.options, isFree);
  return { bytes: bytes.subarray(0, Math.max(end, MIN_REPLY_BYTES)), omitted };
}

/** True: something was written. A zero stays behind it. */
function writeField(field: Uint8Array, value: Uint8Array): boolean {
  field.set(value.subarray(0, field.length - 1));
  return value.length > 0;
}

function writeHeader(view: DataView, bytes: Uint8Array, message: DhcpMessage): void {
  view.setUint8(0, message.op);
  view.setUint8(1, 1);
  view.setUint8(2, 6);
  view.setUint32(4, message.xid);
  view.setUint16(8, message.secs);
  view.setUint16(10, message.flags);
  view.setUint32(12, message.ciaddr);
  view.setUint32(16, message.yiaddr);
  view.setUint32(20, message.siaddr);
  view.setUint32(24, message.giaddr);
  bytes.set(message.chaddr.subarray(0, 6), 28);
  view.setUint32(FIXED_BYTES, COOKIE);
}
