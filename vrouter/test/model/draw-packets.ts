/** Draws packets: most as a sound guest would send them, many an answer, a repetition or a fragment of earlier ones, some with something wrong. */
import { BROADCAST, TCP } from '../packet.ts';
import { type Cloud, isHere, METADATA_ADDRESS, ownerOfAddress, type Port, SERVICE_MAC, speakerTo } from './cloud.ts';
import type { Draw } from './draw.ts';
import { addressesIn, PORT_NUMBERS, VIRTUAL_MAC } from './draw-cloud.ts';
import { type ArpPacket, type Body, type IpPacket, type Packet, protocolOf } from './packets.ts';

/** None, padding, record route, source routes, and two that are wrong. */
const OPTIONS = [
  '01010101',
  '01'.repeat(40),
  '07070400',
  '01830704',
  '89030400',
  '00830400',
  '01018301',
  '94010000',
  '01010194',
] as const;
const ICMP_IDS = [1, 7, 2048] as const;
const FRAGMENT_IDS = [5, 6] as const;
const FLAGS = [
  TCP.syn,
  TCP.syn,
  TCP.ack,
  TCP.ack,
  TCP.fin | TCP.ack,
  TCP.rst,
  TCP.rst | TCP.ack,
  TCP.syn | TCP.ack,
  0x18,
] as const;
const ODD_FLAGS = [0, TCP.syn | TCP.fin, TCP.syn | TCP.rst, TCP.fin, 0x2a, 0xff] as const;
/** Queries, answers, others. */
const ICMP_TYPES = [8, 8, 8, 0, 13, 14, 9, 40] as const;
const ERROR_KINDS = [
  [3, 4],
  [3, 3],
  [11, 0],
  [5, 1],
  [12, 0],
  [4, 0],
] as const;
/** Behind 28 bytes of headers, as UDP's: as much as the MTUs let through, and a byte more. TCP's 40 are then too much. */
const PAYLOADS = [0, 548, 549, 1422, 1423] as const;
const LATER_OFFSETS = [24, 24, 24, 24, 8] as const;
/** Numbers that are right at some place, and some that are far off. */
const SEQUENCES = [0, 1, 2, 3, 549, 2 ** 30, 2 ** 31 + 1, 2 ** 32 - 1] as const;

/** The MAC by which a port reaches an address: its owner's, or that of a router, which may be the service MAC. */
function macFor(cloud: Cloud, draw: Draw, from: Port, to: string): string {
  const near = ownerOfAddress(cloud, from.network, to);
  if (near?.kind === 'port' && !draw.chance(0.05)) return near.port.mac;
  const legs = cloud.routers.flatMap((router) => router.legs.filter(({ network }) => network === from.network));
  return draw.chance(legs.length > 0 ? 0.85 : 0) ? draw.pick(legs).mac : SERVICE_MAC;
}

export function drawBody(draw: Draw): Body {
  const ports = { sport: draw.pick(PORT_NUMBERS), dport: draw.pick(PORT_NUMBERS) };
  const bytes = draw.chance(0.15) ? { bytes: draw.pick(PAYLOADS) } : {};
  switch (draw.weighted({ tcp: 8, udp: 6, icmp: 4, sctp: 1, other: 1 })) {
    case 'tcp':
      return { kind: 'tcp', ...ports, flags: draw.chance(0.04) ? draw.pick(ODD_FLAGS) : draw.pick(FLAGS), ...bytes };
    case 'udp':
      return { kind: 'udp', ...ports, ...bytes };
    case 'sctp':
      return { kind: 'sctp', ...ports };
    case 'icmp':
      return {
        kind: 'icmp',
        type: draw.pick(ICMP_TYPES),
        code: draw.chance(0.9) ? 0 : 1,
        id: draw.pick(ICMP_IDS),
        ...bytes,
      };
    case 'other':
      return {
        kind: 'other',
        protocol: draw.pick([99, 99, 47, 17, 6, 1]),
        hex: draw.pick(['', '00', '0102030405060708', '08'.repeat(40)]),
      };
  }
}

/** A packet of a port to an address. */
export function drawIp(draw: Draw, cloud: Cloud, from: Port, to: string): IpPacket {
  const body = drawBody(draw);
  return odd(draw, cloud, {
    ...{ kind: 'ip', src: from.mac, dst: macFor(cloud, draw, from, to), from: from.addresses[0] ?? '', to, body },
    ...(draw.chance(0.08) ? { id: draw.pick(FRAGMENT_IDS), moreFragments: true } : {}),
  });
}

