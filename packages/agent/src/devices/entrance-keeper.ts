/**
 * What this host lets in from outside for Services: a table of nf_tables named `cable-services`, whose maps lead from ports of the host, and from addresses that are brought to it, into the cluster. A packet costs the same however many
 * there are, and a connection keeps what its first packet found. It is kept when the agent ends, and changed, not made anew, by the next.
 */
import { isIPv6 } from 'node:net';
import { type Logger, type Loop, startLoop } from '@cable/kit';
import { cidrContains, formatIp, parseCidr } from '@cable/model';
import type { NetnsRef } from '../net/netns.ts';
import {
  accepted,
  changedTable,
  changeElements,
  countedDrop,
  deleteTable,
  destinationIsTranslated,
  equal,
  fromThisHost,
  isIn,
  LEAVING,
  META,
  masquerade,
  meta,
  NFPROTO,
  type NftChange,
  type NftElement,
  type NftLooked,
  type NftMap,
  type NftRule,
  type NftTable,
  network,
  notEqual,
  readElements,
  readTable,
  replaceRules,
  replaceTable,
  TRANSLATED,
  toItsDevice,
  toMapped,
  toThisHost,
} from '../net/nft.ts';
import { NETLINK, NetlinkSocket } from '../net/socket.ts';
import { watchNftables } from '../net/watch.ts';
import { parseAddress } from '../plan/address.ts';
import type { Entrance } from '../plan/entrances.ts';
import { nameBytes } from './guard.ts';

const TABLE = { family: 'inet', name: 'cable-services' } as const;
const PROTOCOLS = { TCP: 6, UDP: 17, SCTP: 132 } as const;
const VERSIONS = [4, 6] as const;
/** Where the destination address is in the IP header; nobody from outside has one that begins so. */
const LOOPBACK = {
  4: { at: 16, bytes: Uint8Array.of(127) },
  6: { at: 24, bytes: Uint8Array.of(...new Array<number>(15).fill(0), 1) },
} as const;
/** A look without being told of anything. */
const EVERY_MS = 60_000;

export type EntranceKeeperOptions = {
  /** Names of this host's own links as a node; without one there is no table. */
  readonly nodeLinks: () => readonly string[];
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** Default: the network namespace that this process is in. */
  readonly netns?: NetnsRef;
};

/** What the host is to let in: all of it, by `entranceKey`, and which of these may have changed since the last time. `isWhole`: what is not among them may go. */
export type WantedEntrances = {
  readonly all: ReadonlyMap<string, Entrance>;
  readonly changed: ReadonlySet<string>;
  readonly isWhole: boolean;
};

export class EntranceKeeper {
  readonly #options: EntranceKeeperOptions;
  readonly #loop: Loop;
  #socket: NetlinkSocket | undefined;
  #wanted: ReadonlyMap<string, Entrance> | undefined;
  #isWhole = false;
  /** What is in the kernel of each; undefined: it is to be looked at. */
  #made: Map<string, readonly Placed[]> | undefined;
  #readAt = 0;
  #due = new Set<string>();
  /** Somebody has changed the table, or may have. */
  #isDoubtful = true;

