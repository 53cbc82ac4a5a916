/** What the model reads of a frame. */
import { ipText, macText } from '../packet-text.ts';

/** Both ends of a flow as its packets have them. ICMP queries have (identifier, type and code) for ports; what has no ports, zeros. */
export type Tuple = {
  readonly protocol: number;
  readonly from: string;
  readonly to: string;
  readonly sport: number;
  readonly dport: number;
};

export type IpHeaders = {
  readonly from: string;
  readonly to: string;
  readonly protocol: number;
  readonly ttl: number;
  readonly id: number;
  readonly headerBytes: number;
  readonly fragment: 'whole' | 'first' | 'later';
  /** No router may cut it. */
  readonly dontFragment: boolean;
  /** Of the flow that the packet belongs to; of an ICMP error, that of an answer to what it quotes. Ports of a later fragment: unknown, 0. */
  readonly tuple: Tuple;
  /** Begins a connection: SYN, ICMP query. */
  readonly opens: boolean;
  /** Makes sense only in a flow: SYN+ACK, RST, ICMP answer or error. */
  readonly needsFlow: boolean;
  /** An ICMP error. */
  readonly isError: boolean;
  readonly isEcho: boolean;
  /** Of ICMP. */
  readonly icmpType?: number;
  /** Type << 8 of an answer to an ICMP query. */
  readonly icmpAnswer?: number;
  readonly syn: boolean;
  readonly fin: boolean;
  readonly rst: boolean;
  /** Of TCP, but for later fragments. `length`: of the sequence numbers; `acknowledges` undefined: nothing. */
  readonly segment?: { readonly sequence: number; readonly length: number; readonly acknowledges: number | undefined };
  /** ICMP redirect. */
  readonly isRedirect: boolean;
};

export type ArpHeaders = {
  readonly op: number;
  readonly sha: string;
  readonly spa: string;
  readonly tha: string;
  readonly tpa: string;
};

export type Reason = 'malformed' | 'invalid_state' | 'tiny_fragment' | 'ip_options';

export type EthernetHeaders = { readonly src: string; readonly dst: string; readonly type: number };

const ETHERNET = 14;
const TCP = 6;
const UDP = 17;
const ICMP = 1;
/** In IPv4 it means nothing, but is as long as it is. */
const ICMPV6 = 58;
/** TCP, UDP, DCCP, SCTP, UDP-Lite. */
const WITH_PORTS: ReadonlySet<number> = new Set([TCP, UDP, 33, 132, 136]);
/** Query to answer: echo, timestamp, information, address mask. */
const ICMP_QUERIES: ReadonlyMap<number, number> = new Map([
  [8, 0],
  [13, 14],
  [15, 16],
  [17, 18],
]);
const ICMP_ANSWERS: ReadonlyMap<number, number> = new Map([...ICMP_QUERIES].map(([query, answer]) => [answer, query]));
/** Unreachable, source quench, redirect, time exceeded, parameter problem. */
const REDIRECT = 5;
const ICMP_ERRORS: ReadonlySet<number> = new Set([3, 4, 5, 11, 12]);

export function hasPorts(protocol: number): boolean {
  return WITH_PORTS.has(protocol);
}

/** May it be asked for by an identifier? */
export function isIcmpQuery(type: number | undefined): boolean {
  return type !== undefined && ICMP_QUERIES.has(type);
}

export function isGroupMac(mac: string): boolean {
  return (Number.parseInt(mac.slice(0, 2), 16) & 1) === 1;
}

export function readEthernet(frame: Buffer): EthernetHeaders {
  return {
    dst: macText(frame.subarray(0, 6)),
    src: macText(frame.subarray(6, 12)),
    type: frame.readUInt16BE(12),
  };
}

