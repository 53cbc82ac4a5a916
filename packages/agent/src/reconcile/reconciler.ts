import { type Logger, startTurns, type Turns } from '@cable/kit';
import type { ByteText } from '../bpf/codec.ts';
import { AGENT_MAPS, type AgentMap, type MapEntry } from '../desired.ts';
import type { Claim, EntryChange } from '../plan/claims.ts';
import type { Planner } from '../plan/planner.ts';
import { mayDeny } from '../plan/topics.ts';
import type { Unit } from '../plan/units.ts';
import { isMost } from '../stream/removal-guard.ts';
import { Attachments } from './attached-programs.ts';
import type { DataPlane, Programmed } from './data-plane.ts';
import { Decisions, networkPoliciesIn, policyIn } from './decisions.ts';
import { type Due, DueTable, holds } from './due.ts';
import { desiredChunk, FloodLists, floodNet, MAX_CHUNKS } from './flood-lists.ts';
import { withMemoryTries } from './memory-tries.ts';
import { type MovedAddress, MovedAddresses } from './moved-addresses.ts';
import { type RefusalCount, Refusals } from './refusals.ts';
import { codeOf, isFull, MAP_SIZES, type MapSizes, refusalOf, Shares } from './room.ts';
import { isRowMap, Rows } from './rows.ts';

/** What a round is to make true: the differences since the last one. */
export type Round = {
  /** For one pass. */
  readonly entries: Iterable<EntryChange>;
  /** Ports whose device may be another. */
  readonly ports: ReadonlySet<string>;
  /** False: the maps stay as they are; a device gets its program all the same, and so drops. */
  readonly write: boolean;
  /** The desired state is whole (it was in sync with the server): what it does not name is nobody's. */
  readonly prune: boolean;
  /** Whether what failed before is to be tried again. */
  readonly retry: boolean;
  /** The state that is being programmed. */
  readonly state: Programmed;
};

export type Reconciled = {
  /** Entries written and deleted. */
  readonly puts: number;
  readonly deletes: number;
  /** VIFs and networks about which flows are decided again. */
  readonly raised: number;
  /** Addresses that are at another MAC now: who knew it is to be told. */
  readonly moved: readonly MovedAddress[];
  /** Ports and policies (`policyName`) of which a failure came, went or is another. */
  readonly ports: ReadonlySet<string>;
  readonly policies: ReadonlySet<string>;
};

/** So many of the VIFs that the maps held are of no port that the server knows. */
export type UnknownVifs = { readonly absent: number; readonly of: number };

/** What the reconciler reads of the desired state. */
export type Desired = Pick<Planner, 'entries' | 'vifs'>;

const REVERSED: readonly AgentMap[] = [...AGENT_MAPS].reverse();

/** What networks' rows say of flood lists is known before these are met. */
const READ: readonly AgentMap[] = ['cb_net_1', ...AGENT_MAPS.filter((map) => map !== 'cb_net_1')];

/**
 * Makes the kernel hold the desired state, from its differences. An entry that the kernel refuses stays due and fails its own unit; nothing
 * waits for it. At its first round it reads the maps and takes over what is right.
 */
export class Reconciler {
  readonly #plane: DataPlane;
  readonly #desired: Desired;
  readonly #attachments: Attachments;
  readonly #refusals = new Refusals();
  readonly #moved = new MovedAddresses();
  readonly #sizes: MapSizes;
  readonly #log: Logger;
  #rows: Rows;
  #floods: FloodLists;
  #decisions = new Decisions();
  #shares: Shares;
  #due = new DueTable();
  /** Entries of an earlier run that nobody wants, kept until the state is known to be whole. */
  readonly #stale: Stale = Object.fromEntries(AGENT_MAPS.map((map) => [map, new Map()])) as Stale;
  /** Everything that is due and has not been refused. */
  readonly #fresh = new Set<Due>();
  #adopted = false;
  /** How often the maps were read; once, unless reading failed. */
  #adoptions = 0;
  #pruned = false;
  /** An operator said that ports which the maps hold, and nobody wants, may go. */
  #mayPrune = false;
  /** VIFs that the maps held at first, and those of them that were wanted. */
  #foundVifs = 0;
  #metVifs = 0;
  #programmed: Programmed | undefined;

