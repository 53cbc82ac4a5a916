/**
 * nf_tables (linux/netfilter/nf_tables.h) over netlink: whole tables made, read and deleted, each in one transaction of the kernel. A packet
 * meets the old table or the new one.
 */
import { absentOn } from '../ffi/errno.ts';
import {
  type Attribute,
  type AttributeMap,
  bytes,
  decodeAttributes,
  fixedHeader,
  listAttributes,
  type NetlinkMessage,
  nest,
  readText,
  readU32be,
  text,
  u32Bytes,
  u32be,
  viewOf,
} from './message.ts';
import { type NetlinkRequest, type NetlinkSocket, NLM } from './socket.ts';

/** A family of tables: `inet` sees IPv4 and IPv6, `arp` sees ARP. */
export type NftFamily = 'inet' | 'arp';

export type NftTable = {
  readonly family: NftFamily;
  readonly name: string;
  /** What `nft list ruleset` shows beside it. */
  readonly comment: string;
  readonly chains: readonly NftChain[];
  /** Absent: none. */
  readonly maps?: readonly NftMap[];
};

/** A map in a table, in which rules look up (`lookUp`). */
export type NftMap = {
  readonly name: string;
  /** What a key and a value are made of, each filled up to whole words. Without a value it is a set. */
  readonly key: readonly NftDatum[];
  readonly value?: readonly NftDatum[];
  /** A key is a range of each of its parts. Default: it is what it says. */
  readonly hasRanges?: boolean;
  /** What is in it when it is made; absent: nothing. Up to some thousands. */
  readonly elements?: readonly NftElement[];
};

export type NftDatum = 'protocol' | 'port' | 'ipv4' | 'ipv6';

/** Entry of a map, in bytes. `end`: of a range, the last key. `value`: of a set none. */
export type NftElement = { readonly key: Uint8Array; readonly end?: Uint8Array; readonly value?: Uint8Array };

/** What goes and what comes in a map; an element that is to lead elsewhere does both. */
export type NftChange = {
  readonly map: string;
  readonly gone: readonly NftElement[];
  readonly come: readonly NftElement[];
};

/** What no rule of a chain drops goes on: to the rule behind the jump, or past the table. */
export type NftChain = {
  readonly name: string;
  /** Where packets come to it; undefined: by jumps alone. */
  readonly at: NftHook | undefined;
  /** `nat`: only the first packet of a connection comes to it. Absent: each packet does. */
  readonly type?: 'nat';
  readonly rules: readonly NftRule[];
};

/** A place in the host's stack. */
export type NftHook = {
  /** NF_INET_* or NF_ARP_*. */
  readonly hook: number;
  /** The lowest of a hook comes first. */
  readonly priority: number;
};

export type NftRule = {
  /** At most 127 bytes. It tells the rule from others when it is read. */
  readonly comment: string;
  readonly expressions: readonly Attribute[];
};

/** A table as it is in the kernel. */
export type FoundTable = {
  /** All that makes out what it does, as text to be compared: not what it has counted. */
  readonly shape: string;
  /** Packets that rules with a counter have counted, by comment. */
  readonly packets: ReadonlyMap<string, number>;
  /** Chain and comment of each rule, in order. */
  readonly rules: readonly string[];
  /** Names of its chains. */
  readonly chains: readonly string[];
};

