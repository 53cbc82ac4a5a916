/**
 * One flow of a port as a host tells it to another: by what both know. Numbers of VIFs, networks and members are a host's own and do not leave it; times are told as what is
 * left of them. What another host says is taken for what it is only as far as it has the form.
 */
import { FLOW_STATES, type FlowState, isUuid } from '@cable/model';
import {
  CB_FLOW_CLOSED,
  CB_FLOW_CLOSING,
  CB_FLOW_ESTABLISHED,
  CB_FLOW_NEW,
  CB_FLOW_PICKED_UP,
  CB_SEEN_ACK,
  CB_SEEN_END,
  type CbCarry,
  type CbTally,
  type CbTupleKey,
} from '../bpf/abi.gen.ts';
import { isRecord, type JsonRecord } from '../json.ts';
import { formatAddress, parseAddress } from '../plan/address.ts';

/** A flow as its port sees it, whoever began it. Ports are of TCP, UDP and SCTP, identifier and type of ICMP queries; of other protocols 0. */
export type FlowRecord = {
  /** True: the port began it. */
  readonly begun: boolean;
  /** IANA number. */
  readonly protocol: number;
  /** What the port sends from, and to. */
  readonly own: FlowEnd;
  readonly peer: FlowEnd;
  /** The network that packets to the peer leave in; null: not known. */
  readonly peerNetworkId: string | null;
  readonly state: FlowState;
  /** Until it ends if nothing more comes. */
  readonly expiresMs: number;
  readonly sent: FlowCount;
  readonly received: FlowCount;
  /** Who answers for the virtual address that is `peer`, and what it sees of the port; null: that is none. */
  readonly member: { readonly id: string; readonly at: FlowEnd; readonly sees: FlowEnd } | null;
  /** The floating IP by which the port's own host lets the peer see it, in this external network; null: it is seen as it is, or as another host says. */
  readonly floating: { readonly address: string; readonly networkId: string } | null;
};

export type FlowEnd = { readonly address: string; readonly port: number };

/** What passed in one direction. `end`, `ack` and `window`: of TCP, how far it has come; null: not seen. */
export type FlowCount = {
  readonly packets: number;
  readonly bytes: number;
  readonly fin: boolean;
  readonly end: number | null;
  readonly ack: number | null;
  readonly window: number | null;
};

/** Ids behind this host's numbers; null: nobody has the number any more. */
export type RecordNames = { network(net: number): string | null; member(member: number): string | null };

/** This host's numbers; undefined: it has none for it. */
export type RecordNumbers = { network(id: string): number | undefined; member(id: string): number | undefined };

export const STATE_NUMBERS: Readonly<Record<FlowState, number>> = {
  new: CB_FLOW_NEW,
  established: CB_FLOW_ESTABLISHED,
  closing: CB_FLOW_CLOSING,
  closed: CB_FLOW_CLOSED,
  'picked-up': CB_FLOW_PICKED_UP,
};
export const STATES: ReadonlyMap<number, FlowState> = new Map(
  FLOW_STATES.map((state) => [STATE_NUMBERS[state], state]),
);
export const NS_A_MS: bigint = 1_000_000n;
/** More than any time-out. */
export const MOST_MS: number = 10 ** 10;
const MOST_COUNT = Number.MAX_SAFE_INTEGER;

/** What the flow is to VIF `vif`, one of its owners. Undefined: it cannot be said elsewhere. */
export function recordOf(row: CbCarry, vif: number, names: RecordNames): FlowRecord | undefined {
  const side = row.vif[0] === vif ? 0 : 1;
  const [own, answer] = [row.tuple[side], row.tuple[1 - side]];
  const [sent, received] = [row.tally[side], row.tally[1 - side]];
  const state = STATES.get(row.state);
  if (
    own === undefined ||
    answer === undefined ||
    sent === undefined ||
    received === undefined ||
    state === undefined
  ) {
    return undefined;
  }
  const member = side === 0 && row.member !== 0 ? memberOf(row.member, answer, names) : null;
  if (member === undefined) return undefined;
  const floating = member === null ? floatingOf(own, answer, names) : null;
  // It is translated there otherwise: told without that, it would be a connection of the port's own address.
  if (row.member === 0 && floating === null && Buffer.compare(own.src, answer.dst) !== 0) return undefined;
  return {
    begun: side === 0,
    protocol: own.protocol,
    own: { address: formatAddress(own.src), port: own.sportBe },
    peer: { address: formatAddress(own.dst), port: own.dportBe },
    peerNetworkId: names.network(row.outNet[side] ?? 0),
    state,
    expiresMs: Number(row.leftNs / NS_A_MS),
    sent: countOf(sent, row.fin[side]),
    received: countOf(received, row.fin[1 - side]),
    member,
    floating,
  };
}

