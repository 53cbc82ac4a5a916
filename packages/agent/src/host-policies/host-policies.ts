/**
 * Keeps the table of policies for this host as its slices have them (`table.ts`): made anew in one step of the kernel where rules are others, else addresses come and go in it. It stays when the agent
 * ends, and goes once the server has said that the host has no policy any more.
 */
import { type Logger, type Loop, sleep, startLoop } from '@cable/kit';
import { absentOn } from '../ffi/errno.ts';
import type { NetnsRef } from '../net/netns.ts';
import {
  changedTable,
  changeElements,
  deleteTable,
  type NftChange,
  type NftElement,
  type NftTable,
  readElements,
  readTable,
  replaceTable,
} from '../net/nft.ts';
import { NETLINK, NetlinkSocket } from '../net/socket.ts';
import { watchNftables } from '../net/watch.ts';
import type { SliceReader, StateUpdate } from '../stream/slice-reader.ts';
import type { OpenPorts } from './open-ports.ts';
import { DIRECTIONS, DROPPED, HOSTS_TABLE, hostsTable, trackingTable } from './table.ts';
import { concernsPolicies, type Direction, wantedPolicies } from './wanted.ts';

export type HostPoliciesOptions = {
  readonly host: string;
  readonly slices: Pick<SliceReader, 'header' | 'item' | 'items' | 'keys'>;
  /** Names of this host's links as a node. */
  readonly nodeLinks: () => readonly string[];
  readonly openPorts: OpenPorts;
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** Called when `revision` or `failure` is another. */
  readonly onChange: () => void;
  /** How long connections are seen before the first is refused, where none were tracked. Default: 6 s, more than there is between two heartbeats of the agent. */
  readonly graceMs?: number;
  /** Default: the network namespace that this process is in. */
  readonly netns?: NetnsRef;
};

/** For status. */
export type HostPoliciesView = {
  /** Ids of those in force. */
  readonly policies: readonly string[];
  readonly ingress: boolean;
  readonly egress: boolean;
  /** Why they are not as they should be; null: they are. */
  readonly error: string | null;
  /** Times that somebody removed or changed the table, and it was put back. */
  readonly restored: number;
  /** Packets that no policy let pass, since the agent began. */
  readonly dropped: Readonly<Record<Direction, number>>;
};

/** What is in the kernel, as far as it is known. */
type Made = {
  readonly table: NftTable;
  /** All of it but elements, as text. */
  readonly text: string;
  /** As the kernel has it. */
  readonly shape: string;
};

/** Tables of many policies in one datagram. */
const SEND_BYTES = 1 << 26;
/** More than these in one change, and the table is made anew: what comes and goes is one step. */
const MOST_CHANGES = 500;
const GRACE_MS = 6000;
/** A look without being told of anything. */
const EVERY_MS = 60_000;
/** Changes that come together are one round. */
const REST_MS = 20;

export class HostPolicies {
  readonly #options: HostPoliciesOptions;
  readonly #loop: Loop;
  #socket: NetlinkSocket | undefined;
  #made: Made | undefined;
  /** Somebody has changed the table, or may have. */
  #isDoubtful = true;
  #taken = { revision: 0, synced: false };
  #isDue = false;
  #revision = 0;
  #failure: string | undefined;
  #restored = 0;
  #lookedAtMs = Number.NEGATIVE_INFINITY;
  #view: Pick<HostPoliciesView, 'policies' | 'ingress' | 'egress'> = NONE;
  /** What tables of before have dropped. */
  #dropped: Record<Direction, number> = { ingress: 0, egress: 0 };

