/** Parameters of the routes about a port, parsed. Each throws `HTTPBadRequest` that names the parameter. */
import {
  CableError,
  FLOW_STATES,
  type FlowQuery,
  type FlowState,
  formatIp,
  type IpAddress,
  isGroupAddress,
  isUuid,
  MAX_FLOWS_AN_ANSWER,
  MAX_PACKET_RATE,
  MAX_SNAPLEN,
  MAX_TRACE_BYTES,
  MIN_SNAPLEN,
  parseFrameFilter,
  parseIp,
} from '@cable/model';
import type { CapturedQuery } from './captured.ts';
import type { FollowPlace } from './followed.ts';
import type { OutsideQuery } from './outside-trace.ts';
import type { TraceQuery } from './trace.ts';

const FLOW_PARAMETERS = ['limit', 'marker', 'protocol', 'address', 'port', 'state'] as const;
const FOLLOW_PARAMETERS = ['marker', 'end', 'protocol', 'address', 'port'] as const;
const CAPTURE_PARAMETERS = ['marker', 'end', 'filter', 'snaplen'] as const;
const PACKET_PARAMETERS = ['protocol', 'sport', 'dport', 'icmp_type', 'icmp_code', 'bytes'] as const;
const TRACE_PARAMETERS = ['to', 'source', ...PACKET_PARAMETERS] as const;
const OUTSIDE_PARAMETERS = [...TRACE_PARAMETERS, 'via'] as const;

const LIVE_PARAMETERS = ['to', 'source', 'protocol', 'sport', 'dport', 'rate', 'marker', 'end'] as const;

const DEFAULT_RATE = 10;
const DEFAULT_LIMIT = 100;
const DEFAULT_PORT = 40_000;
const DEFAULT_BYTES = 84;
const PROTOCOLS: ReadonlyMap<string, number> = new Map([
  ['icmp', 1],
  ['tcp', 6],
  ['udp', 17],
  ['gre', 47],
  ['icmpv6', 58],
  ['ipv6-icmp', 58],
  ['sctp', 132],
]);
const WITH_PORTS = [6, 17, 132];
const ECHO = { 1: 8, 58: 128 } as Readonly<Record<number, number>>;

/** The values of a query; one that is not known, or given twice, is refused. */
export function readQuery(url: string, known: readonly string[]): ReadonlyMap<string, string> {
  const values = new Map<string, string>();
  for (const [name, value] of new URL(url, 'http://x').searchParams) {
    if (!known.includes(name)) throw badParameter(name, `it is not known here; there are: ${known.join(', ')}`);
    if (values.has(name)) throw badParameter(name, 'give it once');
    values.set(name, value);
  }
  return values;
}

export function parseFlowQuery(url: string): FlowQuery {
  const values = readQuery(url, FLOW_PARAMETERS);
  const state = values.get('state');
  if (state !== undefined && !FLOW_STATES.includes(state as FlowState))
    throw badParameter('state', `give one of ${FLOW_STATES.join(', ')}`);
  return {
    limit: whole(values, 'limit', { least: 1, most: MAX_FLOWS_AN_ANSWER, otherwise: DEFAULT_LIMIT }),
    after: whole(values, 'marker', { least: 0, most: 0xffffffff, otherwise: 0 }),
    ...parseEnds(values),
    ...(state === undefined ? {} : { state: state as FlowState }),
  };
}

/** Where who follows a port is: a lease at its host, what he has had of it, and how many were missing until then. */
export type FollowMarker = { readonly lease: string; readonly after: number; readonly lost: number };

/** `GET .../follow`. `marker` null: it begins. */
export function parseFollowQuery(
  url: string,
): FollowPlace & { readonly only: Pick<FlowQuery, 'protocol' | 'address' | 'port'> } {
  const values = readQuery(url, FOLLOW_PARAMETERS);
  return { ...parsePlace(values), only: parseEnds(values) };
}

/** `GET .../capture` */
export function parseCaptureQuery(url: string): CapturedQuery {
  const values = readQuery(url, CAPTURE_PARAMETERS);
  const filter = parseFrameFilter(values.get('filter') ?? '');
  if (typeof filter === 'string') throw badParameter('filter', filter);
  const snaplen = whole(values, 'snaplen', { least: MIN_SNAPLEN, most: MAX_SNAPLEN, otherwise: MAX_SNAPLEN });
  return { ...parsePlace(values), filter, snaplen };
}