/** Of a router's address, with a port of its own, nothing is said: the target has other ports, or none. */
function floatingOf(own: CbTupleKey, answer: CbTupleKey, names: RecordNames): FlowRecord['floating'] {
  const isSame = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;
  if (isSame(answer.dst, own.src) || answer.dportBe !== own.sportBe) return null;
  if (!isSame(answer.src, own.dst) || answer.sportBe !== own.dportBe || answer.net === own.net) return null;
  const networkId = names.network(answer.net);
  return networkId === null ? null : { address: formatAddress(answer.dst), networkId };
}

function memberOf(number: number, answer: CbTupleKey, names: RecordNames): FlowRecord['member'] | undefined {
  const id = names.member(number);
  if (id === null) return undefined;
  return {
    id,
    at: { address: formatAddress(answer.src), port: answer.sportBe },
    sees: { address: formatAddress(answer.dst), port: answer.dportBe },
  };
}

export function countOf(
  { packets, bytes, seen, tcpEnd, tcpAck, tcpWindow }: CbTally,
  fin: number | undefined,
): FlowCount {
  const [hasEnd, hasAck] = [(seen & CB_SEEN_END) !== 0, (seen & CB_SEEN_ACK) !== 0];
  return {
    packets: Number(packets),
    bytes: Number(bytes),
    fin: fin === 1,
    end: hasEnd ? tcpEnd : null,
    ack: hasAck ? tcpAck : null,
    window: hasEnd ? tcpWindow : null,
  };
}

/** The row by which the flow is put in for VIF `vif`. Undefined: this host does not know its member. */
export function rowOf(record: FlowRecord, vif: number, numbers: RecordNumbers): CbCarry | undefined {
  const member = record.member === null ? 0 : numbers.member(record.member.id);
  if (member === undefined) return undefined;
  const side = record.begun ? 0 : 1;
  const { protocol } = record;
  const own = tupleOf(record.own, record.peer, protocol);
  const { floating } = record;
  const outsideNet = floating === null ? undefined : numbers.network(floating.networkId);
  // Where the external network is not known another host translates, and the port is seen as it is.
  const seen =
    floating === null || outsideNet === undefined ? record.own : { ...record.own, address: floating.address };
  const answer = tupleOf(record.member?.at ?? record.peer, record.member?.sees ?? seen, protocol);
  return {
    tuple: inOrder(side, own, answer),
    tally: inOrder(side, tallyOf(record.sent), tallyOf(record.received)),
    leftNs: BigInt(Math.floor(record.expiresMs)) * NS_A_MS,
    ageNs: 0n,
    vif: inOrder(side, vif, 0),
    outNet: [0, 0],
    flow: 0,
    member,
    otherNet: record.peerNetworkId === null ? 0 : (numbers.network(record.peerNetworkId) ?? 0),
    ...{ outsideNet: outsideNet ?? 0, router: 0, transitNet: 0, result: 0 },
    state: STATE_NUMBERS[record.state],
    fin: Uint8Array.from(inOrder(side, record.sent.fin ? 1 : 0, record.received.fin ? 1 : 0)),
  };
}

/** What belongs to the port's direction and to the other, in the flow's order. */
function inOrder<T>(side: 0 | 1, sent: T, received: T): [T, T] {
  return side === 0 ? [sent, received] : [received, sent];
}

