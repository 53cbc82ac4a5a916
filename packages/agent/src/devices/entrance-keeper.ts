/**
 * What this host lets in from outside for Services and for pods: a table of nf_tables named `cable-services`, whose maps lead from ports of the host, and from addresses that are brought to it, into the cluster. A packet costs the same
 * however many there are, and a connection keeps what its first packet found, unless nothing is there any more (`stale-connections.ts`). It is kept when the agent ends, and changed, not made anew, by the next.
 */
import { type Logger, type Loop, startLoop } from '@cable/kit';
import { inNetns, type NetnsRef } from '../net/netns.ts';
import {
  accepted,
  answeredBy,
  beginsSomething,
  changedTable,
  changeElements,
  countedDrop,
  deleteTable,
  destinationIsItsOwn,
  destinationIsTranslated,
  equal,
  fromThisHost,
  isHeard,
  isIn,
  isOfNoConnection,
  LEAVING,
  META,
  mask,
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
  notToThisHost,
  PASSING,
  readElements,
  readTable,
  replaceRules,
  replaceTable,
  TRANSLATED,
  toItsDevice,
  toMapped,
  toThisHost,
  transport,
} from '../net/nft.ts';
import { addressBytes, outermost, portBytes, words } from '../net/nft-elements.ts';
import { NETLINK, NetlinkSocket } from '../net/socket.ts';
import { watchNftables } from '../net/watch.ts';
import { type Entrance, entranceKey } from '../plan/entrances.ts';
import { OVERLAY_PORTS, type OwnPort } from '../plan/own-ports.ts';
import { nameBytes } from './guard.ts';
import { keepLoopbackWays } from './loopback-ways.ts';
import { forgetStale, type MovedPlace } from './stale-connections.ts';

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
  /** What others route to pods and ClusterIPs through this host is let in. Default: only what is for an entrance. */
  readonly isOpen?: boolean;
  /** Lead nowhere else, whatever is wanted. Default: the overlay's. */
  readonly ownPorts?: readonly OwnPort[];
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
  /** Of rtnetlink. */
  #devices: NetlinkSocket | undefined;
  /** For connections alone: while they are found others ask by `#socket`. */
  #connections: NetlinkSocket | undefined;
  #wanted: ReadonlyMap<string, Entrance> | undefined;
  #isWhole = false;
  /** What is in the kernel of each; undefined: it is to be looked at. */
  #made: Map<string, readonly Placed[]> | undefined;
  #readAt = 0;
  #due = new Set<string>();
  /** Somebody has changed the table, or may have. */
  #isDoubtful = true;
  /** Places that have led elsewhere, whose connections have not been looked at. */
  #moved: MovedPlace[] = [];
  /** Who waits until something is let in. */
  readonly #waiters = new Set<() => void>();
  #failure: string | undefined;
  /** Of which links the table is, and what it does, as the kernel has it since it was made; undefined: it is to be looked at. */
  #table: { readonly links: string; readonly shape: string } | undefined;

  constructor(options: EntranceKeeperOptions) {
    this.#options = options;
    const { log, signal, netns } = options;
    this.#loop = startLoop({
      ...{ name: 'what is let in for Services', log, signal, everyMs: EVERY_MS + 1000 },
      run: async () => {
        this.#failure = undefined;
        try {
          this.#keep();
          await this.#forget();
        } catch (err) {
          this.#failure = err instanceof Error ? err.message : String(err);
          throw err;
        }
        for (const look of [...this.#waiters]) look();
      },
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
    void this.#loop.done.finally(() => {
      this.#socket?.close();
      this.#devices?.close();
      this.#connections?.close();
    });
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

  /** Why the last look failed; undefined: it did not. */
  get failure(): string | undefined {
    return this.#failure;
  }

  /** Resolves when the kernel lets these in, as they are wanted here; rejects when the signal aborts. */
  inForce(entrances: readonly Entrance[], signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const end = (): void => {
        this.#waiters.delete(look);
        signal.removeEventListener('abort', giveUp);
      };
      const giveUp = (): void => {
        end();
        reject(signal.reason);
      };
      const look = (): void => {
        if (!entrances.every((one) => sameElements(this.#made?.get(entranceKey(one)) ?? [], elementsOf(one)))) return;
        end();
        resolve();
      };
      if (signal.aborted) {
        giveUp();
        return;
      }
      signal.addEventListener('abort', giveUp);
      this.#waiters.add(look);
      look();
    });
  }

  /** Those of them that the kernel does not let in now, whatever was written. */
  lacking(entrances: readonly Entrance[]): readonly Entrance[] {
    if (entrances.length === 0) return [];
    const socket = this.#open();
    const there = new Map(MAP_NAMES.map((map) => [map, byKey(readElements(socket, TABLE, map) ?? [])]));
    const isThere = ({ map, key, end, value }: Placed): boolean => {
      const found = there.get(map)?.get(`${hex(key)} ${hex(end)}`);
      return found !== undefined && hex(found.value) === hex(value);
    };
    return entrances.filter((one) => !elementsOf(one).every(isThere));
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
      this.#table = undefined;
      return;
    }
    const now = performance.now();
    // What it has written is there as long as nobody is said to have changed the table.
    if (this.#isDoubtful || now - this.#readAt > EVERY_MS || this.#table?.links !== links.join()) {
      this.#isDoubtful = false;
      this.#made = undefined;
      const before = this.#table?.links === links.join() ? this.#table.shape : undefined;
      this.#table = undefined;
      this.#table = {
        links: links.join(),
        shape: ensureTable(socket, tableOf(links, this.#options), before),
      };
    }
    this.#keepLoopback(links, wanted);
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

  /** Once the table is there, whose rule keeps loopback closed to who is on the link. */
  #keepLoopback(links: readonly string[], wanted: ReadonlyMap<string, Entrance>): void {
    const { netns } = this.#options;
    const own = [...wanted.values()].filter(({ isHostPort }) => isHostPort === true);
    const versions = new Set(
      own.flatMap(({ ipVersion, address }) => (isLoopback(address, ipVersion) ? [ipVersion] : [])),
    );
    const keep = (): void => keepLoopbackWays(this.#routes(), links, { versions, mayClose: this.#isWhole });
    if (netns === undefined) keep();
    else inNetns(netns, keep);
  }

  #routes(): NetlinkSocket {
    const { netns } = this.#options;
    this.#devices ??= new NetlinkSocket(netns === undefined ? {} : { netns });
    return this.#devices;
  }

  /** What went on where a place led before goes with it. */
  async #forget(): Promise<void> {
    const places = this.#moved;
    this.#moved = [];
    if (places.length === 0) return;
    try {
      this.#connections ??= this.#openNetfilter();
      const forgotten = await forgetStale(this.#connections, this.#routes(), places);
      if (forgotten > 0) this.#options.log.info({ forgotten }, 'connections to what is there no more are forgotten');
    } catch (err) {
      const remedy = 'load nf_conntrack_netlink';
      this.#options.log.warn(
        { err, remedy },
        'the kernel does not say which connections it tracks: some go on to what is there no more',
      );
    }
  }

  #open(): NetlinkSocket {
    this.#socket ??= this.#openNetfilter();
    return this.#socket;
  }

  #openNetfilter(): NetlinkSocket {
    const { netns } = this.#options;
    return new NetlinkSocket({ protocol: NETLINK.netfilter, ...(netns === undefined ? {} : { netns }) });
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
    this.#moved.push(...changes.flatMap(movedPlaces));
  }

  /** The same, of those that may have changed. */
  #writeDue(socket: NetlinkSocket, wanted: ReadonlyMap<string, Entrance>, made: Map<string, readonly Placed[]>): void {
    // Of host ports nobody else says whether they are: they go also while the server is away.
    const isOwn = (key: string): boolean => made.get(key)?.some(({ map }) => map.startsWith('host-ports')) === true;
    const due = [...this.#due].filter((key) => this.#isWhole || wanted.has(key) || isOwn(key));
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
    this.#moved.push(...changes.flatMap(movedPlaces));
  }
}