  constructor(options: HostPoliciesOptions) {
    this.#options = options;
    const { log, signal } = options;
    this.#loop = startLoop({
      ...{ name: 'policies for this host', log, signal, everyMs: EVERY_MS },
      run: () => this.#round(),
    });
    this.#watch();
    void this.#loop.done.finally(() => this.#socket?.close());
  }

  /** Resolves after the signal aborted: the table stays. */
  get done(): Promise<void> {
    return this.#loop.done;
  }

  /** The state changed. */
  take({ revision, synced, changes }: Pick<StateUpdate, 'revision' | 'synced' | 'changes'>): void {
    const isFirst = this.#taken.revision === 0;
    const isFirstSync = synced && !this.#taken.synced;
    this.#taken = { revision, synced: synced || this.#taken.synced };
    this.#isDue ||= isFirst || isFirstSync || this.#areConcerned(changes);
    if (this.#isDue) this.#loop.trigger();
    // One that fails is tried again after a while, and keeps no port waiting meanwhile.
    if (!this.#isDue || this.#failure !== undefined) this.#revision = revision;
  }

  /** Links of the node came or went. */
  check(): void {
    this.#isDue = true;
    this.#loop.trigger();
  }

  /** All that the state said up to it is in force here, or `failure` says why not. */
  get revision(): number {
    return this.#revision;
  }

  /** Undefined: all is in force. */
  get failure(): string | undefined {
    return this.#failure;
  }

  get view(): HostPoliciesView {
    const now = this.#countedNow();
    return {
      ...this.#view,
      error: this.#failure ?? null,
      restored: this.#restored,
      dropped: { ingress: this.#dropped.ingress + now.ingress, egress: this.#dropped.egress + now.egress },
    };
  }

  /** A host without policies looks at nothing but whether it gets some. */
  #areConcerned(changes: StateUpdate['changes']): boolean {
    const { slices, host } = this.#options;
    const own = `host:${host}`;
    if (changes.some(({ key, item }) => item === null && key === own)) return true;
    const hasSome = this.#made !== undefined || slices.header(`host:${host}`)?.policies !== undefined;
    return hasSome && changes.some((one) => concernsPolicies(one, slices, host));
  }

  #watch(): void {
    const { log, signal, netns } = this.#options;
    const look = (): void => {
      if (this.#isDoubtful) this.#loop.trigger();
    };
    try {
      watchNftables({
        onMessage: (message) => {
          this.#isDoubtful ||= changedTable(message) === HOSTS_TABLE.name;
        },
        onBurst: look,
        onLoss: () => {
          this.#isDoubtful = true;
          look();
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
  }

  async #round(): Promise<void> {
    const { onChange, signal } = this.#options;
    const { revision, synced } = this.#taken;
    if (revision === 0) return;
    this.#isDue = false;
    const now = performance.now();
    // Elements that come and go are not among what the kernel tells.
    this.#isDoubtful ||= now - this.#lookedAtMs >= EVERY_MS;
    if (this.#isDoubtful) this.#lookedAtMs = now;
    const before = `${this.#revision} ${this.#failure ?? ''}`;
    try {
      await this.#apply(synced);
      this.#failure = undefined;
    } catch (err) {
      this.#failure = err instanceof Error ? err.message : String(err);
      this.#isDue = true;
      throw err;
    } finally {
      // A host whose kernel refuses it keeps no port of others waiting. What came meanwhile and is no matter of policies is in force as well.
      const isAll = !this.#isDue || this.#failure !== undefined;
      if (!signal.aborted) this.#revision = isAll ? this.#taken.revision : revision;
      if (before !== `${this.#revision} ${this.#failure ?? ''}`) onChange();
    }
    if (this.#made !== undefined) await sleep(REST_MS, signal);
  }

  async #apply(isSynced: boolean): Promise<void> {
    const { slices, host, nodeLinks, openPorts, signal } = this.#options;
    // Without it nothing is known of the host.
    if (slices.header(`host:${host}`) === undefined) return;
    const wanted = wantedPolicies(slices, host);
    if (wanted === undefined) {
      if (isSynced) this.#remove();
      return;
    }
    const table = hostsTable(wanted, { openPorts, nodeLinks: nodeLinks() });
    if (this.#isFirstOf(table)) {
      replaceTable(this.#open(), trackingTable());
      await sleep(this.#options.graceMs ?? GRACE_MS, signal);
      if (signal.aborted) return;
    }
    this.#put(table);
    const { policies, isolated } = wanted;
    this.#view = { policies, ...isolated };
  }

  /** A node's connections are tracked whatever policies it has (`guard.ts`). */
  #isFirstOf({ chains }: NftTable): boolean {
    if (chains.length === 0 || this.#options.nodeLinks().length > 0 || this.#made !== undefined) return false;
    return readTable(this.#open(), HOSTS_TABLE) === undefined;
  }

  #put(table: NftTable): void {
    const text = textOf(table);
    const made = this.#made;
    // Also of what comes while it is looked at a look is due.
    const isDoubtful = this.#isDoubtful || made === undefined;
    this.#isDoubtful = false;
    if (isDoubtful && made !== undefined && !this.#isAsMade(made)) {
      this.#options.log.warn({}, 'the table of policies for this host was changed, putting it right');
      this.#restored += 1;
    } else if (made?.text === text) {
      const changes = changesOf(made.table, table);
      const size = changes.reduce((sum, { gone, come }) => sum + gone.length + come.length, 0);
      if (size === 0) return;
      if (size <= MOST_CHANGES) {
        // Where the kernel refuses it is made anew.
        this.#made = undefined;
        changeElements(this.#open(), HOSTS_TABLE, changes);
        this.#made = { ...made, table };
        return;
      }
    }
    this.#keepCounted();
    this.#made = undefined;
    replaceTable(this.#open(), table);
    this.#made = { table, text, shape: readTable(this.#open(), HOSTS_TABLE)?.shape ?? '' };
  }

  #isAsMade({ table, shape }: Made): boolean {
    if (readTable(this.#open(), HOSTS_TABLE)?.shape !== shape) return false;
    return (table.maps ?? []).every(({ name, elements = [] }) => {
      const found = readElements(this.#open(), HOSTS_TABLE, name);
      return found !== undefined && keysOf(found).join() === keysOf(elements).join();
    });
  }

  /** Only once the server has said that there are none. */
  #remove(): void {
    if (this.#made === undefined && !this.#isDoubtful) return;
    this.#isDoubtful = false;
    this.#keepCounted();
    absentOn(NO_NF_TABLES, () => deleteTable(this.#open(), HOSTS_TABLE));
    this.#made = undefined;
    this.#view = NONE;
  }

  /** With the table go its counters. */
  #keepCounted(): void {
    const now = this.#countedNow();
    for (const one of DIRECTIONS) this.#dropped[one] += now[one];
  }

  #countedNow(): Readonly<Record<Direction, number>> {
    const packets = this.#made === undefined ? undefined : readTable(this.#open(), HOSTS_TABLE)?.packets;
    return { ingress: packets?.get(DROPPED.ingress) ?? 0, egress: packets?.get(DROPPED.egress) ?? 0 };
  }

  #open(): NetlinkSocket {
    const { netns } = this.#options;
    this.#socket ??= new NetlinkSocket({
      ...{ protocol: NETLINK.netfilter, sendBytes: SEND_BYTES },
      ...(netns === undefined ? {} : { netns }),
    });
    return this.#socket;
  }
}

/** Of a kernel without them. */
const NO_NF_TABLES = ['EOPNOTSUPP', 'EAFNOSUPPORT', 'EPROTONOSUPPORT'] as const;

const NONE = { policies: [], ingress: false, egress: false } as const;

/** False: there was none. */
export function removeHostPolicies(socket: NetlinkSocket): boolean {
  return deleteTable(socket, HOSTS_TABLE);
}

/** Comments say all that rules do; elements are looked at by themselves. */
function textOf({ chains, maps = [] }: NftTable): string {
  return JSON.stringify([
    chains.map(({ name, rules }) => [name, ...rules.map(({ comment }) => comment)]),
    maps.map(({ name }) => name),
  ]);
}

/** Of tables with the same sets. */
function changesOf({ maps: before = [] }: NftTable, { maps: after = [] }: NftTable): readonly NftChange[] {
  return after.flatMap(({ name, elements = [] }, at) => {
    const [was, is] = [byKey(before[at]?.elements ?? []), byKey(elements)];
    const gone = [...was].flatMap(([key, one]) => (is.has(key) ? [] : [one]));
    const come = [...is].flatMap(([key, one]) => (was.has(key) ? [] : [one]));
    return gone.length + come.length === 0 ? [] : [{ map: name, gone, come }];
  });
}

function byKey(elements: readonly NftElement[]): ReadonlyMap<string, NftElement> {
  return new Map(elements.map((one) => [keyOf(one), one]));
}

function keysOf(elements: readonly NftElement[]): readonly string[] {
  return elements.map(keyOf).sort();
}

function keyOf({ key, end }: NftElement): string {
  const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
  return end === undefined ? hex(key) : `${hex(key)}-${hex(end)}`;
}