const FAMILIES: Readonly<Record<NftFamily, number>> = { inet: 1, arp: 3 };
const SUBSYSTEM = 10;
const BATCH = { begin: 16, end: 17 } as const;
const message = (kind: number): number => (SUBSYSTEM << 8) | kind;
const MSG = {
  newTable: message(0),
  getTable: message(1),
  deleteTable: message(2),
  newChain: message(3),
  getChain: message(4),
  deleteChain: message(5),
  newRule: message(6),
  getRule: message(7),
  deleteRule: message(8),
  newSet: message(9),
  newElement: message(12),
  getElement: message(13),
  deleteElement: message(14),
} as const;
/** Which make nothing. */
const DELETES: ReadonlySet<number> = new Set([MSG.deleteTable, MSG.deleteRule, MSG.deleteElement]);
/** Messages that say that one of these came, went or was changed. */
const CHANGES: ReadonlySet<number> = new Set([
  ...[MSG.newTable, MSG.deleteTable, MSG.newChain, MSG.deleteChain, MSG.newRule, MSG.deleteRule],
]);
const TABLE = { name: 1, flags: 2, userData: 6 } as const;
const CHAIN = { table: 1, name: 3, hook: 4, policy: 5, type: 7, flags: 10 } as const;
const HOOK = { number: 1, priority: 2 } as const;
const SET = {
  table: 1,
  name: 2,
  flags: 3,
  keyType: 4,
  keyBytes: 5,
  valueType: 6,
  valueBytes: 7,
  description: 9,
  id: 10,
} as const;
const SET_FLAG = { interval: 0x4, map: 0x8, concat: 0x80 } as const;
const SET_CONCAT = 2;
const ELEMENTS = { table: 1, set: 2, list: 3 } as const;
const ELEMENT = { key: 1, value: 2, end: 10 } as const;
/** Number that nft(8) knows the kind by, its size in whole words, and its own. */
const DATA_KINDS: Readonly<Record<NftDatum, readonly [type: number, wordBytes: number, bytes: number]>> = {
  protocol: [12, 4, 1],
  port: [13, 4, 2],
  ipv4: [7, 4, 4],
  ipv6: [8, 16, 16],
};
/** What fits into one datagram with room to spare. */
const ELEMENTS_AT_ONCE = 500;
const RULE = { table: 1, chain: 2, expressions: 4, userData: 7 } as const;
const LIST_ELEMENT = 1;
const EXPRESSION = { name: 1, data: 2 } as const;
const COUNTER_PACKETS = 2;
const DATA = { value: 1, verdict: 2 } as const;
const ACCEPT = 1;
/** The only kind of user data that is read or written here. */
const COMMENT = 0;
const NFGENMSG_BYTES = 4;

/** Puts the table in place of one of its family and name, or makes it. */
export function replaceTable(socket: NetlinkSocket, table: NftTable): void {
  const { family, name, comment } = table;
  const tried = `make the nftables table ${family} ${name}`;
  const create = request(MSG.newTable, family, tried, [text(TABLE.name, name), userData(TABLE.userData, comment)]);
  const remove = request(MSG.deleteTable, family, tried, [text(TABLE.name, name)]);
  const maps = (table.maps ?? []).flatMap((map, at) => [
    mapRequest(table, map, at + 1),
    ...elementRequests(table, map),
  ]);
  // A chain must be there before a rule that jumps to it.
  const chains = table.chains.map((chain) => chainRequest(table, chain));
  const rules = table.chains.flatMap((chain) => chain.rules.map((rule) => ruleRequest(table, chain, rule)));
  // Deleting what is not there would be refused: it is made first.
  runBatch(socket, [create, remove, create, ...maps, ...chains, ...rules]);
}

function elementRequests({ family, name }: NftTable, { name: map, elements = [] }: NftMap): readonly NetlinkRequest[] {
  const tried = `fill the map ${map} of the nftables table ${family} ${name}`;
  const about = [text(ELEMENTS.table, name), text(ELEMENTS.set, map)];
  return portions([], elements).map(({ come }) => {
    const list = come.map((one) => elementOf(one, true));
    return request(MSG.newElement, family, tried, [...about, nest(ELEMENTS.list, list)]);
  });
}

/** Brings elements into maps of the table, and out of them: all or nothing, of up to some hundreds. Throws NetlinkError, ENOENT where one that is to go is not there. */
export function changeElements(
  socket: NetlinkSocket,
  { family, name }: Pick<NftTable, 'family' | 'name'>,
  changes: readonly NftChange[],
): void {
  const steps = changes.flatMap(({ map, gone, come }) => {
    const about = [text(ELEMENTS.table, name), text(ELEMENTS.set, map)];
    const list = (type: number, elements: readonly Attribute[]): NetlinkRequest[] =>
      elements.length === 0
        ? []
        : [
            request(type, family, `change the map ${map} of the nftables table ${family} ${name}`, [
              ...about,
              nest(ELEMENTS.list, elements),
            ]),
          ];
    return portions(gone, come).map((part) => [
      ...list(
        MSG.deleteElement,
        part.gone.map((one) => elementOf(one, false)),
      ),
      ...list(
        MSG.newElement,
        part.come.map((one) => elementOf(one, true)),
      ),
    ]);
  });
  const size = changes.reduce((sum, { gone, come }) => sum + gone.length + come.length, 0);
  const batches = size <= ELEMENTS_AT_ONCE ? [steps.flat()] : steps;
  for (const batch of batches) if (batch.length > 0) runBatch(socket, batch);
}