export function tupleOf(from: FlowEnd, to: FlowEnd, protocol: number): CbTupleKey {
  return { src: bytesOf(from), dst: bytesOf(to), sportBe: from.port, dportBe: to.port, net: 0, protocol };
}

function bytesOf({ address }: FlowEnd): Uint8Array {
  const bytes = parseAddress(address);
  if (bytes === undefined) throw new RangeError(`${address} is no address`);
  return bytes;
}

export function tallyOf({ packets, bytes, end, ack, window }: FlowCount): CbTally {
  return {
    packets: BigInt(packets),
    bytes: BigInt(bytes),
    tcpEnd: end ?? 0,
    tcpAck: ack ?? 0,
    tcpWindow: window ?? 0,
    seen: (end === null ? 0 : CB_SEEN_END) | (ack === null ? 0 : CB_SEEN_ACK),
  };
}

/** The record; undefined: it is none. */
export function parseFlowRecord(value: JsonRecord): FlowRecord | undefined {
  const { begun, protocol, state, peerNetworkId, expiresMs } = value;
  const [own, peer] = [parseEnd(value['own']), parseEnd(value['peer'])];
  const [sent, received] = [parseCount(value['sent']), parseCount(value['received'])];
  const member = value['member'] === null ? null : parseMember(value['member']);
  const floating = parseFloating(value['floating']);
  if (own === undefined || peer === undefined || sent === undefined || received === undefined) return undefined;
  if (member === undefined || floating === undefined || typeof begun !== 'boolean' || !isWhole(protocol, 255))
    return undefined;
  if (!FLOW_STATES.includes(state as FlowState) || !isWhole(expiresMs, MOST_MS)) return undefined;
  if (peerNetworkId !== null && !isId(peerNetworkId)) return undefined;
  const ends = [
    own,
    peer,
    ...(member === null ? [] : [member.at, member.sees]),
    ...(floating === null ? [] : [floating]),
  ];
  if (member !== null && floating !== null) return undefined;
  if (new Set(ends.map(({ address }) => address.includes(':'))).size > 1 || (member !== null && !begun))
    return undefined;
  return {
    begun,
    protocol,
    own,
    peer,
    peerNetworkId,
    state: state as FlowState,
    expiresMs,
    sent,
    received,
    member,
    floating,
  };
}

export function parseEnd(value: unknown): FlowEnd | undefined {
  if (!isRecord(value) || typeof value['address'] !== 'string' || value['address'].length > 64) return undefined;
  const bytes = parseAddress(value['address']);
  if (bytes === undefined || !isWhole(value['port'], 0xffff)) return undefined;
  return { address: formatAddress(bytes), port: value['port'] };
}

function parseMember(value: unknown): FlowRecord['member'] | undefined {
  if (!isRecord(value) || !isId(value['id'])) return undefined;
  const [at, sees] = [parseEnd(value['at']), parseEnd(value['sees'])];
  return at === undefined || sees === undefined ? undefined : { id: value['id'], at, sees };
}

function parseFloating(value: unknown): FlowRecord['floating'] | undefined {
  if (value === null) return null;
  if (!isRecord(value) || !isId(value['networkId'])) return undefined;
  const address = parseEnd({ address: value['address'], port: 0 })?.address;
  return address === undefined ? undefined : { address, networkId: value['networkId'] };
}

export function parseCount(value: unknown): FlowCount | undefined {
  if (!isRecord(value)) return undefined;
  const { packets, bytes, fin, end, ack, window } = value;
  if (!isWhole(packets, MOST_COUNT) || !isWhole(bytes, MOST_COUNT) || typeof fin !== 'boolean') return undefined;
  if (!isWholeOrNull(end, 0xffff_ffff) || !isWholeOrNull(ack, 0xffff_ffff) || !isWholeOrNull(window, 0xffff)) {
    return undefined;
  }
  return { packets, bytes, fin, end, ack, window };
}

export function isWhole(value: unknown, most: number): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0 && Number(value) <= most;
}

function isWholeOrNull(value: unknown, most: number): value is number | null {
  return value === null || isWhole(value, most);
}

function isId(value: unknown): value is string {
  return typeof value === 'string' && isUuid(value);
}
