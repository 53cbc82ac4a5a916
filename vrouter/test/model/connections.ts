/** The connections that packets belong to: which, what they make of a packet, and which begin. */
import type { Port, Router } from './cloud.ts';
import { advance, beginFlow, comesWhence, FlowTable, type Known, opposite, type Place } from './flows.ts';
import { hasChoice, isTranslated, type KnownPassage } from './gateways.ts';
import { type EthernetHeaders, type IpHeaders, isIcmpQuery, readIpv4, reversed, type Tuple } from './headers.ts';
import type { Outcome } from './outcome.ts';
import { SourcePorts } from './source-ports.ts';
import type { Way } from './ways.ts';

/** A frame that has come in. `sender` undefined: from another host, or, where `router` is given, from outside, to that one's MAC. */
export type Arrival = {
  readonly frame: Buffer;
  readonly ethernet: EthernetHeaders;
  readonly network: string;
  readonly sender: Port | undefined;
  readonly router?: Router;
};

const TCP = 6;

/** `nowSeconds` and `seen` are set by who asks. */
export class Connections {
  readonly #flows = new FlowTable();
  readonly #sourcePorts = new SourcePorts();
  nowSeconds = 0;
  /** What the programs have done with the packet. */
  seen: Outcome | undefined;

  get isUncertain(): boolean {
    return this.#flows.isUncertain;
  }

  /** The flow is not allowed any more: it ends, unless the packet may be somebody else's. */
  endFor({ sender }: Arrival, ip: IpHeaders, known: Known | undefined): void {
    if (known !== undefined && !ip.isError && comesWhence(known, sender?.name)) this.#flows.end(known.flow);
  }

  /**
   * The flow that the packet leads to. One that opens belongs to it only in the flow's direction and before its end: after that it replaces the flow,
   * against it it leaves the flow as it is.
   */
  ownFlow(arrival: Arrival, ip: IpHeaders): { known?: Known; beside?: boolean; replaced?: Known } {
    const known = this.#flows.find({ network: arrival.network, tuple: ip.tuple }, this.nowSeconds);
    if (known === undefined) return {};
    if (ip.isError || !ip.opens) return { known };
    if (known.flow.state === 'closing' || known.flow.state === 'closed') return { replaced: known };
    return known.direction === 'answer' ? { beside: true } : { known };
  }

  /** An error belongs to its flow only where the answers come from that it stands for. */
  ofSameOrigin({ sender }: Arrival, { isError }: IpHeaders, known: Known | undefined): Known | undefined {
    return !isError || known?.flow.sides[known.direction].origin === sender?.name ? known : undefined;
  }

  /** Any other packet may be known by the tuple that its answers have: one of the ends has moved. */
  movedFlow(arrival: Arrival, ip: IpHeaders, way: Way): Known | undefined {
    if (ip.opens || ip.isError || isTranslated(ip.tuple, becomesBy(way, ip))) return undefined;
    const back = this.#flows.find(answersPlace(arrival, ip, way), this.nowSeconds);
    if (back === undefined) return undefined;
    const known: Known = { flow: back.flow, direction: opposite(back.direction) };
    if (isTranslated(known.flow.sides[known.direction].place.tuple, ip.tuple)) return undefined;
    this.#flows.move(known, { network: arrival.network, tuple: ip.tuple }, arrival.sender?.name);
    return known;
  }

  /** Undefined: there is no port for it, or what it would become is another connection's. That gives way only to one that opens, or if it is left over. */
  begin(arrival: Arrival, ip: IpHeaders, way: Way): Known | undefined {
    const becomes = this.#withPort(arrival, ip, way);
    if (becomes === undefined) return undefined;
    const answer = { network: answersNetwork(arrival, way), tuple: reversed(becomes) };
    if (this.#isTaken(answer, arrival, ip, way)) return undefined;
    const sides = {
      first: { place: { network: arrival.network, tuple: ip.tuple }, origin: arrival.sender?.name },
      answer: { place: answer, origin: way.kind === 'port' ? way.port.name : undefined },
    };
    const { member } = ('passage' in way && way.passage) || {};
    const more = { toAll: way.kind === 'all', ...(member === undefined ? {} : { member }) };
    const flow = beginFlow(ip, sides, { ...more, nowSeconds: this.nowSeconds });
    this.#flows.begin(flow);
    return { flow, direction: 'first' };
  }

  /** Is what the packet would become, where no port of it is chosen, another connection's, which does not give way? */
  isInTheWay(arrival: Arrival, ip: IpHeaders, way: Way): boolean {
    return !choosesPort(way) && this.#isTaken(answersPlace(arrival, ip, way), arrival, ip, way);
  }

  #isTaken(answer: Place, arrival: Arrival, ip: IpHeaders, way: Way): boolean {
    const there = this.#flows.find(answer, this.nowSeconds);
    return there !== undefined && !ip.opens && !isLeftOver(there, arrival, ip, way);
  }

