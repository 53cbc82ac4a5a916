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
} as const;
/** Messages that say that one of these came, went or was changed. */
const CHANGES: ReadonlySet<number> = new Set([
  ...[MSG.newTable, MSG.deleteTable, MSG.newChain, MSG.deleteChain, MSG.newRule, MSG.deleteRule],
]);
const TABLE = { name: 1, flags: 2, userData: 6 } as const;
const CHAIN = { table: 1, name: 3, hook: 4, policy: 5, type: 7, flags: 10 } as const;
const HOOK = { number: 1, priority: 2 } as const;
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
  // A chain must be there before a rule that jumps to it.
  const chains = table.chains.map((chain) => chainRequest(table, chain));
  const rules = table.chains.flatMap((chain) => chain.rules.map((rule) => ruleRequest(table, chain, rule)));
  // Deleting what is not there would be refused: it is made first.
  runBatch(socket, [create, remove, create, ...chains, ...rules]);
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
  return { shape: JSON.stringify(shape), packets: new Map(rules.flatMap(countedBy)) };
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

/** Facts of a packet that `metaTo` can fetch. */
export const META = { iifname: 6, oifname: 7, l4proto: 16 } as const;
/** Registers: `value` is what `metaTo` and `payloadTo` write. */
const REGISTER = { verdict: 0, value: 1 } as const;
const TRANSPORT_HEADER = 2;
const COMPARE = { equal: 0, notEqual: 1 } as const;
const DROP = 0;
const JUMP = -3;
const FIB = { addressType: 3, destination: 1 << 1 } as const;
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

/** Goes on with the rule only if the packet is for this host itself: neither forwarded nor bridged through it. */
export function toThisHost(): readonly Attribute[] {
  const look = [u32be(1, REGISTER.value), u32be(2, FIB.addressType), u32be(3, FIB.destination)];
  return [expression('fib', look), equal(RTN_LOCAL)];
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
  socket.changeTogether([edge(BATCH.begin), ...requests, edge(BATCH.end)]);
}

function request(
  type: number,
  family: NftFamily,
  tried: string,
  attributes: readonly Attribute[],
): NetlinkRequest & { readonly flags: number } {
  const fixed = fixedHeader([1, FAMILIES[family]], [1, 0], [2, 0]);
  const create = type === MSG.deleteTable ? 0 : NLM.create;
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
