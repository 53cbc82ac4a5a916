/** ICMPv6 (RFC 4443), Neighbor Discovery (RFC 4861) and Multicast Listener Discovery (RFC 2710, RFC 3810) for packet tests. */
import { checksum, type Extension, type Ipv6, ipBytes, ipv6, macBytes, PROTO, pseudoHeader } from './packet.ts';

export const ICMP6 = {
  unreachable: 1,
  tooBig: 2,
  timeExceeded: 3,
  parameterProblem: 4,
  echo: 128,
  echoReply: 129,
  listenerQuery: 130,
  listenerReport: 131,
  listenerDone: 132,
  routerSolicitation: 133,
  routerAdvertisement: 134,
  neighborSolicitation: 135,
  neighborAdvertisement: 136,
  redirect: 137,
  listenerReport2: 143,
} as const;

/** Of a record in a report of MLDv2. */
export const MLD_RECORD = { isInclude: 1, isExclude: 2, toInclude: 3, toExclude: 4 } as const;

const ALL_NODES = 'ff02::1';
const ALL_LISTENERS_2 = 'ff02::16';
const HOP_BY_HOP = 0;
const OPTION = { source: 1, target: 2, prefix: 3, mtu: 5 } as const;

/** A message, with the checksum over what it is sent with. `body`: what follows the first four bytes. */
export function icmp6(ip: Ipv6, message: { type: number; code?: number; body?: Uint8Array }): Buffer {
  const bytes = Buffer.concat([Buffer.from([message.type, message.code ?? 0, 0, 0]), message.body ?? Buffer.alloc(4)]);
  bytes.writeUInt16BE(checksum(pseudoHeader(ip, PROTO.icmp6, bytes.length), bytes), 2);
  return ipv6(ip, PROTO.icmp6, bytes);
}

export function echo6(
  ip: Ipv6,
  what: { id: number; reply?: boolean; sequence?: number; payload?: Uint8Array },
): Buffer {
  const head = Buffer.alloc(4);
  head.writeUInt16BE(what.id, 0);
  head.writeUInt16BE(what.sequence ?? 0, 2);
  const body = Buffer.concat([head, what.payload ?? Buffer.from('payload!')]);
  return icmp6(ip, { type: what.reply ? ICMP6.echoReply : ICMP6.echo, body });
}

/** The longest an error may be with its own headers: the least MTU of IPv6. */
const ERROR_MAX = 1280;

/** An error about a frame's packet, which it quotes as far as it fits, or `quoted` bytes of it. `word`: MTU or pointer. */
export function icmp6Error(
  ip: Ipv6,
  error: { type: number; code?: number; word?: number; quoted?: number },
  about: Uint8Array,
): Buffer {
  const word = Buffer.alloc(4);
  word.writeUInt32BE(error.word ?? 0, 0);
  const quote = about.subarray(14, 14 + Math.min(error.quoted ?? ERROR_MAX, ERROR_MAX - 48));
  return icmp6(ip, { type: error.type, code: error.code ?? 0, body: Buffer.concat([word, quote]) });
}

function option(type: number, value: Uint8Array): Buffer {
  const bytes = Buffer.alloc(Math.ceil((value.length + 2) / 8) * 8);
  bytes[0] = type;
  bytes[1] = bytes.length / 8;
  bytes.set(value, 2);
  return bytes;
}

const linkLayer = (type: number, mac: string | undefined): Buffer =>
  mac === undefined ? Buffer.alloc(0) : option(type, macBytes(mac));

/** Neighbor Discovery is sent with a hop limit of 255, unless the test says otherwise. */
const discovery = (ip: Ipv6): Ipv6 => ({ hopLimit: 255, ...ip });

/** The group that hears questions for an address. */
export function solicitedNode(target: string): string {
  const bytes = ipBytes(target);
  return `ff02::1:ff${bytes.toString('hex', 13, 14)}:${bytes.toString('hex', 14, 16)}`;
}

/** `mac`: the source link-layer address; a probe for a duplicate, from ::, has none. */
export function neighborSolicitation(ip: Ipv6, what: { target: string; mac?: string }): Buffer {
  const body = Buffer.concat([Buffer.alloc(4), ipBytes(what.target), linkLayer(OPTION.source, what.mac)]);
  return icmp6(discovery(ip), { type: ICMP6.neighborSolicitation, body });
}

/** `mac`: the target link-layer address. */
export function neighborAdvertisement(
  ip: Ipv6,
  what: { target: string; mac?: string; router?: boolean; solicited?: boolean; override?: boolean },
): Buffer {
  const flags = Buffer.from([
    (what.router ? 0x80 : 0) | (what.solicited ? 0x40 : 0) | (what.override ? 0x20 : 0),
    0,
    0,
    0,
  ]);
  const body = Buffer.concat([flags, ipBytes(what.target), linkLayer(OPTION.target, what.mac)]);
  return icmp6(discovery(ip), { type: ICMP6.neighborAdvertisement, body });
}