/** RFC 826, for IPv4 over Ethernet. */
export function readArp(frame: Buffer): ArpHeaders | Reason {
  const bytes = frame.subarray(ETHERNET);
  if (bytes.length < 28 || bytes.toString('hex', 0, 6) !== '000108000604') return 'malformed';
  return {
    op: bytes.readUInt16BE(6),
    sha: macText(bytes.subarray(8, 14)),
    spa: ipText(bytes.subarray(14, 18)),
    tha: macText(bytes.subarray(18, 24)),
    tpa: ipText(bytes.subarray(24, 28)),
  };
}

type Transport = Pick<
  IpHeaders,
  | 'tuple'
  | 'opens'
  | 'needsFlow'
  | 'isError'
  | 'isEcho'
  | 'icmpType'
  | 'icmpAnswer'
  | 'isRedirect'
  | 'syn'
  | 'fin'
  | 'rst'
  | 'segment'
>;

const PLAIN = {
  opens: false,
  needsFlow: false,
  isError: false,
  isEcho: false,
  isRedirect: false,
  syn: false,
  fin: false,
  rst: false,
} as const;

/** An IPv4 packet: what is behind its total length is not part of it. */
export function readIpv4(frame: Buffer): IpHeaders | Reason {
  const bytes = frame.subarray(ETHERNET);
  const header = readIpHeader(bytes);
  if (header === undefined) return 'malformed';
  const total = bytes.readUInt16BE(2);
  if (total > bytes.length || total < header.headerBytes) return 'malformed';
  const flags = bytes.readUInt16BE(6);
  const [more, later] = [(flags & 0x2000) !== 0, (flags & 0x1fff) !== 0];
  if (header.protocol === TCP && (flags & 0x1fff) === 1) return 'tiny_fragment';
  const wrong = wrongOptions(bytes.subarray(20, header.headerBytes));
  if (wrong !== undefined) return wrong;
  const fragment = later ? 'later' : more ? 'first' : 'whole';
  const noPorts: Tuple = { protocol: header.protocol, from: header.from, to: header.to, sport: 0, dport: 0 };
  const rest = bytes.subarray(header.headerBytes, total);
  const transport = later ? { ...PLAIN, tuple: noPorts } : readTransport(rest, noPorts);
  return typeof transport === 'string'
    ? transport
    : { ...header, fragment, dontFragment: (flags & 0x4000) !== 0, ...transport };
}

const END_OF_OPTIONS = 0;
const NO_OPERATION = 1;
/** Loose and strict source route. */
const SOURCE_ROUTES: ReadonlySet<number> = new Set([131, 137]);

function wrongOptions(options: Buffer): Reason | undefined {
  for (let at = 0; at < options.length; ) {
    const kind = options[at] ?? END_OF_OPTIONS;
    if (SOURCE_ROUTES.has(kind)) return 'ip_options';
    if (kind === END_OF_OPTIONS) return undefined;
    const length = kind === NO_OPERATION ? 1 : (options[at + 1] ?? 0);
    if (kind !== NO_OPERATION && (length < 2 || at + length > options.length)) return 'malformed';
    at += length;
  }
  return undefined;
}

type IpHeader = Pick<IpHeaders, 'from' | 'to' | 'protocol' | 'ttl' | 'id' | 'headerBytes'>;

/** Undefined: it is none. */
function readIpHeader(bytes: Buffer): IpHeader | undefined {
  if (bytes.length < 20) return undefined;
  const headerBytes = ((bytes[0] ?? 0) & 0xf) * 4;
  if ((bytes[0] ?? 0) >> 4 !== 4 || headerBytes < 20) return undefined;
  return {
    headerBytes,
    ...{ id: bytes.readUInt16BE(4), ttl: bytes[8] ?? 0, protocol: bytes[9] ?? 0 },
    ...{ from: ipText(bytes.subarray(12, 16)), to: ipText(bytes.subarray(16, 20)) },
  };
}

