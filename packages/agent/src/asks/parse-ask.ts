import {
  FLOW_STATES,
  type FlowState,
  type FrameFilter,
  type HostAsk,
  isUuid,
  MAX_FILTER_ENDS,
  MAX_FLOWS_AN_ANSWER,
  MAX_PACKET_RATE,
  MAX_SNAPLEN,
  MAX_TRACE_BYTES,
  MAX_TRACE_FLOWS,
  MIN_SNAPLEN,
  type PacketQuery,
  type TracePacket,
} from '@cable/model';
import { isRecord, type JsonRecord } from '../json.ts';
import { formatAddress, parseAddress } from '../plan/address.ts';

/** The ask; `unknown`: of a kind that newer servers know; a text: what is wrong with it. */
export function parseAsk(ask: JsonRecord): HostAsk | 'unknown' | { readonly wrong: string } {
  try {
    switch (ask['kind']) {
      case 'drops':
        return { kind: 'drops', portId: uuid(ask, 'portId') };
      case 'flows':
        return parseFlows(ask);
      case 'follow':
        return {
          kind: 'follow',
          portId: uuid(ask, 'portId'),
          lease: ask['lease'] === null ? null : text(ask, 'lease', MAX_LEASE),
          after: whole(ask, 'after', 0, Number.MAX_SAFE_INTEGER),
          ...(ask['packets'] === undefined ? parseEnds(ask) : { packets: parsePackets(record(ask, 'packets')) }),
          ...parseLast(ask),
        };
      case 'capture':
        return {
          kind: 'capture',
          portId: uuid(ask, 'portId'),
          lease: ask['lease'] === null ? null : text(ask, 'lease', MAX_LEASE),
          after: whole(ask, 'after', 0, Number.MAX_SAFE_INTEGER),
          filter: parseFilter(record(ask, 'filter')),
          snaplen: whole(ask, 'snaplen', MIN_SNAPLEN, MAX_SNAPLEN),
          ...parseLast(ask),
        };
      case 'trace':
        return {
          kind: 'trace',
          isAnswer: ask['isAnswer'] === true,
          from: parseStart(record(ask, 'from')),
          ...(ask['flows'] === undefined ? {} : { flows: texts(ask, 'flows', MAX_TRACE_FLOWS) }),
        };
      default:
        return 'unknown';
    }
  } catch (err) {
    if (err instanceof Malformed) return { wrong: err.message };
    throw err;
  }
}

class Malformed extends Error {}

/** Characters. */
const MAX_LEASE = 64;

type Flows = Extract<HostAsk, { readonly kind: 'flows' }>;
type Trace = Extract<HostAsk, { readonly kind: 'trace' }>;

function parseFlows(ask: JsonRecord): Flows {
  const { state } = ask;
  if (state !== undefined && !FLOW_STATES.includes(state as FlowState)) throw new Malformed('state is none of a flow');
  return {
    kind: 'flows',
    portId: uuid(ask, 'portId'),
    limit: whole(ask, 'limit', 1, MAX_FLOWS_AN_ANSWER),
    after: whole(ask, 'after', 0, Number.MAX_SAFE_INTEGER),
    ...parseEnds(ask),
    ...(state === undefined ? {} : { state: state as FlowState }),
  };
}

/** Which flows: what is absent is any. */
function parseEnds(ask: JsonRecord): Pick<Flows, 'protocol' | 'address' | 'port'> {
  return {
    ...(ask['protocol'] === undefined ? {} : { protocol: whole(ask, 'protocol', 0, 255) }),
    ...(ask['address'] === undefined ? {} : { address: address(ask, 'address') }),
    ...(ask['port'] === undefined ? {} : { port: whole(ask, 'port', 0, 65_535) }),
  };
}

function parseLast(ask: JsonRecord): { readonly isLast?: true } {
  return ask['isLast'] === true ? { isLast: true } : {};
}

