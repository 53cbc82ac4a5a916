/** Draws cases. */
import { type Case, changed, type Step } from './case.ts';
import { type Cloud, type Port, peeredBy } from './cloud.ts';
import { Draw } from './draw.ts';
import { addressesIn, drawChange, drawCloud, VIRTUAL_MAC } from './draw-cloud.ts';
import { groupTalk } from './draw-groups.ts';
import {
  again,
  answerTo,
  conversation,
  damaged,
  drawArp,
  drawIp,
  drawServiceAnswer,
  drawServiceRequest,
  errorAbout,
  laterFragment,
  type Said,
  sendersHere,
  WAITS,
} from './draw-packets.ts';
import type { IpPacket, Packet } from './packets.ts';

const MOST_STEPS = 20;

/** The case with this number of those that the seed stands for. */
export function drawCase(seed: number, number: number): Case {
  const draw = new Draw(Math.imul(seed, 0x9e3779b1) ^ Math.imul(number + 1, 0x85ebca6b));
  const cloud = drawCloud(draw);
  const story = new Story(draw, cloud);
  const length = 4 + draw.below(MOST_STEPS - 3);
  return { cloud, steps: Array.from({ length }, () => story.next()) };
}

/** What has been sent so far, so that it can be answered. */
class Story {
  readonly #draw: Draw;
  #cloud: Cloud;
  readonly #sent: IpPacket[] = [];
  /** What is still to be said of one that has begun. */
  #conversation: Said[] = [];
  /** Ports that have, or had, a device on this host. */
  readonly #wasHere: Set<string>;

  constructor(draw: Draw, cloud: Cloud) {
    this.#draw = draw;
    this.#cloud = cloud;
    this.#wasHere = new Set(sendersHere(cloud).map(({ name }) => name));
  }