/** What leads elsewhere goes in the transaction in which it comes: no packet finds none. */
function portions(
  gone: readonly NftElement[],
  come: readonly NftElement[],
): readonly Pick<NftChange, 'gone' | 'come'>[] {
  const parts: { readonly gone: readonly NftElement[]; readonly come: readonly NftElement[] }[] = [];
  // Of ranges none may overlap another that is there still, also within a transaction.
  const ranges = gone.filter(({ end }) => end !== undefined);
  for (let at = 0; at < ranges.length; at += ELEMENTS_AT_ONCE) {
    parts.push({ gone: ranges.slice(at, at + ELEMENTS_AT_ONCE), come: [] });
  }
  const going = new Map(gone.flatMap((one) => (one.end === undefined ? [[hex(one.key), one] as const] : [])));
  for (let at = 0; at < come.length; at += ELEMENTS_AT_ONCE) {
    const chunk = come.slice(at, at + ELEMENTS_AT_ONCE);
    const replaced = chunk.flatMap(({ key }) => going.get(hex(key)) ?? []);
    for (const { key } of replaced) going.delete(hex(key));
    parts.push({ gone: replaced, come: chunk });
  }
  const left = [...going.values()];
  for (let at = 0; at < left.length; at += ELEMENTS_AT_ONCE) {
    parts.push({ gone: left.slice(at, at + ELEMENTS_AT_ONCE), come: [] });
  }
  return parts;
}

function elementOf({ key, end, value }: NftElement, withValue: boolean): Attribute {
  return nest(LIST_ELEMENT, [
    nest(ELEMENT.key, [bytes(DATA.value, key)]),
    ...(end === undefined ? [] : [nest(ELEMENT.end, [bytes(DATA.value, end)])]),
    ...(value === undefined || !withValue ? [] : [nest(ELEMENT.value, [bytes(DATA.value, value)])]),
  ]);
}

/** Puts the rules of its chains in place of those that are there, of a table that has these chains and maps. */
export function replaceRules(socket: NetlinkSocket, table: NftTable): void {
  const { family, name } = table;
  const requests = table.chains.flatMap((chain) => [
    request(MSG.deleteRule, family, `delete the rules of the nftables chain ${family} ${name} ${chain.name}`, [
      ...[text(RULE.table, name), text(RULE.chain, chain.name)],
    ]),
    ...chain.rules.map((rule) => ruleRequest(table, chain, rule)),
  ]);
  runBatch(socket, requests);
}

/** What is in a map of the table; undefined: it is not there. */
export function readElements(
  socket: NetlinkSocket,
  { family, name }: Pick<NftTable, 'family' | 'name'>,
  map: string,
): readonly NftElement[] | undefined {
  const tried = `list the map ${map} of the nftables table ${family} ${name}`;
  const about = [text(ELEMENTS.table, name), text(ELEMENTS.set, map)];
  const found = absentOn(['ENOENT'], () =>
    socket.dump({ ...request(MSG.getElement, family, tried, about), flags: 0 }).map(attributesOf),
  );
  return found?.flatMap((message) =>
    listAttributes(message.get(ELEMENTS.list) ?? new Uint8Array()).map(([, element]) => {
      const parts = decodeAttributes(element);
      const [key, end, value] = [ELEMENT.key, ELEMENT.end, ELEMENT.value].map((part) => datumOf(parts.get(part)));
      return {
        key: key ?? new Uint8Array(),
        ...(end === undefined ? {} : { end }),
        ...(value === undefined ? {} : { value }),
      };
    }),
  );
}

function datumOf(data: Uint8Array | undefined): Uint8Array | undefined {
  return data === undefined ? undefined : decodeAttributes(data).get(DATA.value);
}

function mapRequest(
  { family, name }: NftTable,
  { name: map, key, value, hasRanges = false }: NftMap,
  id: number,
): NetlinkRequest {
  const flags = (value === undefined ? 0 : SET_FLAG.map) | (hasRanges ? SET_FLAG.interval | SET_FLAG.concat : 0);
  const fields = key.map((one) => nest(LIST_ELEMENT, [u32be(1, DATA_KINDS[one][2])]));
  return request(MSG.newSet, family, `make the map ${map} of the nftables table ${family} ${name}`, [
    ...[text(SET.table, name), text(SET.name, map), u32be(SET.flags, flags), u32be(SET.id, id)],
    ...[u32be(SET.keyType, typeOf(key)), u32be(SET.keyBytes, sizeOf(key))],
    ...(value === undefined ? [] : [u32be(SET.valueType, typeOf(value)), u32be(SET.valueBytes, sizeOf(value))]),
    ...(hasRanges ? [nest(SET.description, [nest(SET_CONCAT, fields)])] : []),
  ]);
}

