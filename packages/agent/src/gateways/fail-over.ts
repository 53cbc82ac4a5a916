import type { Logger } from '@cable/kit';
import type { GatewayHost, RouterHeader, SliceKey } from '@cable/model';
import type { CbBeacon, CbHeard } from '../bpf/abi.gen.ts';
import type { GatewayReader } from '../plan/inputs.ts';
import { gatewayHosts } from '../plan/live-gateway.ts';
import type { SliceChange, SliceReader } from '../stream/slice-reader.ts';
import { CARRIER_MS, CutOff } from './cut-off.ts';
import { Lately } from './lately.ts';
import { type Liveness, PeerWatch } from './peer-watch.ts';
import { beaconOf, beaconRow, numberOf, placeName, type Question } from './probe-frame.ts';
import { activeOf, type Beacon, type Seen, type Sight, wantedPlaces } from './standing.ts';

/** What the kernel keeps of other hosts' answers, and what this one says of itself. It outlives the agent. */
export type ProbeRows = {
  /** Undefined: the host is not listened to. */
  heard(host: string): CbHeard | undefined;
  /** From now on answers of the host are heard, if they have the token. */
  listen(host: string, token: bigint): void;
  forget(host: string): void;
  beacon(): CbBeacon;
  say(beacon: CbBeacon): void;
};

export type FailOverDeps = {
  readonly host: string;
  /** This host's underlay address. */
  readonly underlay: string;
  readonly slices: Pick<SliceReader, 'header' | 'keys'>;
  readonly rows: ProbeRows;
  /** Sends a question; it may be lost. */
  readonly ask: (host: string, question: Question) => void;
  /** Underlay addresses of hosts that answer this one. */
  readonly peers: () => Iterable<string>;
  /** Whether the interface of a physical network has a carrier. */
  readonly hasCarrier: (physicalNetwork: string) => boolean;
  /** When the server was last heard; undefined: not yet. */
  readonly serverHeardMs: () => number | undefined;
  /** The host was started, and has programmed nothing yet. */
  readonly isCold: boolean;
  /** Tags of prefixes whose addresses this host announces on its links. Undefined: not known yet, what was said before stays. Default: it announces none. */
  readonly announces?: () => readonly number[] | undefined;
  readonly newToken: () => bigint;
  /** Milliseconds of the clock of `CbHeard.heardNs`. */
  readonly now: () => number;
  readonly log: Logger;
};

/**
 * So long this one does not take back what the server has given to another that it does not hear: that one may have taken it because it does not hear this one, and the place would go to and fro
 * as often as the server is told.
 */
const SUCCESSOR_MS = 60_000;

/** How often each host is asked. */
export const TICK_MS = 200;
/** Ticks come a little early, too. */
const SLACK_MS = TICK_MS / 4;
/** Questions in one tick: of more hosts each is asked less often. */
const QUESTIONS_A_TICK = 100;
/** Hosts that are asked besides, what they know of one that is silent. */
const WITNESSES = 8;
/** A witness heard the host so lately: it lives. */
const SEEN_MS = 600;
/** A host that lives for others is looked for again after so long. */
const DOUBT_AGAIN_MS = 1000;

/**
 * What one of several hosts has: the gateway of a router, or the way outside of a subnet. `candidates`: the server's choice first; `hosts`: their underlay addresses. `report`: what the server
 * knows it by. `networkId`: on which the host that has it must have a carrier; undefined: on none.
 */
type Held = {
  readonly candidates: readonly GatewayHost[];
  readonly hosts: readonly string[];
  readonly report: string;
  readonly networkId: string | undefined;
};

type Target = {
  readonly watch: PeerWatch;
  readonly token: bigint;
  /** It is no host of gateways: it is asked for others' sake. */
  isWitness: boolean;
  sequence: number;
  /** When it last answered; 0: never, not an agent of before either. */
  heardMs: number;
  aboutBe: number;
  aboutMs: number;
  beacon: Beacon | undefined;
  announces: readonly number[];
};

/** A host that is asked besides, as it is seen. `announces`: tags of prefixes, as it says. */
export type OtherHost = { readonly state: Liveness; readonly announces: readonly number[] };

