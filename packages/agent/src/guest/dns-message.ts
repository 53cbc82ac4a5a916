import { type DnsName, dnsNameKey, encodeDnsName, readDnsName } from '@cable/model';

/** DNS messages as bytes: RFC 1035 §4, EDNS RFC 6891. */

export type DnsQuestion = { readonly name: DnsName; readonly type: number; readonly class: number };

/** `data`: as it stands in the message, but for the names of NS, CNAME, PTR and MX, which are whole. */
export type DnsRecord = {
  readonly name: DnsName;
  readonly type: number;
  readonly class: number;
  readonly ttlSeconds: number;
  readonly data: Uint8Array;
};

/** `flags`: the 16 bits of the header, `DNS_FLAG` and the response code. */
export type DnsMessage = {
  readonly id: number;
  readonly flags: number;
  readonly questions: readonly DnsQuestion[];
  readonly answers: readonly DnsRecord[];
  readonly authorities: readonly DnsRecord[];
  readonly additionals: readonly DnsRecord[];
};

export const DNS_FLAG = {
  response: 0x8000,
  opcode: 0x7800,
  authoritative: 0x0400,
  truncated: 0x0200,
  recursionDesired: 0x0100,
  recursionAvailable: 0x0080,
  authenticData: 0x0020,
  checkingDisabled: 0x0010,
  rcode: 0x000f,
} as const;

/** Response codes; over 15 they need EDNS. */
export const DNS_RCODE = {
  noError: 0,
  formatError: 1,
  serverFailure: 2,
  nameError: 3,
  notImplemented: 4,
  refused: 5,
  badVersion: 16,
} as const;

export const DNS_TYPE = {
  a: 1,
  ns: 2,
  cname: 5,
  soa: 6,
  ptr: 12,
  hinfo: 13,
  mx: 15,
  txt: 16,
  aaaa: 28,
  srv: 33,
  opt: 41,
  any: 255,
} as const;
export const DNS_CLASS = { internet: 1 } as const;

const HEADER_BYTES = 12;
const POINTER = 0xc000;

/** How a message begins. `records`: how many it says that it has. `next`: where the first of them stands. */
export type DnsHead = Pick<DnsMessage, 'id' | 'flags' | 'questions'> & {
  readonly records: readonly number[];
  readonly next: number;
};

/** The beginning of a message, whatever follows; undefined: it is none, or has more than `maxQuestions` questions. Never throws. */
export function decodeDnsHead(bytes: Uint8Array, maxQuestions: number): DnsHead | undefined {
  if (bytes.length < HEADER_BYTES || bytes.length > 65_535) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const [questionCount = 0, ...records] = [4, 6, 8, 10].map((at) => view.getUint16(at));
  if (questionCount > maxQuestions) return undefined;
  const questions: DnsQuestion[] = [];
  let next = HEADER_BYTES;
  for (let i = 0; i < questionCount; i += 1) {
    const read = readDnsName(bytes, next);
    if (read === undefined || read.next + 4 > bytes.length) return undefined;
    questions.push({ name: read.name, type: view.getUint16(read.next), class: view.getUint16(read.next + 2) });
    next = read.next + 4;
  }
  return { id: view.getUint16(0), flags: view.getUint16(2), questions, records, next };
}

/** A message whose every record can be read to its end; undefined: it is none, or has more than `maxRecords` records. Never throws. */
export function decodeDnsMessage(bytes: Uint8Array, maxRecords: number): DnsMessage | undefined {
  const head = decodeDnsHead(bytes, maxRecords);
  if (head === undefined || recordsOf(head) > maxRecords) return undefined;
  const { id, flags, questions } = head;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let at = head.next;
  const sections: DnsRecord[][] = [];
  for (const count of head.records) {
    const records: DnsRecord[] = [];
    for (let i = 0; i < count; i += 1) {
      const read = readRecord(bytes, view, at);
      if (read === undefined) return undefined;
      records.push(read.record);
      at = read.next;
    }
    sections.push(records);
  }
  if (at !== bytes.length) return undefined;
  const [answers = [], authorities = [], additionals = []] = sections;
  return { id, flags, questions, answers, authorities, additionals };
}