/** As nft(8) writes a concatenation: six bits each. */
function typeOf(data: readonly NftDatum[]): number {
  return data.reduce((sum, one) => (sum << 6) | DATA_KINDS[one][0], 0);
}

function sizeOf(data: readonly NftDatum[]): number {
  return data.reduce((sum, one) => sum + DATA_KINDS[one][1], 0);
}

/** False: it was not there. */
export function deleteTable(socket: NetlinkSocket, { family, name }: Pick<NftTable, 'family' | 'name'>): boolean {
  const tried = `delete the nftables table ${family} ${name}`;
  const remove = request(MSG.deleteTable, family, tried, [text(TABLE.name, name)]);
  const done = absentOn(['ENOENT'], () => {
    runBatch(socket, [remove]);
    return true;
  });
  return done === true;
}

/** undefined: it is not there. */
export function readTable(
  socket: NetlinkSocket,
  { family, name }: Pick<NftTable, 'family' | 'name'>,
): FoundTable | undefined {
  const ask = (type: number, what: string): NetlinkRequest => ({
    ...request(type, family, `list the ${what} of the nftables table ${family} ${name}`, [text(TABLE.name, name)]),
    flags: 0,
  });
  const table = absentOn(['ENOENT'], () => socket.get(ask(MSG.getTable, 'flags')));
  if (table === undefined) return undefined;
  // Chains are listed of all tables of the family.
  const chains = socket.dump({ ...ask(MSG.getChain, 'chains'), attributes: [] }).map(attributesOf);
  const rules = socket.dump(ask(MSG.getRule, 'rules')).map(attributesOf);
  const own = chains.filter((chain) => readText(chain.get(CHAIN.table)) === name);
  const shape = {
    flags: readU32be(attributesOf(table).get(TABLE.flags)),
    chains: own.map(chainShape),
    rules: rules.map(ruleShape),
  };
  const named = rules.map((rule) => `${readText(rule.get(RULE.chain))} ${commentOf(rule.get(RULE.userData))}`);
  return {
    shape: JSON.stringify(shape),
    packets: new Map(rules.flatMap(countedBy)),
    rules: named,
    chains: own.map((chain) => readText(chain.get(CHAIN.name))),
  };
}

/** A chain of anybody's, in a table of any family. `hook`, `policy`: of one to which packets come by themselves. */
export type FoundChain = {
  /** As nft(8) writes it; `unknown`: another than it knew when this was written. */
  readonly family: string;
  readonly table: string;
  readonly name: string;
  /** NF_INET_*. */
  readonly hook: number | undefined;
  readonly policy: 'accept' | 'drop' | undefined;
};

const FAMILY_NAMES: ReadonlyMap<number, string> = new Map([
  ...[[1, 'inet'] as const, [2, 'ip'] as const, [3, 'arp'] as const, [5, 'netdev'] as const],
  ...[[7, 'bridge'] as const, [10, 'ip6'] as const],
]);
const ANY_FAMILY = 0;

/** All chains of all tables. */
export function listChains(socket: NetlinkSocket): readonly FoundChain[] {
  const fixed = fixedHeader([1, ANY_FAMILY], [1, 0], [2, 0]);
  const tried = 'list the chains of all nftables tables';
  return socket.dump({ type: MSG.getChain, flags: 0, fixed, attributes: [], tried }).map((message) => {
    const chain = attributesOf(message);
    const hook = chain.get(CHAIN.hook);
    return {
      family: FAMILY_NAMES.get(message.body[0] ?? ANY_FAMILY) ?? 'unknown',
      table: readText(chain.get(CHAIN.table)),
      name: readText(chain.get(CHAIN.name)),
      hook: hook === undefined ? undefined : readU32be(decodeAttributes(hook).get(HOOK.number)),
      policy: hook === undefined ? undefined : readU32be(chain.get(CHAIN.policy)) === DROP ? 'drop' : 'accept',
    };
  });
}

/** A device, or how names of devices begin, that a rule compares with the one by which a packet came, or is to leave. */
export type NamedDevice = { readonly direction: 'in' | 'out'; readonly name: string };