/** A host that is silent, and may be so for this host alone. */
type Doubt = { sinceMs: number; refused: boolean };

/**
 * Sees to it that a router's gateway is on a host that lives, and that a subnet leaves by a node that does: asks the hosts that may have it, decides who has it as far as can be seen from
 * here, and says of this host what others need to decide the same. The rules are in `standing.ts`.
 */
export class FailOver implements GatewayReader {
  readonly #deps: FailOverDeps;
  /** By router, or by subnet. */
  readonly #held = new Map<string, Held>();
  /** Keys of these, by the router that tells of them. */
  readonly #toldBy = new Map<string, readonly string[]>();
  readonly #targets = new Map<string, Target>();
  readonly #doubts = new Map<string, Doubt>();
  /** Hosts to which the server has given what this one had. */
  readonly #successors = new Lately(SUCCESSOR_MS);
  /** Underlay addresses of hosts that somebody else wants to be asked. */
  #others: ReadonlySet<string> = new Set();
  readonly #cutOff: CutOff;
  /** Where what is held is, if not where the server says; '': nobody's. */
  #places: ReadonlyMap<string, string> = new Map();
  #own: Beacon;
  #isSettled: boolean;
  #lonelySince: number | undefined;
  #isIsolatedSince: number | undefined;
  #noCarrierMs = Number.NEGATIVE_INFINITY;
  #asked = 0;
  #ticks = 0;

  constructor(deps: FailOverDeps) {
    this.#deps = deps;
    this.#isSettled = !deps.isCold;
    this.#cutOff = new CutOff(deps);
    this.#own = { serves: !deps.isCold, stands: deps.isCold ? new Set() : beaconOf(deps.rows.beacon()).stands };
    for (const key of deps.slices.keys()) this.#takeRouter(key);
    this.#setTargets();
    this.#dropPlaces();
    this.#places = this.#placesNow();
    this.#cutOff.look();
  }

  hostOf(id: string): string | undefined {
    return this.#places.get(id);
  }

  isCutOff(routerId: string): boolean {
    return this.#cutOff.has(routerId);
  }