  /** What the first packet of a connection becomes, with the port that it gets. */
  #withPort(arrival: Arrival, ip: IpHeaders, way: Way): Tuple | undefined {
    const becomes = becomesBy(way, ip);
    const choice = 'passage' in way ? way.passage?.choice : undefined;
    if (choice === undefined) return becomes;
    const network = answersNetwork(arrival, way);
    const isTaken = (sport: number, isUrgent: boolean): boolean => {
      const other = this.#flows.find({ network, tuple: reversed({ ...becomes, sport }) }, this.nowSeconds);
      return other !== undefined && !(isUrgent && other.flow.state === 'closed');
    };
    if (!hasChoice(ip.tuple, isIcmpQuery(ip.icmpType))) return isTaken(becomes.sport, false) ? undefined : becomes;
    const sport = this.#sourcePorts.choose({
      sender: arrival.sender?.name ?? '',
      range: choice.among,
      isTaken: (port) => isTaken(port, ip.tuple.protocol === TCP),
      chosen: sourcePortOf(this.seen),
    });
    if (sport === undefined) return undefined;
    // Of a packet that is refused or dropped after it has got one nobody says which.
    const { seen } = this;
    if (seen !== undefined && (!('frame' in seen) || 'refusal' in seen)) this.#flows.isUncertain = true;
    return { ...becomes, sport };
  }

  /** What an allowed packet does to its flow, of which it now is the last one; or the reason to drop it. */
  advance({ sender }: Arrival, ip: IpHeaders, known: Known): 'tcp_window' | undefined {
    const reason = advance(known, ip, this.nowSeconds);
    if (reason === undefined) known.flow.sides[known.direction].origin = sender?.name;
    return reason;
  }

  end({ flow }: Known): void {
    this.#flows.end(flow);
  }
}

/** A packet of one direction becomes what the other direction's is answered by. */
export function becomesIn({ flow, direction }: Known): Tuple {
  return reversed(flow.sides[opposite(direction)].place.tuple);
}

export function knownPassage(known: Known): KnownPassage {
  const { member } = known.flow;
  return { direction: known.direction, becomes: becomesIn(known), ...(member === undefined ? {} : { member }) };
}

export function becomesBy(way: Way, { tuple }: IpHeaders): Tuple {
  return 'passage' in way ? (way.passage?.becomes ?? tuple) : tuple;
}

/** Has its packets' source, outside, become the sender's floating IP since? */
function isLeftOver({ flow, direction }: Known, { network }: Arrival, { tuple }: IpHeaders, way: Way): boolean {
  if (!('passage' in way) || way.passage?.floats !== true) return false;
  const { place } = flow.sides[opposite(direction)];
  return place.network !== network || place.tuple.from !== tuple.from;
}

export function choosesPort(way: Way): boolean {
  return 'passage' in way && way.passage?.choice !== undefined;
}

/** Its port, or its member, cannot be chosen without one, or is not known any more. */
export function lacksFlow(way: Way, ip: IpHeaders, beside: boolean): boolean {
  const chooses = choosesPort(way) || ('passage' in way && way.passage?.member !== undefined);
  return chooses && (beside || (ip.tuple.protocol === TCP && !ip.opens));
}

/** Of a packet that was sent; undefined: none was. */
function sourcePortOf(seen: Outcome | undefined): number | undefined {
  if (seen === undefined || !('frame' in seen)) return undefined;
  const ip = readIpv4(seen.frame);
  return typeof ip === 'string' ? undefined : ip.tuple.sport;
}

/**
 * Where the packet's answers enter this host: in the receiver's network where it is here, or outside; else in that of the packet: another
 * host routes them into it, and to a MAC that nobody is known to have there is no router.
 */
function answersNetwork({ network }: Arrival, way: Way): string {
  if (way.kind === 'wire') return way.network;
  return way.kind === 'port' ? way.port.network : network;
}

function answersPlace(arrival: Arrival, ip: IpHeaders, way: Way): Place {
  return { network: answersNetwork(arrival, way), tuple: reversed(becomesBy(way, ip)) };
}

/** From somebody to himself, by the same port: no two directions could be told apart. */
export function isOwnAnswer(arrival: Arrival, ip: IpHeaders, way: Way): boolean {
  if (choosesPort(way) && hasChoice(ip.tuple, isIcmpQuery(ip.icmpType))) return false;
  const { tuple, network } = answersPlace(arrival, ip, way);
  const [{ from, to, sport, dport }, { from: source, sport: port }] = [ip.tuple, tuple];
  return network === arrival.network && from === source && to === tuple.to && sport === port && dport === tuple.dport;
}
