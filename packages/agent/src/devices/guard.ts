/**
 * What stands between guests and the host's own stack while no program of ours is on a device: before the agent has put it there, while no agent
 * runs, after somebody took it off. A static nftables table named `cable` in the families `inet` and `arp`: known by that name, put in place of what is
 * there at each start, and left there when the agent ends.
 *
 * Packets that the vrouter takes in at tc do not get so far. What another product's bridge or switch takes from a device comes by that bridge, and is not ours.
 */
import { TAP_BRIDGE_PREFIX } from '@cable/model';
import type { KeptAddresses } from '../desired.ts';
import {
  accepted,
  countedDrop,
  deleteTable,
  equal,
  isIn,
  jump,
  LEAVING,
  META,
  mask,
  masquerade,
  meta,
  NFPROTO,
  type NftMap,
  type NftRule,
  type NftTable,
  network,
  notEqual,
  PASSING,
  RECEIVED,
  readElements,
  readTable,
  replaceTable,
  toThisHost,
  transport,
} from '../net/nft.ts';
import type { NetlinkSocket } from '../net/socket.ts';
import { maskBytes, parseAddress, parsePrefix } from '../plan/address.ts';
import { WIRE_DEVICE, WIRE_QUEUE, WIRE_QUEUE_END, WIRE_UDP_PORT } from '../plan/pseudowire-rows.ts';

const TABLE_NAME = 'cable';
/** Families in which the table is. */
const FAMILIES = ['inet', 'arp'] as const;

/** Names of VIFs: one of these, and 11 characters of a port's id. Other names that begin so are other products'. */
const TAP = 'tap';
const VETH = 'cv';
const PORT_PART = '????????-??';
/** Own devices by which packets come to programs only. */
const PROGRAM_LINKS = [
  'cables1',
  'cablef1',
  'cablevx',
  'cableq0',
  'cableq1',
  'cablem0',
  'cablem1',
  WIRE_DEVICE,
  WIRE_QUEUE,
  WIRE_QUEUE_END,
] as const;
/** With which all names begin that are not a hypervisor's. */
const OWN_LETTER = 'c';
const OWN_CHAIN = 'own';

const NAME_BYTES = 16;
/** What other hosts send: packets, frames of pseudowires, and flows that are handed over. */
const BETWEEN_HOSTS = [
  { protocol: 17, port: 4789, what: 'VXLAN' },
  { protocol: 17, port: WIRE_UDP_PORT, what: 'VXLAN of pseudowires' },
  { protocol: 6, port: 4789, what: 'flows of ports that move' },
] as const;
/** Where the ports are in the headers of UDP and TCP. */
const SOURCE_PORT_AT = 0;
const DESTINATION_PORT_AT = 2;
/** What digits and lower-case letters have in common: the bit for 0x20 set, and the highest clear. */
const CHARACTER_MASK = 0xa0;
const CHARACTER = 0x20;

export type GuardSpec = {
  /** Devices by which what other hosts send may come to the host; undefined: by any that is no guest's. */
  readonly tunnelDevices: readonly string[] | undefined;
  /** Devices of this host's own by which others send through it what leaves with its address: its links as a node of a cluster. Absent: none. */
  readonly nodeLinks?: readonly string[];
  /** Who leaves by these with his own address. Absent: nobody. */
  readonly keeping?: KeptAddresses;
};

/** The table in each family, as read back after it was made, and what its maps are compared with later, too. */
export type Guard = ReadonlyMap<NftTable['family'], { readonly shape: string; readonly maps: readonly NftMap[] }>;

/** Makes it, in place of what is there: in one step for each family. Throws NetlinkError when the kernel has no nf_tables, or refuses. */
export function makeGuard(socket: NetlinkSocket, spec: GuardSpec): Guard {
  const tables = guardTables(spec);
  for (const table of tables) replaceTable(socket, table);
  return new Map(
    tables.map((table) => [table.family, { shape: readTable(socket, table)?.shape ?? '', maps: table.maps ?? [] }]),
  );
}

/** In words, what is not as it was made. Empty: all is well. */
export function guardFaults(socket: NetlinkSocket, made: Guard): readonly string[] {
  return FAMILIES.flatMap((family) => {
    const found = readTable(socket, { family, name: TABLE_NAME });
    if (found === undefined) return [`the nftables table ${family} ${TABLE_NAME} is gone`];
    const { shape, maps = [] } = made.get(family) ?? {};
    const isAsMade = found.shape === shape && maps.every((map) => isFilled(socket, family, map));
    return isAsMade ? [] : [`the nftables table ${family} ${TABLE_NAME} was changed`];
  });
}

function isFilled(socket: NetlinkSocket, family: NftTable['family'], { name, elements = [] }: NftMap): boolean {
  const keys = (all: readonly { readonly key: Uint8Array }[]): string =>
    String(all.map(({ key }) => Buffer.from(key).toString('hex')).sort());
  return keys(readElements(socket, { family, name: TABLE_NAME }, name) ?? []) === keys(elements);
}

/** Packets that a rule has dropped since it was made. */
export type GuardDrops = { readonly what: string; readonly packets: number };

