/** What the model remembers of connections, and for how long. */
import type { IpHeaders, Tuple } from './headers.ts';

/** New: no answer seen yet; picked up: nor its beginning (TCP). Closing: a FIN was seen. Closed: RST, or FIN in both directions. */
export type FlowState = 'new' | 'picked up' | 'established' | 'closing' | 'closed';
export type Direction = 'first' | 'answer';

/** Where packets come from: a port of this host, or undefined: from elsewhere, or not known. */
export type Origin = string | undefined;

/** What identifies a flow: the network in which packets of one direction enter this host, and both ends as they have them. */
export type Place = { readonly network: string; readonly tuple: Tuple };

/** One direction. `end`: the sequence number after what was sent; `acknowledged`: of the other's. Undefined: not seen. */
type Side = { place: Place; origin: Origin; end?: number; acknowledged?: number; finished: boolean };

export type Flow = {
  state: FlowState;
  seenSeconds: number;
  readonly sides: Readonly<Record<Direction, Side>>;
  /** The first packet went to a MAC that nobody is known to have. */
  readonly toAll: boolean;
  /** Of a load balancer. */
  readonly member?: string;
};

export type Known = { readonly flow: Flow; readonly direction: Direction };

const TCP = 6;
const UDP = 17;
const ICMP = 1;

/** Seconds without a packet in either direction after which a flow no longer counts. */
function timeoutSeconds(protocol: number, state: FlowState): number {
  switch (protocol) {
    case TCP:
      return { new: 120, 'picked up': 300, established: 432_000, closing: 120, closed: 1 }[state];
    case UDP:
      return state === 'new' ? 30 : 180;
    case ICMP:
      return 30;
    default:
      return 600;
  }
}

export function opposite(direction: Direction): Direction {
  return direction === 'first' ? 'answer' : 'first';
}

/** So near to a time-out, clocks decide: the vrouter refreshes a flow at most once a second, and tests take time. */
const NEAR_SECONDS = 1.5;

export class FlowTable {
  readonly #known = new Map<string, Known>();
  /** True: the promise leaves open what is known from here on: a flow that was asked for was near its time-out. */
  isUncertain = false;

  /** The flow that the place belongs to. One whose time is over ends. */
  find(place: Place, nowSeconds: number): Known | undefined {
    const known = this.#known.get(keyOf(place));
    if (known === undefined) return undefined;
    const silent = nowSeconds - known.flow.seenSeconds;
    const left = timeoutSeconds(place.tuple.protocol, known.flow.state) - silent;
    if (silent > 0 && Math.abs(left) < NEAR_SECONDS) this.isUncertain = true;
    if (left >= 0) return known;
    this.end(known.flow);
    return undefined;
  }

  /** In place of whatever is known of its places. */
  begin(flow: Flow): void {
    for (const { place } of Object.values(flow.sides)) {
      const there = this.#known.get(keyOf(place));
      if (there !== undefined) this.end(there.flow);
    }
    for (const direction of ['first', 'answer'] as const)
      this.#known.set(keyOf(flow.sides[direction].place), { flow, direction });
  }

  /** Packets of one direction now come in elsewhere. */
  move({ flow, direction }: Known, place: Place, origin: Origin): void {
    const side = flow.sides[direction];
    this.#known.delete(keyOf(side.place));
    this.#known.set(keyOf(place), { flow, direction });
    Object.assign(side, { place, origin });
  }

  end(flow: Flow): void {
    for (const { place } of Object.values(flow.sides)) this.#known.delete(keyOf(place));
  }
}

/** A flow that begins with this packet. */
export function beginFlow(
  ip: IpHeaders,
  sides: Readonly<Record<Direction, { readonly place: Place; readonly origin: Origin }>>,
  { nowSeconds, ...more }: Pick<Flow, 'toAll' | 'member'> & { readonly nowSeconds: number },
): Flow {
  const state = ip.tuple.protocol === TCP && !ip.opens ? 'picked up' : 'new';
  const [first, answer] = [sides.first, sides.answer].map((side) => ({ ...side, finished: false })) as [Side, Side];
  return { state, seenSeconds: nowSeconds, ...more, sides: { first, answer } };
}

