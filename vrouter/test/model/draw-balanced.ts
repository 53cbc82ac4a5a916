/** Draws what is sent to virtual addresses, and what members answer. */
import { ICMP, TCP } from '../packet.ts';
import { type Case, changed, type ReplyStep, type Step } from './case.ts';
import { type Balancer, type Cloud, isHere, type Port, reachOf, SERVICE_MAC } from './cloud.ts';
import { Draw } from './draw.ts';
import { drawBalancerChange, drawBalancers } from './draw-balancers.ts';
import { addressesIn, drawChange, drawCloud, PORT_NUMBERS } from './draw-cloud.ts';
import { drawnNearer, openRules } from './draw-gateways.ts';
import { drawArp, drawIp, odd, WAITS } from './draw-packets.ts';
import { drawReply } from './draw-replies.ts';
import type { Body, IpPacket, Packet } from './packets.ts';

const MOST_STEPS = 16;
const TCP_NUMBER = 6;
const UDP_NUMBER = 17;

/** The case of a cloud with load balancers with this number of those that the seed stands for. */
export function drawBalanced(seed: number, number: number): Case {
  const draw = new Draw(Math.imul(seed, 0x85ebca6b) ^ Math.imul(number + 1, 0xc2b2ae35));
  const cloud = drawCloudWithBalancers(draw);
  const story = new Story(draw, cloud);
  const length = 4 + draw.below(MOST_STEPS - 3);
  return { cloud, steps: Array.from({ length }, () => story.next()) };
}

function drawCloudWithBalancers(draw: Draw): Cloud {
  const drawn = drawCloud(draw);
  const cloud: Cloud = {
    ...drawn,
    ports: drawn.ports.map((port) => drawnOpener(draw, drawnNearer(draw, port))),
    groups: drawn.groups.map((group, at) => ({ ...group, rules: [...group.rules, ...openRules(draw, at)] })),
  };
  return { ...cloud, balancers: drawBalancers(draw, cloud) };
}

/** Most are in the group that lets in what comes: which of several members refuses a packet cannot be seen. */
function drawnOpener(draw: Draw, port: Port): Port {
  return draw.chance(0.8) ? { ...port, groups: [...new Set([...port.groups, 'web'])] } : port;
}