/** Devices that rules of the table name. Those in a set of names are not seen. */
export function namedDevices(
  socket: NetlinkSocket,
  { family, table }: Pick<FoundChain, 'family' | 'table'>,
): readonly NamedDevice[] {
  const number = [...FAMILY_NAMES].find(([, name]) => name === family)?.[0] ?? ANY_FAMILY;
  const rules = socket.dump({
    ...{ type: MSG.getRule, flags: 0, fixed: fixedHeader([1, number], [1, 0], [2, 0]) },
    ...{ attributes: [text(RULE.table, table)], tried: `list the rules of the nftables table ${family} ${table}` },
  });
  return rules.flatMap((message) => {
    let direction: NamedDevice['direction'] | undefined;
    return expressionsOf(attributesOf(message)).flatMap(([kind, data]) => {
      const parts = decodeAttributes(data);
      const before = direction;
      direction = kind === 'meta' ? DIRECTIONS.get(readU32be(parts.get(META_KEY))) : undefined;
      if (kind !== 'cmp' || before === undefined) return [];
      const value = decodeAttributes(parts.get(COMPARED) ?? new Uint8Array()).get(DATA.value);
      return [{ direction: before, name: readText(value) }];
    });
  });
}

/** Which table a message of the kernel says to have changed; undefined: it says something else. */
export function changedTable({ type, body }: NetlinkMessage): string | undefined {
  return CHANGES.has(type) ? readText(decodeAttributes(body, NFGENMSG_BYTES).get(TABLE.name)) : undefined;
}

/** Received packets before anything else looks, reassembly of fragments and connection tracking too. */
const FIRST_PRIORITY = -450;
/** NF_INET_PRE_ROUTING and NF_ARP_IN. */
export const RECEIVED: Readonly<Record<NftFamily, NftHook>> = {
  inet: { hook: 0, priority: FIRST_PRIORITY },
  arp: { hook: 0, priority: FIRST_PRIORITY },
};

/** Packets that leave, when everything else has looked: NF_INET_POST_ROUTING, where sources are translated. */
export const LEAVING: NftHook = { hook: 4, priority: 100 };

/** Received packets, once their connection is known (NF_INET_PRE_ROUTING), and those that pass through the host (NF_INET_FORWARD). */
export const PASSING: Readonly<Record<'received' | 'forwarded', NftHook>> = {
  received: { hook: 0, priority: -150 },
  forwarded: { hook: 2, priority: 0 },
};

/** What is for this host itself (NF_INET_LOCAL_IN), and what its own processes send (NF_INET_LOCAL_OUT), after translation. */
export const LOCAL: Readonly<Record<'received' | 'sent', NftHook>> = {
  received: { hook: 1, priority: 0 },
  sent: { hook: 3, priority: 0 },
};

/** Where destinations are translated: of what is received (NF_INET_PRE_ROUTING), and of what the host itself sends (NF_INET_LOCAL_OUT). */
export const TRANSLATED: Readonly<Record<'received' | 'sent', NftHook>> = {
  received: { hook: 0, priority: -100 },
  sent: { hook: 3, priority: -100 },
};

/** Facts of a packet that `metaTo` can fetch. */
export const META = { iifname: 6, oifname: 7, nfproto: 15, l4proto: 16 } as const;
const META_KEY = 2;
const DIRECTIONS: ReadonlyMap<number, NamedDevice['direction']> = new Map([
  [META.iifname, 'in'],
  [META.oifname, 'out'],
]);
const COMPARED = 3;
/** Registers: `value` is what `metaTo` and `payloadTo` write. */
const REGISTER = { verdict: 0, value: 1 } as const;
/** The first of a key that is put together word by word, and of what is found by it (NFT_REG32_00, NFT_REG32_10). */
const WORDS = { key: 8, value: 18 } as const;
const NETWORK_HEADER = 1;
const TRANSPORT_HEADER = 2;
/** linux/nf_conntrack_common.h: IPS_DST_NAT; bits of IP_CT_ESTABLISHED and IP_CT_RELATED. */
const CONNECTION = {
  state: 0,
  goesOn: (1 << 1) | (1 << 2),
  none: (1 << 0) | (1 << 6),
  status: 2,
  destinationTranslated: 1 << 5,
} as const;
const NAT_DESTINATION = 1;
/** A fact of a socket: where there is none the rule ends. */
const SOCKET_TRANSPARENT = 0;
const COMPARE = { equal: 0, notEqual: 1 } as const;
const DROP = 0;
const JUMP = -3;
const FIB = { deviceName: 2, addressType: 3, source: 1 << 0, destination: 1 << 1, device: 1 << 3 } as const;
/** Versions of IP, as the fact `nfproto` says them. */
export const NFPROTO = { ipv4: 2, ipv6: 10 } as const;
const RTN_LOCAL = Uint8Array.of(2, 0, 0, 0);