  constructor(plane: DataPlane, desired: Desired, deps: { readonly log: Logger; readonly sizes?: MapSizes }) {
    this.#plane = plane;
    this.#desired = desired;
    this.#log = deps.log;
    this.#rows = new Rows(plane);
    this.#floods = new FloodLists(plane, this.#rows);
    this.#attachments = new Attachments(plane, deps.log);
    this.#sizes = deps.sizes ?? MAP_SIZES;
    this.#shares = new Shares(this.#sizes);
  }

  /** Why the port's device could not be attached, or an entry of its own was refused. */
  portFailure(portId: string): string | undefined {
    return this.#attachments.failures.get(portId) ?? this.#refusals.ofPort(portId);
  }

  /** Why an entry of the policy was refused, by its name. */
  policyFailure(name: string): string | undefined {
    return this.#refusals.ofPolicy(name);
  }

  /** Refusals that are of no port and no policy: remote endpoints, routes, flood lists. */
  otherFailures(): readonly RefusalCount[] {
    return this.#refusals.others();
  }

  /**
   * Most VIFs that the maps held at first are of no port that the server knows: what nobody wants stays until `prune` is called. So a host that
   * lost its state, and with it what store it follows, is not emptied by the first that it meets. Null: not so.
   */
  get unknownVifs(): UnknownVifs | null {
    const absent = this.#stale.cb_vif_2.size;
    if (this.#mayPrune || this.#pruned || !isMost(absent, this.#foundVifs)) return null;
    return { absent, of: this.#foundVifs };
  }

  /** What nobody wants may go, as soon as the state is whole. */
  prune(): void {
    this.#mayPrune = true;
  }

  /** Whether something failed that a later round may bring about. */
  get unfinished(): boolean {
    return this.#refusals.any || this.#attachments.failures.size > 0;
  }

  /** Somebody took the program off the device. Returns the ports that need a round. */
  restore(ifindex: number): Iterable<string> {
    this.#plane.restore(ifindex);
    return this.#attachments.portsOf(ifindex);
  }

  /** One round; one at a time. After a throw the next one goes on with what is left. */
  async apply(round: Round): Promise<Reconciled> {
    const turns = startTurns();
    if (this.#adopted) {
      for (const change of round.entries) {
        this.#note(change);
        if (turns.due()) await turns.next();
      }
    }
    const again = round.retry ? this.#attachments.failures.keys() : [];
    const attach = new Set([...round.ports, ...again]);
    const ports = await this.#attachments.ensure(attach, this.#desired.vifs, turns);
    const writes = round.write ? await this.#write(round, turns) : NO_WRITES;
    const refusals = this.#refusals.take();
    for (const portId of refusals.ports) ports.add(portId);
    return { ...writes, moved: this.#moved.take(), ports, policies: refusals.policies };
  }

  async #write(round: Round, turns: Turns): Promise<typeof NO_WRITES> {
    if (!this.#adopted) await this.#adopt(turns);
    const prunes = round.prune && this.unknownVifs === null;
    if (prunes && !this.#pruned) await this.#condemnStale(turns);
    const work = await this.#sort(round, turns);
    // Before anything is revoked: after a death in the middle no older state may be put over it.
    const isFirst = this.#recorded().revision === 0;
    if (!isFirst) this.#recordState(round.state);
    await this.#raise([work.revoked, work.puts, work.deletes], turns);
    const count: Count = { puts: 0, deletes: 0 };
    await this.#deleteAll(work.revoked, count, turns);
    await this.#putAll(work.puts, count, turns);
    await this.#deleteAll(work.deletes, count, turns);
    await inTurns(this.#floods.finish(), turns);
    if (count.deletes > 0) await this.#putRefused(count, turns);
    const raised = this.#rows.settle();
    // An empty state that is not the server's word is no reason to take devices from another name of this host.
    if (round.prune || round.state.revision > 0) this.#plane.takeOver();
    // Until then nothing was programmed, and other programs may have the devices.
    if (isFirst) this.#recordState(round.state);
    this.#attachments.release(prunes && !this.#pruned);
    this.#pruned ||= prunes;
    await this.#purge(turns);
    return { ...count, raised };
  }

  /** Reads the maps: what is as desired is taken over. After a throw it is begun again. */
  async #adopt(turns: Turns): Promise<void> {
    this.#adoptions += 1;
    this.#decisions = new Decisions();
    this.#rows = new Rows(this.#plane);
    this.#floods = new FloodLists(this.#plane, this.#rows);
    this.#shares = new Shares(this.#sizes);
    this.#due = new DueTable();
    this.#fresh.clear();
    for (const map of READ) {
      this.#stale[map].clear();
      await this.#adoptMap(map, turns);
    }
    this.#foundVifs = this.#metVifs + this.#stale.cb_vif_2.size;
    this.#adopted = true;
  }

  async #adoptMap(map: AgentMap, turns: Turns): Promise<void> {
    const wanted = this.#desired.entries.of(map);
    let met = 0;
    for (const batch of this.#plane.readMap(map)) {
      for (const held of batch) {
        const have = this.#asDesired(map, held);
        if (have !== undefined && this.#meet(map, have, wanted.get(have.key))) met += 1;
        if (turns.due()) await turns.next();
      }
    }
    if (map === 'cb_vif_2') this.#metVifs = met;
    if (met === wanted.size) return;
    for (const [key, want] of wanted) {
      if (want.metBy !== this.#adoptions) this.#expect(dueOf(map, key, undefined, want));
      if (turns.due()) await turns.next();
    }
  }

  /** What the kernel holds, in the form in which it is desired; undefined: nothing. */
  #asDesired(map: AgentMap, held: MapEntry): MapEntry | undefined {
    if (isRowMap(map)) return this.#rows.meet(map, held);
    return map === 'cb_flood_2' ? this.#floods.meet(held) : held;
  }

  /** True: an entry that is wanted, met for the first time; the kernel may tell of an entry twice. */
  #meet(map: AgentMap, have: MapEntry, want: Claim | undefined): boolean {
    const { key, value } = have;
    if (want === undefined) {
      if (!this.#stale[map].has(key)) this.#decisions.count(map, key, value, 1);
      this.#stale[map].set(key, have);
      return false;
    }
    if (want.metBy === this.#adoptions) return false;
    want.metBy = this.#adoptions;
    this.#decisions.count(map, key, value, 1);
    if (want.value === value) this.#shares.count(map, want.projectId, 1);
    else this.#expect(dueOf(map, key, have, want));
    return true;
  }

  #note(change: EntryChange): void {
    const { map, key } = change;
    const stale = this.#stale[map].get(key);
    if (stale !== undefined) this.#stale[map].delete(key);
    const due = this.#due.note(change, stale);
    for (const other of this.#refusals.besides(due)) this.#fresh.add(other);
    this.#refusals.clear(due);
    this.#expect(due);
  }

  #expect(due: Due): void {
    if (holds(due)) this.#settle(due);
    else {
      this.#due.add(due);
      this.#fresh.add(due);
    }
  }

  /** The kernel holds what is wanted. */
  #settle(due: Due): void {
    this.#shares.count(due.map, due.project, -1);
    this.#shares.count(due.map, due.want?.projectId, 1);
    this.#due.delete(due);
    this.#fresh.delete(due);
  }

  async #condemnStale(turns: Turns): Promise<void> {
    for (const map of AGENT_MAPS) {
      for (const [key, have] of this.#stale[map]) {
        this.#expect(dueOf(map, key, have, undefined));
        if (turns.due()) await turns.next();
      }
      this.#stale[map].clear();
    }
  }

  /**
   * `revoked`: of units that only lose entries. The rest of a policy that nobody has any more is not among them: VIFs that have another one now
   * point to it until they are written. Of a flood list what goes is a part of the list that is put.
   */
  async #sort({ retry }: Round, turns: Turns): Promise<Work> {
    if (retry) for (const due of this.#refusals.dues()) this.#fresh.add(due);
    const gaining = new Set<Unit>();
    const byMap = new Map<AgentMap, Due[]>();
    for (const due of this.#fresh) {
      if (due.want !== undefined) gaining.add(due.want.unit);
      if (turns.due()) await turns.next();
      if (this.#waits(due)) continue;
      const list = byMap.get(due.map) ?? [];
      byMap.set(due.map, list);
      list.push(due);
    }
    const work = { revoked: [] as Due[], puts: [] as Due[], deletes: [] as Due[] };
    for (const map of AGENT_MAPS) {
      for (const due of byMap.get(map) ?? []) {
        if (due.want !== undefined || map === 'cb_flood_2') work.puts.push(due);
        if (turns.due()) await turns.next();
      }
    }
    for (const map of REVERSED) {
      for (const due of byMap.get(map) ?? []) {
        if (due.want === undefined && map !== 'cb_flood_2')
          (revokes(due, gaining) ? work.revoked : work.deletes).push(due);
        if (turns.due()) await turns.next();
      }
    }
    return work;
  }

  /**
   * Epochs are odd while writes that change decisions are under way. Whoever finds one odd, after a failed write or a killed agent, knows that
   * what is written already may have revoked something: nothing in the maps shows that any more.
   */
  async #raise(lists: readonly (readonly Due[])[], turns: Turns): Promise<void> {
    for (const dues of lists) {
      for (const due of dues) {
        this.#decisions.concern(due, (map, key) => this.#rows.raise(map, key));
        if (turns.due()) await turns.next();
      }
    }
  }

  /** A number that could not be purged is purged before it is given out again. */
  async #purge(turns: Turns): Promise<void> {
    try {
      await inTurns(this.#rows.purge(), turns);
    } catch (err) {
      this.#log.warn({ err }, 'cannot end the flows of VIFs and networks that are gone');
    }
  }

  async #deleteAll(dues: readonly Due[], count: Count, turns: Turns): Promise<void> {
    for (const due of dues) {
      this.#delete(due);
      this.#settle(due);
      count.deletes += 1;
      if (turns.due()) await turns.next();
    }
  }

  /** Its program is not on the device yet; the port has that reason already. */
  #waits({ map, want }: Due): boolean {
    if (map !== 'cb_vif_2' && map !== 'cb_in_1') return false;
    return want !== undefined && this.#attachments.failures.has(want.unit.item);
  }