export function routerSolicitation(ip: Ipv6, what: { mac?: string } = {}): Buffer {
  const body = Buffer.concat([Buffer.alloc(4), linkLayer(OPTION.source, what.mac)]);
  return icmp6(discovery(ip), { type: ICMP6.routerSolicitation, body });
}

export type AdvertisedPrefix = {
  readonly prefix: string;
  readonly length: number;
  readonly onLink?: boolean;
  readonly autonomous?: boolean;
  readonly validSeconds?: number;
  readonly preferredSeconds?: number;
};

export function routerAdvertisement(
  ip: Ipv6,
  what: {
    hopLimit?: number;
    managed?: boolean;
    other?: boolean;
    lifetimeSeconds?: number;
    mac?: string;
    mtu?: number;
    prefixes?: readonly AdvertisedPrefix[];
  },
): Buffer {
  const head = Buffer.alloc(12);
  head[0] = what.hopLimit ?? 64;
  head[1] = (what.managed ? 0x80 : 0) | (what.other ? 0x40 : 0);
  head.writeUInt16BE(what.lifetimeSeconds ?? 1800, 2);
  const mtu = Buffer.alloc(6);
  mtu.writeUInt32BE(what.mtu ?? 0, 2);
  const options = [
    linkLayer(OPTION.source, what.mac),
    ...(what.mtu === undefined ? [] : [option(OPTION.mtu, mtu)]),
    ...(what.prefixes ?? []).map(prefixOption),
  ];
  return icmp6(discovery(ip), { type: ICMP6.routerAdvertisement, body: Buffer.concat([head, ...options]) });
}

function prefixOption(of: AdvertisedPrefix): Buffer {
  const value = Buffer.alloc(30);
  value[0] = of.length;
  value[1] = (of.onLink === false ? 0 : 0x80) | (of.autonomous === false ? 0 : 0x40);
  value.writeUInt32BE(of.validSeconds ?? 86_400, 2);
  value.writeUInt32BE(of.preferredSeconds ?? 14_400, 6);
  ipBytes(of.prefix).copy(value, 14);
  return option(OPTION.prefix, value);
}

/** "Use `target` for `destination`". */
export function redirect6(ip: Ipv6, what: { target: string; destination: string; mac?: string }): Buffer {
  const ends = [ipBytes(what.target), ipBytes(what.destination)];
  const body = Buffer.concat([Buffer.alloc(4), ...ends, linkLayer(OPTION.target, what.mac)]);
  return icmp6(discovery(ip), { type: ICMP6.redirect, body });
}

/** MLD is sent with a hop limit of 1 and a router alert (RFC 2711), and PadN behind it. */
const ROUTER_ALERT: Extension = { protocol: HOP_BY_HOP, body: Buffer.from([5, 2, 0, 0, 1, 0]) };
const listening = (ip: Ipv6): Ipv6 => ({ hopLimit: 1, extensions: [ROUTER_ALERT], ...ip });

/** A query of version 1; with `sources` (it may be empty) one of version 2. `group` `::`: for all groups. */
export function listenerQuery(
  ip: Omit<Ipv6, 'to'> & { readonly to?: string },
  what: { group?: string; maxDelayMs?: number; sources?: readonly string[] } = {},
): Buffer {
  const head = Buffer.alloc(4);
  head.writeUInt16BE(what.maxDelayMs ?? 10_000, 0);
  const count = Buffer.alloc(what.sources === undefined ? 0 : 4);
  if (what.sources !== undefined) count.writeUInt16BE(what.sources.length, 2);
  const body = Buffer.concat([head, ipBytes(what.group ?? '::'), count, ...(what.sources ?? []).map(ipBytes)]);
  return icmp6(listening({ to: ALL_NODES, ...ip }), { type: ICMP6.listenerQuery, body });
}

/** A report of version 1, sent to the group itself; `done`: the listener leaves it. */
export function listenerReport(ip: Ipv6, what: { group: string; done?: boolean }): Buffer {
  const body = Buffer.concat([Buffer.alloc(4), ipBytes(what.group)]);
  return icmp6(listening(ip), { type: what.done ? ICMP6.listenerDone : ICMP6.listenerReport, body });
}

/** A report of version 2. `type`: of MLD_RECORD. */
export function listenerReport2(
  ip: Omit<Ipv6, 'to'> & { readonly to?: string },
  records: readonly { readonly type: number; readonly group: string; readonly sources?: readonly string[] }[],
): Buffer {
  const head = Buffer.alloc(4);
  head.writeUInt16BE(records.length, 2);
  const bodies = records.map(({ type, group, sources = [] }) => {
    const fixed = Buffer.from([type, 0, sources.length >> 8, sources.length & 0xff]);
    return Buffer.concat([fixed, ipBytes(group), ...sources.map(ipBytes)]);
  });
  return icmp6(listening({ to: ALL_LISTENERS_2, ...ip }), {
    type: ICMP6.listenerReport2,
    body: Buffer.concat([head, ...bodies]),
  });
}
