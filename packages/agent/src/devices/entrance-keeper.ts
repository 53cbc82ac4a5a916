/**
 * What this host lets in from outside for Services: a table of nf_tables named `cable-services`, whose maps lead from ports of the host into the cluster. A packet costs the same however many
 * there are, and a connection keeps what its first packet found. It is kept when the agent ends, and changed, not made anew, by the next.
 */
import { isIPv6 } from 'node:net';
import { type Logger, type Loop, startLoop } from '@cable/kit';
import type { NetnsRef } from '../net/netns.ts';
import {
  changedTable,
  changeElements,
  deleteTable,
  destinationIsTranslated,
  equal,
  fromThisHost,
  LEAVING,
  META,
  masquerade,
  meta,
  NFPROTO,
  type NftElement,
  type NftRule,
  type NftTable,
  network,
  notEqual,
  readElements,
  readTable,
  replaceRules,
  replaceTable,
  TRANSLATED,
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
const MAPS = { 4: 'node-ports-4', 6: 'node-ports-6' } as const;
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
  /** Where each leads that is in the kernel, as text; undefined: it is to be read. */
  #there: Map<string, string> | undefined;
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
      this.#there = undefined;
      return;
    }
    const now = performance.now();
    if (this.#isDoubtful || now - this.#readAt > EVERY_MS) this.#there = undefined;
    this.#isDoubtful = false;
    const table = tableOf(links);
    if (ensureTable(socket, table)) this.#there = undefined;
    if (this.#there === undefined) {
      this.#there = readAll(socket);
      this.#readAt = now;
      for (const key of [...this.#there.keys(), ...wanted.keys()]) this.#due.add(key);
    }
    this.#write(socket, wanted, this.#there);
  }

  #open(): NetlinkSocket {
    const { netns } = this.#options;
    this.#socket ??= new NetlinkSocket({ protocol: NETLINK.netfilter, ...(netns === undefined ? {} : { netns }) });
    return this.#socket;
  }

  #write(socket: NetlinkSocket, wanted: ReadonlyMap<string, Entrance>, there: Map<string, string>): void {
    const due = this.#due;
    this.#due = new Set();
    const left = new Set<string>();
    try {
      for (const version of VERSIONS) {
        const gone: Uint8Array[] = [];
        const come: NftElement[] = [];
        for (const key of due) {
          if (versionOf(key) !== version) continue;
          const next = wanted.get(key);
          const before = there.get(key);
          const value = next === undefined ? undefined : textOf(next);
          if (value === before) continue;
          if (value === undefined && !this.#isWhole) {
            left.add(key);
            continue;
          }
          if (before !== undefined) gone.push(keyBytes(key));
          if (next !== undefined) come.push({ key: keyBytes(key), value: valueBytes(next) });
        }
        if (gone.length + come.length > 0) changeElements(socket, TABLE, MAPS[version], { gone, come });
      }
    } catch (err) {
      this.#there = undefined;
      throw err;
    }
    for (const key of due) {
      const next = wanted.get(key);
      if (next !== undefined) there.set(key, textOf(next));
      else if (!left.has(key)) there.delete(key);
    }
    for (const key of left) this.#due.add(key);
  }
}

/** False: there was none. */
export function removeEntrances(socket: NetlinkSocket): boolean {
  return deleteTable(socket, TABLE);
}

function tableOf(links: readonly string[]): NftTable {
  const enter = VERSIONS.map(nodePortRule);
  return {
    ...TABLE,
    comment: 'Cable: what this host lets in for Services of Kubernetes',
    maps: VERSIONS.map((version) => ({
      name: MAPS[version],
      key: ['protocol', 'port'],
      value: [version === 4 ? 'ipv4' : 'ipv6', 'port'],
    })),
    chains: [
      { name: 'received', at: TRANSLATED.received, type: 'nat', rules: enter },
      { name: 'sent', at: TRANSLATED.sent, type: 'nat', rules: enter },
      { name: 'leaving', at: LEAVING, type: 'nat', rules: links.flatMap(clientRules) },
    ],
  };
}

function nodePortRule(version: 4 | 6): NftRule {
  const { at, bytes } = LOOPBACK[version];
  return {
    comment: `IPv${version}: node ports lead to their Services`,
    expressions: [
      ...[meta(META.nfproto), equal(Uint8Array.of(version === 4 ? NFPROTO.ipv4 : NFPROTO.ipv6))],
      ...[network(at, bytes.length), notEqual(bytes)],
      ...toThisHost(),
      ...toMapped(MAPS[version], version),
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

/** True: it is new, and empty. */
function ensureTable(socket: NetlinkSocket, table: NftTable): boolean {
  const found = readTable(socket, TABLE);
  if (found === undefined || VERSIONS.some((version) => readElements(socket, TABLE, MAPS[version]) === undefined)) {
    replaceTable(socket, table);
    return true;
  }
  const rules = table.chains.flatMap(({ name, rules: own }) => own.map(({ comment }) => `${name} ${comment}`));
  if (String(found.rules) !== String(rules)) replaceRules(socket, table);
  return false;
}

function readAll(socket: NetlinkSocket): Map<string, string> {
  return new Map(
    VERSIONS.flatMap((ipVersion) =>
      (readElements(socket, TABLE, MAPS[ipVersion]) ?? []).flatMap(({ key, value }) => {
        const protocol = (['TCP', 'UDP', 'SCTP'] as const).find((one) => PROTOCOLS[one] === key[0]);
        const port = ((key[4] ?? 0) << 8) | (key[5] ?? 0);
        return protocol === undefined
          ? []
          : [[`${ipVersion} ${protocol} ${port}`, Buffer.from(value).toString('hex')] as const];
      }),
    ),
  );
}

function versionOf(key: string): 4 | 6 {
  return key.startsWith('4') ? 4 : 6;
}

function keyBytes(key: string): Uint8Array {
  const [, protocol = 'TCP', port = '0'] = key.split(' ');
  return words(Uint8Array.of(PROTOCOLS[protocol as keyof typeof PROTOCOLS]), portBytes(Number(port)));
}

function textOf(entrance: Entrance): string {
  return Buffer.from(valueBytes(entrance)).toString('hex');
}

function valueBytes({ to }: Entrance): Uint8Array {
  const address = parseAddress(to.address) ?? new Uint8Array(16);
  return words(isIPv6(to.address) ? address : address.subarray(12), portBytes(to.port));
}

function portBytes(port: number): Uint8Array {
  return Uint8Array.of(port >> 8, port & 0xff);
}

/** One after the other, each filled up to words of 4 bytes. */
function words(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts.map((part) => Buffer.concat([part, Buffer.alloc(-part.length & 3)]))));
}
