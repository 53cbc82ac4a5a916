/**
 * One flow that a router's gateway passes and translates, as its host tells it to those that stand by. Where TCP is does not go along: of connections that go on it would be old when it
 * counts, and a segment beyond would be refused.
 */
import { FLOW_STATES, type FlowState } from '@cable/model';
import type { CbCarry, CbTally, CbTupleKey } from '../bpf/abi.gen.ts';
import type { JsonRecord } from '../json.ts';
import { formatAddress } from '../plan/address.ts';
import { type FlowEnd, isWhole, MOST_MS, NS_A_MS, parseEnd, STATE_NUMBERS, STATES, tupleOf } from './flow-record.ts';

/** Ports as in `FlowRecord`. */
export type PassedFlow = {
  /** True: the end inside began it. */
  readonly begun: boolean;
  /** IANA number. */
  readonly protocol: number;
  /** The end behind the router. */
  readonly inside: FlowEnd;
  /** What the other end sees in its place: an address that the router has outside. */
  readonly outside: FlowEnd;
  readonly peer: FlowEnd;
  readonly state: FlowState;
  /** Until it ends if nothing more comes; 0: it has ended. */
  readonly expiresMs: number;
  readonly sent: PassedCount;
  readonly received: PassedCount;
};

/** What passed in one direction, as the end inside sees it. */
export type PassedCount = { readonly packets: number; readonly bytes: number; readonly fin: boolean };

/** Networks of a router's flows, by this host's numbers. `inner`: that of the end inside; 0: it is in no subnet of the router's. */
export type PassedNetworks = { readonly external: number; readonly transit: number; readonly inner: number };

const MOST_COUNT = Number.MAX_SAFE_INTEGER;

/** The flow of a router whose external network has this number. Undefined: it has no such two ends. */
export function passedFlowOf(row: CbCarry, external: number): PassedFlow | undefined {
  const outer = row.tuple[0]?.net === external ? 0 : 1;
  const [from, to] = [row.tuple[1 - outer], row.tuple[outer]];
  const state = STATES.get(row.state);
  if (from === undefined || to === undefined || state === undefined) return undefined;
  if (to.net !== external || from.net === external || row.member !== 0) return undefined;
  if (Buffer.compare(to.src, from.dst) !== 0 || to.sportBe !== from.dportBe) return undefined;
  return {
    begun: outer === 1,
    protocol: from.protocol,
    inside: { address: formatAddress(from.src), port: from.sportBe },
    outside: { address: formatAddress(to.dst), port: to.dportBe },
    peer: { address: formatAddress(from.dst), port: from.dportBe },
    state,
    expiresMs: Number(row.leftNs / NS_A_MS),
    sent: countOf(row.tally[1 - outer], row.fin[1 - outer]),
    received: countOf(row.tally[outer], row.fin[outer]),
  };
}

function countOf(tally: CbTally | undefined, fin: number | undefined): PassedCount {
  return { packets: Number(tally?.packets ?? 0n), bytes: Number(tally?.bytes ?? 0n), fin: fin === 1 };
}

/** The row by which it is put in. */
export function passedRow(flow: PassedFlow, { external, transit, inner }: PassedNetworks): CbCarry {
  const { begun, inside, outside, peer, protocol } = flow;
  const from = tupleOf(inside, peer, protocol);
  const to = tupleOf(peer, outside, protocol);
  const order = <T>(ofInside: T, ofOutside: T): [T, T] => (begun ? [ofInside, ofOutside] : [ofOutside, ofInside]);
  return {
    tuple: order<CbTupleKey>(from, to),
    tally: order(tallyOf(flow.sent), tallyOf(flow.received)),
    leftNs: BigInt(Math.floor(flow.expiresMs)) * NS_A_MS,
    ageNs: 0n,
    // Which of both the end inside is.
    vif: order(1, 0),
    outNet: [0, 0],
    ...{ flow: 0, member: 0, router: 0, result: 0 },
    ...{ otherNet: inner, outsideNet: external, transitNet: transit },
    state: STATE_NUMBERS[flow.state],
    fin: Uint8Array.from(order(flow.sent.fin ? 1 : 0, flow.received.fin ? 1 : 0)),
  };
}

function tallyOf({ packets, bytes }: PassedCount): CbTally {
  return { packets: BigInt(packets), bytes: BigInt(bytes), tcpEnd: 0, tcpAck: 0, tcpWindow: 0, seen: 0 };
}

/** The flow; undefined: it is none. */
export function parsePassedFlow(value: JsonRecord): PassedFlow | undefined {
  const { begun, protocol, state, expiresMs } = value;
  const [inside, outside, peer] = [parseEnd(value['inside']), parseEnd(value['outside']), parseEnd(value['peer'])];
  const [sent, received] = [parsePassedCount(value['sent']), parsePassedCount(value['received'])];
  if (inside === undefined || outside === undefined || peer === undefined) return undefined;
  if (sent === undefined || received === undefined || typeof begun !== 'boolean') return undefined;
  if (!isWhole(protocol, 255) || !FLOW_STATES.includes(state as FlowState) || !isWhole(expiresMs, MOST_MS))
    return undefined;
  if (new Set([inside, outside, peer].map(({ address }) => address.includes(':'))).size > 1) return undefined;
  return { begun, protocol, inside, outside, peer, state: state as FlowState, expiresMs, sent, received };
}

function parsePassedCount(value: unknown): PassedCount | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { packets, bytes, fin } = value as JsonRecord;
  if (!isWhole(packets, MOST_COUNT) || !isWhole(bytes, MOST_COUNT) || typeof fin !== 'boolean') return undefined;
  return { packets, bytes, fin };
}