/** What was dropped at all, by what it was. */
export function guardDrops(socket: NetlinkSocket): readonly GuardDrops[] {
  const drops = new Map<string, number>();
  for (const family of FAMILIES) {
    for (const [what, packets] of readTable(socket, { family, name: TABLE_NAME })?.packets ?? []) {
      drops.set(what, (drops.get(what) ?? 0) + packets);
    }
  }
  return [...drops].filter(([, packets]) => packets > 0).map(([what, packets]) => ({ what, packets }));
}

/** False: there was none. */
export function removeGuard(socket: NetlinkSocket): boolean {
  return FAMILIES.map((family) => deleteTable(socket, { family, name: TABLE_NAME })).includes(true);
}

/** Whether the name is the guard's table, of any family. */
export function isGuardTable(name: string): boolean {
  return name === TABLE_NAME;
}

/** Each packet that the host receives goes through the rules of the first chain: they are few, and most end at their first comparison. */
function guardTables({ tunnelDevices, nodeLinks = [], keeping }: GuardSpec): readonly NftTable[] {
  const comment = 'Cable: guests do not meet the stack of this host';
  const isKeeping = nodeLinks.length > 0 && keeping !== undefined && keeping.prefixes.length > 0;
  return FAMILIES.map((family) => ({
    family,
    name: TABLE_NAME,
    comment,
    ...(family === 'inet' && isKeeping ? { maps: VERSIONS.map((version) => nodesMap(version, keeping)) } : {}),
    chains: [
      {
        name: 'received',
        at: RECEIVED[family],
        rules: [...firstRules(), ...(family === 'inet' ? tunnelRules(tunnelDevices) : [])],
      },
      { name: OWN_CHAIN, at: undefined, rules: ownRules() },
      ...(family === 'inet' && nodeLinks.length > 0
        ? [{ name: 'passing', at: PASSING.forwarded, rules: nodeLinks.flatMap(passedRules) }]
        : []),
      // Connections are tracked as soon as it is there.
      ...(family === 'inet' && nodeLinks.length > 0
        ? [
            {
              ...{ name: 'leaving', at: LEAVING, type: 'nat' as const },
              rules: nodeLinks.flatMap((link) => [
                ...(isKeeping ? keptRules(link, keeping.prefixes) : []),
                nodeRule(link),
              ]),
            },
          ]
        : []),
    ],
  }));
}

function firstRules(): readonly NftRule[] {
  return [
    {
      comment: `${TAP}${PORT_PART}: the device of a VM`,
      expressions: [meta(META.iifname), ...nameLike(TAP), ...countedDrop()],
    },
    {
      comment: 'names that Cable gives begin so',
      expressions: [meta(META.iifname), equal(Buffer.from(OWN_LETTER)), jump(OWN_CHAIN)],
    },
  ];
}

function ownRules(): readonly NftRule[] {
  return [
    {
      comment: `${VETH}${PORT_PART}: the device of a pod or of a port of this host`,
      expressions: [meta(META.iifname), ...nameLike(VETH), ...countedDrop()],
    },
    {
      comment: `${TAP_BRIDGE_PREFIX}${PORT_PART}: the bridge of the device of a VM`,
      expressions: [meta(META.iifname), ...nameLike(TAP_BRIDGE_PREFIX), ...countedDrop()],
    },
    ...PROGRAM_LINKS.map((name) => ({
      comment: `${name}: only the vrouter takes packets from it`,
      expressions: [meta(META.iifname), equal(nameBytes(name)), ...countedDrop()],
    })),
  ];
}

/** The first comparison is cheap, and ends it for most devices. */
function nameLike(prefix: string): NftRule['expressions'] {
  const pattern = `${prefix}${PORT_PART}`;
  const bits = new Uint8Array(NAME_BYTES).fill(0xff);
  const value = nameBytes(pattern);
  for (let at = 0; at < pattern.length; at++) {
    if (pattern[at] !== '?') continue;
    bits[at] = CHARACTER_MASK;
    value[at] = CHARACTER;
  }
  return [equal(value.slice(0, prefix.length)), mask(bits), equal(value)];
}

/**
 * What another product forwards or bridges through this host is not met. Of a packet in fragments the first is dropped: it has the whole header of
 * UDP, and the others are nothing without it.
 */
function tunnelRules(devices: readonly string[] | undefined): readonly NftRule[] {
  if (devices === undefined) return [];
  return BETWEEN_HOSTS.map(({ protocol, port, what }) => ({
    comment: `${what} by another device than that of the underlay`,
    expressions: [
      ...[meta(META.l4proto), equal(Uint8Array.of(protocol))],
      ...[transport(DESTINATION_PORT_AT, 2), equal(portBytes(port))],
      ...[meta(META.iifname), ...devices.map((name) => notEqual(nameBytes(name)))],
      ...toThisHost(),
      ...countedDrop(),
    ],
  }));
}

