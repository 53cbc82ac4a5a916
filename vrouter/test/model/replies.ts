/** Answers to a packet as it has come to somebody, and errors about it: what is not known before it is sent is taken from its bytes. */
import { ICMP, type Ipv4, icmp, icmpError, ipv4, macBytes, PROTO, sctp, tcp, udp } from '../packet.ts';
import { cidrContains } from './address.ts';
import type { PacketStep } from './case.ts';
import { type Cloud, macOf, networkNamed, ownerOfAddress, portNamed, reachOf } from './cloud.ts';
import { VIRTUAL_MAC } from './draw-cloud.ts';
import { type IpHeaders, readEthernet, readIpv4 } from './headers.ts';
import type { Outcome } from './outcome.ts';

/** `flags`: of TCP. `id`: it is the first fragment of a packet with this number. */
export type Reply =
  | {
      readonly kind: 'answer';
      readonly flags: number;
      readonly ttl?: number;
      readonly id?: number;
      readonly bytes?: number;
      readonly dontFragment?: boolean;
    }
  /** `from`: a router on the way. Default: who got the packet. `quoted`: bytes behind the IP header. */
  | {
      readonly kind: 'error';
      readonly type: number;
      readonly code: number;
      readonly from?: string;
      readonly quoted?: number;
    }
  /** A later fragment. Default: of packet 0. */
  | { readonly kind: 'fragment'; readonly id?: number; readonly bytes?: number };

/** The step in which whoever got the packet replies. Undefined: nobody can. */
export function replyStep(cloud: Cloud, to: Outcome, reply: Reply): PacketStep | undefined {
  if (!('frame' in to) || 'refusal' in to) return undefined;
  const frame = replyFrame(to.frame, reply);
  if (frame === undefined) return undefined;
  if (to.kind === 'port') return sentStep(cloud, to.port, frame);
  const packet = { kind: 'raw', hex: frame.toString('hex') } as const;
  if (to.kind === 'host') return receivedStep(cloud, to, frame);
  return to.kind === 'wire' ? { kind: 'arrive', network: to.network, packet } : undefined;
}

/** By the MAC of who has the address in the port's network; else back to who has sent the packet, a router. */
function sentStep(cloud: Cloud, name: string, frame: Buffer): PacketStep | undefined {
  const network = portNamed(cloud, name)?.network ?? '';
  const ip = readIpv4(frame);
  if (typeof ip === 'string') return undefined;
  const owner = ownerOfAddress(cloud, network, ip.to);
  const isNear = networkNamed(cloud, network)?.subnets.some(({ cidr }) => cidrContains(cidr, ip.to)) === true;
  const mac = owner === undefined ? (isNear ? VIRTUAL_MAC : undefined) : macOf(owner);
  const sent = mac === undefined ? frame : Buffer.concat([macBytes(mac), frame.subarray(6)]);
  return { kind: 'send', port: name, packet: { kind: 'raw', hex: sent.toString('hex') } };
}

/** Whoever is on another host answers the port: within its network, or routed there into that of the port. */
function receivedStep(cloud: Cloud, { host, network }: HostOutcome, frame: Buffer): PacketStep | undefined {
  const ip = readIpv4(frame);
  if (typeof ip === 'string') return undefined;
  const reach = reachOf(cloud, network);
  const owners = cloud.ports.filter((port) => port.addresses.includes(ip.to) && reach.has(port.network));
  const port = owners.find((one) => one.network === network) ?? owners[0];
  const leg = cloud.routers.flatMap(({ legs }) => legs).find((one) => one.network === port?.network);
  if (port === undefined || (leg === undefined && port.network !== network)) return undefined;
  const src = port.network === network || leg === undefined ? frame.subarray(6, 12) : macBytes(leg.mac);
  const hex = Buffer.concat([macBytes(port.mac), src, frame.subarray(12)]).toString('hex');
  return { kind: 'receive', tunnel: { network: port.network, from: host }, packet: { kind: 'raw', hex } };
}

type HostOutcome = Extract<Outcome, { kind: 'host' }>;

function replyFrame(frame: Buffer, reply: Reply): Buffer | undefined {
  const { src, dst, type } = readEthernet(frame);
  const read = type === 0x0800 ? readIpv4(frame) : undefined;
  if (read === undefined || typeof read === 'string') return undefined;
  const ends: Ipv4 = { src: dst, dst: src, from: read.to, to: read.from };
  switch (reply.kind) {
    case 'answer':
      return read.fragment === 'later' ? undefined : answerFrame(ends, read, reply);
    case 'error':
      return icmpError({ ...ends, from: reply.from ?? ends.from }, reply, frame);
    case 'fragment':
      return ipv4({ ...ends, id: reply.id ?? 0, fragmentOffset: 24 }, read.protocol, payload(reply.bytes, 0xff));
  }
}

function payload(bytes = 8, of = 0): Buffer {
  return Buffer.alloc(bytes, of);
}

const ICMP_ANSWERS: ReadonlyMap<number, number> = new Map([
  [ICMP.echo, ICMP.echoReply],
  [13, 14],
]);

function answerFrame(ends: Ipv4, asked: IpHeaders, reply: Extract<Reply, { kind: 'answer' }>): Buffer | undefined {
  const { sport, dport } = asked.tuple;
  const ports = { sport: dport, dport: sport, payload: payload(reply.bytes, 0x2e) };
  const first = reply.id === undefined ? {} : { id: reply.id, moreFragments: true };
  const ip = { ...ends, ...first, ttl: reply.ttl ?? 64, dontFragment: reply.dontFragment === true };
  if (asked.isError) return undefined;
  switch (asked.protocol) {
    case PROTO.tcp:
      return tcp(ip, { ...ports, flags: reply.flags });
    case PROTO.udp:
      return udp(ip, ports);
    case PROTO.sctp:
      return sctp(ip, ports);
    case PROTO.icmp: {
      const type = ICMP_ANSWERS.get(asked.icmpType ?? 0);
      return type === undefined ? undefined : icmp(ip, { type, id: sport });
    }
    default:
      return ipv4(ip, asked.protocol, ports.payload);
  }
}
