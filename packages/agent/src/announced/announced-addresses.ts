/**
 * Addresses of Services that hosts announce on their links (docs/design/services.md): for each, whether this host answers for it. The order among hosts is that of `candidates.ts`; whether
 * others live is known by probes between hosts. Before a host takes an address it asks the link: who answers keeps it. So one that comes back moves nothing, and two that cannot hear each
 * other's probes, but are on one link, do not both take it. What is answered is in the kernel, and outlives the agent.
 */
import type { Logger } from '@cable/kit';
import type { Announced as PlannedAddress } from '../plan/entrances.ts';
import { type Candidate, inOrder, placeOf, type Sight, type Standing } from './candidates.ts';

/** An address that hosts announce. */
export type Announced = Pick<PlannedAddress, 'address' | 'hosts'>;

/** A link on which this host announces. `tags`: of the prefixes whose addresses it announces there, by prefix. */
export type AnnouncingLink = {
  readonly ifindex: number;
  readonly name: string;
  readonly mac: string;
  readonly has: (address: string) => number | undefined;
  /** Other hosts are reached by it: one that lives shows that it forwards. */
  readonly leadsToHosts: boolean;
};

/** As `cb_announced_1` has it. `heardNs` 0: nobody else has said that he has it. */
export type AnnouncedRow = {
  readonly mac: string;
  readonly isHere: boolean;
  readonly otherMac: string;
  readonly heardNs: bigint;
};

export type AnnouncedRows = {
  list(): Iterable<readonly [ifindex: number, address: string]>;
  get(ifindex: number, address: string): AnnouncedRow | undefined;
  put(ifindex: number, address: string, row: AnnouncedRow): void;
  remove(ifindex: number, address: string): void;
};

export type AnnouncedAddressesDeps = {
  /** This host's name. */
  readonly host: string;
  readonly rows: AnnouncedRows;
  /** Other nodes and this one, by name. */
  readonly nodes: () => readonly Candidate[];
  readonly links: () => readonly AnnouncingLink[];
  /** `tag`: of the prefix that the address is in. */
  readonly sight: (tag: number) => Sight;
  /** These hosts are to be asked whether they live. */
  readonly watch: (underlays: ReadonlySet<string>) => void;
  /** Asks the link who has the address; `mac` undefined: all there. It may be lost. */
  readonly ask: (link: AnnouncingLink, address: string, mac: string | undefined) => void;
  /** Tells all on the link that it is here. */
  readonly tell: (link: AnnouncingLink, address: string) => void;
  /** Milliseconds. */
  readonly now: () => number;
  readonly log: Logger;
};

/** For status, and the server. `other`: the MAC of who has it as well, or instead. */
export type AnnouncedView = {
  readonly address: string;
  readonly link: string;
  readonly state: 'here' | 'elsewhere' | 'asking';
  readonly other: string | null;
};

/** How long the link has to answer. */
const ANSWER_MS = 200;
/** So many questions without an answer: nobody has it. */
const QUESTIONS = 3;
/** Who has it is asked so often whether he still does, by the host that comes first. */
const AGAIN_MS = 500;
/** A host near behind looks so seldom whether anybody has it: the first may live without an agent, and not know of the address. */
const PATROL_MS = 3000;
/** The same, by the host that has it but does not come first: there may be two. */
const DOUBT_MS = 5000;
/** Nothing says that an announcement got there (RFC 4861: MAX_NEIGHBOR_ADVERTISEMENT, RetransTimer). */
const TIMES = 3;
const TELL_AGAIN_MS = 1000;
/** Who heard another announcement, or none, as where a switch fell in two, is put right so soon. */
const REFRESH_MS = 60_000;
/** Whoever else says that he has it is answered no more often (RFC 5227: DEFEND_INTERVAL). */
const DEFEND_MS = 10_000;
/** So long somebody else who has said that he has an address is shown. */
const SHOWN_MS = 60_000;