  next(): Step {
    const draw = this.#draw;
    const said = draw.chance(0.85) ? this.#conversation.shift() : undefined;
    if (typeof said === 'number') return { kind: 'wait', seconds: said };
    if (said !== undefined) return this.#of(said.port, said.packet);
    switch (draw.weighted({ packet: 20, wait: 1, change: 2.5, serve: 0.8 })) {
      case 'wait':
        return { kind: 'wait', seconds: draw.pick(WAITS) };
      case 'change': {
        const change = drawChange(draw, this.#cloud);
        this.#cloud = changed(this.#cloud, change);
        return { kind: 'change', change };
      }
      case 'serve': {
        const port = draw.pick(sendersHere(this.#cloud));
        return { kind: 'serve', port: port.name, packet: drawServiceAnswer(draw, port) };
      }
      case 'packet':
        return this.#packet();
    }
  }

  #packet(): Step {
    const draw = this.#draw;
    const port = draw.chance(0.75) ? draw.pick(sendersHere(this.#cloud)) : draw.pick(this.#cloud.ports);
    if (this.#sent.length > 0 && draw.chance(0.6)) return this.#after(draw.pick(this.#sent.slice(-4)), port);
    switch (draw.weighted({ ip: 12, conversation: 2.5, arp: 2, service: 2, group: 1.5, frame: 0.3 })) {
      case 'conversation': {
        const first = drawIp(draw, this.#cloud, port, this.#destination(port));
        this.#conversation = [...conversation(draw, this.#cloud, port, first)];
        return this.next();
      }
      case 'ip':
        return this.#of(port, drawIp(draw, this.#cloud, port, this.#destination(port)));
      case 'arp':
        return this.#of(port, drawArp(draw, this.#cloud, port));
      case 'group':
        this.#conversation = [...groupTalk(draw, this.#cloud, port)];
        return this.next();
      case 'service':
        return this.#of(port, drawServiceRequest(draw, this.#cloud, port));
      case 'frame':
        return this.#of(port, this.#frame(port));
    }
  }

  /** Mostly somebody whom the port can reach. */
  #destination(port: Port): string {
    const { ports, routers, peerings } = this.#cloud;
    const joined = routers.filter(({ legs }) => legs.some(({ network }) => network === port.network));
    const theirs = peerings.flatMap(({ router, peer, ...lets }) =>
      joined.flatMap(({ name }) => (name === router ? lets.theirs : name === peer ? lets.own : [])),
    );
    const networks = [port.network, ...joined.flatMap(({ legs }) => legs.map(({ network }) => network)), ...theirs];
    const near = ports.filter((one) => one !== port && networks.includes(one.network));
    const others = near.flatMap(({ addresses }) => addresses);
    return this.#draw.pick(others.length > 0 && this.#draw.chance(0.8) ? others : addressesIn(this.#cloud));
  }

  /** Something that has to do with a packet that was sent. */
  #after(earlier: IpPacket, other: Port): Step {
    const draw = this.#draw;
    const sender =
      this.#cloud.ports.find(({ mac, addresses }) => mac === earlier.src && addresses.includes(earlier.from)) ?? other;
    switch (draw.weighted({ answer: 7, again: 3, error: 2, fragment: earlier.moreFragments ? 6 : 0.2 })) {
      case 'answer': {
        const answer = answerTo(draw, this.#cloud, earlier);
        return answer === undefined
          ? this.#of(sender, again(draw, this.#cloud, earlier))
          : this.#of(answer.port, answer.packet);
      }
      case 'again':
        return this.#of(this.#perhapsTwin(sender), again(draw, this.#cloud, earlier));
      case 'error': {
        const { port, packet } = errorAbout(draw, this.#cloud, earlier);
        return this.#of(port, packet);
      }
      case 'fragment':
        return this.#of(this.#perhapsTwin(sender), laterFragment(draw, earlier));
    }
  }

  /** Now and then the port of another tenant that has the same MAC. */
  #perhapsTwin(port: Port): Port {
    const twins = this.#cloud.ports.filter(({ mac, network }) => mac === port.mac && network !== port.network);
    return twins.length > 0 && this.#draw.chance(0.25) ? this.#draw.pick(twins) : port;
  }

  #frame({ mac }: Port): Packet {
    const inside = drawIp(this.#draw, this.#cloud, this.#draw.pick(this.#cloud.ports), '10.0.1.5');
    if (this.#draw.chance(0.4)) return { kind: 'tagged', tag: 100, inside };
    return { kind: 'frame', src: mac, dst: VIRTUAL_MAC, type: this.#draw.pick([0x8035, 0x88cc, 5]) };
  }

  /** The packet leaves its port: here, or on another host, from which it comes through the tunnel, routed perhaps. */
  #of(port: Port, packet: Packet): Step {
    const draw = this.#draw;
    const sent = draw.chance(0.04) ? damaged(draw, packet) : packet;
    if (packet.kind === 'ip' && packet.body.kind !== 'error') this.#sent.push(packet);
    if (port.host === undefined || (this.#wasHere.has(port.name) && draw.chance(0.3)))
      return { kind: 'send', port: port.name, packet: sent };
    const from = draw.chance(0.96) ? port.host : draw.pick(['h1', 'h3', 'h9', undefined]);
    const [network, routed] = this.#overTunnel(port, sent);
    return { kind: 'receive', tunnel: { network, from }, packet: routed };
  }

  /** Another host routes before it sends: into the receiver's network. */
  #overTunnel(port: Port, packet: Packet): readonly [string | undefined, Packet] {
    if (this.#draw.chance(0.03)) return [this.#draw.pick([undefined, 'red', 'blue', 'other']), packet];
    if (packet.kind !== 'ip') return [port.network, packet];
    const legs = this.#cloud.routers.flatMap((router) =>
      router.legs.some(({ mac }) => mac === packet.dst)
        ? [...router.legs, ...peeredBy(this.#cloud, router).flatMap(({ theirs }) => theirs)]
        : [],
    );
    const receiver = this.#cloud.ports.find(
      ({ network, addresses }) => addresses.includes(packet.to) && legs.some((leg) => leg.network === network),
    );
    const leg = legs.find(({ network }) => network === receiver?.network);
    if (receiver === undefined || leg === undefined) return [port.network, packet];
    return [receiver.network, { ...packet, src: leg.mac, dst: receiver.mac }];
  }
}