  async #putAll(dues: readonly Due[], count: Count, turns: Turns): Promise<void> {
    const failed: Failed = { units: new Map(), light: new Map(), maps: new Map() };
    const lists = new Set<number>();
    for (const due of dues) {
      if (due.map === 'cb_flood_2') {
        const net = floodNet(due.key);
        if (!lists.has(net)) this.#putList(net, count);
        lists.add(net);
      } else if (!this.#waits(due) && this.#put(due, failed)) count.puts += 1;
      if (turns.due()) await turns.next();
    }
  }

  /** VIFs pass nothing whose network policies may deny and lack the entry. They are put again when nothing is lacking. */
  #shut(key: ByteText, reason: string): void {
    for (const vif of this.#decisions.usersOf(key)) {
      const want = this.#desired.entries.get('cb_vif_2', vif);
      const known = this.#due.get('cb_vif_2', vif);
      // One that nobody wants any more goes in this pass anyhow.
      if (want === undefined) continue;
      const due = known ?? { ...dueOf('cb_vif_2', vif, want, want), project: want.projectId };
      this.#due.add(due);
      this.#refuse(due, reason);
    }
  }

  /** Why a VIF may not be put: its network policies lack an entry and may deny. */
  #shutReason({ value }: MapEntry): string | undefined {
    for (const { key, reason } of this.#refusals.ofDenying()) {
      if (networkPoliciesIn(value) === policyIn(key)) return reason;
    }
    return undefined;
  }

  /** What was refused, once more: there may be room now. */
  async #putRefused(count: Count, turns: Turns): Promise<void> {
    const dues = this.#refusals.dues();
    await this.#raise([dues], turns);
    await this.#putAll(dues, count, turns);
    await inTurns(this.#floods.finish(), turns);
  }

  /** Writes a network's flood list, of which something is due. One that is refused is as none: the old one may name who is gone. */
  #putList(net: number, count: Count): void {
    const dues: Due[] = [];
    const chunks: ByteText[] = [];
    let refusal: string | undefined;
    for (let chunk = 0; chunk < MAX_CHUNKS; chunk += 1) {
      const key = desiredChunk(net, chunk);
      const want = this.#desired.entries.get('cb_flood_2', key);
      const due = this.#due.get('cb_flood_2', key);
      if (want !== undefined) chunks.push(want.value);
      if (due !== undefined) dues.push(due);
      if (due !== undefined && due.have === undefined) {
        refusal ??= this.#shares.refusal('cb_flood_2', due.want?.projectId);
      }
    }
    refusal ??= tryTo('cb_flood_2', () => this.#floods.write(net, chunks))?.reason;
    if (refusal !== undefined) {
      this.#refuseList(net, refusal);
      return;
    }
    for (const due of dues) {
      if (due.want === undefined) count.deletes += 1;
      else count.puts += 1;
      this.#refusals.clear(due);
      this.#settle(due);
    }
  }

  #refuseList(net: number, reason: string): void {
    this.#floods.drop(net);
    for (let chunk = 0; chunk < MAX_CHUNKS; chunk += 1) {
      const key = desiredChunk(net, chunk);
      const want = this.#desired.entries.get('cb_flood_2', key);
      const known = this.#due.get('cb_flood_2', key);
      if (known === undefined && want === undefined) continue;
      const due = known ?? dueOf('cb_flood_2', key, want, want);
      this.#shares.count('cb_flood_2', known === undefined ? want?.projectId : due.project, -1);
      due.have = undefined;
      due.project = undefined;
      if (want === undefined) {
        this.#settle(due);
        continue;
      }
      this.#due.add(due);
      this.#refusals.set(due, reason);
      this.#fresh.delete(due);
    }
  }

  /** False: it was refused. */
  #put(due: Due, failed: Failed): boolean {
    const { map, want, have } = due;
    if (want === undefined) return false;
    // What a unit puts after a refused entry may refer to it. What replaces an entry may revoke something, and does not wait; but a class
    // whose rules are not there is better not there itself.
    const isLight = want.onlyAllows !== undefined;
    const before = failed.units.get(want.unit) ?? (isLight ? failed.light.get(want.unit) : undefined);
    const reason =
      have === undefined || (map === 'cb_class_1' && before !== undefined)
        ? (before ?? failed.maps.get(map) ?? this.#shares.refusal(map, want.projectId))
        : undefined;
    const shut = map === 'cb_vif_2' ? this.#shutReason(want) : undefined;
    const refusal = reason ?? shut ?? this.#tryPut(map, want, failed);
    if (refusal !== undefined) {
      (isLight ? failed.light : failed.units).set(want.unit, refusal);
      if (isOfPolicy(map) && !isLight && mayDeny(want.unit.scope)) this.#shut(due.key, refusal);
      this.#refuse(due, refusal);
      return false;
    }
    this.#refusals.clear(due);
    if (have !== undefined) this.#decisions.count(map, due.key, have.value, -1);
    this.#decisions.count(map, due.key, want.value, 1);
    if (map === 'cb_ep_2') this.#moved.put(due.key, have?.value, want.value);
    this.#settle(due);
    return true;
  }

  /** Why it was refused. */
  #tryPut(map: AgentMap, entry: MapEntry, failed: Failed): string | undefined {
    const refused = tryTo(map, () => {
      if (isRowMap(map)) this.#rows.put(map, entry);
      else withMemoryTries(() => this.#plane.putEntry(map, entry));
    });
    if (refused?.full === true) failed.maps.set(map, refused.reason);
    return refused?.reason;
  }

  #refuse(due: Due, reason: string): void {
    this.#refusals.set(due, reason);
    this.#fresh.delete(due);
    // What it says is no longer so: nothing is better, since an absent entry allows nothing.
    if (due.have !== undefined) this.#delete(due);
  }

  #delete(due: Due): void {
    if (due.have === undefined) return;
    if (isRowMap(due.map)) this.#rows.clear(due.map, due.key);
    else this.#plane.deleteEntry(due.map, due.have);
    if (due.map === 'cb_ep_2') this.#moved.delete(due.key, due.have.value);
    this.#decisions.count(due.map, due.key, due.have.value, -1);
    this.#shares.count(due.map, due.project, -1);
    due.have = undefined;
    due.project = undefined;
  }

  #recorded(): Programmed {
    this.#programmed ??= this.#plane.readProgrammed();
    return this.#programmed;
  }

  #recordState(state: Programmed): void {
    const before = this.#recorded();
    if (before.revision !== state.revision || before.commit !== state.commit || before.state !== state.state) {
      this.#plane.writeProgrammed(state);
    }
    this.#programmed = state;
  }
}