/** Other hosts believe what is said of the path to this one: a pod would shrink it for all tenants' packets. What pods say to pods passes, and what the vrouter says, by the hops that it has left. */
const TOO_BIG = [
  { of: 'IPv4', version: NFPROTO.ipv4, protocol: 1, message: Uint8Array.of(3, 4), hopsAt: 8 },
  { of: 'IPv6', version: NFPROTO.ipv6, protocol: 58, message: Uint8Array.of(2), hopsAt: 7 },
] as const;
/** `ERROR_TTL` of the vrouter, less the one of this host; a pod's is routed before, and has another one less. */
const VROUTER_HOPS = 254;

/**
 * Other hosts know this one by its address, which what pods send through it has when it leaves: they would take it for this host's own, and this host would take another's answer to the
 * overlay's port for what that sends in tunnels.
 */
function passedRules(name: string): readonly NftRule[] {
  const byPort = (protocol: number, at: number, port: number): NftRule['expressions'] => [
    ...[meta(META.iifname), equal(nameBytes(name)), meta(META.l4proto), equal(Uint8Array.of(protocol))],
    ...[transport(at, 2), equal(portBytes(port)), ...countedDrop()],
  ];
  return [
    ...BETWEEN_HOSTS.map(({ protocol, port, what }) => ({
      comment: `${name}: pods send no ${what} as this host`,
      expressions: byPort(protocol, DESTINATION_PORT_AT, port),
    })),
    ...BETWEEN_HOSTS.filter(({ protocol }) => protocol === 17).map(({ protocol, port, what }) => ({
      comment: `${name}: pods are answered no ${what} as this host`,
      expressions: byPort(protocol, SOURCE_PORT_AT, port),
    })),
    ...TOO_BIG.map(({ of, version, protocol, message, hopsAt }) => ({
      comment: `${name}: pods tell nobody the MTU of ${of} as this host`,
      expressions: [
        ...[meta(META.iifname), equal(nameBytes(name))],
        ...[meta(META.nfproto), equal(Uint8Array.of(version)), meta(META.l4proto), equal(Uint8Array.of(protocol))],
        ...[transport(0, message.length), equal(message)],
        ...[network(hopsAt, 1), notEqual(Uint8Array.of(VROUTER_HOPS)), ...countedDrop()],
      ],
    })),
  ];
}

function nodeRule(name: string): NftRule {
  return {
    comment: `${name}: what pods send through this node leaves with its address`,
    expressions: [...leavingBy(name), masquerade()],
  };
}

function leavingBy(name: string): NftRule['expressions'] {
  const device = nameBytes(name);
  return [...[meta(META.iifname), equal(device)], ...[meta(META.oifname), notEqual(device)]];
}

const VERSIONS = [4, 6] as const;
/** Where the source address is in the header of IP, and how long it is. */
const SOURCES = { 4: { at: 12, bytes: 4 }, 6: { at: 8, bytes: 16 } } as const;

function nodesOf(version: 4 | 6): string {
  return `nodes-${version}`;
}

/** Addresses of other nodes of the cluster. */
function nodesMap(version: 4 | 6, { nodes }: KeptAddresses): NftMap {
  const own = nodes.filter((one) => one.includes(':') === (version === 6));
  const elements = own.flatMap((one) => {
    const address = parseAddress(one);
    return address === undefined
      ? []
      : [{ key: version === 4 ? address.slice(SOURCES[6].bytes - SOURCES[4].bytes) : address }];
  });
  return { name: nodesOf(version), key: [version === 4 ? 'ipv4' : 'ipv6'], elements };
}

/** Before the rule that gives the node's address. Other nodes drop whoever comes to them with an address of the cluster, so they see the node all the same. */
function keptRules(link: string, prefixes: readonly string[]): readonly NftRule[] {
  const versions = VERSIONS.filter((version) => prefixes.some((one) => one.includes(':') === (version === 6)));
  const isOf = (version: 4 | 6) => [
    ...[meta(META.nfproto), equal(Uint8Array.of(version === 4 ? NFPROTO.ipv4 : NFPROTO.ipv6))],
    ...leavingBy(link),
  ];
  return [
    ...versions.map((version) => ({
      comment: `${link}: what pods send to other nodes has its address`,
      expressions: [...isOf(version), ...isIn(nodesOf(version), version, ['destination']), masquerade()],
    })),
    ...prefixes.flatMap((text): NftRule[] => {
      const version = text.includes(':') ? 6 : 4;
      const { at, bytes } = SOURCES[version];
      const prefix = parsePrefix(text);
      if (prefix === undefined) return [];
      const base = prefix.bytes.slice(prefix.bytes.length - bytes);
      return [
        {
          comment: `${link}: ${text} keeps its own addresses`,
          expressions: [
            ...isOf(version),
            ...[network(at, bytes), mask(maskBytes(prefix.length - 8 * (16 - bytes), bytes)), equal(base)],
            accepted(),
          ],
        },
      ];
    }),
  ];
}

function portBytes(port: number): Uint8Array {
  return Uint8Array.of(port >> 8, port & 0xff);
}

/** A device's name, filled up with zeros. */
export function nameBytes(name: string): Uint8Array {
  const bytes = new Uint8Array(NAME_BYTES);
  bytes.set(Buffer.from(name));
  return bytes;
}
