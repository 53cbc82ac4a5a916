/**
 * The reference model: what a host's vrouter promises to do with a packet (docs/design/vrouter-pipeline.md), as plain as it can be said. It
 * decides each packet anew and remembers nothing but flows and fragments. What waited is not received anew: no device does that in a test run.
 */
import { BROADCAST, ipBytes, macBytes } from '../packet.ts';
import {
  type Cloud,
  hostsOf,
  isCarried,
  isHere,
  macOf,
  mayTunnel,
  ownerOfAddress,
  ownerOfMac,
  type Port,
  portNamed,
  receiversHere,
  SERVICE_MAC,
  speakerTo,
} from './cloud.ts';
import { advance, beginFlow, comesWhence, FlowTable, type Known, opposite, type Place } from './flows.ts';
import { arpAnswer, echoAnswer, frameToCut, icmpErrorAbout, routedFrame } from './frames.ts';
import {
  type ArpHeaders,
  type EthernetHeaders,
  type IpHeaders,
  isGroupMac,
  readArp,
  readEthernet,
  readIpv4,
  reversed,
  type Tuple,
} from './headers.ts';
import { Listeners } from './listeners.ts';
import { type Counters, NO_PORT, noCounters, type Outcome, withAddresses, withoutEnds } from './outcome.ts';
import { isStateless, judge } from './rules.ts';
import { answerOf, maySend, refusesService, serviceOf, spoofs } from './services.ts';
import { type Ends, type Way, wayFromHost, wayFromPort } from './ways.ts';

/** Of a tunnelled packet: its network (undefined: of no network here), and the host that it is from (undefined: through no tunnel). */
export type Tunnel = { readonly network: string | undefined; readonly from: string | undefined };

/** A frame that has come in. `sender` undefined: from another host. */
type Arrival = {
  readonly frame: Buffer;
  readonly ethernet: EthernetHeaders;
  readonly network: string;
  readonly sender: Port | undefined;
};

const ETHERNET_BYTES = 14;
/** Where a frame has its source. */
const SOURCE_MAC_AT = 6;
const ARP = 0x0806;
const IPV4 = 0x0800;
const ARP_REQUEST = 1;
const NOBODY = '0.0.0.0';
const MOST_WAITING = 8;

export class ReferenceVrouter {
  #cloud: Cloud;
  #nowSeconds = 0;
  readonly #flows = new FlowTable();
  readonly #firstFragments = new Map<string, Tuple>();
  /** Later fragments that came before their first: their numbers, by whose they are. */
  readonly #waiting = new Map<string, number[]>();
  readonly #listeners = new Listeners();
  readonly counters: Map<string, Counters> = new Map();

  constructor(cloud: Cloud) {
    this.#cloud = cloud;
  }

  /** True: what the promise says of flows leaves the outcome open, from the last packet on. */
  get isUncertain(): boolean {
    return this.#flows.isUncertain;
  }

  change(cloud: Cloud): void {
    this.#cloud = cloud;
  }

  wait(seconds: number): void {
    this.#nowSeconds += seconds;
  }