  constructor(options: EntranceKeeperOptions) {
    this.#options = options;
    const { log, signal, netns } = options;
    this.#loop = startLoop({
      ...{ name: 'what is let in for Services', log, signal, everyMs: EVERY_MS + 1000 },
      run: async () => this.#keep(),
    });
    try {
      watchNftables({
        // Elements that come and go are not among these messages.
        onMessage: (message) => {
          this.#isDoubtful ||= changedTable(message) === TABLE.name;
        },
        onBurst: () => {
          if (this.#isDoubtful) this.#loop.trigger();
        },
        onLoss: () => {
          this.#isDoubtful = true;
          this.#loop.trigger();
        },
        signal,
        ...(netns === undefined ? {} : { netns }),
      });
    } catch (err) {
      log.warn(
        { err },
        'the kernel does not say when somebody changes its tables of nf_tables: they are looked at each minute',
      );
    }
    void this.#loop.done.finally(() => this.#socket?.close());
  }

  take({ all, changed, isWhole }: WantedEntrances): void {
    const isNews = this.#wanted === undefined || changed.size > 0 || (isWhole && !this.#isWhole);
    if (isWhole && !this.#isWhole) this.#isDoubtful = true;
    this.#wanted = all;
    this.#isWhole = isWhole;
    for (const key of changed) this.#due.add(key);
    if (isNews) this.#loop.trigger();
  }

  /** Links of the node came or went. */
  check(): void {
    this.#loop.trigger();
  }

  #keep(): void {
    const { nodeLinks, log } = this.#options;
    const wanted = this.#wanted;
    const links = nodeLinks();
    // Before anything is known nothing is made, and nothing removed.
    if (wanted === undefined) return;
    const socket = this.#open();
    if (links.length === 0) {
      if (this.#isWhole && deleteTable(socket, TABLE)) log.info({}, 'lets nothing in for Services any more');
      this.#made = undefined;
      return;
    }
    const now = performance.now();
    if (this.#isDoubtful || now - this.#readAt > EVERY_MS) this.#made = undefined;
    this.#isDoubtful = false;
    if (ensureTable(socket, tableOf(links))) this.#made = undefined;
    const made = this.#made;
    this.#made = undefined;
    if (made === undefined) {
      this.#readAt = now;
      this.#writeAll(socket, wanted);
    } else {
      this.#writeDue(socket, wanted, made);
      this.#made = made;
    }
    this.#due = new Set();
  }

  #open(): NetlinkSocket {
    const { netns } = this.#options;
    this.#socket ??= new NetlinkSocket({ protocol: NETLINK.netfilter, ...(netns === undefined ? {} : { netns }) });
    return this.#socket;
  }

  /** The maps of the kernel become as wanted, wherever they differ. */
  #writeAll(socket: NetlinkSocket, wanted: ReadonlyMap<string, Entrance>): void {
    const made = new Map([...wanted].map(([key, one]) => [key, elementsOf(one)]));
    const all = [...made.values()].flat();
    const changes = [...MAP_NAMES].map((map): NftChange => {
      const next = byKey(all.filter((one) => one.map === map));
      const there = byKey(readElements(socket, TABLE, map) ?? []);
      return difference(map, there, next, this.#isWhole);
    });
    changeElements(socket, TABLE, changes);
    this.#made = made;
  }

  /** The same, of those that may have changed. */
  #writeDue(socket: NetlinkSocket, wanted: ReadonlyMap<string, Entrance>, made: Map<string, readonly Placed[]>): void {
    const due = [...this.#due].filter((key) => this.#isWhole || wanted.has(key));
    const next = new Map(
      due.map((key) => {
        const one = wanted.get(key);
        return [key, one === undefined ? [] : elementsOf(one)];
      }),
    );
    const [before, after] = [due.flatMap((key) => made.get(key) ?? []), [...next.values()].flat()];
    const changes = [...MAP_NAMES].map((map): NftChange => {
      const own = ({ map: of }: Placed): boolean => of === map;
      return difference(map, byKey(before.filter(own)), byKey(after.filter(own)), true);
    });
    changeElements(socket, TABLE, changes);
    for (const [key, elements] of next) {
      if (elements.length === 0) made.delete(key);
      else made.set(key, elements);
    }
  }
}

/** An element, and which map it is of. */
type Placed = NftElement & { readonly map: string };

function byKey<T extends NftElement>(elements: readonly T[]): ReadonlyMap<string, T> {
  return new Map(elements.map((one) => [`${hex(one.key)} ${hex(one.end)}`, one]));
}

