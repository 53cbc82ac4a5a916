/** DNS over TCP: a length of two bytes before each message (RFC 1035 §4.2.2, RFC 7766 §8). */

/** Cuts a stream into messages. `undefined`: the other side breaks the rules, so the connection is to be closed. */
export type DnsFramer = { push(chunk: Uint8Array): readonly Uint8Array[] | undefined };

/** Messages of 1 to `maxBytes` bytes; at most one of them is kept between two chunks. */
export function createDnsFramer(maxBytes: number): DnsFramer {
  let kept: Uint8Array = new Uint8Array(0);
  let broken = false;
  return {
    push: (chunk) => {
      const messages: Uint8Array[] = [];
      let rest = kept.length === 0 ? chunk : Uint8Array.from(Buffer.concat([kept, chunk]));
      while (!broken && rest.length >= 2) {
        const length = ((rest[0] ?? 0) << 8) | (rest[1] ?? 0);
        if (length === 0 || length > maxBytes) broken = true;
        if (broken || rest.length < 2 + length) break;
        messages.push(rest.slice(2, 2 + length));
        rest = rest.subarray(2 + length);
      }
      kept = broken ? new Uint8Array(0) : rest.slice();
      return broken ? undefined : messages;
    },
  };
}

/** The message with its length before it, in one piece (RFC 7766 §8). */
export function frameDnsMessage(message: Uint8Array): Uint8Array {
  return Buffer.concat([Uint8Array.of(message.length >>> 8, message.length & 255), message]);
}