type Stale = Readonly<Record<AgentMap, Map<string, MapEntry>>>;

/** Of this pass: units of which an entry was refused, and maps that are full. */
/** `light`: units of which only entries were refused that `onlyAllows`: others of theirs do not refer to these. */
type Failed = {
  readonly units: Map<Unit, string>;
  readonly light: Map<Unit, string>;
  readonly maps: Map<AgentMap, string>;
};

type Count = { puts: number; deletes: number };

type Work = {
  readonly revoked: readonly Due[];
  readonly puts: readonly Due[];
  readonly deletes: readonly Due[];
};

const NO_WRITES = { puts: 0, deletes: 0, raised: 0 };

/** Due for the first time. */
function dueOf(map: AgentMap, key: ByteText, have: MapEntry | undefined, want: Claim | undefined): Due {
  return { map, key, have, project: undefined, want, loser: undefined, refusal: undefined };
}

/** `gaining`: units of which something is put. */
function revokes({ map, loser }: Due, gaining: ReadonlySet<Unit>): boolean {
  // None revokes anything by itself, and what has moved leads there until it is written: endpoints, a route that has one next hop now, or that asks for no source any more.
  if (map === 'cb_tunnel_1' || map === 'cb_next_1' || map === 'cb_exit_1') return false;
  return loser !== undefined && !gaining.has(loser) && !retired(loser);
}

function isOfPolicy(map: AgentMap): boolean {
  return map === 'cb_rule_1' || map === 'cb_class_1';
}

/** A policy that nobody has any more. */
function retired(unit: Unit): boolean {
  return unit.family.subject === 'policy' && !unit.alive;
}

/** Undefined: it was done. `full`: the map has no room. */
function tryTo(map: AgentMap, call: () => void): { readonly reason: string; readonly full: boolean } | undefined {
  try {
    call();
    return undefined;
  } catch (err) {
    // An error without a code is a defect, not a refusal.
    if (codeOf(err) === '') throw err;
    return { reason: refusalOf(map, err), full: isFull(err) };
  }
}

async function inTurns(steps: Iterable<void>, turns: Turns): Promise<void> {
  for (const _ of steps) if (turns.due()) await turns.next();
}