function parsePlace(values: ReadonlyMap<string, string>): FollowPlace {
  const text = values.get('marker');
  return { marker: text === undefined ? null : parseFollowMarker(text), isLast: parseLast(values) };
}

/** Does the client say that he asks for the last time? */
function parseLast(values: ReadonlyMap<string, string>): boolean {
  const text = values.get('end');
  if (text !== undefined && text !== 'true') throw badParameter('end', 'give true, or leave it out');
  if (text !== undefined && !values.has('marker')) throw badParameter('end', 'give the marker of what ends, too');
  return text !== undefined;
}

function parseFollowMarker(text: string): FollowMarker {
  const [, lease, after, lost] = /^([A-Za-z0-9]{1,64})\.(\d{1,15})\.(\d{1,15})$/.exec(text) ?? [];
  if (lease === undefined) throw badParameter('marker', 'give the one of the answer before');
  return { lease, after: Number(after), lost: Number(lost) };
}

export function formatFollowMarker({ lease, after, lost }: FollowMarker): string {
  return `${lease}.${after}.${lost}`;
}

/** Where who looks on is, at the sender's host and at the receiver's; null: it begins there. */
export type LiveMarker = { readonly sender: FollowMarker | null; readonly receiver: FollowMarker | null };

/** `GET .../live` */
export type LiveQuery = {
  readonly to: string;
  /** Null: the port's own. */
  readonly source: string | null;
  readonly protocol: number;
  /** Null: any. */
  readonly sourcePort: number | null;
  readonly destinationPort: number | null;
  readonly rate: number;
  readonly marker: LiveMarker;
  readonly isLast: boolean;
};

export function parseLiveQuery(url: string): LiveQuery {
  const values = readQuery(url, LIVE_PARAMETERS);
  const { to, source } = parseWay(values);
  if (isGroupAddress(to)) throw badParameter('to', 'give the address of one receiver');
  const protocol = parseProtocol(values, to.version === 6 ? 58 : 1, to.version);
  const port = (name: string): number | null => {
    if (values.has(name) && !WITH_PORTS.includes(protocol))
      throw badParameter(name, 'only tcp, udp and sctp have ports');
    return values.has(name) ? whole(values, name, { least: 1, most: 65_535, otherwise: 0 }) : null;
  };
  const [sender, receiver, ...more] = (values.get('marker') ?? '~').split('~');
  if (sender === undefined || receiver === undefined || more.length > 0)
    throw badParameter('marker', 'give the one of the answer before');
  const markerOf = (text: string): FollowMarker | null => (text === '' ? null : parseFollowMarker(text));
  return {
    to: formatIp(to),
    source: source === undefined ? null : formatIp(source),
    protocol,
    ...{ sourcePort: port('sport'), destinationPort: port('dport') },
    rate: whole(values, 'rate', { least: 1, most: MAX_PACKET_RATE, otherwise: DEFAULT_RATE }),
    marker: { sender: markerOf(sender), receiver: markerOf(receiver) },
    isLast: parseLast(values),
  };
}

export function formatLiveMarker({ sender, receiver }: LiveMarker): string {
  return [sender, receiver].map((one) => (one === null ? '' : formatFollowMarker(one))).join('~');
}

/** Which flows; what is absent is any. */
function parseEnds(values: ReadonlyMap<string, string>): Pick<FlowQuery, 'protocol' | 'address' | 'port'> {
  const address = values.has('address') ? formatIp(parseAddress(values, 'address')) : undefined;
  const protocol = values.has('protocol') ? parseProtocol(values, 1) : undefined;
  return {
    ...(protocol === undefined ? {} : { protocol }),
    ...(address === undefined ? {} : { address }),
    ...(values.has('port') ? { port: whole(values, 'port', { least: 0, most: 65_535, otherwise: 0 }) } : {}),
  };
}

export function parseTraceQuery(url: string): TraceQuery {
  const values = readQuery(url, TRACE_PARAMETERS);
  const { to, source } = parseWay(values);
  return {
    to: formatIp(to),
    source: source === undefined ? null : formatIp(source),
    ...parsePacket(values, to.version),
  };
}