/** Fetches a fact; of a name 16 bytes, filled up with zeros. */
export function meta(key: number): Attribute {
  return expression('meta', [u32be(1, REGISTER.value), u32be(2, key)]);
}

/** Fetches bytes of the transport header. */
export function transport(offset: number, size: number): Attribute {
  const place = [u32be(1, REGISTER.value), u32be(2, TRANSPORT_HEADER), u32be(3, offset), u32be(4, size)];
  return expression('payload', place);
}

/** Fetches bytes of the IP header. */
export function network(offset: number, size: number): Attribute {
  const place = [u32be(1, REGISTER.value), u32be(2, NETWORK_HEADER), u32be(3, offset), u32be(4, size)];
  return expression('payload', place);
}

/** Goes on with the rule only for a connection whose destination is translated. */
export function destinationIsTranslated(): readonly Attribute[] {
  return [
    expression('ct', [u32be(1, REGISTER.value), u32be(2, CONNECTION.status)]),
    mask(u32Bytes(CONNECTION.destinationTranslated)),
    notEqual(u32Bytes(0)),
  ];
}

/** Goes on with the rule only for a connection whose destination is as it was sent. */
export function destinationIsItsOwn(): readonly Attribute[] {
  return [
    expression('ct', [u32be(1, REGISTER.value), u32be(2, CONNECTION.status)]),
    mask(u32Bytes(CONNECTION.destinationTranslated)),
    equal(u32Bytes(0)),
  ];
}

/** Goes on with the rule only if the packet is of no connection that has begun before, and about none. */
export function beginsSomething(): readonly Attribute[] {
  return [
    expression('ct', [u32be(1, REGISTER.value), u32be(2, CONNECTION.state)]),
    mask(u32Bytes(CONNECTION.goesOn)),
    equal(u32Bytes(0)),
  ];
}

/** Goes on with the rule only if the packet is of a connection that both sides have begun, or about one. */
export function goesOn(): readonly Attribute[] {
  return [
    expression('ct', [u32be(1, REGISTER.value), u32be(2, CONNECTION.state)]),
    mask(u32Bytes(CONNECTION.goesOn)),
    notEqual(u32Bytes(0)),
  ];
}

/** Goes on with the rule only if the packet is of no connection and cannot begin one, or none is kept of it: of such a packet nothing but this is known. */
export function isOfNoConnection(): readonly Attribute[] {
  return [
    expression('ct', [u32be(1, REGISTER.value), u32be(2, CONNECTION.state)]),
    mask(u32Bytes(CONNECTION.none)),
    notEqual(u32Bytes(0)),
  ];
}

/** Fetches the name of the device by which an answer to the packet would leave. Only where packets are received. */
export function answeredBy(): Attribute {
  return expression('fib', [u32be(1, REGISTER.value), u32be(2, FIB.deviceName), u32be(3, FIB.source)]);
}

/** Goes on with the rule only if a socket of this host, of TCP or UDP, gets what is sent there: at that address or at all. Only where packets are received. */
export function isHeard(): Attribute {
  return expression('socket', [u32be(1, SOCKET_TRANSPARENT), u32be(2, REGISTER.value)]);
}

/** Goes on with the rule only if the packet has an address of this host for source. */
export function fromThisHost(): readonly Attribute[] {
  const look = [u32be(1, REGISTER.value), u32be(2, FIB.addressType), u32be(3, FIB.source)];
  return [expression('fib', look), equal(RTN_LOCAL)];
}

/** What is looked up of a packet, in the order of the parts of a key. */
export type NftLooked = 'destination' | 'source' | 'protocol' | 'port';

/** Looks up in a map, whose values are address and port: there the connection goes. A packet of which the map has nothing goes on behind the rule. */
export function toMapped(map: string, version: 4 | 6, looked: readonly NftLooked[]): readonly Attribute[] {
  const addressWords = version === 4 ? 1 : 4;
  return [
    ...fetched(version, looked),
    expression('lookup', [text(1, map), u32be(2, WORDS.key), u32be(3, WORDS.value)]),
    expression('nat', [
      ...[u32be(1, NAT_DESTINATION), u32be(2, version === 4 ? NFPROTO.ipv4 : NFPROTO.ipv6)],
      ...[u32be(3, WORDS.value), u32be(5, WORDS.value + addressWords)],
    ]),
  ];
}