/** An element, and which map it is of. */
type Placed = NftElement & { readonly map: string };

function byKey<T extends NftElement>(elements: readonly T[]): ReadonlyMap<string, T> {
  return new Map(elements.map((one) => [`${hex(one.key)} ${hex(one.end)}`, one]));
}

function sameElements(some: readonly Placed[], others: readonly Placed[]): boolean {
  const text = (all: readonly Placed[]): string =>
    String(all.map(({ map, key, end, value }) => [map, hex(key), hex(end), hex(value)]));
  return text(some) === text(others);
}

/** Protocol and port in a key, in whole words. */
const PLACE_BYTES = 8;
const ADDRESS_BYTES = { 4: 4, 6: 16 } as const;

/** Of UDP, whose conversations have no end, and of host ports: who was there has ended. Connections to Services are the vrouter's to end. */
function movedPlaces({ map, gone, come }: NftChange): readonly MovedPlace[] {
  const kind = KINDS.find((one) => map === mapName(one, 4) || map === mapName(one, 6));
  if (kind === undefined || !LEADS.has(kind)) return [];
  const ipVersion = map.endsWith('-6') ? 6 : 4;
  const [before, after] = [byKey(gone), byKey(come)];
  const isAddress = kind === 'to' || kind === 'from';
  return [...new Map([...before, ...after])].flatMap(([key, { key: bytes }]) => {
    // Behind it is from whom, where that is asked.
    const end = bytes.length - (kind === 'from' ? ADDRESS_BYTES[ipVersion] : 0);
    const place = bytes.subarray(end - PLACE_BYTES, end);
    const [protocol = 0, high = 0, low = 0] = [place[0], place[4], place[5]];
    if (protocol !== PROTOCOLS.UDP && !kind.startsWith('host-ports')) return [];
    const ends = { before: endOf(before.get(key)), after: endOf(after.get(key)) };
    return [
      {
        ...{ ipVersion, protocol, port: (high << 8) | low },
        ...(end === PLACE_BYTES ? {} : { address: bytes.subarray(0, end - PLACE_BYTES) }),
        ...(isAddress ? { isForwarded: true as const } : {}),
        ...(ends.before === undefined ? {} : { before: ends.before }),
        ...(ends.after === undefined ? {} : { after: ends.after }),
      },
    ];
  });
}

