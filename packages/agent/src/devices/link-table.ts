/**
 * The one observed table of devices: what the kernel tells is applied as it comes; nothing is asked for it. In full it is read at the start,
 * each minute, and when the kernel could not keep all that it had to tell.
 */
import { type Logger, type Loop, startLoop, startTurns } from '@cable/kit';
import { decodeAddressEvent, readAddresses } from '../net/address.ts';
import { decodeFilterEvent, ingressProgramId, listIngressQdiscs } from '../net/filter.ts';
import { decodeLinkEvent, getLink, readLinks } from '../net/link.ts';
import type { NetlinkMessage } from '../net/message.ts';
import type { NetnsRef } from '../net/netns.ts';
import { NetlinkSocket } from '../net/socket.ts';
import { type NetlinkWatch, watchDevices } from '../net/watch.ts';
import { type LinkChanges, LinkRows, type ObservedLink, type RowEvent, sameRow } from './link-rows.ts';

/** The table as others read it. */
export type Links = Pick<LinkTable, 'get' | 'byName' | 'values'>;

export type LinkTableOptions = {
  /** Called after each burst of events and each full read that changed something. */
  readonly onChange: (changes: LinkChanges) => void;
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** The network namespace to observe; default: the one this process is in. */
  readonly netns?: NetnsRef;
  /** What the kernel may keep for it. Default 16 MiB. */
  readonly receiveBytes?: number;
  /** Time between full reads. Default one minute. */
  readonly everyMs?: number;
};

/** For status: how the table is kept. */
export type LinkTableCounters = {
  readonly links: number;
  readonly events: number;
  /** Times that the kernel could not keep all events. */
  readonly overruns: number;
  readonly fullReads: number;
};

const FULL_READ_MS = 60_000;
/** Lists that change all the time while they are read are taken as they are: what changed was told. */
const TRIES = 3;

export class LinkTable {
  readonly #options: LinkTableOptions;
  readonly #rows = new LinkRows();
  /** Rows before the first change since `onChange` was called last; undefined: there was none. */
  readonly #before = new Map<number, ObservedLink | undefined>();
  /** Events since the full read that goes on began. */
  #sinceRead: RowEvent[] | undefined;
  /** Who waits until a device is gone, by its ifindex. */
  readonly #goodbyes = new Map<number, Set<() => void>>();
  #watch: NetlinkWatch | undefined;
  #loop: Loop | undefined;
  #events = 0;
  #overruns = 0;
  #fullReads = 0;

  constructor(options: LinkTableOptions) {
    this.#options = options;
  }

  /** undefined: no such device. */
  get(ifindex: number): ObservedLink | undefined {
    return this.#rows.get(ifindex);
  }

  byName(name: string): ObservedLink | undefined {
    return this.#rows.byName(name);
  }

  values(): Iterable<ObservedLink> {
    return this.#rows.values();
  }

