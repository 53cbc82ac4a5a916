/** Draws what comes from outside and goes there, and conversations through a translation. */
import { TCP } from '../packet.ts';
import { type Case, changed, type ReplyStep, type Step } from './case.ts';
import type { Cloud, Leg, Port } from './cloud.ts';
import { Draw } from './draw.ts';
import { drawChange, PORT_NUMBERS } from './draw-cloud.ts';
import {
  at,
  drawCloudOutside,
  drawGatewayChange,
  FAR,
  FLOATING,
  FORWARDED,
  isLeftOut,
  MACHINES,
  NEXT_HOP,
} from './draw-gateways.ts';
import { sendersHere, WAITS } from './draw-packets.ts';
import { drawReply } from './draw-replies.ts';
import type { ArpPacket, Body, IpPacket, Packet } from './packets.ts';

const MOST_STEPS = 16;
const DESTINATION_PORTS = [...PORT_NUMBERS, 8080, 6000, 6004, 6008] as const;

/** The case of a cloud that leads outside with this number of those that the seed stands for. */
export function drawOutside(seed: number, number: number): Case {
  const draw = new Draw(Math.imul(seed, 0x2545f491) ^ Math.imul(number + 1, 0x9e3779b1));
  const cloud = drawCloudOutside(draw);
  const story = new Story(draw, cloud);
  const length = 4 + draw.below(MOST_STEPS - 3);
  return { cloud, steps: [...hello(draw, cloud), ...Array.from({ length }, () => story.next())] };
}

/** Mostly the next hop has been heard of. */
function hello(draw: Draw, cloud: Cloud): readonly Step[] {
  const gateway = cloud.routers[0]?.gateway;
  if (gateway === undefined || draw.chance(0.1)) return [];
  return [{ kind: 'arrive', network: 'outside', packet: says(NEXT_HOP, gateway.mac, gateway.address) }];
}

type Machine = { readonly address: string; readonly mac: string };

function says({ address, mac }: Machine, dst: string, to: string): ArpPacket {
  return { kind: 'arp', op: 'reply', src: mac, dst, sha: mac, spa: address, tha: dst, tpa: to };
}

const FLAGS = [TCP.syn, TCP.syn, TCP.syn, TCP.ack, TCP.rst, TCP.syn | TCP.ack, TCP.fin | TCP.ack] as const;
const IDS = [5, 6] as const;

class Story {
  readonly #draw: Draw;
  #cloud: Cloud;
  #label = 0;
  #isChanged = false;
  /** Packets that may be replied to. */
  readonly #labels: number[] = [];
  readonly #sent: Step[] = [];

  constructor(draw: Draw, cloud: Cloud) {
    this.#draw = draw;
    this.#cloud = cloud;
  }

