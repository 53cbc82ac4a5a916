/**
 * The reference model: what a host's vrouter promises to do with a packet (docs/design/vrouter-pipeline.md), as plain as it can be said. It
 * decides each packet anew and remembers nothing but flows and fragments. What waited is not received anew: no device does that in a test run.
 */
import { BROADCAST, ipBytes, macBytes } from '../packet.ts';
import { ARP_REQUEST, probesForAnother, spoofsArp } from './arp.ts';
import {
  type Cloud,
  hostsOf,
  isCarried,
  isHere,
  isRouters,
  macOf,
  mayTunnel,
  ownerOfAddress,
  ownerOfMac,
  portNamed,
  receiversHere,
  SERVICE_MAC,
  speakerTo,
} from './cloud.ts';
import {
  type Arrival,
  becomesBy,
  becomesIn,
  Connections,
  choosesPort,
  isOwnAnswer,
  knownPassage,
  lacksFlow,
} from './connections.ts';
import type { Known } from './flows.ts';
import { Fragments } from './fragments.ts';
import {
  arpAnswer,
  arpQuestion,
  echoAnswer,
  frameToCut,
  icmpErrorAbout,
  routedFrame,
  translatedFrame,
} from './frames.ts';
import { outsiderWith, routerOutside } from './gateways.ts';
import { type IpHeaders, isGroupMac, readArp, readEthernet, readIpv4, type Tuple } from './headers.ts';
import { Ledger } from './ledger.ts';
import { Listeners } from './listeners.ts';
import { Members, OWN_ANSWER } from './members.ts';
import { Neighbours } from './neighbours.ts';
import { type Counters, type Outcome, withAddresses, withoutEnds } from './outcome.ts';
import { isStateless, judge } from './rules.ts';
import { answerOf, refusesService, serviceOf, spoofs } from './services.ts';
import { type Ends, type Refusal, refusalBy, type Way, wayFromHost, wayFromOutside, wayFromPort } from './ways.ts';

/** Of a tunnelled packet: its network (undefined: of no network here), and the host that it is from (undefined: through no tunnel). */
export type Tunnel = { readonly network: string | undefined; readonly from: string | undefined };

/** Where a frame has its source. */
const SOURCE_MAC_AT = 6;
const ARP = 0x0806;
const IPV4 = 0x0800;
const NOBODY = '0.0.0.0';

export class ReferenceVrouter {
  #cloud: Cloud;
  #nowSeconds = 0;
  readonly #connections = new Connections();
  readonly #fragments = new Fragments();
  readonly #ledger = new Ledger();
  readonly #listeners = new Listeners();
  readonly #members = new Members();
  readonly #neighbours: Neighbours;
  /** What the programs have done with the packet: what is free to them is taken from it. */
  set seen(outcome: Outcome) {
    this.#connections.seen = outcome;
    this.#members.seen = outcome;
  }

  constructor(cloud: Cloud) {
    this.#cloud = cloud;
    this.#neighbours = new Neighbours(cloud);
  }

  /** True: what the promise says of flows leaves the outcome open, from the last packet on. */
  get isUncertain(): boolean {
    return this.#connections.isUncertain || this.#members.isUncertain;
  }

  get counters(): ReadonlyMap<string, Counters> {
    return this.#ledger.all;
  }

  change(cloud: Cloud): void {
    this.#cloud = cloud;
  }

  wait(seconds: number): void {
    this.#nowSeconds += seconds;
    this.#connections.nowSeconds = this.#nowSeconds;
  }