/** With now and then something that is rare, or wrong. */
export function odd(draw: Draw, cloud: Cloud, ip: IpPacket): IpPacket {
  const port = draw.pick(cloud.ports);
  return {
    ...ip,
    ...(draw.chance(0.04) ? { src: draw.pick([port.mac, VIRTUAL_MAC]) } : {}),
    ...(draw.chance(0.05) ? { dst: draw.pick([port.mac, VIRTUAL_MAC, BROADCAST, '01:00:5e:00:00:fb']) } : {}),
    ...(draw.chance(0.05) ? { from: draw.pick([...addressesIn(cloud), '0.0.0.0', '10.9.1.3']) } : {}),
    ...(draw.chance(0.04) ? { to: draw.pick(['255.255.255.255', '224.0.0.251', '198.18.0.1', '198.19.255.255']) } : {}),
    ...(draw.chance(0.12) ? { ttl: draw.pick([0, 1, 1, 2, 255]) } : {}),
    ...(draw.chance(0.5) ? { dontFragment: true } : {}),
    ...(draw.chance(0.03) ? { options: draw.pick(OPTIONS) } : {}),
    ...(draw.chance(0.03) ? { padding: draw.pick([1, 18]) } : {}),
  };
}

export function drawArp(draw: Draw, cloud: Cloud, from: Port): ArpPacket {
  const to = draw.pick(addressesIn(cloud));
  const reply = draw.chance(0.25);
  const own = from.addresses[0] ?? '';
  const port = draw.pick(cloud.ports);
  const dst = reply || draw.chance(0.2) ? draw.pick([macFor(cloud, draw, from, to), VIRTUAL_MAC]) : BROADCAST;
  return {
    ...{ kind: 'arp', op: reply ? 'reply' : 'request', src: from.mac, dst, sha: from.mac, spa: own },
    tpa: draw.chance(0.15) ? own : to,
    ...(reply ? { tha: dst } : {}),
    ...(draw.chance(0.08) ? { spa: draw.pick(['0.0.0.0', ...addressesIn(cloud)]) } : {}),
    ...(draw.chance(0.05) ? { sha: draw.pick([port.mac, VIRTUAL_MAC]) } : {}),
    ...(draw.chance(0.05) ? { src: draw.pick([port.mac, VIRTUAL_MAC]) } : {}),
  };
}

/** To the agent's services, or nearly. */
export function drawServiceRequest(draw: Draw, cloud: Cloud, from: Port): IpPacket {
  const own = draw.pick([...from.addresses, '10.0.1.77']);
  const to = draw.pick(['255.255.255.255', '255.255.255.255', speakerTo(cloud, from), '10.7.0.1']);
  const dst = to === '255.255.255.255' ? BROADCAST : SERVICE_MAC;
  const dhcp: IpPacket = {
    ...{ kind: 'ip', src: from.mac, dst, from: draw.pick([own, '0.0.0.0']), to },
    body: { kind: 'udp', sport: draw.pick([68, 68, 67, 1000]), dport: draw.pick([67, 67, 67, 68]) },
  };
  const http: Body = { kind: 'tcp', sport: 1000, dport: draw.pick([80, 80, 80, 53]), flags: draw.pick(FLAGS) };
  const metadata: IpPacket = {
    ...dhcp,
    dst: SERVICE_MAC,
    from: own,
    to: METADATA_ADDRESS,
    body: draw.chance(0.85) ? http : drawBody(draw),
  };
  return odd(draw, cloud, draw.chance(0.5) ? dhcp : metadata);
}

/** What the agent says to a port. */
export function drawServiceAnswer(draw: Draw, port: Port): IpPacket {
  const ends = { kind: 'ip', src: SERVICE_MAC, dst: SERVICE_MAC, from: '192.0.2.1', to: '192.0.2.2' } as const;
  if (draw.chance(0.4)) {
    return { ...ends, body: { kind: 'tcp', sport: draw.pick([80, 80, 80, 53]), dport: 1000, flags: draw.pick(FLAGS) } };
  }
  const client = draw.chance(0.5) ? (port.addresses[0] ?? '0.0.0.0') : '0.0.0.0';
  return { ...ends, body: { kind: 'other', protocol: 17, hex: bootpHex(draw, client) } };
}