function readTransport(bytes: Buffer, base: Tuple): Transport | Reason {
  if (base.protocol === TCP) return readTcp(bytes, base);
  if (base.protocol === ICMP) return readIcmp(bytes, base);
  const short = bytes.length < 8;
  if (!hasPorts(base.protocol)) return short && base.protocol === ICMPV6 ? 'malformed' : { ...PLAIN, tuple: base };
  return short ? 'malformed' : { ...PLAIN, tuple: withPorts(base, bytes) };
}

function withPorts(base: Tuple, bytes: Buffer): Tuple {
  return { ...base, sport: bytes.readUInt16BE(0), dport: bytes.readUInt16BE(2) };
}

function readTcp(bytes: Buffer, base: Tuple): Transport | Reason {
  if (bytes.length < 20) return 'malformed';
  const has = (flag: number): boolean => ((bytes[13] ?? 0) & flag) !== 0;
  const headerBytes = ((bytes[12] ?? 0) >> 4) * 4;
  if (headerBytes < 20 || headerBytes > bytes.length) return 'malformed';
  const [fin, syn, rst, ack] = [has(1), has(2), has(4), has(16)];
  if ((syn && (fin || rst)) || !(syn || rst || ack)) return 'invalid_state';
  const opens = syn && !ack;
  const segment = {
    sequence: bytes.readUInt32BE(4),
    length: bytes.length - headerBytes + Number(syn) + Number(fin),
    acknowledges: ack ? bytes.readUInt32BE(8) : undefined,
  };
  return { ...PLAIN, tuple: withPorts(base, bytes), opens, needsFlow: !opens && (syn || rst), syn, fin, rst, segment };
}

function readIcmp(bytes: Buffer, base: Tuple): Transport | Reason {
  if (bytes.length < 8) return 'malformed';
  const type = bytes[0] ?? 0;
  if (ICMP_ERRORS.has(type)) {
    const error = readError(bytes.subarray(8), base);
    return typeof error === 'string' ? error : { ...error, isRedirect: type === REDIRECT, icmpType: type };
  }
  const needsFlow = ICMP_ANSWERS.has(type);
  const answer = needsFlow ? { icmpAnswer: type << 8 } : {};
  return {
    ...PLAIN,
    tuple: icmpTuple(base, bytes),
    opens: !needsFlow,
    needsFlow,
    isEcho: type === 8,
    icmpType: type,
    ...answer,
  };
}

/** An answer has the query's identifier, and answers code 0 of it. Other messages have no identifier. */
function icmpTuple(base: Tuple, bytes: Buffer): Tuple {
  const [type, id] = [bytes[0] ?? 0, bytes.readUInt16BE(4)];
  const answers = ICMP_ANSWERS.get(type);
  if (answers !== undefined) return { ...base, sport: answers << 8, dport: id };
  return { ...base, sport: ICMP_QUERIES.has(type) ? id : 0, dport: bytes.readUInt16BE(0) };
}

/** The error travels as an answer to the packet that it quotes would, back to who sent that. */
function readError(quote: Buffer, outer: Tuple): Transport | Reason {
  const header = readIpHeader(quote);
  if (header === undefined) return 'malformed';
  if (header.from !== outer.to || (quote.readUInt16BE(6) & 0x1fff) !== 0) return 'invalid_state';
  const quoted = quotedTuple(header, quote.subarray(header.headerBytes));
  if (quoted === undefined) return 'malformed';
  return { ...PLAIN, tuple: reversed(quoted), needsFlow: true, isError: true };
}

/** Undefined: too little is quoted to know the ports. */
function quotedTuple({ protocol, from, to }: IpHeader, bytes: Buffer): Tuple | undefined {
  const base: Tuple = { protocol, from, to, sport: 0, dport: 0 };
  if (protocol === ICMP) return bytes.length < 8 ? undefined : icmpTuple(base, bytes);
  if (!hasPorts(protocol)) return base;
  return bytes.length < 4 ? undefined : withPorts(base, bytes);
}

export function reversed({ protocol, from, to, sport, dport }: Tuple): Tuple {
  return { protocol, from: to, to: from, sport: dport, dport: sport };
}