/**
 * A link that has just come up may forward nothing yet: bridges wait for twice 15 s (IEEE 802.1D, forward delay), and all who have an address seem silent meanwhile. Nothing is taken on it before
 * a host was heard by it, or for so long.
 */
const HOLD_MS = 35_000;
/** Whether a host lives is known so much later. */
const STALE_MS = 1500;
/** So many others are asked whether they live, to know whether a link forwards. */
const WITNESSES = 3;

/** `isProven`: it forwards, or has been there for long. */
type LinkState = { readonly sinceMs: number; readonly isAgain: boolean; isProven: boolean };

type Place = {
  readonly link: AnnouncingLink;
  isHere: boolean;
  /** Questions that nobody has answered. */
  asked: number;
  nextMs: number;
  /** As it was when `nextMs` was set. */
  patrolMs: number | undefined;
  heardNs: bigint;
  other: string | undefined;
  otherMs: number;
  /** Of one that an agent of before had: looks that are left whether somebody has taken it meanwhile. */
  checks: number;
  /** Announcements that are still to be made. */
  tells: number;
  tellMs: number;
  defendedMs: number;
};

export class AnnouncedAddresses {
  readonly #deps: AnnouncedAddressesDeps;
  #wanted: ReadonlyMap<string, Announced> | undefined;
  #isWhole = false;
  readonly #places = new Map<string, Place>();
  readonly #links = new Map<number, LinkState>();
  /** Links that were there, and are no more or again. */
  readonly #seen = new Set<number>();
  readonly #standings = new Map<string, Standing & { readonly of: Announced; readonly among: readonly Candidate[] }>();

  constructor(deps: AnnouncedAddressesDeps) {
    this.#deps = deps;
  }

  /** Addresses that are to be announced, by address. `isWhole`: what is not among them may go. */
  take(wanted: ReadonlyMap<string, Announced>, isWhole: boolean): void {
    this.#wanted = wanted;
    this.#isWhole ||= isWhole;
  }