function endOf(element: NftElement | undefined): MovedPlace['after'] {
  const { value } = element ?? {};
  if (value === undefined) return undefined;
  const [high = 0, low = 0] = value.subarray(-4);
  return { address: value.subarray(0, -4), port: (high << 8) | low };
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
  return hex(key.subarray(0, key.length - ADDRESS_BYTES[map.endsWith('-6') ? 6 : 4]));
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
  /** Of an address of the host. */
  'host-ports-at': ['destination', 'protocol', 'port'],
  'host-ports': ['protocol', 'port'],
  /** Of the host's port as a node, to the host's own. */
  endpoints: ['destination', 'protocol', 'port'],
  /** Which have no other ports than those. */
  announced: ['destination'],
} as const satisfies Readonly<Record<string, readonly NftLooked[]>>;

type MapKind = keyof typeof LOOKED;
const KINDS = Object.keys(LOOKED) as readonly MapKind[];
/** They say where a place leads. */
const LEADS: ReadonlySet<MapKind> = new Set(['from', 'to', 'node-ports', 'host-ports', 'host-ports-at', 'endpoints']);

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
    ...(kind === 'guarded' || kind === 'announced' ? {} : { value: [address, 'port'] }),
    ...(kind === 'from' ? { hasRanges: true } : {}),
  };
}

function tableOf(
  links: readonly string[],
  { isOpen = false, ownPorts = OVERLAY_PORTS }: Pick<EntranceKeeperOptions, 'isOpen' | 'ownPorts'>,
): NftTable {
  const [received, sent] = [false, true].map((isSent) => [
    ...ownPorts.map(ownPortRule),
    ...VERSIONS.flatMap((one) => enterRules(one, isSent)),
  ]);
  return {
    ...TABLE,
    comment: 'Cable: what this host lets in for Services of Kubernetes',
    maps: VERSIONS.flatMap((version) => KINDS.map((kind) => mapOf(kind, version))),
    chains: [
      {
        ...{ name: 'received', at: TRANSLATED.received, type: 'nat' },
        rules: [
          ...links.flatMap((link) => [heardRule(link), ...VERSIONS.map((version) => endpointRule(link, version))]),
          ...[...links.map(nodeRule), ...(received ?? []), ...VERSIONS.map(closedRule)],
        ],
      },
      { name: 'sent', at: TRANSLATED.sent, type: 'nat', rules: sent ?? [] },
      { name: 'leaving', at: LEAVING, type: 'nat', rules: links.flatMap(clientRules) },
      {
        name: 'strangers',
        at: PASSING.received,
        rules: links.flatMap((link) => [loopbackRule(link), ...sourceRules(link, links)]),
      },
      { name: 'passing', at: PASSING.forwarded, rules: isOpen ? [] : links.flatMap((link) => wireRules(link, links)) },
    ],
  };
}