  /** A port of this host sends a frame. */
  send(name: string, frame: Buffer): Outcome {
    const sender = portNamed(this.#cloud, name);
    if (sender === undefined || !isHere(sender) || !sender.programmed) return this.#drop(NO_PORT, 'not_programmed');
    this.#countReceived(name, frame);
    if (!sender.adminUp) return this.#drop(name, 'admin_down');
    return this.#arrive({ frame, sender, network: sender.network, ethernet: readEthernet(frame) });
  }

  /** A frame comes in from another host. */
  receive(tunnel: Tunnel, frame: Buffer): Outcome {
    this.#countReceived(NO_PORT, frame);
    const { network = '(unknown)', from } = tunnel;
    if (from === undefined || !mayTunnel(this.#cloud, from, network)) return this.#drop(NO_PORT, 'unknown_peer');
    const ethernet = readEthernet(frame);
    if (isGroupMac(ethernet.dst) && !isCarried(this.#cloud, network)) return this.#drop(NO_PORT, 'unknown_vni');
    return this.#arrive({ frame, ethernet, network, sender: undefined });
  }

  /** The agent answers a port. The frame's own addresses do not count. */
  serve(name: string, frame: Buffer): Outcome {
    const ip = readEthernet(frame).type === IPV4 ? readIpv4(frame) : 'unsupported_ethertype';
    if (typeof ip === 'string') return this.#drop(NO_PORT, ip);
    if (ip.fragment === 'later') return this.#drop(NO_PORT, 'fragment');
    const port = portNamed(this.#cloud, name);
    if (port === undefined || !isHere(port) || !port.programmed) return this.#drop(NO_PORT, 'service');
    if (!port.adminUp) return this.#drop(name, 'admin_down');
    const answer = answerOf(this.#cloud, port, frame, ip);
    if (typeof answer === 'string') return this.#drop(name, answer);
    const ends = { from: ipBytes(answer.from), to: ipBytes(answer.to), src: macBytes(SERVICE_MAC) };
    return this.#toPort(port, withAddresses(frame, { ...ends, dst: macBytes(answer.toAll ? BROADCAST : port.mac) }));
  }

  #arrive(arrival: Arrival): Outcome {
    const { frame, ethernet, sender } = arrival;
    if (ethernet.type === ARP) return this.#arp(arrival);
    if (ethernet.type !== IPV4) return this.#dropOf(arrival, 'unsupported_ethertype');
    const read = readIpv4(frame);
    if (typeof read === 'string') return this.#dropOf(arrival, read);
    const ip = this.#withPorts(arrival, read);
    if (ip === undefined) return this.#keepWaiting(arrival, read);
    const service = sender && serviceOf(this.#cloud, sender, ethernet.src, ip);
    if (sender !== undefined && service !== undefined) {
      const refused = refusesService(this.#cloud, sender, ethernet, ip, service);
      if (refused !== undefined) return this.#dropOf(arrival, refused);
      return { kind: 'agent', port: sender.name, frame: withoutEnds(frame) };
    }
    const spoofed = sender && spoofs(this.#cloud, sender, ethernet.src, ip);
    if (spoofed !== undefined) return this.#dropOf(arrival, spoofed);
    return isGroupMac(ethernet.dst) ? this.#toGroup(arrival, ip) : this.#forward(arrival, ip);
  }

  /** A later fragment has the ports of its first. Undefined: that is not known. */
  #withPorts(arrival: Arrival, ip: IpHeaders): IpHeaders | undefined {
    if (ip.fragment !== 'later') return ip;
    const tuple = this.#firstFragments.get(fragmentKey(this.#holder(arrival), arrival.network, ip));
    return tuple && { ...ip, tuple };
  }

  /** Among whose fragments the packet's are: the sender's, or, of another host, those of the receiver here. */
  #holder({ sender, network, ethernet }: Arrival): string | undefined {
    if (sender !== undefined) return sender.name;
    const owner = ownerOfMac(this.#cloud, network, ethernet.dst);
    return owner?.kind === 'port' && isHere(owner.port) ? owner.port.name : undefined;
  }

  #keepWaiting(arrival: Arrival, ip: IpHeaders): Outcome {
    const { sender, ethernet } = arrival;
    const spoofed = sender && spoofs(this.#cloud, sender, ethernet.src, ip);
    if (spoofed !== undefined) return this.#dropOf(arrival, spoofed);
    const holder = this.#holder(arrival);
    const waiting = this.#waiting.get(holder ?? '') ?? [];
    if (holder === undefined || waiting.length >= MOST_WAITING) return this.#dropOf(arrival, 'fragment');
    this.#waiting.set(holder, [...waiting, ip.id]);
    return { kind: 'wait' };
  }

  /** The packet is accepted: others may follow it, and nobody waits for it any more. */
  #rememberFragment(arrival: Arrival, ip: IpHeaders): void {
    if (ip.fragment !== 'first') return;
    const holder = this.#holder(arrival);
    this.#firstFragments.set(fragmentKey(holder, arrival.network, ip), ip.tuple);
    const waiting = this.#waiting.get(holder ?? '') ?? [];
    this.#waiting.set(
      holder ?? '',
      waiting.filter((id) => id !== ip.id),
    );
  }

  // --- ARP

  #arp(arrival: Arrival): Outcome {
    if (arrival.sender === undefined) return this.#forwardArp(arrival);
    const arp = readArp(arrival.frame);
    if (typeof arp === 'string') return this.#dropOf(arrival, arp);
    const spoofed = spoofsArp(arrival.sender, arrival.ethernet, arp);
    if (spoofed !== undefined) return this.#dropOf(arrival, spoofed);
    const owner = arp.op === ARP_REQUEST ? ownerOfAddress(this.#cloud, arrival.network, arp.tpa) : undefined;
    // About itself: an announcement, for the others.
    if (owner === undefined || (owner.kind === 'port' && owner.port === arrival.sender)) {
      return probesForAnother(arrival.sender, arrival.ethernet, arp)
        ? this.#dropOf(arrival, 'spoofed_arp')
        : this.#forwardArp(arrival);
    }
    return this.#toPort(arrival.sender, arpAnswer(arrival.frame, arp, macOf(owner)));
  }

  /** As any frame of the network; rules do not apply to ARP. */
  #forwardArp(arrival: Arrival): Outcome {
    const { frame, ethernet } = arrival;
    if (isGroupMac(ethernet.dst)) return this.#toAll(arrival, undefined, false);
    const way = this.#way(arrival, undefined);
    switch (way.kind) {
      case 'all':
        return this.#toAll(arrival, undefined, false);
      case 'port':
        return this.#toPort(way.port, frame);
      case 'host':
        return this.#toHost(way.host, way.port.network, frame);
      case 'drop':
        return this.#dropOf(arrival, way.reason);
      case 'router':
        return this.#dropOf(arrival, 'no_endpoint');
    }
  }

  // --- IPv4

  #way({ sender, network, ethernet }: Arrival, ends: Ends | undefined): Way {
    if (sender === undefined) return wayFromHost(this.#cloud, network, ethernet, ends);
    return wayFromPort(this.#cloud, sender, ethernet.dst, ends);
  }

  /** Broadcast and multicast: no flow, so only the rules of its own direction count. */
  #toGroup(arrival: Arrival, ip: IpHeaders): Outcome {
    if (ip.needsFlow) return this.#dropOf(arrival, 'invalid_state');
    if (arrival.sender !== undefined) this.#listeners.hear(this.#cloud, arrival.sender, arrival.frame, ip);
    const verdict = judge(this.#cloud, { packet: ip, isAnswer: false, sender: arrival.sender, receiver: undefined });
    if (!verdict.allowed) return this.#drop(verdict.by.name, verdict.reason);
    this.#rememberFragment(arrival, ip);
    return this.#toAll(arrival, ip, false);
  }

  #forward(arrival: Arrival, ip: IpHeaders): Outcome {
    const { sender } = arrival;
    if (ip.isRedirect && sender?.portSecurity === true) return this.#dropOf(arrival, 'icmp_redirect');
    const { known: own, beside: against, replaced } = this.#ownFlow(arrival, ip);
    const way = this.#way(arrival, ip);
    if (way.kind === 'drop') return this.#dropOf(arrival, way.reason);
    if (way.kind === 'router') return this.#toRouter(arrival, ip);
    const known = own ?? this.#movedFlow(arrival, ip, way);
    const isAnswer = known?.direction === 'answer';
    const receiver = way.kind === 'port' ? way.port : undefined;
    const stateless = isStateless(sender, receiver);
    const unknownAnswer = known === undefined && ip.needsFlow;
    if (unknownAnswer && (ip.isError || !stateless)) return this.#dropOf(arrival, 'invalid_state');
    const beside = against === true || unknownAnswer;
    const verdict = judge(this.#cloud, { packet: ip, isAnswer, sender, receiver });
    if (!verdict.allowed) {
      const ends = known !== undefined && !ip.isError && !stateless && comesWhence(known, sender?.name);
      if (ends) this.#flows.end(known.flow);
      return this.#drop(verdict.by.name, verdict.reason);
    }
    if (!ip.isError && !beside) {
      if (known === undefined && isOwnAnswer(arrival, ip, way)) return this.#dropOf(arrival, 'invalid_state');
      if (replaced !== undefined) this.#flows.end(replaced.flow);
      const flow = known ?? this.#begin(arrival, ip, way);
      const reason = advance(flow, ip, this.#nowSeconds);
      if (reason !== undefined) return this.#dropOf(arrival, reason);
      flow.flow.sides[flow.direction].origin = sender?.name;
      this.#rememberFragment(arrival, ip);
    }
    return this.#deliver(arrival, ip, way, { isAnswer, isRecorded: !ip.isError && !beside });
  }

  /** An echo request that the sender's rules allow is answered; there is nothing else at a router's address. */
  #toRouter(arrival: Arrival, ip: IpHeaders): Outcome {
    const { sender, frame } = arrival;
    if (sender === undefined || !ip.isEcho || ip.fragment !== 'whole') return this.#dropOf(arrival, 'no_endpoint');
    const verdict = judge(this.#cloud, { packet: ip, isAnswer: false, sender, receiver: undefined });
    if (!verdict.allowed) return this.#drop(verdict.by.name, verdict.reason);
    return this.#toPort(sender, echoAnswer(frame, ip));
  }

  /**
   * The flow that the packet leads to. One that opens belongs to it only in the flow's direction and before its end: after that it replaces the flow,
   * against it it leaves the flow as it is. An error belongs to it only where the answers come from that it stands for.
   */
  #ownFlow(arrival: Arrival, ip: IpHeaders): { known?: Known; beside?: boolean; replaced?: Known } {
    const known = this.#flows.find({ network: arrival.network, tuple: ip.tuple }, this.#nowSeconds);
    if (known === undefined) return {};
    if (ip.isError) return known.flow.sides[known.direction].origin === arrival.sender?.name ? { known } : {};
    if (!ip.opens) return { known };
    if (known.flow.state === 'closing' || known.flow.state === 'closed') return { replaced: known };
    return known.direction === 'answer' ? { beside: true } : { known };
  }

  /** Any other packet may be known by the tuple that its answers have: one of the ends has moved. */
  #movedFlow(arrival: Arrival, ip: IpHeaders, way: Way): Known | undefined {
    if (ip.opens || ip.isError) return undefined;
    const back = this.#flows.find(answersPlace(arrival, ip, way), this.#nowSeconds);
    if (back === undefined) return undefined;
    const known: Known = { flow: back.flow, direction: opposite(back.direction) };
    this.#flows.move(known, { network: arrival.network, tuple: ip.tuple }, arrival.sender?.name);
    return known;
  }

  #begin(arrival: Arrival, ip: IpHeaders, way: Way): Known {
    const sides = {
      first: { place: { network: arrival.network, tuple: ip.tuple }, origin: arrival.sender?.name },
      answer: { place: answersPlace(arrival, ip, way), origin: way.kind === 'port' ? way.port.name : undefined },
    };
    const flow = beginFlow(ip, sides, { toAll: way.kind === 'all', nowSeconds: this.#nowSeconds });
    this.#flows.begin(flow);
    return { flow, direction: 'first' };
  }

  // --- delivery

  #deliver(
    arrival: Arrival,
    ip: IpHeaders,
    way: Exclude<Way, { kind: 'drop' | 'router' }>,
    { isAnswer, isRecorded }: { readonly isAnswer: boolean; readonly isRecorded: boolean },
  ): Outcome {
    if (way.kind === 'all') return this.#toAll(arrival, ip, isAnswer);
    const refusal = refusalBy(way, arrival.frame, ip);
    if (refusal?.reason === 'too_big' && isRecorded && !ip.dontFragment && ip.headerBytes === 20) {
      if (way.hop !== undefined && ip.ttl <= 1)
        return this.#refuse(arrival, ip, { reason: 'ttl_exceeded', mtuBytes: 0, isRouted: true });
      return { kind: 'cut', frame: frameToCut(arrival.frame, way.hop !== undefined) };
    }
    if (refusal !== undefined) return this.#refuse(arrival, ip, { ...refusal, isRouted: way.hop !== undefined });
    const frame = way.hop === undefined ? arrival.frame : routedFrame(arrival.frame, way.port.mac, way.hop.leg.mac);
    return way.kind === 'port' ? this.#toPort(way.port, frame) : this.#toHost(way.host, way.port.network, frame);
  }

  /**
   * The packet is dropped, and its sender told: not about an error, a later fragment, or a packet with IP options. By the MAC that it went to, if that is a router's; within
   * a network by that of whoever has the address which tells it.
   */
  #refuse(
    arrival: Arrival,
    ip: IpHeaders,
    { reason, mtuBytes, isRouted }: Refusal & { readonly isRouted: boolean },
  ): Outcome {
    const { sender, frame } = arrival;
    const dropped = this.#dropOf(arrival, reason);
    if (sender === undefined || ip.isError || ip.fragment === 'later' || ip.headerBytes > 20) return dropped;
    const from = speakerTo(this.#cloud, sender);
    const error = icmpErrorAbout(frame, ip, { from, reason, mtuBytes });
    const owner = isRouted ? undefined : ownerOfAddress(this.#cloud, arrival.network, from);
    if (owner !== undefined) macBytes(macOf(owner)).copy(error, SOURCE_MAC_AT);
    return { ...this.#toPort(sender, error), refusal: reason };
  }

  /** `packet`: of IPv4, which each receiver's rules are asked about, as the receiver of a flow's first packet or as its sender. */
  #toAll(arrival: Arrival, packet: IpHeaders | undefined, isAnswer: boolean): Outcome {
    const { frame, sender, network } = arrival;
    let count = 0;
    for (const receiver of receiversHere(this.#cloud, network)) {
      if (receiver === sender || !receiver.adminUp) continue;
      if (!this.#listeners.gets(this.#cloud, receiver, frame, packet)) continue;
      const verdict =
        packet === undefined ? undefined : judge(this.#cloud, { packet, isAnswer, sender: undefined, receiver });
      if (verdict?.allowed === false) this.#drop(receiver.name, verdict.reason);
      else count += this.#countSent(receiver.name, frame);
    }
    // What came from another host never goes to one.
    for (const _host of sender === undefined ? [] : hostsOf(this.#cloud, network))
      count += this.#countSent(NO_PORT, frame);
    return { kind: 'copies', count, frame };
  }

  #toPort(port: Port, frame: Buffer): Extract<Outcome, { kind: 'port' }> {
    this.#countSent(port.name, frame);
    return { kind: 'port', port: port.name, handover: port.kind === 'pod' ? 'peer' : 'vif', frame };
  }

  #toHost(host: string, network: string, frame: Buffer): Outcome {
    this.#countSent(NO_PORT, frame);
    return { kind: 'host', host, network, frame };
  }

  // --- counters

  #countersOf(name: string): Counters {
    const counters = this.counters.get(name) ?? noCounters();
    this.counters.set(name, counters);
    return counters;
  }

  #countReceived(name: string, frame: Buffer): void {
    const counters = this.#countersOf(name);
    counters.rxPackets += 1;
    counters.rxBytes += frame.length;
  }

  #countSent(name: string, frame: Buffer): number {
    const counters = this.#countersOf(name);
    counters.txPackets += 1;
    counters.txBytes += frame.length;
    return 1;
  }

  #dropOf({ sender }: Arrival, reason: string): Outcome {
    return this.#drop(sender?.name ?? NO_PORT, reason);
  }

  #drop(name: string, reason: string): Outcome {
    const { drops } = this.#countersOf(name);
    drops.set(reason, (drops.get(reason) ?? 0) + 1);
    return { kind: 'drop', reason };
  }
}

function fragmentKey(holder: string | undefined, network: string, ip: IpHeaders): string {
  return `${holder} ${network} ${ip.id} ${ip.protocol} ${ip.from} > ${ip.to}`;
}

/** Both addresses of the sender, or, of a probe (RFC 5227: no address yet), the MAC alone. */
function spoofsArp(port: Port, { src }: EthernetHeaders, { sha, spa }: ArpHeaders): string | undefined {
  if (!port.portSecurity) return undefined;
  if (sha !== src) return 'spoofed_arp';
  if (spa === NOBODY) return src === port.mac ? undefined : 'spoofed_mac';
  return maySend(port, src, spa) ? undefined : 'spoofed_arp';
}

/** A probe (RFC 5227) for an address that it may not have: who is about to have it takes that for a claim. */
function probesForAnother(port: Port, { src }: EthernetHeaders, { op, spa, tpa }: ArpHeaders): boolean {
  return port.portSecurity && op === ARP_REQUEST && spa === NOBODY && !maySend(port, src, tpa);
}

/**
 * What the packet's answers are known by. They enter this host in the receiver's network where it is here; else in that of the packet: another
 * host routes them into it, and to a MAC that nobody is known to have there is no router.
 */
function answersPlace({ network }: Arrival, { tuple }: IpHeaders, way: Way): Place {
  return { network: way.kind === 'port' ? way.port.network : network, tuple: reversed(tuple) };
}

/** From somebody to himself: no two directions could be told apart. */
function isOwnAnswer(arrival: Arrival, ip: IpHeaders, way: Way): boolean {
  const { tuple, network } = answersPlace(arrival, ip, way);
  const [{ from, to, sport, dport }, { from: source, sport: port }] = [ip.tuple, tuple];
  return network === arrival.network && from === source && to === tuple.to && sport === port && dport === tuple.dport;
}

type Refusal = { readonly reason: 'too_big' | 'ttl_exceeded'; readonly mtuBytes: number };

function refusalBy(
  { mtuBytes, hop }: Extract<Way, { kind: 'port' | 'host' }>,
  frame: Buffer,
  { ttl }: IpHeaders,
): Refusal | undefined {
  if (mtuBytes !== undefined && frame.length - ETHERNET_BYTES > mtuBytes) return { reason: 'too_big', mtuBytes };
  return hop !== undefined && ttl <= 1 ? { reason: 'ttl_exceeded', mtuBytes: 0 } : undefined;
}