/** A UDP header without a checksum, and a DHCP message's fixed part, or too little of it. */
function bootpHex(draw: Draw, client: string): string {
  const bytes = Buffer.alloc(draw.chance(0.1) ? 20 : 8 + 240);
  bytes.writeUInt16BE(draw.pick([67, 67, 67, 53]), 0);
  bytes.writeUInt16BE(68, 2);
  bytes.writeUInt16BE(bytes.length, 4);
  if (draw.chance(0.4)) bytes.writeUInt16BE(0x8000, 18);
  if (bytes.length > 24) Buffer.from(client.split('.').map(Number)).copy(bytes, 20);
  return bytes.toString('hex');
}

/** The answer to a packet, by whoever has the address that it went to; undefined: nobody has. */
export function answerTo(
  draw: Draw,
  cloud: Cloud,
  asked: IpPacket,
): { readonly port: Port; readonly packet: IpPacket } | undefined {
  const answerers = cloud.ports.filter(({ addresses, mac }) => addresses.includes(asked.to) || mac === asked.dst);
  if (answerers.length === 0) return undefined;
  const port = draw.pick(answerers);
  const body = answerBody(draw, asked.body);
  const packet: IpPacket = {
    ...{ kind: 'ip', src: port.mac, dst: macFor(cloud, draw, port, asked.from), from: asked.to, to: asked.from, body },
    ...(draw.chance(0.05) ? { id: draw.pick(FRAGMENT_IDS), moreFragments: true } : {}),
  };
  return { port, packet: draw.chance(0.15) ? odd(draw, cloud, packet) : packet };
}

function answerBody(draw: Draw, body: Body): Body {
  switch (body.kind) {
    case 'tcp': {
      const usual =
        body.flags === TCP.syn
          ? [TCP.syn | TCP.ack, TCP.syn | TCP.ack, TCP.rst | TCP.ack]
          : [TCP.ack, TCP.ack, TCP.fin | TCP.ack, TCP.syn];
      return { kind: 'tcp', sport: body.dport, dport: body.sport, flags: draw.pick(usual) };
    }
    case 'udp':
    case 'sctp':
      return { kind: body.kind, sport: body.dport, dport: body.sport };
    case 'icmp':
      return { ...body, type: draw.pick([{ 8: 0, 13: 14 }[body.type] ?? body.type, body.type]) };
    default:
      return body;
  }
}

/** An error about a packet: from who has the address that it went to, or from another. */
export function errorAbout(
  draw: Draw,
  cloud: Cloud,
  about: IpPacket,
): { readonly port: Port; readonly packet: IpPacket } {
  const having = cloud.ports.filter(({ addresses }) => addresses.includes(about.to));
  const port = having.length > 0 && draw.chance(0.7) ? draw.pick(having) : draw.pick(cloud.ports);
  const [type, code] = draw.pick(ERROR_KINDS);
  const quoted = draw.chance(0.85) ? about : { ...about, from: draw.pick(addressesIn(cloud)) };
  const packet: IpPacket = {
    ...{
      kind: 'ip',
      src: port.mac,
      dst: macFor(cloud, draw, port, about.from),
      from: port.addresses[0] ?? '',
      to: about.from,
    },
    body: { kind: 'error', type, code, about: quoted },
  };
  return { port, packet: draw.chance(0.1) ? odd(draw, cloud, packet) : packet };
}

/** A later fragment of a packet. */
export function laterFragment(draw: Draw, of: IpPacket): IpPacket {
  const body: Body = { kind: 'other', protocol: protocolOf(of.body), hex: 'ff'.repeat(draw.pick([4, 8, 40])) };
  const { id = 0 } = of;
  return { ...of, id, moreFragments: draw.chance(0.3), fragmentOffset: draw.pick(LATER_OFFSETS), body };
}

/** The packet again, with one thing changed perhaps. */
export function again(draw: Draw, cloud: Cloud, packet: IpPacket): IpPacket {
  if (packet.body.kind === 'tcp' && draw.chance(0.6))
    return numbered(draw, { ...packet, body: { ...packet.body, flags: draw.pick(FLAGS) } });
  return draw.chance(0.3) ? odd(draw, cloud, packet) : packet;
}

/** With bytes changed or cut off, at times. */
export function damaged(draw: Draw, packet: Packet): Packet {
  const mangle = Array.from({ length: draw.below(3) + 1 }, () => ({
    at: 12 + draw.below(60),
    byte: draw.pick([0, 1, 0x45, 0x4f, 0x40, 0xff, draw.below(256)]),
  }));
  return draw.chance(0.7) ? { ...packet, mangle } : { ...packet, cut: 34 + draw.below(30) };
}