/** Who listens at the port's address, or at all, is asked there: by UDP he answers with the address of the way back, which is that. */
function heardRule(link: string): NftRule {
  return {
    comment: `${link}: who listens at the node’s address in the cluster hears what is sent there`,
    expressions: [meta(META.iifname), equal(nameBytes(link)), ...toItsDevice(), isHeard(), accepted()],
  };
}

/** An endpoint that listens at an address of the host's own alone hears what comes to the port of the node. */
function endpointRule(link: string, version: 4 | 6): NftRule {
  return {
    comment: `${link}: IPv${version} endpoints that listen at addresses of the host`,
    expressions: [
      ...[meta(META.iifname), equal(nameBytes(link))],
      ...[meta(META.nfproto), equal(Uint8Array.of(version === 4 ? NFPROTO.ipv4 : NFPROTO.ipv6))],
      ...toMapped(mapName('endpoints', version), version, LOOKED.endpoints),
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

/** Before all that leads elsewhere: a host port, or a Service's, that somebody was given before it was refused. */
function ownPortRule({ protocol, port, address, use }: OwnPort): NftRule {
  const version = address?.includes(':') === true ? 6 : 4;
  const isOfAddress =
    address === undefined
      ? []
      : [
          ...[meta(META.nfproto), equal(Uint8Array.of(version === 4 ? NFPROTO.ipv4 : NFPROTO.ipv6))],
          ...[network(LOOPBACK[version].at, version === 4 ? 4 : 16), equal(addressBytes(address))],
        ];
  return {
    comment: `${port}/${protocol} is the host’s own: ${use}`,
    expressions: [
      ...isOfAddress,
      ...[meta(META.l4proto), equal(Uint8Array.of(PROTOCOLS[protocol])), transport(2, 2), equal(portBytes(port))],
      ...[...toThisHost(), accepted()],
    ],
  };
}

/** `isSent`: by this host, which alone reaches its loopback: from elsewhere nobody has business there. */
function enterRules(version: 4 | 6, isSent: boolean): readonly NftRule[] {
  const { at, bytes } = LOOPBACK[version];
  const notLoopback = [network(at, bytes.length), notEqual(bytes)];
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
      expressions: [...isOfVersion, ...notLoopback, ...toThisHost(), ...mapped('node-ports')],
    },
    ...(['host-ports-at', 'host-ports'] as const).map((kind) => ({
      comment: `IPv${version}: host ports ${kind === 'host-ports' ? '' : 'of one address '}lead to their pods`,
      expressions: [...isOfVersion, ...(isSent ? [] : notLoopback), ...toThisHost(), ...mapped(kind)],
    })),
  ];
}

/** Whoever is told by ARP or ND that an address is here would else have sent back to the link what is for no Service. */
function closedRule(version: 4 | 6): NftRule {
  return {
    comment: `IPv${version}: announced addresses have no other ports`,
    expressions: [
      ...[meta(META.nfproto), equal(Uint8Array.of(version === 4 ? NFPROTO.ipv4 : NFPROTO.ipv6))],
      ...isIn(mapName('announced', version), version, LOOKED.announced),
      ...notToThisHost(),
      ...countedDrop(),
    ],
  };
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

/** Nobody sends to another's loopback: the kernel lets it pass by the link where host ports are in force (`loopback-ways.ts`). Of IPv6 it never does. */
function loopbackRule(link: string): NftRule {
  const { at, bytes } = LOOPBACK[4];
  return {
    comment: `${link}: loopback is the machine’s own`,
    expressions: [
      ...[meta(META.nfproto), equal(Uint8Array.of(NFPROTO.ipv4)), meta(META.iifname), equal(nameBytes(link))],
      ...[network(at, bytes.length), equal(bytes), ...countedDrop()],
    ],
  };
}

/** True also of one that is at any address. */
function isLoopback(address: string | undefined, version: 4 | 6): boolean {
  if (address === undefined) return true;
  const { bytes } = LOOPBACK[version];
  return hex(addressBytes(address)).startsWith(hex(bytes));
}

/** Whose answer would go into the cluster is of the cluster, and comes from there. Addresses of a link (fe80::/10) are on each link. */
function sourceRules(link: string, links: readonly string[]): readonly NftRule[] {
  return VERSIONS.map((version) => ({
    comment: `${link}: IPv${version} addresses of the cluster do not come from elsewhere`,
    expressions: [
      ...[meta(META.nfproto), equal(Uint8Array.of(version === 4 ? NFPROTO.ipv4 : NFPROTO.ipv6))],
      ...[meta(META.iifname), ...[...links, 'lo'].map((one) => notEqual(nameBytes(one)))],
      ...beginsSomething(),
      ...(version === 4
        ? []
        : [network(SOURCE6_AT, 2), mask(Uint8Array.of(0xff, 0xc0)), notEqual(Uint8Array.of(0xfe, 0x80))]),
      ...[answeredBy(), equal(nameBytes(link))],
      ...countedDrop(),
    ],
  }));
}

/** Where the source address is in the header of IPv6. */
const SOURCE6_AT = 8;

/** What begins elsewhere and is for no entrance: whoever can send to a node is not therefore in the cluster. */
function wireRules(link: string, links: readonly string[]): readonly NftRule[] {
  const comesIn = [
    ...[meta(META.oifname), equal(nameBytes(link))],
    ...[meta(META.iifname), ...links.map((one) => notEqual(nameBytes(one)))],
  ];
  return [
    {
      comment: `${link}: what is of no connection does not come into the cluster`,
      expressions: [...comesIn, ...isOfNoConnection(), ...countedDrop()],
    },
    {
      comment: `${link}: only what is for an entrance comes into the cluster`,
      expressions: [...comesIn, ...beginsSomething(), ...destinationIsItsOwn(), ...countedDrop()],
    },
  ];
}

/** Makes it, or its rules, where they are not as they were; `shape`: what they were, undefined: not known. Returns what they are. */
function ensureTable(socket: NetlinkSocket, table: NftTable, shape: string | undefined): string {
  const found = readTable(socket, TABLE);
  const names = new Set(found?.chains);
  const isLacking =
    table.chains.some(({ name }) => !names.has(name)) ||
    MAP_NAMES.some((map) => readElements(socket, TABLE, map) === undefined);
  if (found === undefined || isLacking) replaceTable(socket, table);
  else if (found.shape !== shape) replaceRules(socket, table);
  else return shape;
  const made = readTable(socket, TABLE)?.shape ?? '';
  if (shape === undefined || made === shape) return made;
  // A chain is at another hook than it was: its rules alone do not put that right.
  replaceTable(socket, table);
  return readTable(socket, TABLE)?.shape ?? '';
}

function elementsOf(entrance: Entrance): readonly Placed[] {
  const { address, isHostPort, isEndpoint, sources, protocol, ipVersion, port, to } = entrance;
  const place = [Uint8Array.of(PROTOCOLS[protocol]), portBytes(port)];
  const value = words(addressBytes(to.address), portBytes(to.port));
  if (address !== undefined && port === 0)
    return [{ map: mapName('announced', ipVersion), key: addressBytes(address) }];
  if (address === undefined)
    return [
      { map: mapName(isHostPort === true ? 'host-ports' : 'node-ports', ipVersion), key: words(...place), value },
    ];
  const key = words(addressBytes(address), ...place);
  if (isHostPort === true) return [{ map: mapName('host-ports-at', ipVersion), key, value }];
  if (isEndpoint === true) return [{ map: mapName('endpoints', ipVersion), key, value }];
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