  get view(): readonly AnnouncedView[] {
    const now = this.#deps.now();
    return [...this.#places].map(([address, place]) => ({
      address,
      link: place.link.name,
      state: place.isHere ? 'here' : place.asked > 0 ? 'asking' : 'elsewhere',
      other: place.other !== undefined && now - place.otherMs < SHOWN_MS ? place.other : null,
    }));
  }

  /** Addresses that this host answers for. */
  get here(): readonly string[] {
    return [...this.#places].flatMap(([address, { isHere }]) => (isHere ? [address] : [])).sort();
  }

  /** The same, with their devices. */
  get places(): readonly { readonly ifindex: number; readonly address: string }[] {
    return [...this.#places].flatMap(([address, { isHere, link }]) =>
      isHere ? [{ ifindex: link.ifindex, address }] : [],
    );
  }

  /** Looks, asks and decides. Returns whether `here` is another now. */
  tick(): boolean {
    const { rows, watch } = this.#deps;
    const before = this.here;
    if (this.#wanted === undefined) return false;
    const links = this.#deps.links();
    const nodes = this.#deps.nodes();
    const asked = new Set<string>();
    this.#lookAtLinks(links);
    for (const link of links) this.#prove(link, nodes, asked);
    const due = new Map<string, AnnouncingLink>();
    for (const one of this.#wanted.values()) {
      const { address } = one;
      const found = links.flatMap((link) => {
        const tag = link.has(address);
        return tag === undefined ? [] : [{ link, tag }];
      });
      const [first] = found;
      if (first === undefined) continue;
      const standing = this.#standing(one, nodes);
      if (standing.at < 0) continue;
      const seen = placeOf(standing, this.#deps.sight(first.tag));
      for (const other of seen.ask) asked.add(other);
      due.set(address, first.link);
      this.#step(
        address,
        first.link,
        seen.isFirst,
        seen.isFirst ? 0 : seen.isNear ? standing.at * PATROL_MS : undefined,
      );
    }
    for (const address of this.#places.keys()) if (!due.has(address)) this.#leave(address);
    for (const key of this.#standings.keys()) if (!this.#wanted.has(key)) this.#standings.delete(key);
    if (this.#isWhole) {
      const stale = [...rows.list()].filter(([ifindex, address]) => due.get(address)?.ifindex !== ifindex);
      for (const [ifindex, address] of stale) rows.remove(ifindex, address);
    }
    watch(asked);
    return String(before) !== String(this.here);
  }

  /** A link on which an agent of before has announced something has been there for long. */
  #lookAtLinks(links: readonly AnnouncingLink[]): void {
    const { rows, now } = this.#deps;
    const there = new Set(links.map(({ ifindex }) => ifindex));
    for (const ifindex of this.#links.keys()) if (!there.has(ifindex)) this.#links.delete(ifindex);
    for (const ifindex of there) {
      if (this.#links.has(ifindex)) continue;
      const isAgain = this.#seen.has(ifindex);
      this.#seen.add(ifindex);
      const hadRows = [...rows.list()].some(([one, address]) => one === ifindex && rows.get(one, address)?.isHere);
      this.#links.set(ifindex, { sinceMs: now(), isAgain, isProven: !isAgain && hadRows });
    }
  }

  /** Asks other hosts whether they live, for as long as it is not known whether the link forwards. */
  #prove(link: AnnouncingLink, nodes: readonly Candidate[], asked: Set<string>): void {
    const state = this.#links.get(link.ifindex);
    if (state === undefined || state.isProven) return;
    const others = nodes.flatMap(({ host, underlay }) => (host === this.#deps.host ? [] : (underlay ?? [])));
    const ageMs = this.#deps.now() - state.sinceMs;
    const isFresh = !state.isAgain || ageMs >= STALE_MS;
    const witnesses = link.leadsToHosts ? others.slice(0, WITNESSES) : [];
    const sight = this.#deps.sight(0);
    state.isProven =
      ageMs >= HOLD_MS || others.length === 0 || (isFresh && witnesses.some((one) => sight(one).state === 'alive'));
    if (!state.isProven) for (const one of witnesses) asked.add(one);
  }

  #standing(one: Announced, among: readonly Candidate[]): Standing {
    const { address, hosts } = one;
    const before = this.#standings.get(address);
    if (before?.of === one && before.among === among) return before;
    const may = among.filter(
      ({ host, announces }) => announces !== false && (hosts === undefined || hosts.includes(host)),
    );
    const order = inOrder(address, may);
    const standing = { of: one, among, order, at: order.findIndex(({ host }) => host === this.#deps.host) };
    this.#standings.set(address, standing);
    return standing;
  }

  /** One address that this host may have. `patrolMs`: how often it looks whether anybody has it; 0: it is to have it; undefined: others look. */
  #step(address: string, link: AnnouncingLink, isFirst: boolean, patrolMs: number | undefined): void {
    const { rows, now } = this.#deps;
    const place = this.#placeOf(address, link);
    const row = rows.get(link.ifindex, address);
    const isHeard = row !== undefined && row.heardNs > place.heardNs;
    if (isHeard) {
      place.heardNs = row.heardNs;
      place.other = row.otherMac;
      place.otherMs = now();
    }
    if (place.isHere) this.#keep(address, place, isFirst, isHeard);
    else if (patrolMs !== undefined) this.#seek(address, place, isHeard, patrolMs);
    else place.asked = 0;
    // Somebody has taken it out, or the device has another MAC.
    if (row?.isHere !== place.isHere || row.mac !== link.mac) this.#write(address, place);
    this.#tell(address, place);
  }

  /** What an agent of before has answered for goes on. */
  #placeOf(address: string, link: AnnouncingLink): Place {
    const before = this.#places.get(address);
    if (before !== undefined && before.link.ifindex === link.ifindex) {
      if (before.link === link) return before;
      const moved = { ...before, link, ...(before.link.mac === link.mac ? {} : { tells: TIMES, tellMs: 0 }) };
      this.#places.set(address, moved);
      return moved;
    }
    if (before !== undefined) this.#leave(address);
    const { rows, now } = this.#deps;
    const row = rows.get(link.ifindex, address);
    const place: Place = {
      ...{ link, isHere: row?.isHere === true, asked: 0, nextMs: now(), patrolMs: undefined },
      heardNs: row?.heardNs ?? 0n,
      ...{ other: undefined, otherMs: 0, checks: row?.isHere === true ? QUESTIONS + 1 : 0 },
      ...{ tells: 0, tellMs: now() + REFRESH_MS, defendedMs: Number.NEGATIVE_INFINITY },
    };
    this.#places.set(address, place);
    return place;
  }

  /** It is here. Another who has it too is to have it, if he comes before this host. */
  #keep(address: string, place: Place, isFirst: boolean, isHeard: boolean): void {
    const { now, ask, log } = this.#deps;
    const { name: link } = place.link;
    if (isHeard && (!isFirst || place.checks > 0)) {
      log.warn({ address, link, mac: place.other }, 'another host announces this address, too: it is left to it');
      this.#put(address, place, false);
      return;
    }
    if (isHeard && now() - place.defendedMs >= DEFEND_MS) {
      log.warn(
        { address, link, mac: place.other },
        'somebody else says that he has an address which this host announces',
      );
      place.defendedMs = now();
      place.tells = Math.max(place.tells, 1);
      place.tellMs = 0;
    }
    if (now() < place.nextMs || (isFirst && place.checks === 0)) return;
    if (place.checks > 0) place.checks -= 1;
    place.nextMs = now() + (place.checks > 0 ? ANSWER_MS : DOUBT_MS);
    // The last look only waits.
    if (place.checks > 0 || !isFirst) ask(place.link, address, undefined);
  }

  /** It is to be here, unless somebody on the link has it. */
  #seek(address: string, place: Place, isHeard: boolean, patrolMs: number): void {
    const { now, ask, log } = this.#deps;
    if (patrolMs !== place.patrolMs) {
      place.patrolMs = patrolMs;
      place.asked = 0;
      place.nextMs = now() + patrolMs;
    }
    if (isHeard) {
      if (place.asked > 0) place.nextMs = now() + Math.max(patrolMs, AGAIN_MS);
      place.asked = 0;
      return;
    }
    if (now() < place.nextMs || this.#links.get(place.link.ifindex)?.isProven !== true) return;
    if (place.asked < QUESTIONS) {
      // Who had it last is asked alone: nobody else need hear it.
      ask(place.link, address, place.asked === 0 ? place.other : undefined);
      place.asked += 1;
      place.nextMs = now() + ANSWER_MS;
      return;
    }
    log.info({ address, link: place.link.name }, 'announces an address of a Service');
    place.other = undefined;
    place.tells = TIMES;
    this.#put(address, place, true);
  }

  #tell(address: string, place: Place): void {
    const { now, tell } = this.#deps;
    if (!place.isHere || now() < place.tellMs) return;
    place.tells = Math.max(0, place.tells - 1);
    place.tellMs = now() + (place.tells > 0 ? TELL_AGAIN_MS : REFRESH_MS);
    tell(place.link, address);
  }

  #put(address: string, place: Place, isHere: boolean): void {
    place.isHere = isHere;
    place.asked = 0;
    place.nextMs = this.#deps.now() + (isHere ? DOUBT_MS : AGAIN_MS);
    place.tellMs = 0;
    this.#write(address, place);
  }

  #write(address: string, { link, isHere, other = '', heardNs }: Place): void {
    this.#deps.rows.put(link.ifindex, address, { mac: link.mac, isHere, otherMac: other, heardNs });
  }

  #leave(address: string): void {
    const place = this.#places.get(address);
    if (place === undefined) return;
    if (place.isHere)
      this.#deps.log.info({ address, link: place.link.name }, 'announces an address of a Service no more');
    this.#deps.rows.remove(place.link.ifindex, address);
    this.#places.delete(address);
  }
}