  /**
   * Resolves when none of these devices is in the table any more: the kernel, which is not done with one then, tells so early. Never, when the signal aborts
   * before.
   */
  async gone(ifindexes: Iterable<number>, signal: AbortSignal): Promise<void> {
    await Promise.all([...ifindexes].map((ifindex) => this.#goneOne(ifindex, signal)));
  }

  counters(): LinkTableCounters {
    return { links: this.#rows.size, events: this.#events, overruns: this.#overruns, fullReads: this.#fullReads };
  }

  /** Begins to observe; `ready` when all was read once, `done` after the signal aborted. Throws when it cannot hear. */
  start(): { readonly ready: Promise<void>; readonly done: Promise<void> } {
    const { log, signal, netns, receiveBytes } = this.#options;
    const at = netns === undefined ? {} : { netns };
    const socket = new NetlinkSocket(at);
    this.#watch = watchDevices({
      onMessage: (message) => this.#take(message),
      onBurst: () => this.#tell(),
      onLoss: () => this.#lost(),
      signal,
      ...at,
      ...(receiveBytes === undefined ? {} : { receiveBytes }),
    });
    let isReady = (): void => undefined;
    const ready = new Promise<void>((resolve) => {
      isReady = resolve;
    });
    const run = async (): Promise<void> => {
      await this.#readAll(socket);
      isReady();
    };
    this.#loop = startLoop({ name: 'link table', log, signal, run, everyMs: this.#options.everyMs ?? FULL_READ_MS });
    const done = this.#loop.done.finally(() => {
      isReady();
      socket.close();
    });
    return { ready, done };
  }

  /**
   * Takes now what the kernel has told already, of much only a part: what this process changed itself is then in the table.
   * False: there is more, it comes in the next turns.
   */
  catchUp(): boolean {
    return this.#watch?.readNow() ?? true;
  }

  /** Asks for a full read: something was found otherwise than it is here. */
  invalidate(): void {
    this.#loop?.trigger();
  }

  #goneOne(ifindex: number, signal: AbortSignal): Promise<void> {
    if (this.#rows.get(ifindex) === undefined) return Promise.resolve();
    return new Promise((resolve) => {
      const waiting = this.#goodbyes.get(ifindex) ?? new Set();
      this.#goodbyes.set(ifindex, waiting.add(resolve));
      const forget = (): void => {
        waiting.delete(resolve);
        if (waiting.size === 0) this.#goodbyes.delete(ifindex);
      };
      signal.addEventListener('abort', forget, { once: true });
    });
  }

  #sayGoodbye(ifindex: number): void {
    for (const resolve of this.#goodbyes.get(ifindex) ?? []) resolve();
    this.#goodbyes.delete(ifindex);
  }

  #take(message: NetlinkMessage): void {
    const event = decodeEvent(message);
    if (event === undefined) return;
    this.#events += 1;
    this.#sinceRead?.push(event);
    const ifindex = ifindexOf(event);
    this.#remember(ifindex);
    this.#rows.apply(event);
    if (this.#rows.get(ifindex) === undefined) this.#sayGoodbye(ifindex);
  }

  #lost(): void {
    this.#overruns += 1;
    this.#options.log.warn(
      { overruns: this.#overruns },
      'the kernel could not tell all changes of devices, reading all',
    );
    this.invalidate();
  }

  #remember(ifindex: number): void {
    if (!this.#before.has(ifindex)) this.#before.set(ifindex, this.#rows.get(ifindex));
  }

  /** Tells what differs from when it was told last. */
  #tell(): void {
    const ifindexes = new Set<number>();
    const names = new Set<string>();
    const moved = new Set<string>();
    for (const [ifindex, old] of this.#before) {
      const now = this.#rows.get(ifindex);
      if (sameRow(old, now)) continue;
      ifindexes.add(ifindex);
      for (const row of [old, now]) {
        if (row === undefined) continue;
        names.add(row.name);
        if (old?.name !== now?.name) moved.add(row.name);
      }
    }
    this.#before.clear();
    if (ifindexes.size > 0) this.#options.onChange({ ifindexes, names, moved });
  }

  /**
   * What is heard while the lists are read is applied to them afterwards, in order: of each thing the last event is its state, or a later
   * one is still to come.
   */
  async #readAll(socket: NetlinkSocket): Promise<void> {
    for (let tries = 1; ; tries++) {
      const heard: RowEvent[] = [];
      this.#sinceRead = heard;
      const read = await readRows(socket).finally(() => {
        this.#sinceRead = undefined;
      });
      for (const event of heard) read.rows.apply(event);
      if (!read.whole && tries < TRIES) continue;
      this.#replace(read.rows, (ifindex) => !read.whole && getLink(socket, ifindex) !== undefined);
      this.#fullReads += 1;
      return;
    }
  }

  /** `overlooked`: the device is there although the lists do not have it, as may be when they changed while they were read. */
  #replace(rows: LinkRows, overlooked: (ifindex: number) => boolean): void {
    const unlisted = [...this.#rows.values()].filter(({ ifindex }) => rows.get(ifindex) === undefined);
    for (const { ifindex } of unlisted) {
      if (overlooked(ifindex)) continue;
      this.#remember(ifindex);
      this.#rows.remove(ifindex);
      this.#sayGoodbye(ifindex);
    }
    for (const row of rows.values()) {
      if (sameRow(this.#rows.get(row.ifindex), row)) continue;
      this.#remember(row.ifindex);
      this.#rows.put(row);
    }
    this.#tell();
  }
}

function decodeEvent(message: NetlinkMessage): RowEvent | undefined {
  const link = decodeLinkEvent(message);
  if (link !== undefined) return { kind: 'link', ...link };
  const address = decodeAddressEvent(message);
  if (address !== undefined) return { kind: 'address', ...address };
  const filter = decodeFilterEvent(message);
  return filter === undefined ? undefined : { kind: 'filter', ...filter };
}

function ifindexOf(event: RowEvent): number {
  switch (event.kind) {
    case 'link':
      return event.link.ifindex;
    case 'address':
      return event.address.ifindex;
    case 'filter':
      return event.ifindex;
  }
}

/** Everything, with the event loop free between datagrams. `whole`: no list changed while it was read. */
async function readRows(socket: NetlinkSocket): Promise<{ readonly rows: LinkRows; readonly whole: boolean }> {
  const rows = new LinkRows();
  const links = await readLinks(socket, (link) => rows.apply({ kind: 'link', link, gone: false }));
  const addresses = await readAddresses(socket, (address) => rows.apply({ kind: 'address', address, gone: false }));
  const filtered: number[] = [];
  const qdiscs = await listIngressQdiscs(socket, (ifindex) => filtered.push(ifindex));
  const turns = startTurns();
  for (const ifindex of filtered) {
    if (turns.due()) await turns.next();
    rows.apply({ kind: 'filter', ifindex, programId: ingressProgramId(socket, ifindex) });
  }
  return { rows, whole: links && addresses && qdiscs };
}