const FLAGS = [TCP.syn, TCP.syn, TCP.syn, TCP.syn, TCP.ack, TCP.rst, TCP.syn | TCP.ack, TCP.fin | TCP.ack] as const;
const LISTENERS = [80, 80, 1000, 53, 53, 2048] as const;
/** None, and what just fits and does not. */
const TCP_BYTES = [0, 536, 537, 1410, 1411] as const;
const UDP_BYTES = [0, 548, 549, 1422, 1423] as const;

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
    if (this.#isChanged && this.#sent.length > 0 && draw.chance(0.7)) {
      this.#isChanged = draw.chance(0.5);
      return draw.pick(this.#sent.slice(-5));
    }
    const replies = this.#labels.length > 0 ? 12 : 0;
    switch (draw.weighted({ ask: 9, near: 2.5, reply: replies, again: 5, arp: 0.5, wait: 1, change: 3 })) {
      case 'ask':
        return this.#labelled(this.#asks());
      case 'near':
        return this.#labelled(this.#near(draw.pick(this.#cloud.ports)));
      case 'reply': {
        const step: ReplyStep = { kind: 'reply', to: draw.pick(this.#labels.slice(-4)), reply: drawReply(draw) };
        return this.#labelled(step);
      }
      case 'again':
        return this.#sent.length > 0 ? draw.pick(this.#sent.slice(-5)) : this.next();
      case 'arp':
        return this.#arp();
      case 'wait':
        return { kind: 'wait', seconds: draw.pick(WAITS) };
      case 'change':
        return this.#change();
    }
  }

  #labelled(step: Step): Step {
    this.#label += 1;
    this.#labels.push(this.#label);
    this.#sent.push(step);
    return { ...step, label: this.#label } as Step;
  }

  #change(): Step {
    const draw = this.#draw;
    const change = draw.chance(0.75) ? drawBalancerChange(draw, this.#cloud) : drawChange(draw, this.#cloud);
    this.#cloud = changed(this.#cloud, change);
    this.#isChanged = true;
    return { kind: 'change', change };
  }

  #arp(): Step {
    const draw = this.#draw;
    const balancer = draw.pick(this.#cloud.balancers);
    const port = this.#client(balancer);
    const says = draw.chance(0.6) ? { tpa: balancer.address } : { spa: balancer.address };
    return this.#of(port, { ...drawArp(draw, this.#cloud, port), ...says });
  }

  /** Mostly one that can reach it, is here, and now and then is a member. */
  #client({ network, pools }: Balancer): Port {
    const draw = this.#draw;
    const { ports } = this.#cloud;
    const reach = reachOf(this.#cloud, network);
    const near = ports.filter((port) => port.network === network || (reach.has(port.network) && draw.chance(0.6)));
    const members = pools.flatMap((pool) => pool.members);
    const asMembers = near.filter((port) =>
      members.some((member) => member.network === port.network && port.addresses.includes(member.address)),
    );
    const among = asMembers.length > 0 && draw.chance(0.2) ? asMembers : near;
    const here = among.filter(isHere);
    const likely = here.length > 0 && draw.chance(0.95) ? here : among;
    return draw.pick(likely.length > 0 && draw.chance(0.97) ? likely : ports);
  }

  #of(port: Port, packet: Packet): Step {
    if (port.host === undefined) return { kind: 'send', port: port.name, packet };
    return { kind: 'receive', tunnel: { network: port.network, from: port.host }, packet };
  }

  /** To a virtual address: of its own network by its MAC, else by a router. */
  #asks(): Step {
    const draw = this.#draw;
    const balancer = draw.pick(this.#cloud.balancers);
    const port = this.#client(balancer);
    const legs = this.#cloud.routers.flatMap(({ legs }) => legs.filter(({ network }) => network === port.network));
    const gateway = legs.length > 0 ? draw.pick(legs).mac : SERVICE_MAC;
    const byRouter = balancer.network !== port.network || draw.chance(0.08);
    const packet: IpPacket = {
      ...{ kind: 'ip', dst: byRouter ? gateway : balancer.mac, to: balancer.address },
      ...this.#source(port),
      ...(draw.chance(0.05) ? { id: draw.pick([5, 6]), moreFragments: true } : {}),
      body: this.#bodyFor(balancer),
    };
    return this.#of(port, draw.chance(0.15) ? odd(draw, this.#cloud, packet) : packet);
  }

  /** Now and then that of an allowed address pair. */
  #source({ mac, addresses, pairs }: Port): Pick<IpPacket, 'src' | 'from'> {
    const draw = this.#draw;
    const pair = pairs[0];
    if (pair === undefined || draw.chance(0.5)) return { src: mac, from: draw.pick(addresses) };
    return { src: pair.mac, from: pair.cidr.includes('/') ? '10.9.1.3' : pair.cidr };
  }

  /** Mostly for one of its listeners. */
  #bodyFor({ listeners, pools }: Balancer): Body {
    const draw = this.#draw;
    if (listeners.length === 0 || draw.chance(0.1)) return this.#body();
    const { port: dport, pool } = draw.pick(listeners);
    const protocol = pools.find(({ name }) => name === pool)?.protocol;
    const sport = draw.chance(0.9) ? draw.pick(PORT_NUMBERS) : dport;
    if (protocol === TCP_NUMBER)
      return { kind: 'tcp', sport, dport, flags: draw.pick(FLAGS), ...this.#payload(TCP_BYTES) };
    if (protocol === UDP_NUMBER) return { kind: 'udp', sport, dport, ...this.#payload(UDP_BYTES) };
    return { kind: 'sctp', sport, dport };
  }

  #payload(sizes: readonly number[]): { readonly bytes?: number } {
    return this.#draw.chance(0.08) ? { bytes: this.#draw.pick(sizes) } : {};
  }

  #body(): Body {
    const draw = this.#draw;
    const ports = { sport: draw.pick(PORT_NUMBERS), dport: draw.pick(LISTENERS) };
    switch (draw.weighted({ tcp: 8, udp: 7, sctp: 2, icmp: 1 })) {
      case 'tcp':
        return { kind: 'tcp', ...ports, flags: draw.pick(FLAGS), ...this.#payload(TCP_BYTES) };
      case 'udp':
        return { kind: 'udp', ...ports, ...this.#payload(UDP_BYTES) };
      case 'sctp':
        return { kind: 'sctp', ...ports };
      case 'icmp':
        return { kind: 'icmp', type: draw.pick([ICMP.echo, 13, 0]), id: 7 };
    }
  }

  /** To a member's own address, or in the name of a virtual one. */
  #near(port: Port): Step {
    const draw = this.#draw;
    const balancer = draw.pick(this.#cloud.balancers);
    const members = balancer.pools.flatMap((pool) => pool.members);
    const to =
      members.length > 0 && draw.chance(0.7) ? draw.pick(members).address : draw.pick(addressesIn(this.#cloud));
    const packet = drawIp(draw, this.#cloud, port, to);
    const isVirtual = draw.chance(0.15);
    return this.#of(port, {
      ...packet,
      ...(isVirtual ? { from: balancer.address } : {}),
      ...(isVirtual && draw.chance(0.5) ? { src: balancer.mac } : {}),
      ...(draw.chance(0.05) ? { dst: balancer.mac } : {}),
      body: draw.chance(0.7) ? this.#body() : packet.body,
    });
  }
}