function parseFilter(filter: JsonRecord): FrameFilter {
  const ends = (name: 'hosts' | 'ports'): readonly unknown[] => {
    const value = filter[name];
    if (!Array.isArray(value) || value.length > MAX_FILTER_ENDS)
      throw new Malformed(`${name} is no list of at most ${MAX_FILTER_ENDS}`);
    return value;
  };
  const number = (name: string, most: number): number | null =>
    filter[name] === null ? null : whole(filter, name, 0, most);
  return {
    etherType: number('etherType', 65_535),
    protocol: number('protocol', 255),
    hosts: ends('hosts').map((host) => address({ host }, 'host')),
    ports: ends('ports').map((port) => whole({ port }, 'port', 0, 65_535)),
  };
}

function parsePackets(query: JsonRecord): PacketQuery {
  const port = (name: string): number | null => (query[name] === null ? null : whole(query, name, 1, 65_535));
  return {
    peer: address(query, 'peer'),
    protocol: whole(query, 'protocol', 0, 255),
    peerPort: port('peerPort'),
    ownPort: port('ownPort'),
    rate: whole(query, 'rate', 1, MAX_PACKET_RATE),
  };
}

function parseStart(from: JsonRecord): Trace['from'] {
  if (from['kind'] === 'host') {
    const { frame } = from;
    if (typeof frame !== 'string' || frame.length > 2 * MAX_TRACE_BYTES) throw new Malformed('frame is no frame');
    return { kind: 'host', underlay: address(from, 'underlay'), vni: whole(from, 'vni', 1, 2 ** 24 - 1), frame };
  }
  if (from['kind'] !== 'port' && from['kind'] !== 'outside')
    throw new Malformed('from.kind is none of port, host and outside');
  const sent = { nextHop: address(from, 'nextHop'), packet: parsePacket(record(from, 'packet')) };
  if (from['kind'] === 'port')
    return {
      ...{ kind: 'port', portId: uuid(from, 'portId') },
      ...(from['isOutside'] === true ? { isOutside: true } : {}),
      ...sent,
    };
  return { kind: 'outside', networkId: uuid(from, 'networkId'), asker: address(from, 'asker'), ...sent };
}

function parsePacket(packet: JsonRecord): TracePacket {
  return {
    source: address(packet, 'source'),
    destination: address(packet, 'destination'),
    protocol: whole(packet, 'protocol', 0, 255),
    sourcePort: whole(packet, 'sourcePort', 0, 65_535),
    destinationPort: whole(packet, 'destinationPort', 0, 65_535),
    icmpType: whole(packet, 'icmpType', 0, 255),
    icmpCode: whole(packet, 'icmpCode', 0, 255),
    bytes: whole(packet, 'bytes', 0, MAX_TRACE_BYTES),
  };
}

function record(fields: JsonRecord, name: string): JsonRecord {
  const value = fields[name];
  if (!isRecord(value)) throw new Malformed(`${name} is no object`);
  return value;
}

/** At most so many, each of at most 1,024 characters. */
function texts(fields: JsonRecord, name: string, most: number): readonly string[] {
  const value = fields[name];
  const isText = (one: unknown): one is string => typeof one === 'string' && one.length <= 1024;
  if (!Array.isArray(value) || value.length > most || !value.every(isText))
    throw new Malformed(`${name} is no list of at most ${most} texts`);
  return value;
}

function text(fields: JsonRecord, name: string, most: number): string {
  const value = fields[name];
  if (typeof value !== 'string' || value.length > most)
    throw new Malformed(`${name} is no text of at most ${most} characters`);
  return value;
}

function uuid(fields: JsonRecord, name: string): string {
  const value = fields[name];
  if (typeof value !== 'string' || !isUuid(value)) throw new Malformed(`${name} is no UUID`);
  return value;
}

function whole(fields: JsonRecord, name: string, least: number, most: number): number {
  const value = fields[name];
  if (!Number.isSafeInteger(value) || Number(value) < least || Number(value) > most)
    throw new Malformed(`${name} is not a whole number of ${least} to ${most}`);
  return Number(value);
}

/** As it is written in short. */
function address(fields: JsonRecord, name: string): string {
  const value = fields[name];
  const bytes = typeof value === 'string' ? parseAddress(value) : undefined;
  if (bytes === undefined) throw new Malformed(`${name} is no address`);
  return formatAddress(bytes);
}