/** Questions and records that a message says that it has. */
export function recordsOf({ questions, records }: Pick<DnsHead, 'questions' | 'records'>): number {
  return records.reduce((sum, one) => sum + one, questions.length);
}

function readRecord(
  bytes: Uint8Array,
  view: DataView,
  at: number,
): { readonly record: DnsRecord; readonly next: number } | undefined {
  const read = readDnsName(bytes, at);
  if (read === undefined || read.next + 10 > bytes.length) return undefined;
  const { name, next } = read;
  const end = next + 10 + view.getUint16(next + 8);
  if (end > bytes.length) return undefined;
  const record: DnsRecord = {
    name,
    type: view.getUint16(next),
    class: view.getUint16(next + 2),
    ttlSeconds: view.getUint32(next + 4),
    data: wholeData(bytes, view.getUint16(next), next + 10, end),
  };
  return { record, next: end };
}

/** What a record that may point to elsewhere in its message says (RFC 3597 §4). Malformed: as it stands. */
function wholeData(bytes: Uint8Array, type: number, start: number, end: number): Uint8Array {
  const before = type === DNS_TYPE.mx ? 2 : 0;
  const isName = type === DNS_TYPE.cname || type === DNS_TYPE.ns || type === DNS_TYPE.ptr || type === DNS_TYPE.mx;
  const read = isName ? readDnsName(bytes, start + before) : undefined;
  if (read?.next !== end) return bytes.slice(start, end);
  return Buffer.concat([bytes.subarray(start, start + before), encodeDnsName(read.name)]);
}

/** The message, owner names compressed (RFC 1035 §4.1.4; names in data are not). */
export function encodeDnsMessage(message: DnsMessage): Uint8Array {
  const { questions, answers, authorities, additionals } = message;
  const header = [message.id, message.flags, questions.length, answers.length, authorities.length, additionals.length];
  const parts: Uint8Array[] = [Uint8Array.from(header.flatMap(uint16))];
  const places = new Map<string, number>();
  let at = HEADER_BYTES;
  const push = (part: Uint8Array): void => {
    parts.push(part);
    at += part.length;
  };
  for (const question of questions) {
    push(compressName(question.name, places, at));
    push(Uint8Array.from([question.type, question.class].flatMap(uint16)));
  }
  for (const record of [...answers, ...authorities, ...additionals]) {
    push(compressName(record.name, places, at));
    const ttl = [record.ttlSeconds >>> 16, record.ttlSeconds & 0xffff];
    push(Uint8Array.from([record.type, record.class, ...ttl, record.data.length].flatMap(uint16)));
    push(record.data);
  }
  return Uint8Array.from(Buffer.concat(parts));
}

/** Labels up to one that stands in the message already, in the same case; `places` learns the new ones. */
function compressName(name: DnsName, places: Map<string, number>, at: number): Uint8Array {
  const parts: Uint8Array[] = [];
  let here = at;
  for (let i = 0; i < name.length; i += 1) {
    const rest = name.slice(i);
    const key = JSON.stringify(rest);
    const place = places.get(key);
    if (place !== undefined) return Buffer.concat([...parts, Uint8Array.from(uint16(POINTER | place))]);
    if (here < 0x4000) places.set(key, here);
    const label = encodeDnsName(rest.slice(0, 1)).subarray(0, -1);
    parts.push(label);
    here += label.length;
  }
  return Buffer.concat([...parts, Uint8Array.of(0)]);
}

function uint16(value: number): readonly [number, number] {
  return [(value >>> 8) & 255, value & 255];
}

/** Same name but for case, type and class. */
export function sameQuestion(a: DnsQuestion, b: DnsQuestion): boolean {
  return a.type === b.type && a.class === b.class && dnsNameKey(a.name) === dnsNameKey(b.name);
}
