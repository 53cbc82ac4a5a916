/** DHCPv6 messages between client and server as bytes: RFC 8415 §8 and §21.1. */

/** An option; of several with one code each stands for itself. */
export type Dhcp6Option = { readonly code: number; readonly value: Uint8Array };

/** `transactionId`: 24 bits. */
export type Dhcp6Message = {
  readonly type: number;
  readonly transactionId: number;
  readonly options: readonly Dhcp6Option[];
};

export type Dhcp6Decoded =
  | { readonly ok: true; readonly message: Dhcp6Message }
  | { readonly ok: false; readonly reason: 'short' | 'long' | 'relayed' | 'bad-option' };

/** `omitted`: codes of options that the size did not allow. */
export type Dhcp6Encoded = { readonly bytes: Uint8Array; readonly omitted: readonly number[] };

const HEADER_BYTES = 4;
const OPTION_HEADER_BYTES = 4;
const MAX_BYTES = 4096;
const MAX_OPTIONS = 128;
const RELAY_FORWARD = 12;
const RELAY_REPLY = 13;

/** Decodes a message from a client. Never throws. */
export function decodeDhcp6Message(bytes: Uint8Array): Dhcp6Decoded {
  if (bytes.length < HEADER_BYTES) return { ok: false, reason: 'short' };
  if (bytes.length > MAX_BYTES) return { ok: false, reason: 'long' };
  const type = bytes[0] ?? 0;
  // A guest is on its own link: nobody relays for it, and what follows the type is laid out otherwise.
  if (type === RELAY_FORWARD || type === RELAY_REPLY) return { ok: false, reason: 'relayed' };
  const options = decodeDhcp6Options(bytes.subarray(HEADER_BYTES));
  if (options === undefined) return { ok: false, reason: 'bad-option' };
  const transactionId = ((bytes[1] ?? 0) << 16) | ((bytes[2] ?? 0) << 8) | (bytes[3] ?? 0);
  return { ok: true, message: { type, transactionId, options } };
}

/** The options of a message or inside of an option; undefined when one runs over the end, or there are more than 128. */
export function decodeDhcp6Options(bytes: Uint8Array): readonly Dhcp6Option[] | undefined {
  const options: Dhcp6Option[] = [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let at = 0;
  while (at < bytes.length) {
    if (at + OPTION_HEADER_BYTES > bytes.length || options.length === MAX_OPTIONS) return undefined;
    const end = at + OPTION_HEADER_BYTES + view.getUint16(at + 2);
    if (end > bytes.length) return undefined;
    options.push({ code: view.getUint16(at), value: bytes.slice(at + OPTION_HEADER_BYTES, end) });
    at = end;
  }
  return options;
}

/** Encodes within `maxBytes`; options in their order, those that do not fit are left out. */
export function encodeDhcp6Message(message: Dhcp6Message, maxBytes: number): Dhcp6Encoded {
  const chosen: Dhcp6Option[] = [];
  const omitted: number[] = [];
  let size = HEADER_BYTES;
  for (const option of message.options) {
    const after = size + OPTION_HEADER_BYTES + option.value.length;
    if (after > maxBytes) {
      omitted.push(option.code);
    } else {
      chosen.push(option);
      size = after;
    }
  }
  const id = message.transactionId;
  const header = Uint8Array.of(message.type, (id >>> 16) & 255, (id >>> 8) & 255, id & 255);
  return { bytes: Buffer.concat([header, encodeDhcp6Options(chosen)]), omitted };
}

/** Options one after the other; each value has at most 65,535 bytes. */
export function encodeDhcp6Options(options: readonly Dhcp6Option[]): Uint8Array {
  return Buffer.concat(
    options.flatMap(({ code, value }) => [
      Uint8Array.of(code >>> 8, code & 255, value.length >>> 8, value.length & 255),
      value,
    ]),
  );
}