  /** Gateways' ports, and subnets, that the server has on other hosts, and whose place this one has taken. */
  get taken(): readonly string[] {
    const { host } = this.#deps;
    return [...this.#places].flatMap(([id, place]) => (place === host ? (this.#held.get(id)?.report ?? []) : []));
  }

  /** For status. */
  get view(): {
    readonly serves: boolean;
    readonly stands: readonly string[];
    readonly hosts: Readonly<Record<string, Liveness>>;
  } {
    const hosts = [...this.#targets].map(([host, { watch }]) => [host, watch.state] as const);
    return { serves: this.#own.serves, stands: this.#standsFor(), hosts: Object.fromEntries(hosts) };
  }

  /** These hosts are asked besides, by their underlay addresses, whether they have part in gateways or not; each call replaces the one before. */
  watch(hosts: ReadonlySet<string>): void {
    this.#others = hosts;
  }

  /** What is known of a host that is asked. */
  hostAt(underlay: string): OtherHost {
    const target = this.#targets.get(underlay);
    return { state: target?.watch.state ?? 'unknown', announces: target?.announces ?? [] };
  }

  /** The slices changed. Returns routers whose gateway, and subnets whose way outside, is on another host now. */
  take(changes: Iterable<SliceChange>): ReadonlySet<string> {
    let isChanged = false;
    for (const { key, item } of changes) if (item === null) isChanged = this.#takeRouter(key) || isChanged;
    if (!isChanged) return NOTHING;
    this.#setTargets();
    this.#dropPlaces();
    return this.#decide();
  }

  /** Looks at answers, decides, and asks. Every `TICK_MS`. Returns as `take`. */
  tick(): ReadonlySet<string> {
    this.#ticks += 1;
    this.#look();
    const places = this.#settlePlaces();
    this.#say({ serves: this.#mayServe(), stands: places });
    const changed = this.#decide();
    this.#askAll();
    return changed;
  }

  /** Addresses, where the hosts are known. */
  #standsFor(): readonly string[] {
    const known = [...this.#held.values()].flatMap(({ hosts }) => hosts);
    return [...this.#own.stands].map((name) => known.find((host) => placeName(host) === name) ?? name);
  }

  #takeRouter(key: SliceKey): boolean {
    if (!key.startsWith('router:')) return false;
    const id = key.slice('router:'.length);
    const header = this.#deps.slices.header(`router:${id}`);
    const before = this.#toldBy.get(id) ?? [];
    const had = new Set(before.filter((one) => this.#held.get(one)?.hosts[0] === this.#deps.underlay));
    for (const one of before) this.#held.delete(one);
    this.#cutOff.take(id, header?.gateway);
    const now = header === undefined ? [] : heldBy(id, header);
    for (const [one, held] of now) {
      this.#held.set(one, held);
      const [first] = held.hosts;
      if (had.has(one) && first !== undefined && first !== this.#deps.underlay)
        this.#successors.note(first, this.#deps.now());
    }
    if (now.length === 0) this.#toldBy.delete(id);
    else
      this.#toldBy.set(
        id,
        now.map(([one]) => one),
      );
    return before.length > 0 || now.length > 0;
  }

  /** Those that may be gateways of routers here, and witnesses while somebody is in doubt. */
  #setTargets(): void {
    const { underlay, rows, peers } = this.#deps;
    const gateways = new Set([...this.#held.values()].flatMap(({ hosts }) => hosts));
    gateways.delete(underlay);
    const witnesses = new Set<string>();
    if (this.#doubts.size > 0 || this.#isLonely()) {
      for (const host of peers()) {
        if (witnesses.size < WITNESSES && host !== underlay && !gateways.has(host)) witnesses.add(host);
      }
    }
    for (const host of this.#others) if (host !== underlay && !gateways.has(host)) witnesses.add(host);
    for (const [host, target] of this.#targets) {
      target.isWitness = !gateways.has(host);
      if (!target.isWitness || witnesses.has(host)) continue;
      this.#targets.delete(host);
      rows.forget(host);
    }
    for (const host of gateways) if (!this.#targets.has(host)) this.#targets.set(host, this.#listen(host, false));
    for (const host of witnesses) if (!this.#targets.has(host)) this.#targets.set(host, this.#listen(host, true));
  }

  /** What an agent of before has heard counts. */
  #listen(host: string, isWitness: boolean): Target {
    const { rows, newToken } = this.#deps;
    const row = rows.heard(host);
    const token = row?.token ?? newToken();
    if (row === undefined) rows.listen(host, token);
    const { sequence = 0, heardNs = 0n } = row ?? {};
    return {
      ...{ watch: new PeerWatch(sequence), token, isWitness, sequence, aboutBe: 0, aboutMs: 0 },
      heardMs: msOf(heardNs),
      beacon: row === undefined || heardNs === 0n ? undefined : beaconOf(row.beacon),
      announces: row?.beacon.announces ?? [],
    };
  }

  #look(): void {
    const { rows, now, log } = this.#deps;
    for (const [host, target] of this.#targets) {
      const row = rows.heard(host);
      if (row === undefined) {
        // Somebody else has taken it out.
        rows.listen(host, target.token);
        continue;
      }
      if (row.heardNs > 0n && row.token === target.token) {
        target.heardMs = msOf(row.heardNs);
        target.aboutBe = row.aboutBe;
        target.aboutMs = row.aboutMs;
        target.beacon = beaconOf(row.beacon);
        target.announces = row.beacon.announces;
      }
      if (!target.watch.look(row.sequence, now()) || target.isWitness) continue;
      log.info({ host, is: target.watch.state }, 'what is known of a host of gateways has changed');
    }
  }

  #seen(host: string): Seen {
    const target = this.#targets.get(host);
    // One that never answered may be of a build before probes.
    const isAlive = target === undefined || target.heardMs === 0 || target.watch.state !== 'dead';
    return { isAlive, beacon: target?.beacon };
  }

  #sight(): Sight {
    return { self: this.#deps.underlay, own: this.#own, seen: (host) => this.#seen(host) };
  }

  /** True while none of the hosts of gateways that have ever answered does. */
  #isLonely(): boolean {
    const known = [...this.#targets.values()].filter(({ isWitness, heardMs }) => !isWitness && heardMs > 0);
    return known.length > 0 && known.every(({ watch }) => watch.state === 'dead');
  }

  /** Hosts whose place this one takes: those of before, and those of which nobody says that they live. */
  #settlePlaces(): ReadonlySet<string> {
    const { now } = this.#deps;
    const wanted = new Set<string>();
    if (this.#own.serves) {
      const sight = this.#sight();
      for (const { hosts } of this.#held.values()) for (const one of wantedPlaces(hosts, sight)) wanted.add(one);
    }
    for (const host of this.#doubts.keys()) if (!wanted.has(host)) this.#doubts.delete(host);
    for (const host of wanted) if (!this.#doubts.has(host)) this.#doubts.set(host, { sinceMs: now(), refused: false });
    this.#setTargets();
    this.#judgeIsolation();
    const stands = new Set(this.#own.stands);
    for (const [host, doubt] of this.#doubts) if (this.#isDead(host, doubt)) stands.add(placeName(host));
    return stands;
  }

  /** Whoever answers has been asked about each host in doubt, one in each tick. */
  #isDead(host: string, doubt: Doubt): boolean {
    const { now, log } = this.#deps;
    const waited = now() - doubt.sinceMs;
    if (this.#isBlindTo(host)) return false;
    if (waited < this.#doubts.size * TICK_MS - SLACK_MS) return false;
    const about = numberOf(placeName(host));
    const lately = [...this.#targets.values()].filter(({ heardMs }) => heardMs >= doubt.sinceMs);
    if (lately.some(({ aboutBe, aboutMs }) => aboutBe === about && aboutMs < SEEN_MS)) {
      if (!doubt.refused) log.warn({ host }, 'a host of gateways answers others but not this one: it keeps its place');
      doubt.refused = true;
      if (waited >= DOUBT_AGAIN_MS) doubt.sinceMs = now();
      return false;
    }
    if (this.#isIsolatedSince !== undefined && !this.#isServerHeard()) return false;
    if (this.#lonelySince !== undefined && now() - this.#lonelySince < TICK_MS - SLACK_MS) return false;
    this.#doubts.delete(host);
    log.warn({ host }, 'a host of gateways is dead: this one takes its place where it is the next');
    return true;
  }

  /** Has the server given the host what this one had, when this one did not hear it, and has not since? */
  #isBlindTo(host: string): boolean {
    const sinceMs = this.#successors.since(host, this.#deps.now());
    if (sinceMs === undefined) return false;
    return (this.#targets.get(host)?.heardMs ?? 0) < sinceMs - 2 * TICK_MS;
  }

  /** Nobody answers, of two or more hosts that could: it is this one that is cut off. Of a single other host that cannot be known. */
  #judgeIsolation(): void {
    const { now, log } = this.#deps;
    this.#lonelySince = this.#isLonely() ? (this.#lonelySince ?? now()) : undefined;
    const heard = [...this.#targets.values()].map(({ heardMs }) => heardMs);
    const oldest = now() - 5 * TICK_MS + SLACK_MS;
    const isAsked = this.#lonelySince !== undefined && now() - this.#lonelySince >= TICK_MS - SLACK_MS;
    if (isAsked && heard.length > 1 && heard.every((ms) => ms < oldest)) {
      if (this.#isIsolatedSince === undefined) log.warn({}, 'no other host answers this one: it is no gateway');
      this.#isIsolatedSince ??= now();
    } else if (this.#isIsolatedSince !== undefined && heard.some((ms) => ms >= oldest)) {
      this.#isIsolatedSince = undefined;
    }
  }

  #isServerHeard(): boolean {
    const heard = this.#deps.serverHeardMs();
    return heard !== undefined && this.#isIsolatedSince !== undefined && heard > this.#isIsolatedSince;
  }

  #mayServe(): boolean {
    if (!this.#isSettled) {
      const gateways = [...this.#targets.values()].filter(({ isWitness }) => !isWitness);
      this.#isSettled = this.#ticks > 1 && gateways.every(({ watch }) => watch.state !== 'unknown');
    }
    if (!this.#hasCarriers()) this.#noCarrierMs = this.#deps.now();
    const isOutside = this.#deps.now() - this.#noCarrierMs >= CARRIER_MS;
    return this.#isSettled && isOutside && (this.#isIsolatedSince === undefined || this.#isServerHeard());
  }

  /** Of the physical networks on which this host may be a gateway. */
  #hasCarriers(): boolean {
    const { underlay, slices, hasCarrier } = this.#deps;
    const networks = new Set(
      [...this.#held.values()].flatMap(({ hosts, networkId }) => (hosts.includes(underlay) ? (networkId ?? []) : [])),
    );
    return [...networks].every((id) => {
      const physical = slices.header(`network:${id}`)?.wire?.physicalNetwork;
      return physical === undefined || hasCarrier(physical);
    });
  }

  /** The server has the last word about places: a host that is before this one nowhere any more has none that could be taken. */
  #dropPlaces(): void {
    const { underlay } = this.#deps;
    const before = new Set(
      [...this.#held.values()]
        .flatMap(({ hosts }) => hosts.slice(0, Math.max(0, hosts.indexOf(underlay))))
        .map(placeName),
    );
    const stands = [...this.#own.stands].filter((one) => before.has(one));
    this.#say({ ...this.#own, stands: new Set(stands) });
  }

  /** Before anything is done by it. */
  #say(own: Beacon): void {
    const { rows, announces = () => [] } = this.#deps;
    const before = rows.beacon();
    const row = beaconRow(own, announces() ?? before.announces);
    this.#own = own;
    if (JSON.stringify(row) !== JSON.stringify(before)) rows.say(row);
  }

  #decide(): ReadonlySet<string> {
    const before = this.#places;
    this.#places = this.#placesNow();
    const changed = new Set(this.#cutOff.look());
    for (const [id, place] of this.#places) if (before.get(id) !== place) changed.add(id);
    for (const id of before.keys()) if (!this.#places.has(id)) changed.add(id);
    return changed;
  }

  #placesNow(): ReadonlyMap<string, string> {
    const sight = this.#sight();
    const places = new Map<string, string>();
    for (const [id, { candidates, hosts }] of this.#held) {
      const active = activeOf(hosts, sight);
      const place = candidates.find(({ underlay }) => underlay === active)?.host ?? '';
      if (place !== candidates[0]?.host) places.set(id, place);
    }
    return places;
  }

  #askAll(): void {
    const { ask, now } = this.#deps;
    const hosts = [...this.#targets.keys()];
    const doubts = [...this.#doubts.keys()];
    for (let n = 0; n < Math.min(hosts.length, QUESTIONS_A_TICK); n += 1) {
      const host = hosts[(this.#asked + n) % hosts.length] ?? '';
      const target = this.#targets.get(host);
      if (target === undefined) continue;
      target.sequence += 1;
      target.watch.asked(target.sequence, now());
      const about = doubts.length === 0 ? undefined : doubts[this.#ticks % doubts.length];
      ask(host, { sequence: target.sequence, token: target.token, about: about === host ? undefined : about });
    }
    this.#asked += QUESTIONS_A_TICK;
  }
}

/** What several hosts may have of what a router tells. */
function heldBy(
  routerId: string,
  { gateway, centralized = [] }: RouterHeader,
): readonly (readonly [id: string, held: Held])[] {
  const all: readonly (readonly [string, Omit<Held, 'hosts'>])[] = [
    ...(gateway?.standbys === undefined
      ? []
      : [
          [
            routerId,
            { candidates: gatewayHosts(gateway), report: gateway.portId, networkId: gateway.networkId },
          ] as const,
        ]),
    ...centralized.map(
      ({ subnetId, hosts }) => [subnetId, { candidates: hosts, report: subnetId, networkId: undefined }] as const,
    ),
  ];
  return all.flatMap(([id, held]) => {
    const hosts = held.candidates.flatMap(({ underlay }) => underlay ?? []);
    return hosts.length > 1 ? [[id, { ...held, hosts }] as const] : [];
  });
}

const NOTHING: ReadonlySet<string> = new Set();

function msOf(ns: bigint): number {
  return Number(ns / 1000n) / 1000;
}