/** Ports that may send from this host. */
export function sendersHere(cloud: Cloud): readonly Port[] {
  return cloud.ports.filter(isHere);
}

const { fin, syn, rst, ack } = TCP;

const PAUSE = 'pause';
/** Sums of these keep away from the time-outs. */
export const WAITS = [3, 17, 45, 145, 210, 700, 440_000] as const;
/** What ends a connection that is over, and keeps one that is not. */
const SHORT_WAITS = [17, 45] as const;

type Word = number | typeof PAUSE;

/** TCP conversations: flags, positive from who begins, negative from the other. */
const CONVERSATIONS: readonly (readonly Word[])[] = [
  [syn, -(syn | ack), ack, -ack, fin | ack, -ack, -(fin | ack), ack, syn, PAUSE, -(syn | ack)],
  [syn, -(syn | ack), ack, -(fin | ack), fin | ack, -ack, syn, PAUSE, -(syn | ack), ack],
  [syn, -(syn | ack), fin | ack, -(fin | ack), PAUSE, -ack, ack],
  [syn, -(syn | ack), -(fin | ack), fin | ack, PAUSE, -ack],
  [syn, -(rst | ack), syn, PAUSE, -(syn | ack), ack],
  [syn, -(syn | ack), ack, rst, PAUSE, -ack, syn, -(syn | ack)],
  [syn, syn, -(syn | ack), -(syn | ack), ack, -syn, ack],
  [syn, -(syn | ack), ack, PAUSE, -ack, PAUSE, ack],
  [ack, -ack, -(fin | ack), PAUSE, ack],
];
/** Questions and answers of other protocols. */
const EXCHANGES: readonly (readonly Word[])[] = [
  [1, PAUSE, -1],
  [1, -1, PAUSE, -1],
  [1, -1, 1, PAUSE, -1, PAUSE, 1, -1],
];

/** What is said in a conversation; a number: seconds of silence. */
export type Said = { readonly port: Port; readonly packet: IpPacket } | number;

/** A conversation that begins with this packet, in its order. */
export function conversation(draw: Draw, cloud: Cloud, port: Port, first: IpPacket): readonly Said[] {
  const there: IpPacket = { ...first, body: openingBody(draw) };
  const pauses = draw.chance(0.75);
  return draw.pick(there.body.kind === 'tcp' ? CONVERSATIONS : EXCHANGES).flatMap((word): readonly Said[] => {
    if (word === PAUSE) return pauses ? [draw.pick(draw.chance(0.5) ? SHORT_WAITS : WAITS)] : [];
    if (word > 0) return [{ port, packet: numbered(draw, withFlags(there, word)) }];
    const answer = answerTo(draw, cloud, there);
    return answer === undefined ? [] : [{ port: answer.port, packet: numbered(draw, withFlags(answer.packet, -word)) }];
  });
}

function openingBody(draw: Draw): Body {
  const ports = { sport: draw.pick(PORT_NUMBERS), dport: draw.pick(PORT_NUMBERS) };
  switch (draw.weighted({ tcp: 5, udp: 3, icmp: 1, sctp: 1, other: 1 })) {
    case 'tcp':
      return { kind: 'tcp', ...ports, flags: syn };
    case 'udp':
      return { kind: 'udp', ...ports };
    case 'sctp':
      return { kind: 'sctp', ...ports };
    case 'icmp':
      return { kind: 'icmp', type: draw.pick([8, 13]), id: draw.pick(ICMP_IDS) };
    case 'other':
      return { kind: 'other', protocol: 99, hex: '00' };
  }
}

/** Now and then with other numbers than those that are right. */
function numbered(draw: Draw, packet: IpPacket): IpPacket {
  if (packet.body.kind !== 'tcp' || draw.chance(0.7)) return packet;
  const seq = draw.chance(0.7) ? { seq: draw.pick(SEQUENCES) } : {};
  const ack = draw.chance(0.5) ? { ack: draw.pick(SEQUENCES) } : {};
  return { ...packet, body: { ...packet.body, ...seq, ...ack } };
}

function withFlags(packet: IpPacket, flags: number): IpPacket {
  return packet.body.kind === 'tcp' ? { ...packet, body: { ...packet.body, flags } } : packet;
}