/** Goes on with the rule only if the set has it. */
export function isIn(set: string, version: 4 | 6, looked: readonly NftLooked[]): readonly Attribute[] {
  return [...fetched(version, looked), expression('lookup', [text(1, set), u32be(2, WORDS.key)])];
}

function fetched(version: 4 | 6, looked: readonly NftLooked[]): readonly Attribute[] {
  const address = version === 4 ? { destination: 16, source: 12, bytes: 4 } : { destination: 24, source: 8, bytes: 16 };
  let word: number = WORDS.key;
  return looked.map((one) => {
    const into = word;
    if (one === 'destination' || one === 'source') {
      word += address.bytes / 4;
      const place = [u32be(2, NETWORK_HEADER), u32be(3, address[one]), u32be(4, address.bytes)];
      return expression('payload', [u32be(1, into), ...place]);
    }
    word += 1;
    if (one === 'protocol') return expression('meta', [u32be(1, into), u32be(2, META.l4proto)]);
    return expression('payload', [u32be(1, into), u32be(2, TRANSPORT_HEADER), u32be(3, 2), u32be(4, 2)]);
  });
}

/** Keeps of what was fetched the bits of the mask. */
export function mask(bits: Uint8Array): Attribute {
  const none = new Uint8Array(bits.length);
  return expression('bitwise', [
    ...[u32be(1, REGISTER.value), u32be(2, REGISTER.value), u32be(3, bits.length)],
    ...[nest(4, [bytes(DATA.value, bits)]), nest(5, [bytes(DATA.value, none)])],
  ]);
}

/** Goes on with the rule only if what was fetched begins so. */
export function equal(value: Uint8Array): Attribute {
  return compare(COMPARE.equal, value);
}

/** Goes on with the rule only if what was fetched does not begin so. */
export function notEqual(value: Uint8Array): Attribute {
  return compare(COMPARE.notEqual, value);
}

/** Goes on with the rule only if what was fetched is one of these, or between them. */
export function between(first: Uint8Array, last: Uint8Array): Attribute {
  return expression('range', [
    ...[u32be(1, REGISTER.value), u32be(2, COMPARE.equal)],
    ...[nest(3, [bytes(DATA.value, first)]), nest(4, [bytes(DATA.value, last)])],
  ]);
}

/** Goes on with the rule only if the packet is for this host itself: neither forwarded nor bridged through it. */
export function toThisHost(): readonly Attribute[] {
  const look = [u32be(1, REGISTER.value), u32be(2, FIB.addressType), u32be(3, FIB.destination)];
  return [expression('fib', look), equal(RTN_LOCAL)];
}

/** Goes on with the rule only if the packet is for another than this host. */
export function notToThisHost(): readonly Attribute[] {
  const look = [u32be(1, REGISTER.value), u32be(2, FIB.addressType), u32be(3, FIB.destination)];
  return [expression('fib', look), notEqual(RTN_LOCAL)];
}

/** True of what is sent to an address of the device by which it came. */
export function toItsDevice(): readonly Attribute[] {
  const flags = FIB.destination | FIB.device;
  return [expression('fib', [u32be(1, REGISTER.value), u32be(2, FIB.addressType), u32be(3, flags)]), equal(RTN_LOCAL)];
}

/** Nothing else of the chain is asked. */
export function accepted(): Attribute {
  return verdict([u32be(1, ACCEPT)]);
}

/** Counts, and drops. */
export function countedDrop(): readonly Attribute[] {
  return [expression('counter', []), verdict([u32be(1, DROP)])];
}

/** Gives the connection the address of the device that it leaves by. */
export function masquerade(): Attribute {
  return expression('masq', []);
}

/** Goes through another chain of the table, and comes back. */
export function jump(chain: string): Attribute {
  return verdict([u32be(1, JUMP), text(2, chain)]);
}

function verdict(what: readonly Attribute[]): Attribute {
  return expression('immediate', [u32be(1, REGISTER.verdict), nest(2, [nest(DATA.verdict, what)])]);
}

function compare(operation: number, value: Uint8Array): Attribute {
  return expression('cmp', [u32be(1, REGISTER.value), u32be(2, operation), nest(3, [bytes(DATA.value, value)])]);
}

function expression(name: string, data: readonly Attribute[]): Attribute {
  return nest(LIST_ELEMENT, [text(EXPRESSION.name, name), nest(EXPRESSION.data, data)]);
}