  /** A port of this host sends a frame. */
  send(name: string, frame: Buffer): Outcome {
    const sender = portNamed(this.#cloud, name);
    if (sender === undefined || !isHere(sender) || !sender.programmed)
      return this.#ledger.drop(undefined, 'not_programmed');
    this.#ledger.received(name, frame);
    if (!sender.adminUp) return this.#ledger.drop(name, 'admin_down');
    return this.#arrive({ frame, sender, network: sender.network, ethernet: readEthernet(frame) });
  }

  /** A frame comes in from another host. */
  receive(tunnel: Tunnel, frame: Buffer): Outcome {
    this.#ledger.received(undefined, frame);
    const { network = '(unknown)', from } = tunnel;
    if (from === undefined || !mayTunnel(this.#cloud, from, network))
      return this.#ledger.drop(undefined, 'unknown_peer');
    const ethernet = readEthernet(frame);
    if (isGroupMac(ethernet.dst) && !isCarried(this.#cloud, network))
      return this.#ledger.drop(undefined, 'unknown_vni');
    return this.#arrive({ frame, ethernet, network, sender: undefined });
  }

  /** The uplink receives a frame of a network outside. */
  arrive(network: string, frame: Buffer): Outcome {
    const ethernet = readEthernet(frame);
    const router = routerOutside(this.#cloud, network, ethernet.dst);
    const toGroup = isGroupMac(ethernet.dst);
    if (!toGroup && router === undefined) return { kind: 'pass' };
    this.#ledger.received(undefined, frame);
    const arrival = { frame, ethernet, network, sender: undefined, ...(router === undefined ? {} : { router }) };
    if (ethernet.type === ARP) return this.#hearArp(arrival);
    // What is for a group concerns nobody here.
    return toGroup ? { kind: 'pass' } : this.#arrive(arrival);
  }

  /** The agent answers a port. The frame's own addresses do not count. */
  serve(name: string, frame: Buffer): Outcome {
    const ip = readEthernet(frame).type === IPV4 ? readIpv4(frame) : 'unsupported_ethertype';
    if (typeof ip === 'string') return this.#ledger.drop(undefined, ip);
    if (ip.fragment === 'later') return this.#ledger.drop(undefined, 'fragment');
    const port = portNamed(this.#cloud, name);
    if (port === undefined || !isHere(port) || !port.programmed) return this.#ledger.drop(undefined, 'service');
    if (!port.adminUp) return this.#ledger.drop(name, 'admin_down');
    const answer = answerOf(this.#cloud, port, frame, ip);
    if (typeof answer === 'string') return this.#ledger.drop(name, answer);
    const ends = { from: ipBytes(answer.from), to: ipBytes(answer.to), src: macBytes(SERVICE_MAC) };
    return this.#ledger.toPort(
      port,
      withAddresses(frame, { ...ends, dst: macBytes(answer.toAll ? BROADCAST : port.mac) }),
    );
  }

  #arrive(arrival: Arrival): Outcome {
    const { frame, ethernet, sender } = arrival;
    if (ethernet.type === ARP) return this.#arp(arrival);
    if (ethernet.type !== IPV4) return this.#dropOf(arrival, 'unsupported_ethertype');
    const read = readIpv4(frame);
    if (typeof read === 'string') return this.#dropOf(arrival, read);
    const ip = this.#fragments.withPorts(this.#holder(arrival, read), arrival.network, read);
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

  /** Among whose fragments the packet's are: the sender's, or, of another host or from outside, those of the receiver here; of what is for a router, the address's. */
  #holder({ sender, network, ethernet, router }: Arrival, { to }: IpHeaders): string | undefined {
    if (sender !== undefined) return sender.name;
    if (router !== undefined) {
      const owner = outsiderWith(this.#cloud, network, to);
      return owner?.kind === 'floating' ? owner.port.name : `${network} ${to}`;
    }
    const owner = ownerOfMac(this.#cloud, network, ethernet.dst);
    return owner?.kind === 'port' && isHere(owner.port) ? owner.port.name : undefined;
  }

  #keepWaiting(arrival: Arrival, ip: IpHeaders): Outcome {
    const { sender, ethernet } = arrival;
    const spoofed = sender && spoofs(this.#cloud, sender, ethernet.src, ip);
    if (spoofed !== undefined) return this.#dropOf(arrival, spoofed);
    const waits = this.#fragments.keepWaiting(this.#holder(arrival, ip), ip);
    return waits ? { kind: 'wait' } : this.#dropOf(arrival, 'fragment');
  }

  // --- ARP

  /** From outside: who asks for an address of ours is answered. */
  #hearArp({ frame, network, router, ethernet }: Arrival): Outcome {
    const arp = readArp(frame);
    if (typeof arp === 'string') return isGroupMac(ethernet.dst) ? { kind: 'pass' } : this.#ledger.drop(undefined, arp);
    const owner = arp.op === ARP_REQUEST ? outsiderWith(this.#cloud, network, arp.tpa) : undefined;
    const said = { network, address: arp.spa, mac: arp.sha };
    if (arp.spa !== NOBODY) this.#neighbours.hear(this.#cloud, said, owner !== undefined);
    const mac = owner?.router.gateway?.mac;
    if (mac !== undefined) return this.#ledger.toWire(network, arpAnswer(frame, arp, mac));
    return router === undefined ? { kind: 'pass' } : { kind: 'copies', count: 0, frame };
  }

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
    return this.#ledger.toPort(arrival.sender, arpAnswer(arrival.frame, arp, macOf(owner)));
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
        return this.#ledger.toPort(way.port, frame);
      case 'host':
        return this.#ledger.toHost(way.host, way.port.network, frame);
      case 'drop':
        return this.#dropOf(arrival, way.reason);
      case 'router':
      case 'wire':
        return this.#dropOf(arrival, 'no_endpoint');
    }
  }

  // --- IPv4

  #way({ sender, network, ethernet, router }: Arrival, ends: Ends | undefined): Way {
    if (router !== undefined && ends !== undefined) return wayFromOutside(this.#cloud, network, router, ends);
    if (sender === undefined) return wayFromHost(this.#cloud, network, ethernet, ends);
    return wayFromPort(this.#cloud, sender, ethernet.dst, ends);
  }

  /** Broadcast and multicast: no flow, so only the rules of its own direction count. */
  #toGroup(arrival: Arrival, ip: IpHeaders): Outcome {
    if (ip.needsFlow) return this.#dropOf(arrival, 'invalid_state');
    if (arrival.sender !== undefined) this.#listeners.hear(this.#cloud, arrival.sender, arrival.frame, ip);
    const verdict = judge(this.#cloud, { packet: ip, isAnswer: false, sender: arrival.sender, receiver: undefined });
    if (!verdict.allowed) return this.#ledger.drop(verdict.by.name, verdict.reason);
    this.#fragments.accept(this.#holder(arrival, ip), arrival.network, ip);
    return this.#toAll(arrival, { ip }, false);
  }

  #forward(arrival: Arrival, ip: IpHeaders): Outcome {
    const { sender } = arrival;
    if (ip.isRedirect && sender?.portSecurity === true) return this.#dropOf(arrival, 'icmp_redirect');
    const { known: own, beside: against, replaced } = this.#connections.ownFlow(arrival, ip);
    const way = this.#wayTaken(arrival, ip, own);
    if (way.kind === 'drop') {
      if (way.reason === 'nat_gone') this.#connections.endFor(arrival, ip, own);
      if (way.reason === 'no_member') return this.#refuse(arrival, ip, { reason: 'no_member', mtuBytes: 0 });
      return this.#dropOf(arrival, way.reason);
    }
    if (way.kind === 'router') return this.#toRouter(arrival, ip);
    const becomes = becomesBy(way, ip);
    const known = this.#connections.ofSameOrigin(arrival, ip, own) ?? this.#connections.movedFlow(arrival, ip, way);
    const isAnswer = known?.direction === 'answer';
    const receiver = way.kind === 'port' ? way.port : undefined;
    const stateless = isStateless(sender, receiver);
    const unknownAnswer = known === undefined && ip.needsFlow;
    if (unknownAnswer && (ip.isError || !stateless)) return this.#dropOf(arrival, 'invalid_state');
    const beside = against === true || unknownAnswer;
    if (known === undefined && lacksFlow(way, ip, beside)) return this.#dropOf(arrival, 'invalid_state');
    const verdict = judge(this.#cloud, { packet: ip, becomes, isAnswer, sender, receiver });
    if (!verdict.allowed) {
      if (!stateless) this.#connections.endFor(arrival, ip, known);
      return this.#ledger.drop(verdict.by.name, verdict.reason);
    }
    if (way.kind === 'wire' && this.#neighbours.macOf(way.network, way.neighbour) === undefined)
      return this.#ask(arrival, way);
    if (ip.isError || beside) return this.#deliver(arrival, ip, way, { becomes, isAnswer, isRecorded: false });
    if (known === undefined && isOwnAnswer(arrival, ip, way)) return this.#dropOf(arrival, 'invalid_state');
    if (replaced !== undefined) this.#connections.end(replaced);
    const flow = known ?? this.#connections.begin(arrival, ip, way);
    if (flow === undefined && stateless && !choosesPort(way))
      return this.#deliver(arrival, ip, way, { becomes, isAnswer, isRecorded: false });
    if (flow === undefined) return this.#dropOf(arrival, 'nat_ports');
    const reason = this.#connections.advance(arrival, ip, flow);
    if (reason !== undefined) return this.#dropOf(arrival, reason);
    this.#fragments.accept(this.#holder(arrival, ip), arrival.network, ip);
    return this.#deliver(arrival, ip, way, { becomes: becomesIn(flow), isAnswer, isRecorded: true });
  }

  /** By the member that the programs have chosen, where they may choose. */
  #wayTaken(arrival: Arrival, ip: IpHeaders, own: Known | undefined): Way {
    const known = own && knownPassage(own);
    const choices = this.#members.choices(ip.tuple.from, (choose) =>
      this.#way(arrival, { ...ip, choose, ...(known === undefined ? {} : { known }) }),
    );
    return this.#members.taken(ip.tuple.from, choices, (way) => {
      if (way.kind === 'drop') return way.reason;
      const receiver = way.kind === 'port' ? way.port : undefined;
      const question = { packet: ip, becomes: becomesBy(way, ip), isAnswer: false, sender: arrival.sender, receiver };
      const verdict = judge(this.#cloud, question);
      if (!verdict.allowed) return `${verdict.reason} of ${verdict.by.name}`;
      if (isOwnAnswer(arrival, ip, way)) return OWN_ANSWER;
      const needsFlow = !isStateless(arrival.sender, receiver);
      return needsFlow && this.#connections.isInTheWay(arrival, ip, way) ? 'nat_ports' : undefined;
    });
  }

  /** Nobody knows where the neighbour is: the packet becomes the question, once a second. */
  #ask(arrival: Arrival, { network, neighbour, own, hop }: Extract<Way, { kind: 'wire' }>): Outcome {
    const dropped = this.#dropOf(arrival, 'no_neighbour');
    if (!this.#neighbours.ask(network, neighbour, this.#nowSeconds)) return dropped;
    const frame = arpQuestion({ mac: hop.mac, own, address: neighbour });
    return { ...this.#ledger.toWire(network, frame), refusal: 'no_neighbour' };
  }

  /** An echo request that the sender's rules allow is answered; there is nothing else at a router's address. */
  #toRouter(arrival: Arrival, ip: IpHeaders): Outcome {
    const { sender, frame, router } = arrival;
    const isNobodys = sender === undefined && router === undefined;
    if (isNobodys || !ip.isEcho || ip.fragment !== 'whole') return this.#dropOf(arrival, 'no_endpoint');
    const verdict = judge(this.#cloud, { packet: ip, isAnswer: false, sender, receiver: undefined });
    if (!verdict.allowed) return this.#ledger.drop(verdict.by.name, verdict.reason);
    return this.#turnBack(arrival, echoAnswer(frame, ip));
  }

  // --- delivery

  #deliver(
    arrival: Arrival,
    ip: IpHeaders,
    way: Exclude<Way, { kind: 'drop' | 'router' }>,
    how: { readonly becomes: Tuple; readonly isAnswer: boolean; readonly isRecorded: boolean },
  ): Outcome {
    const { becomes, isAnswer, isRecorded } = how;
    if (way.kind === 'all')
      return this.#toAll({ ...arrival, frame: translatedFrame(arrival.frame, ip, becomes) }, { ip, becomes }, isAnswer);
    const refusal = refusalBy(way, arrival.frame, ip);
    if (refusal?.reason === 'too_big' && isRecorded && !ip.dontFragment && ip.headerBytes === 20) {
      if (way.hop !== undefined && ip.ttl <= 1)
        return this.#refuse(arrival, ip, { reason: 'ttl_exceeded', mtuBytes: 0 });
      return { kind: 'cut', frame: frameToCut(translatedFrame(arrival.frame, ip, becomes), way.hop !== undefined) };
    }
    if (refusal !== undefined) return this.#refuse(arrival, ip, refusal);
    const frame = translatedFrame(arrival.frame, ip, becomes);
    if (way.kind === 'wire') {
      const mac = this.#neighbours.macOf(way.network, way.neighbour) ?? '';
      return this.#ledger.toWire(way.network, routedFrame(frame, mac, way.hop.mac));
    }
    const sent = way.hop === undefined ? frame : routedFrame(frame, way.port.mac, way.hop.mac);
    return way.kind === 'port'
      ? this.#ledger.toPort(way.port, sent)
      : this.#ledger.toHost(way.host, way.port.network, sent);
  }

  /**
   * The packet is dropped, and its sender told: not about an error, a later fragment, or a packet with IP options. By the MAC that it went to, if that is a router's; within
   * a network by that of whoever has the address which tells it.
   */
  #refuse(arrival: Arrival, ip: IpHeaders, { reason, mtuBytes }: Refusal): Outcome {
    const { sender, frame, router, network, ethernet } = arrival;
    const dropped = this.#dropOf(arrival, reason);
    const from = router?.gateway?.address ?? (sender && speakerTo(this.#cloud, sender));
    if (from === undefined || ip.isError || ip.fragment === 'later' || ip.headerBytes > 20) return dropped;
    const error = icmpErrorAbout(frame, ip, { from, reason, mtuBytes });
    const isRouted = router !== undefined || isRouters(ownerOfMac(this.#cloud, network, ethernet.dst));
    const owner = isRouted ? undefined : ownerOfAddress(this.#cloud, network, from);
    if (owner !== undefined) macBytes(macOf(owner)).copy(error, SOURCE_MAC_AT);
    return { ...this.#turnBack(arrival, error), refusal: reason };
  }

  /** `packet`: of IPv4, which each receiver's rules are asked about, as the receiver of a flow's first packet or as its sender. */
  #toAll(
    { frame, sender, network }: Arrival,
    packet: { readonly ip: IpHeaders; readonly becomes?: Tuple } | undefined,
    isAnswer: boolean,
  ): Outcome {
    let count = 0;
    for (const receiver of receiversHere(this.#cloud, network)) {
      if (receiver === sender || !receiver.adminUp) continue;
      if (!this.#listeners.gets(this.#cloud, receiver, frame, packet?.ip)) continue;
      const verdict =
        packet && judge(this.#cloud, { ...packet, packet: packet.ip, isAnswer, sender: undefined, receiver });
      if (verdict?.allowed === false) this.#ledger.drop(receiver.name, verdict.reason);
      else {
        this.#ledger.sent(receiver.name, frame);
        count += 1;
      }
    }
    // What came from another host never goes to one.
    for (const _host of sender === undefined ? [] : hostsOf(this.#cloud, network)) {
      this.#ledger.sent(undefined, frame);
      count += 1;
    }
    return { kind: 'copies', count, frame };
  }

  /** An answer to who has sent the packet. */
  #turnBack({ sender, network }: Arrival, frame: Buffer): Extract<Outcome, { kind: 'port' | 'wire' }> {
    return sender === undefined ? this.#ledger.toWire(network, frame) : this.#ledger.toPort(sender, frame);
  }

  #dropOf({ sender }: Arrival, reason: string): Outcome {
    return this.#ledger.drop(sender?.name, reason);
  }
}