  next(): Step {
    const draw = this.#draw;
    if (this.#isChanged && this.#sent.length > 0 && draw.chance(0.7)) return this.#after();
    switch (
      draw.weighted({
        out: 8,
        in: 5,
        reply: this.#labels.length > 0 ? 12 : 0,
        again: 3,
        arp: 1.5,
        wait: 1,
        change: 2.5,
      })
    ) {
      case 'out':
        return this.#out();
      case 'in':
        return this.#labelled({ kind: 'arrive', network: 'outside', packet: this.#in() });
      case 'reply': {
        const step: ReplyStep = { kind: 'reply', to: draw.pick(this.#labels.slice(-4)), reply: drawReply(draw) };
        return this.#labelled(step);
      }
      case 'again':
        return this.#sent.length > 0 ? draw.pick(this.#sent.slice(-5)) : this.#out();
      case 'arp':
        return { kind: 'arrive', network: 'outside', packet: this.#arp() };
      case 'wait':
        return { kind: 'wait', seconds: draw.pick(WAITS) };
      case 'change':
        return this.#change();
    }
  }

  /** What was said before a change is said again; now and then by who has a floating IP since. */
  #after(): Step {
    this.#isChanged = this.#draw.chance(0.5);
    const step = this.#draw.pick(this.#sent.slice(-5));
    return (this.#draw.chance(0.25) ? this.#byAnother(step) : undefined) ?? step;
  }

  #byAnother(step: Step): Step | undefined {
    if (step.kind !== 'send' || step.packet.kind !== 'ip') return undefined;
    const floating = this.#cloud.routers.flatMap(({ gateway }) => gateway?.floatingIps ?? []);
    if (floating.length === 0) return undefined;
    const { port: name, fixed } = this.#draw.pick(floating);
    const port = this.#cloud.ports.find((one) => one.name === name && one.host === undefined);
    const leg = port && this.#legsIn(port.network)[0];
    if (port === undefined || leg === undefined) return undefined;
    return { kind: 'send', port: name, packet: { ...step.packet, src: port.mac, dst: leg.mac, from: fixed } };
  }

  #labelled(step: Step): Step {
    this.#label += 1;
    this.#labels.push(this.#label);
    const labelled = { ...step, label: this.#label } as Step;
    this.#sent.push(step);
    return labelled;
  }

  #change(): Step {
    const draw = this.#draw;
    const change = draw.chance(0.5) ? drawGatewayChange(draw, this.#cloud) : drawChange(draw, this.#cloud);
    if (isLeftOut(change)) return this.next();
    this.#cloud = changed(this.#cloud, change);
    this.#isChanged = true;
    return { kind: 'change', change };
  }

  #out(): Step {
    const draw = this.#draw;
    const senders = sendersHere(this.#cloud);
    const behind = senders.filter(({ network }) => this.#legsIn(network).length > 0);
    if (senders.length === 0) return { kind: 'wait', seconds: draw.pick(WAITS) };
    const port = draw.pick(behind.length > 0 && draw.chance(0.96) ? behind : senders);
    return this.#labelled({ kind: 'send', port: port.name, packet: this.#outwards(port) });
  }

  #outwards(port: Port): Packet {
    const draw = this.#draw;
    const legs = this.#legsIn(port.network);
    const other = draw.pick(this.#cloud.ports);
    const dst = legs.length > 0 ? draw.pick(legs).mac : other.mac;
    const to = draw.weighted({ far: 6, near: 2, ours: 4, inside: 1.5 });
    return {
      ...{ kind: 'ip', src: port.mac, dst, from: this.#source(port, other), to: this.#destination(to, other) },
      ...this.#oddities(),
      body: drawBody(draw),
    };
  }

  /** Whom nothing keeps from it sends now and then with the address behind a neighbour's floating IP. */
  #source(port: Port, other: Port): string {
    const draw = this.#draw;
    const floating = this.#cloud.routers.flatMap(({ gateway }) => gateway?.floatingIps ?? []);
    const inNetwork = floating.filter(({ fixed }) =>
      this.#cloud.ports.some(({ network, addresses }) => network === port.network && addresses.includes(fixed)),
    );
    if (!port.portSecurity && inNetwork.length > 0 && draw.chance(0.3)) return draw.pick(inNetwork).fixed;
    return draw.chance(0.95) ? draw.pick(port.addresses) : draw.pick([...other.addresses, FLOATING[0] ?? '']);
  }

  #destination(to: 'far' | 'near' | 'ours' | 'inside', other: Port): string {
    const draw = this.#draw;
    switch (to) {
      case 'far':
        return draw.pick(FAR);
      case 'near':
        return draw.pick([...MACHINES, NEXT_HOP]).address;
      case 'ours':
        return draw.pick(this.#addressesOfOurs());
      case 'inside':
        return draw.pick(other.addresses);
    }
  }

  #legsIn(network: string): readonly Leg[] {
    return this.#cloud.routers.flatMap(({ legs }) => legs.filter((leg) => leg.network === network));
  }

  /** Now and then those that nobody has. */
  #addressesOfOurs(): readonly string[] {
    const gateways = this.#cloud.routers.flatMap(({ gateway }) => gateway ?? []);
    const taken = gateways.flatMap(({ address, floatingIps, forwards }) => [
      address,
      ...[...floatingIps, ...floatingIps, ...forwards].map((one) => one.address),
    ]);
    return this.#draw.chance(0.9) ? taken : [at(2), at(3), FORWARDED, ...FLOATING, at(99)];
  }

  #in(): Packet {
    const draw = this.#draw;
    const machine = draw.pick([NEXT_HOP, NEXT_HOP, NEXT_HOP, ...MACHINES]);
    const gateways = this.#cloud.routers.flatMap(({ gateway }) => gateway ?? []);
    const port = draw.pick(this.#cloud.ports);
    const from = machine === NEXT_HOP ? draw.pick(FAR) : machine.address;
    const odd = draw.pick([...port.addresses, ...FLOATING, at(2), '127.0.0.1', '10.9.1.7']);
    const to = draw.chance(0.85) ? draw.pick(this.#addressesOfOurs()) : draw.pick([...port.addresses, FAR[0]]);
    return {
      ...{ kind: 'ip', src: machine.mac, dst: draw.chance(0.96) ? draw.pick(gateways).mac : port.mac },
      ...{ from: draw.chance(0.94) ? from : odd, to },
      ...this.#oddities(),
      body: drawBody(draw),
    };
  }

  #oddities(): Partial<IpPacket> {
    const draw = this.#draw;
    return {
      ...(draw.chance(0.06) ? { ttl: draw.pick([0, 1, 2]) } : {}),
      ...(draw.chance(0.4) ? { dontFragment: true } : {}),
      ...(draw.chance(0.08) ? { id: draw.pick(IDS), moreFragments: true } : {}),
      ...(draw.chance(0.02) ? { options: '01010101' } : {}),
      ...(draw.chance(0.02) ? { padding: 6 } : {}),
    };
  }

  #arp(): ArpPacket {
    const draw = this.#draw;
    const gateway = draw.pick(this.#cloud.routers.flatMap((router) => router.gateway ?? []));
    const machine = draw.pick([NEXT_HOP, ...MACHINES]);
    const to = draw.pick(this.#addressesOfOurs());
    if (draw.chance(0.5)) return says(machine, gateway.mac, to);
    const { mac, address } = machine;
    const dst = draw.chance(0.7) ? 'ff:ff:ff:ff:ff:ff' : gateway.mac;
    return {
      kind: 'arp',
      op: 'request',
      src: mac,
      dst,
      sha: mac,
      spa: draw.chance(0.9) ? address : '0.0.0.0',
      tpa: to,
    };
  }
}

/** None, and what just fits and does not into packets of 1450 and 1500 bytes. */
const TCP_BYTES = [0, 1410, 1411, 1460, 1461] as const;
const UDP_BYTES = [0, 1422, 1423, 1472, 1473] as const;

function drawBody(draw: Draw): Body {
  const ports = { sport: draw.pick(PORT_NUMBERS), dport: draw.pick(DESTINATION_PORTS) };
  const payload = (sizes: readonly number[]) => (draw.chance(0.1) ? { bytes: draw.pick(sizes) } : {});
  switch (draw.weighted({ tcp: 7, udp: 7, icmp: 4, sctp: 2, gre: 1 })) {
    case 'tcp':
      return { kind: 'tcp', ...ports, flags: draw.pick(FLAGS), ...payload(TCP_BYTES) };
    case 'udp':
      return { kind: 'udp', ...ports, ...payload(UDP_BYTES) };
    case 'sctp':
      return { kind: 'sctp', ...ports };
    case 'icmp':
      return { kind: 'icmp', type: draw.pick([8, 8, 8, 13, 0, 9]), id: draw.pick([1, 7]) };
    case 'gre':
      return { kind: 'other', protocol: 47, hex: '0000080001020304' };
  }
}