/** `GET /cable/v1/networks/{id}/trace` */
export function parseOutsideQuery(url: string): OutsideQuery {
  const values = readQuery(url, OUTSIDE_PARAMETERS);
  const { to, source } = parseWay(values);
  if (source === undefined) throw badParameter('source', 'give the address of the machine outside');
  if (isNobodys(source) || isGroupAddress(source)) throw badParameter('source', 'give the address of one machine');
  if (isGroupAddress(to)) throw badParameter('to', 'give the address of one receiver');
  const via = values.has('via') ? formatIp(parseAddress(values, 'via')) : null;
  return { to: formatIp(to), source: formatIp(source), via, ...parsePacket(values, to.version) };
}

function parseWay(values: ReadonlyMap<string, string>): {
  readonly to: IpAddress;
  readonly source: IpAddress | undefined;
} {
  const to = parseAddress(values, 'to');
  const source = values.has('source') ? parseAddress(values, 'source') : undefined;
  if (isNobodys(to)) throw badParameter('to', 'give the address of a receiver, or of a group of multicast');
  if (source !== undefined && source.version !== to.version)
    throw badParameter('source', 'give one of the family of to');
  return { to, source };
}

/** `GET .../why`: with `to`, the id of the other port. */
export function parseWhyQuery(url: string): {
  readonly to: string | null;
  readonly values: ReadonlyMap<string, string>;
} {
  const values = readQuery(url, ['to', ...PACKET_PARAMETERS]);
  const to = values.get('to') ?? null;
  if (to !== null && !isUuid(to)) throw badParameter('to', 'give the id of a port');
  return { to, values };
}

/** By default an echo request. */
export function parsePacket(values: ReadonlyMap<string, string>, version: number): Omit<TraceQuery, 'to' | 'source'> {
  const protocol = parseProtocol(values, version === 6 ? 58 : 1, version);
  const hasPorts = WITH_PORTS.includes(protocol);
  for (const name of ['sport', 'dport'])
    if (values.has(name) && !hasPorts) throw badParameter(name, 'only tcp, udp and sctp have ports');
  for (const name of ['icmp_type', 'icmp_code'])
    if (values.has(name) && ECHO[protocol] === undefined) throw badParameter(name, 'only icmp and icmpv6 have it');
  if (hasPorts && !values.has('dport')) throw badParameter('dport', 'give the destination port');
  const port = { least: 1, most: 65_535, otherwise: DEFAULT_PORT };
  const byte = { least: 0, most: 255 };
  return {
    protocol,
    sourcePort: whole(values, 'sport', port),
    destinationPort: whole(values, 'dport', { ...port, otherwise: 0 }),
    icmpType: whole(values, 'icmp_type', { ...byte, otherwise: ECHO[protocol] ?? 0 }),
    icmpCode: whole(values, 'icmp_code', { ...byte, otherwise: 0 }),
    bytes: whole(values, 'bytes', { least: 20, most: MAX_TRACE_BYTES, otherwise: DEFAULT_BYTES }),
  };
}

/** ICMP is ICMPv6 where the addresses are IPv6. */
function parseProtocol(values: ReadonlyMap<string, string>, otherwise: number, version?: number): number {
  const text = values.get('protocol');
  if (text === undefined) return otherwise;
  const named = PROTOCOLS.get(text.toLowerCase());
  const number = named ?? (/^\d{1,3}$/.test(text) ? Number(text) : 256);
  if (number > 255) throw badParameter('protocol', `give ${[...PROTOCOLS.keys()].join(', ')} or a number of 0 to 255`);
  return number === 1 && version === 6 ? 58 : number;
}

function parseAddress(values: ReadonlyMap<string, string>, name: string): IpAddress {
  const found = parseIp(values.get(name) ?? '');
  if (found === undefined) throw badParameter(name, 'give an IPv4 or IPv6 address');
  return found;
}

/** Broadcast, nobody, what is reserved. */
function isNobodys({ version, value }: IpAddress): boolean {
  return value === 0n || (version === 4 && value >> 28n === 0xfn);
}

function whole(
  values: ReadonlyMap<string, string>,
  name: string,
  { least, most, otherwise }: { readonly least: number; readonly most: number; readonly otherwise: number },
): number {
  const text = values.get(name);
  if (text === undefined) return otherwise;
  const value = /^\d{1,10}$/.test(text) ? Number(text) : -1;
  if (value < least || value > most) throw badParameter(name, `give a whole number of ${least} to ${most}`);
  return value;
}

export function badParameter(name: string, why: string): CableError {
  return new CableError('HTTPBadRequest', `Invalid value for ${name}: ${why}.`, { fields: { parameter: name } });
}
