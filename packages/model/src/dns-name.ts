/** Names of the DNS: RFC 1035 §3.1 (labels, lengths) and §4.1.4 (compression). Readers are total: undefined for what is no name. */

/** Labels from left to right; none: the root. Each character is one byte (0 to 255), in the case that was sent. */
export type DnsName = readonly string[];

const MAX_NAME_BYTES = 255;
const MAX_LABEL_BYTES = 63;

/** A host name or domain as people write it, with or without the dot at its end. Undefined unless labels are letters, digits, `-` and `_`. */
export function parseDnsName(text: string): DnsName | undefined {
  const bare = text.endsWith('.') ? text.slice(0, -1) : text;
  if (bare === '') return text === '.' ? [] : undefined;
  const labels = bare.split('.');
  if (!labels.every((label) => /^[A-Za-z0-9_-]{1,63}$/.test(label)) || sizeOfName(labels) > MAX_NAME_BYTES)
    return undefined;
  return labels;
}

/** A name of letters, digits and inner hyphens alone (RFC 1123 §2.1), with or without a dot at its end; undefined: it is none. */
export function parseHostName(text: string): DnsName | undefined {
  const name = parseDnsName(text);
  return name !== undefined && name.length > 0 && name.every((label) => HOST_LABEL.test(label)) ? name : undefined;
}

const HOST_LABEL = /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/i;

/** For logs and people, with a dot at the end; bytes that are no letters, digits, `-` or `_` as `\ddd`. */
export function formatDnsName(name: DnsName): string {
  return name.length === 0 ? '.' : name.map((label) => `${escapeLabel(label)}.`).join('');
}

/** Equal for names that are equal (RFC 4343: ASCII letters without case). */
export function dnsNameKey(name: DnsName): string {
  // All that is no ASCII is escaped by then.
  return formatDnsName(name).toLowerCase();
}

/** True when the name is the ancestor or is below it. */
export function isWithin(name: DnsName, ancestor: DnsName): boolean {
  const start = name.length - ancestor.length;
  return start >= 0 && dnsNameKey(name.slice(start)) === dnsNameKey(ancestor);
}

/** Uncompressed, with the root's zero at the end. */
export function encodeDnsName(name: DnsName): Uint8Array {
  const bytes = new Uint8Array(sizeOfName(name));
  let at = 0;
  for (const label of name) {
    bytes[at] = label.length;
    for (let i = 0; i < label.length; i += 1) bytes[at + 1 + i] = label.charCodeAt(i);
    at += 1 + label.length;
  }
  return bytes;
}

/**
 * Reads the name at `at`. `next`: the first byte after it. Each pointer must lead to before everything of this name that was read so far,
 * so that reading ends whatever the bytes are.
 */
export function readDnsName(
  bytes: Uint8Array,
  at: number,
): { readonly name: DnsName; readonly next: number } | undefined {
  const labels: string[] = [];
  let size = 1;
  let next: number | undefined;
  let first = at;
  let here = at;
  for (;;) {
    const length = bytes[here];
    if (length === undefined) return undefined;
    if (length === 0) return { name: labels, next: next ?? here + 1 };
    if (length >= 0xc0) {
      const low = bytes[here + 1];
      const target = ((length & 0x3f) << 8) | (low ?? 0);
      if (low === undefined || target >= first) return undefined;
      next ??= here + 2;
      first = target;
      here = target;
      continue;
    }
    size += 1 + length;
    if (length > MAX_LABEL_BYTES || size > MAX_NAME_BYTES || here + 1 + length > bytes.length) return undefined;
    labels.push(String.fromCharCode(...bytes.subarray(here + 1, here + 1 + length)));
    here += 1 + length;
  }
}

function sizeOfName(name: DnsName): number {
  return name.reduce((sum, label) => sum + 1 + label.length, 1);
}

function escapeLabel(label: string): string {
  return label.replace(/[^A-Za-z0-9_-]/g, (character) => `\\${character.charCodeAt(0).toString().padStart(3, '0')}`);
}