/** `mayGo` false: what is not among the next stays, but for ranges of a place that others are of now. */
function difference(
  map: string,
  before: ReadonlyMap<string, NftElement>,
  next: ReadonlyMap<string, NftElement>,
  mayGo: boolean,
): NftChange {
  const isOther = (key: string, { value }: NftElement): boolean =>
    !before.has(key) || hex(before.get(key)?.value) !== hex(value);
  const come = [...next].flatMap(([key, one]) => (isOther(key, one) ? [one] : []));
  const places = new Set([...next.values()].map((one) => placeOf(map, one)));
  const gone = [...before].flatMap(([key, one]) => {
    const after = next.get(key);
    return after === undefined
      ? mayGo || (one.end !== undefined && places.has(placeOf(map, one)))
        ? [one]
        : []
      : isOther(key, after)
        ? [one]
        : [];
  });
  return { map, gone, come };
}

/** Of a range its key without the source. */
function placeOf(map: string, { key }: NftElement): string {
  return hex(key.subarray(0, key.length - (map.endsWith('-6') ? 16 : 4)));
}

function hex(bytes: Uint8Array = new Uint8Array()): string {
  return Buffer.from(bytes).toString('hex');
}

/** False: there was none. */
export function removeEntrances(socket: NetlinkSocket): boolean {
  return deleteTable(socket, TABLE);
}

/** What is looked up, by the kind of map. */
const LOOKED = {
  /** Who comes from where he may. */
  from: ['destination', 'protocol', 'port', 'source'],
  /** To which not all may come. */
  guarded: ['destination', 'protocol', 'port'],
  to: ['destination', 'protocol', 'port'],
  'node-ports': ['protocol', 'port'],
} as const satisfies Readonly<Record<string, readonly NftLooked[]>>;

type MapKind = keyof typeof LOOKED;
const KINDS = Object.keys(LOOKED) as readonly MapKind[];

function mapName(kind: MapKind, version: 4 | 6): string {
  return `${kind}-${version}`;
}

const MAP_NAMES: readonly string[] = VERSIONS.flatMap((version) => KINDS.map((kind) => mapName(kind, version)));

function mapOf(kind: MapKind, version: 4 | 6): NftMap {
  const address = version === 4 ? 'ipv4' : 'ipv6';
  const isAddress = (one: NftLooked): one is 'destination' | 'source' => one === 'destination' || one === 'source';
  return {
    name: mapName(kind, version),
    key: LOOKED[kind].map((one) => (isAddress(one) ? address : one)),
    ...(kind === 'guarded' ? {} : { value: [address, 'port'] }),
    ...(kind === 'from' ? { hasRanges: true } : {}),
  };
}

function tableOf(links: readonly string[]): NftTable {
  const enter = VERSIONS.flatMap(enterRules);
  return {
    ...TABLE,
    comment: 'Cable: what this host lets in for Services of Kubernetes',
    maps: VERSIONS.flatMap((version) => KINDS.map((kind) => mapOf(kind, version))),
    chains: [
      { name: 'received', at: TRANSLATED.received, type: 'nat', rules: [...links.map(nodeRule), ...enter] },
      { name: 'sent', at: TRANSLATED.sent, type: 'nat', rules: enter },
      { name: 'leaving', at: LEAVING, type: 'nat', rules: links.flatMap(clientRules) },
    ],
  };
}

/** The node's own address in the cluster is always open to its pods, whatever their network policies say: it leads nowhere else for them. */
function nodeRule(link: string): NftRule {
  return {
    comment: `${link}: what pods send to the node in the cluster is the node’s`,
    expressions: [meta(META.iifname), equal(nameBytes(link)), ...toItsDevice(), accepted()],
  };
}