/** Does the packet come from where its direction of the flow does? */
export function comesWhence({ flow, direction }: Known, origin: Origin): boolean {
  return flow.sides[direction].origin === origin || (direction === 'answer' && flow.toAll);
}

/** What an allowed packet does to its flow; or the reason to drop it. */
export function advance({ flow, direction }: Known, ip: IpHeaders, nowSeconds: number): 'tcp_window' | undefined {
  const [own, other] = [flow.sides[direction], flow.sides[opposite(direction)]];
  const segment = ip.tuple.protocol === TCP ? judgeSegment(ip, flow.state, own, other, direction) : 'counts';
  if (segment === 'invalid') return 'tcp_window';
  flow.seenSeconds = nowSeconds;
  if (segment === 'counts') {
    own.finished ||= ip.fin;
    flow.state = nextState(flow.state, direction, ip, own.finished && other.finished);
  }
  note(own, ip);
  return undefined;
}

function nextState(state: FlowState, direction: Direction, ip: IpHeaders, bothFinished: boolean): FlowState {
  if (ip.rst || bothFinished) return 'closed';
  if (ip.fin && state !== 'closed') return 'closing';
  return direction === 'answer' && (state === 'new' || state === 'picked up') ? 'established' : state;
}

/** A RST says nothing of where its sender is. */
function note(own: Side, { segment, rst }: IpHeaders): void {
  if (segment === undefined || rst) return;
  const end = (segment.sequence + segment.length) >>> 0;
  if (own.end === undefined || isAfter(end, own.end)) own.end = end;
  if (segment.acknowledges !== undefined) own.acknowledged = segment.acknowledges;
}

/** Counts: it may change the flow's state. Passes: the receiver decides. Invalid: it is dropped. */
type Judgement = 'counts' | 'passes' | 'invalid';

const FAR = 2 ** 30;

function judgeSegment(ip: IpHeaders, state: FlowState, own: Side, other: Side, direction: Direction): Judgement {
  const { segment } = ip;
  if (segment === undefined) return 'passes';
  if (ip.rst) return judgeReset(segment, state, own, other);
  const answersSyn = direction === 'answer' && state === 'new' && segment.acknowledges !== undefined;
  if (answersSyn && other.end !== undefined && segment.acknowledges !== other.end) return ip.syn ? 'invalid' : 'passes';
  return ip.fin && other.acknowledged !== undefined && isFarFrom(segment.sequence, other.acknowledged)
    ? 'passes'
    : 'counts';
}

/** It ends the connection where its number is what the other waits for, or its own end; in answer to a SYN it says which. */
function judgeReset(
  { sequence, acknowledges }: NonNullable<IpHeaders['segment']>,
  state: FlowState,
  own: Side,
  other: Side,
): Judgement {
  if (state === 'new' && other.end !== undefined && own.end === undefined)
    return acknowledges === other.end ? 'counts' : 'invalid';
  if (sequence === own.end) return 'counts';
  if (other.acknowledged === undefined) return 'passes';
  if (sequence === other.acknowledged) return 'counts';
  return isFarFrom(sequence, other.acknowledged) ? 'invalid' : 'passes';
}

function isAfter(a: number, b: number): boolean {
  return ((a - b) | 0) > 0;
}

/** Not within a GiB behind it. */
function isFarFrom(sequence: number, from: number): boolean {
  return (sequence - from) >>> 0 >= FAR;
}

function keyOf({ network, tuple }: Place): string {
  return `${network} ${tuple.protocol} ${tuple.from}:${tuple.sport} > ${tuple.to}:${tuple.dport}`;
}