function chainRequest({ family, name }: NftTable, { name: chain, at, type }: NftChain): NetlinkRequest {
  const tried = `make the nftables chain ${family} ${name} ${chain}`;
  const names = [text(CHAIN.table, name), text(CHAIN.name, chain)];
  if (at === undefined) return request(MSG.newChain, family, tried, names);
  const hook = nest(CHAIN.hook, [u32be(HOOK.number, at.hook), u32be(HOOK.priority, at.priority)]);
  return request(MSG.newChain, family, tried, [
    ...names,
    ...[text(CHAIN.type, type ?? 'filter'), hook, u32be(CHAIN.policy, ACCEPT)],
  ]);
}

function ruleRequest({ family, name }: NftTable, { name: chain }: NftChain, rule: NftRule): NetlinkRequest {
  const tried = `make the rule "${rule.comment}" in the nftables chain ${family} ${name} ${chain}`;
  const made = request(MSG.newRule, family, tried, [
    ...[text(RULE.table, name), text(RULE.chain, chain)],
    nest(RULE.expressions, rule.expressions),
    userData(RULE.userData, rule.comment),
  ]);
  return { ...made, flags: (made.flags ?? 0) | NLM.append };
}

/** Type, length and value, as nft(8) writes it. */
function userData(type: number, comment: string): Attribute {
  const value = Buffer.from(`${comment}\0`);
  return bytes(type, new Uint8Array(Buffer.concat([Buffer.from([COMMENT, value.length]), value])));
}

function commentOf(data: Uint8Array | undefined): string {
  return data !== undefined && data[0] === COMMENT ? readText(data.subarray(2)) : '';
}

function runBatch(socket: NetlinkSocket, requests: readonly NetlinkRequest[]): void {
  const tried = requests[0]?.tried ?? '';
  const subsystem = fixedHeader([1, 0], [1, 0], [1, 0], [1, SUBSYSTEM]);
  const edge = (type: number): NetlinkRequest => ({ type, fixed: subsystem, tried });
  // Refusals are told in any case. An answer for each of thousands would find no room.
  const told = requests.map((one, at) =>
    at === requests.length - 1 ? one : { ...one, flags: (one.flags ?? 0) & ~NLM.ack },
  );
  socket.changeTogether([edge(BATCH.begin), ...told, edge(BATCH.end)]);
}

function request(
  type: number,
  family: NftFamily,
  tried: string,
  attributes: readonly Attribute[],
): NetlinkRequest & { readonly flags: number } {
  const fixed = fixedHeader([1, FAMILIES[family]], [1, 0], [2, 0]);
  const create = DELETES.has(type) ? 0 : NLM.create;
  return { type, flags: create | NLM.ack, fixed, attributes, tried };
}

function attributesOf({ body }: NetlinkMessage): AttributeMap {
  return decodeAttributes(body, NFGENMSG_BYTES);
}

function chainShape(chain: AttributeMap): unknown {
  const hook = decodeAttributes(chain.get(CHAIN.hook) ?? new Uint8Array());
  return {
    name: readText(chain.get(CHAIN.name)),
    hook: [readU32be(hook.get(HOOK.number)), readU32be(hook.get(HOOK.priority)) | 0],
    policy: readU32be(chain.get(CHAIN.policy)),
    flags: readU32be(chain.get(CHAIN.flags)),
  };
}

function ruleShape(rule: AttributeMap): unknown {
  return {
    chain: readText(rule.get(RULE.chain)),
    comment: commentOf(rule.get(RULE.userData)),
    does: expressionsOf(rule).map(([name, data]) => (name === 'counter' ? name : `${name} ${hex(data)}`)),
  };
}

function countedBy(rule: AttributeMap): readonly (readonly [string, number])[] {
  const counters = expressionsOf(rule).filter(([name]) => name === 'counter');
  return counters.map(([, data]) => {
    const packets = decodeAttributes(data).get(COUNTER_PACKETS);
    return [commentOf(rule.get(RULE.userData)), packets === undefined ? 0 : Number(viewOf(packets).getBigUint64(0))];
  });
}

function expressionsOf(rule: AttributeMap): readonly (readonly [string, Uint8Array])[] {
  return listAttributes(rule.get(RULE.expressions) ?? new Uint8Array()).map(([, element]) => {
    const parts = decodeAttributes(element);
    return [readText(parts.get(EXPRESSION.name)), parts.get(EXPRESSION.data) ?? new Uint8Array()];
  });
}

function hex(data: Uint8Array): string {
  return Buffer.from(data).toString('hex');
}