function enterRules(version: 4 | 6): readonly NftRule[] {
  const { at, bytes } = LOOPBACK[version];
  const isOfVersion = [meta(META.nfproto), equal(Uint8Array.of(version === 4 ? NFPROTO.ipv4 : NFPROTO.ipv6))];
  const mapped = (kind: MapKind) => toMapped(mapName(kind, version), version, LOOKED[kind]);
  return [
    {
      comment: `IPv${version}: addresses of Services, from where one may`,
      expressions: [...isOfVersion, ...mapped('from')],
    },
    {
      comment: `IPv${version}: addresses of Services, from elsewhere`,
      expressions: [...isOfVersion, ...isIn(mapName('guarded', version), version, LOOKED.guarded), ...countedDrop()],
    },
    { comment: `IPv${version}: addresses of Services`, expressions: [...isOfVersion, ...mapped('to')] },
    {
      comment: `IPv${version}: node ports lead to their Services`,
      expressions: [
        ...isOfVersion,
        ...[network(at, bytes.length), notEqual(bytes)],
        ...toThisHost(),
        ...mapped('node-ports'),
      ],
    },
  ];
}

/** Of whom answers would not come back to where the destination was translated: what this host itself sends, and pods of this host. They get the node's address in the cluster. */
function clientRules(link: string): readonly NftRule[] {
  const device = nameBytes(link);
  return [
    {
      comment: `${link}: pods come back to it as the node`,
      expressions: [
        ...[meta(META.iifname), equal(device), meta(META.oifname), equal(device)],
        ...destinationIsTranslated(),
        masquerade(),
      ],
    },
    {
      comment: `${link}: processes of this host use Services as the node`,
      expressions: [meta(META.oifname), equal(device), ...fromThisHost(), ...destinationIsTranslated(), masquerade()],
    },
  ];
}

/** True: it is new, and empty. */
function ensureTable(socket: NetlinkSocket, table: NftTable): boolean {
  const found = readTable(socket, TABLE);
  if (found === undefined || MAP_NAMES.some((map) => readElements(socket, TABLE, map) === undefined)) {
    replaceTable(socket, table);
    return true;
  }
  const rules = table.chains.flatMap(({ name, rules: own }) => own.map(({ comment }) => `${name} ${comment}`));
  if (String(found.rules) !== String(rules)) replaceRules(socket, table);
  return false;
}

function elementsOf({ address, sources, protocol, ipVersion, port, to }: Entrance): readonly Placed[] {
  const place = [Uint8Array.of(PROTOCOLS[protocol]), portBytes(port)];
  const value = words(addressBytes(to.address), portBytes(to.port));
  if (address === undefined) return [{ map: mapName('node-ports', ipVersion), key: words(...place), value }];
  const key = words(addressBytes(address), ...place);
  if (sources === undefined) return [{ map: mapName('to', ipVersion), key, value }];
  return [
    { map: mapName('guarded', ipVersion), key },
    ...outermost(sources).map(({ first, last }) => ({
      map: mapName('from', ipVersion),
      key: words(key, first),
      end: words(key, last),
      value,
    })),
  ];
}

/** Prefixes that are in no other of them, as ranges: the kernel takes none that overlap. */
function outermost(prefixes: readonly string[]): readonly { readonly first: Uint8Array; readonly last: Uint8Array }[] {
  const all = [...new Set(prefixes)].flatMap((text) => {
    const prefix = parseCidr(text);
    return prefix === undefined ? [] : [{ prefix, length: prefix.prefixLength }];
  });
  const outer = all.filter(
    ({ prefix, length }) => !all.some((one) => one.length < length && cidrContains(one.prefix, prefix.base)),
  );
  return outer.map(({ prefix }) => {
    const { version, value } = prefix.base;
    const rest = (1n << BigInt((version === 4 ? 32 : 128) - prefix.prefixLength)) - 1n;
    const at = (one: bigint): Uint8Array => addressBytes(formatIp({ version, value: one }));
    return { first: at(value), last: at(value | rest) };
  });
}

function addressBytes(text: string): Uint8Array {
  const address = parseAddress(text) ?? new Uint8Array(16);
  return isIPv6(text) ? address : address.subarray(12);
}

function portBytes(port: number): Uint8Array {
  return Uint8Array.of(port >> 8, port & 0xff);
}

/** One after the other, each filled up to words of 4 bytes. */
function words(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts.map((part) => Buffer.concat([part, Buffer.alloc(-part.length & 3)]))));
}
