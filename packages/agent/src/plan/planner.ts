import { type Logger, startTurns, type Turns } from '@cable/kit';
import { DEFAULT_ZONE, type LocalPort, type SliceKey, type SliceKind } from '@cable/model';
import { CB_POLICY_NONE } from '../bpf/abi.gen.ts';
import type { DesiredVif, GuestRecord, HostLink, ProbeTarget } from '../desired.ts';
import type { SliceChange } from '../stream/slice-reader.ts';

import { Admission, TOLD_BUDGET } from './admission.ts';
import { Claims, type EntryChange } from './claims.ts';
import { type Announced, type Entrance, entranceKey, type HealthPort } from './entrances.ts';
import { Facts, type Subject } from './facts.ts';
import { FAMILIES, sliceFamilies } from './families.ts';
import {
  type DeviceReader,
  type GatewayReader,
  type HealthReader,
  type IdKind,
  type IdSource,
  idOf,
  kindOf,
  type LearnedReader,
  type PlannedSlices,
  type ToldChange,
  type ToldReader,
  typedSlices,
} from './inputs.ts';

import type { LabelRow } from './label-rows.ts';
import { firstBits, Numbering, type NumberOf } from './numbers.ts';
import type { Deciders, Judged } from './policy-tiers.ts';
import type { PseudowireRow } from './pseudowire-rows.ts';
import { type AllReads, createReads, type Readable } from './reads.ts';
import { Run } from './run.ts';
import { type PlannedAsker, policyName } from './topics.ts';
import type { NumberedTopic, Output, PlanReader, PolicySize, UnitMemory } from './unit.ts';
import { type Unit, UnitQueue, UnitTable } from './units.ts';

export type PlannerDeps = {
  readonly host: string;
  /** The host's availability zone; default: `nova`. */
  readonly zone?: string;
  /** Whether the vrouter makes VXLAN itself (`--encapsulation own`); default: no. */
  readonly ownEncapsulation?: boolean;
  /** Name of the host's interface on each physical network; default: it is on none. */
  readonly bridgeMappings?: ReadonlyMap<string, string>;
  /** Whether flows of ports that say so are told (`--flow-collector`); default: of none. */
  readonly exportsFlows?: boolean;
  /** Whether groups of multicast go to their members alone (`--igmp-snooping`); default: to all. */
  readonly snoopsGroups?: boolean;
  readonly slices: PlannedSlices;
  readonly devices: DeviceReader;
  /** Default: nothing is probed. */
  readonly health?: HealthReader;
  /** Default: gateways are where the server says. */
  readonly gateways?: GatewayReader;
  /** Default: no port was told anything. */
  readonly told?: ToldReader;
  /** Default: no BGP neighbour told anything. */
  readonly learned?: LearnedReader;
  readonly ids: Readonly<Record<IdKind, IdSource>>;
  readonly log: Logger;
  /** Default: `firstBits`. */
  readonly numberOf?: NumberOf;
  /** What all policies may take together; default: the size of their maps. */
  readonly policyBudget?: PolicySize;
};

/** What an update changed of the desired state. */
export type PlanChanges = {
  /** The first update lists none: all that there is is new. */
  readonly entries: readonly EntryChange[];
  /** Ports of which existence, device or error may be another. */
  readonly ports: ReadonlySet<string>;
  /** Whether `hostLinks` is another. */
  readonly links: boolean;
  /** Whether `probes` has other members, or they are probed otherwise. */
  readonly probes: boolean;
  /** Keys of `entrances` that came, went or lead elsewhere. */
  readonly entrances: ReadonlySet<string>;
  /** Whether `labels` is another. */
  readonly labels: boolean;
  /** Whether `pseudowires` is another. */
  readonly pseudowires: boolean;
};

/** A slice of which something changed. */
type ChangedSlice = { readonly key: SliceKey; readonly kind: SliceKind; readonly id: string };

const NUMBERED: readonly NumberedTopic[] = ['router', 'policy-use', 'pool', 'member', 'mirror'];

/** Topics whose keys have dense numbers as long as a fact about them stands. */
const DENSE: readonly IdKind[] = ['vif', 'network', 'tunnel', 'project'];

/**
 * Computes the desired state of the host, and keeps it as slices and devices change: units (`families.ts`) that are functions of what they
 * read, run again when that changes. What it comes to depends on the slices, the devices and the dense numbers alone.
 */
export class Planner {
  readonly #deps: PlannerDeps;
  readonly #tables: readonly UnitTable[] = FAMILIES.map((family, rank) => new UnitTable(family, rank));
  readonly #reads: AllReads = createReads();
  readonly #queues: readonly UnitQueue[] = FAMILIES.map(() => new UnitQueue());
  readonly #claims = new Claims();
  readonly #facts: Facts;
  readonly #numbers: Readonly<Record<NumberedTopic, Numbering>>;
  readonly #admission: Admission;
  readonly #toldAdmission = new Admission(TOLD_BUDGET);
  readonly #run: Run;
  readonly #vifs = new Map<string, DesiredVif>();
  readonly #guests = new Map<number, GuestRecord>();
  readonly #errors = new Map<string, string>();
  /** What the error of a port was said with, by port id. */
  readonly #failed = new Map<string, object>();
  readonly #lacking = new Set<Unit>();
  /** Names of dense numbers about which no fact stood for a moment. */
  readonly #unstated: (readonly [IdKind, string])[] = [];
  #hostLinks: ReadonlyMap<string, HostLink> = new Map();
  #ports = new Set<string>();
  #linksChanged = false;
  readonly #probes = new Map<string, ProbeTarget>();
  readonly #entrances = new Map<string, Entrance>();
  readonly #entrancesAt = new Map<string, readonly Entrance[]>();
  #entrancesChanged = new Set<string>();
  readonly #healthPorts = new Map<number, HealthPort>();
  readonly #announced = new Map<string, Announced>();
  #probesChanged = false;
  readonly #labels = new Set<readonly LabelRow[]>();
  #labelsChanged = false;
  readonly #pseudowires = new Set<readonly PseudowireRow[]>();
  #pseudowiresChanged = false;

  constructor(deps: PlannerDeps) {
    this.#deps = deps;
    this.#numbers = {
      router: new Numbering(deps.numberOf),
      'policy-use': new Numbering(deps.numberOf, CB_POLICY_NONE + 1),
      pool: new Numbering(deps.numberOf),
      member: new Numbering(deps.numberOf),
      mirror: new Numbering(deps.numberOf),
    };
    this.#admission = new Admission(deps.policyBudget);
    this.#facts = new Facts({
      changed: ({ topic, key }, member) => this.#touch(this.#reads.facts.find(topic, key), member),
      presence: (subject, present) => this.#notePresence(subject, present),
    });
    this.#run = new Run({
      host: deps.host,
      zone: deps.zone ?? DEFAULT_ZONE,
      ownEncapsulation: deps.ownEncapsulation ?? false,
      bridgeMappings: deps.bridgeMappings ?? new Map(),
      exportsFlows: deps.exportsFlows ?? false,
      snoopsGroups: deps.snoopsGroups ?? false,
      devices: deps.devices,
      health: deps.health ?? NO_HEALTH,
      gateways: deps.gateways ?? { hostOf: () => undefined, isCutOff: () => false },
      told: deps.told ?? NOTHING_TOLD,
      learned: deps.learned ?? { of: () => [] },
      ids: deps.ids,
      lacking: this.#lacking,
      reads: this.#reads,
      slices: typedSlices(deps.slices),
      facts: this.#facts,
      claims: this.#claims,
      number: (topic, key) => this.#numbers[topic].get(key),
      admit: (name, size, projectId) => {
        this.#wakePolicies(this.#admission.set(name, size, projectId));
        return this.#admission.admits(name);
      },
      admitTold: (name, size, projectId) => {
        this.#wakePolicies(this.#toldAdmission.set(name, size, projectId));
        return this.#toldAdmission.admits(name);
      },
    });
  }

  /** Entries that the maps shall hold. */
  get entries(): Pick<Claims, 'get' | 'of'> {
    return this.#claims;
  }

  /** Devices that programs must be attached to, by port id: those of all local ports, also of one in `errors`. */
  get vifs(): ReadonlyMap<string, DesiredVif> {
    return this.#vifs;
  }

  /** Whether something found no number free, which a later update may have. */
  get lacksNumbers(): boolean {
    return this.#lacking.size > 0;
  }

  /** Guests by VIF number, for DHCP and metadata. */
  get guests(): ReadonlyMap<number, GuestRecord> {
    return this.#guests;
  }

  /** Why a port of this host cannot be programmed, by port id: it drops everything and is reported as `error`. */
  get errors(): ReadonlyMap<string, string> {
    return this.#errors;
  }

  /** Host-owned ports whose veth pair the agent makes itself, by port id. */
  get hostLinks(): ReadonlyMap<string, HostLink> {
    return this.#hostLinks;
  }

  /** Members of pools that this host probes, by id. */
  get probes(): ReadonlyMap<string, ProbeTarget> {
    return this.#probes;
  }

  /** What this host lets in from outside, by `entranceKey`. */
  get entrances(): ReadonlyMap<string, Entrance> {
    return this.#entrances;
  }

  /** Ports at which this host says whether Services have endpoints here, by port. */
  get healthPorts(): ReadonlyMap<number, HealthPort> {
    return this.#healthPorts;
  }

  /** Addresses of Services that hosts announce, by address and Service. */
  get announced(): ReadonlyMap<string, Announced> {
    return this.#announced;
  }

  /** Where packets of VPNs go by labels, and come from. */
  get labels(): readonly LabelRow[] {
    return [...this.#labels].flat();
  }

  /** Pseudowires that begin or end here. */
  get pseudowires(): readonly PseudowireRow[] {
    return [...this.#pseudowires].flat();
  }

  /** Ports of this host that have the policy (`policyName`). */
  portsOf(policy: string): Iterable<string> {
    return this.#facts.of('policy-use', policy).keys();
  }

  /** Number of the router or of the policy in a network (`policyName`), as it stands in map keys. */
  numberOf(topic: NumberedTopic, key: string): number | undefined {
    return this.#numbers[topic].get(key);
  }

  /** Dense numbers by name. */
  ids(kind: IdKind): ReadonlyMap<string, number> {
    return this.#deps.ids[kind].ids;
  }

  /** As whom this host may ask for next hops of external networks, by network, the best first. */
  *askers(): Generator<readonly PlannedAsker[]> {
    for (const networkId of this.#facts.keys('asker')) {
      yield this.#facts.sorted('asker', networkId).map(({ value }) => value);
    }
  }

  /**
   * Whose policy denies the packet, of a policy with tiers: first 32 bits of its id; 0: none does, NetworkPolicies isolate and none allows it. Undefined: the policy has
   * no tiers, or denies no such packet. `address`: the other end's, as `Prefix.order`.
   */
  denierOf(policy: number, address: string, packet: Judged): number | undefined {
    for (const name of this.policies()) {
      if (this.#numbers['policy-use'].get(name) !== policy) continue;
      for (const table of this.#tables) {
        const found = table.get(name, '')?.memory?.denierOf?.(address, packet);
        if (found !== undefined) return found;
      }
    }
    return undefined;
  }

  /**
   * Who decides about the packet, of the network policies that the port has: as of now. Undefined: it has none that are known here. `address`: the other end's, as
   * `Prefix.order`.
   */
  decidersOf(
    port: Pick<LocalPort, 'networkPolicies' | 'networkId'>,
    address: string,
    packet: Judged,
  ): Deciders | undefined {
    if (port.networkPolicies === undefined) return undefined;
    const name = policyName(port.networkPolicies, port.networkId);
    for (const table of this.#tables) {
      const found = table.get(name, '')?.memory?.decidersOf?.(address, packet);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** Names that rules mean of the policies of a port of this host (`parseDomainPattern`): what it is told for these counts. */
  domainsOf(portId: string): readonly string[] {
    const port = typedSlices(this.#deps.slices).item('host', this.#deps.host, portId);
    if (port?.networkPolicies === undefined) return NOTHING;
    const name = policyName(port.networkPolicies, port.networkId);
    for (const table of this.#tables) {
      const found = table.get(name, '')?.memory?.domains;
      if (found !== undefined) return found;
    }
    return NOTHING;
  }

  /** Underlay addresses of other hosts to which there are tunnels. */
  otherHosts(): Iterable<string> {
    return this.#facts.keys('tunnel');
  }

  /** Addresses that DNS told ports of this host, and for which their policies have no room. */
  get toldWithheld(): number {
    let count = 0;
    for (const name of this.policies()) {
      for (const table of this.#tables) count += table.get(name, '')?.memory?.withheld ?? 0;
    }
    return count;
  }

  /** Names of the policies that ports of this host have. */
  policies(): Iterable<string> {
    return this.#facts.keys('policy-use');
  }

  /**
   * Brings the desired state up to date, in turns of the event loop. One call at a time. Names of `devices`: those that came, went or are
   * another device now. `members`: of those this host's own probes say something else. `routers`: those whose gateway is on another host now, as this one sees it. `told`: what DNS
   * told ports is otherwise. `vpns`: those for which BGP told something else.
   */
  async update(
    changes: Iterable<SliceChange>,
    devices: Iterable<string>,
    members: Iterable<string> = [],
    routers: Iterable<string> = [],
    told: Iterable<ToldChange> = [],
    vpns: Iterable<string> = [],
  ): Promise<PlanChanges> {
    const turns = startTurns();
    await this.#noteAll(changes, turns);
    for (const unit of this.#lacking) this.#mark(unit);
    this.#lacking.clear();
    for (const name of devices) this.#touch(this.#reads.host.find('device', name), undefined);
    for (const id of members) this.#touch(this.#reads.host.find('health', id), undefined);
    for (const id of routers) this.#touch(this.#reads.host.find('gateway', id), undefined);
    for (const id of vpns) this.#touch(this.#reads.host.find('learned', id), undefined);
    for (const { portId, order } of told) this.#touch(this.#reads.host.find('told', portId), order);
    for (let unit = this.#next(); unit !== undefined; unit = this.#next()) {
      if (unit.family.kind === 'plain') this.#runPlain(unit, unit.family.plan);
      else await this.#runMemory(unit, unit.family.start, turns);
      if (turns.due()) await turns.next();
    }
    this.#releaseUnstated();
    const ports = this.#ports;
    const links = this.#linksChanged;
    const probes = this.#probesChanged;
    this.#ports = new Set();
    this.#linksChanged = false;
    this.#probesChanged = false;
    const entrances = this.#entrancesChanged;
    this.#entrancesChanged = new Set();
    const labels = this.#labelsChanged;
    this.#labelsChanged = false;
    const pseudowires = this.#pseudowiresChanged;
    this.#pseudowiresChanged = false;
    return { entries: await this.#claims.take(turns), ports, links, probes, entrances, labels, pseudowires };
  }

  async #noteAll(changes: Iterable<SliceChange>, turns: Turns): Promise<void> {
    let slice: ChangedSlice | undefined;
    for (const { key, item } of changes) {
      if (slice?.key !== key) slice = { key, kind: kindOf(key), id: idOf(key) };
      if (!isOwn(slice.kind) || slice.id === this.#deps.host) this.#note(slice, item);
      if (turns.due()) await turns.next();
    }
  }

  #note({ key, kind, id }: ChangedSlice, item: string | null): void {
    for (const rank of sliceFamilies(kind, item === null ? 'header' : 'item')) {
      const unit = this.#tables[rank]?.ensure(id, item ?? '');
      if (unit !== undefined) this.#mark(unit);
    }
    const { slices } = this.#reads;
    if (item === null) {
      this.#touch(slices.find('header', key), undefined);
      return;
    }
    this.#touch(slices.find(key, item), undefined);
    this.#touch(slices.find('items', key), item);
    if (isOwn(kind)) this.#ports.add(item);
  }

  /** What was read is another now. `detail`: which member or item of it; undefined: it is one thing. */
  #touch(read: Readable | undefined, detail: string | undefined): void {
    if (read === undefined) return;
    for (const unit of read.units) {
      this.#mark(unit);
      if (unit.memory === undefined || unit.touched === 'everything') continue;
      const details = unit.touched.get(read) ?? new Set<string>();
      unit.touched.set(read, details);
      if (detail !== undefined) details.add(detail);
    }
  }

  #mark(unit: Unit): void {
    if (unit.dirty) return;
    unit.dirty = true;
    this.#queues[unit.rank]?.add(unit);
  }

  /** The first family that has something to do: what it states, later families read. */
  #next(): Unit | undefined {
    for (const queue of this.#queues) {
      for (let unit = queue.take(); unit !== undefined; unit = queue.take()) {
        unit.dirty = false;
        if (unit.alive) return unit;
      }
    }
    return undefined;
  }

  #notePresence({ topic, key }: Subject, present: boolean): void {
    for (const [rank, { source }] of FAMILIES.entries()) {
      if (source.kind !== 'topic' || source.topic !== topic) continue;
      const unit = present ? this.#tables[rank]?.ensure(key, '') : this.#tables[rank]?.get(key, '');
      if (unit !== undefined) this.#mark(unit);
    }
    for (const dense of DENSE) if (dense === topic && !present) this.#unstated.push([dense, key]);
    for (const numbered of NUMBERED) {
      if (numbered !== topic) continue;
      const numbers = this.#numbers[numbered];
      const changed = present ? numbers.add(key) : [key, ...numbers.delete(key)];
      for (const name of changed) this.#touch(this.#reads.host.find(numbered, name), undefined);
    }
  }

  #wakePolicies(names: readonly string[]): void {
    for (const name of names) this.#touch(this.#reads.host.find('admission', name), undefined);
  }

  #runPlain(unit: Unit, plan: PlanFunction): void {
    const source = this.#sourceOf(unit);
    this.#run.begin(unit);
    try {
      this.#yield(unit, source === undefined ? NO_OUTPUT : plan(unit, source, this.#run));
    } catch (err) {
      const reason = this.#noteFailure(unit, err);
      const error = `what the server sent cannot be read: ${reason}`;
      this.#yield(unit, unit.family.subject === 'port' ? { error } : NO_OUTPUT);
    }
    this.#releaseUnused();
    this.#end(unit, source);
  }

  /** Numbers of which no fact is left at the end: a name that one unit gave up and another has taken keeps its own. */
  #releaseUnstated(): void {
    for (const [kind, name] of this.#unstated) {
      if (this.#facts.of(kind, name).size === 0) this.#deps.ids[kind].release(name);
    }
    this.#unstated.length = 0;
  }

  /** A unit that failed, or found another number missing, states no facts about those that it has. */
  #releaseUnused(): void {
    for (const { kind, name } of this.#run.acquired) {
      if (this.#facts.of(kind, name).size === 0) this.#deps.ids[kind].release(name);
    }
  }

  async #runMemory(unit: Unit, start: Starter, turns: Turns): Promise<void> {
    const source = this.#sourceOf(unit);
    this.#run.begin(unit);
    try {
      if (source === undefined) await this.#clearMemory(unit, turns);
      else await this.#updateMemory(unit, start, turns);
    } catch (err) {
      this.#noteFailure(unit, err);
      await this.#clearMemory(unit, turns);
    }
    this.#end(unit, source);
  }

  /** A unit that cannot be computed yields nothing; what it read is known, so it is tried again when that changes. */
  #noteFailure(unit: Unit, err: unknown): string {
    this.#deps.log.warn({ unit: unit.name, err }, 'a part of the state cannot be planned');
    return err instanceof Error ? err.message : String(err);
  }

  #end(unit: Unit, source: unknown): void {
    if (source !== undefined) {
      this.#run.end(unit);
      return;
    }
    this.#run.endForEver(unit);
    this.#tables[unit.rank]?.delete(unit);
  }

  /** Undefined: the unit has no reason to be any more. */
  #sourceOf({ home: { family, scope, slice }, item }: Unit): unknown {
    const { source } = family;
    if (source.kind === 'topic') return this.#facts.of(source.topic, scope).size > 0 ? true : undefined;
    if (slice === undefined) return undefined;
    return source.kind === 'item' ? this.#deps.slices.item(slice, item) : this.#deps.slices.header(slice);
  }

  async #updateMemory(unit: Unit, start: Starter, turns: Turns): Promise<void> {
    unit.memory ??= start(unit, this.#deps.numberOf ?? firstBits);
    const work = unit.memory.update(this.#run);
    for (let step = work.next(); ; step = work.next()) {
      if (step.done === true) {
        unit.facts = this.#facts.replace(unit.facts, step.value);
        return;
      }
      if (turns.due()) await turns.next();
    }
  }

  async #clearMemory(unit: Unit, turns: Turns): Promise<void> {
    if (unit.memory !== undefined) {
      for (const _ of unit.memory.clear(this.#run)) if (turns.due()) await turns.next();
    }
    unit.memory = undefined;
    unit.touched = 'everything';
    unit.facts = this.#facts.replace(unit.facts, []);
    this.#wakePolicies(this.#admission.set(unit.scope, undefined));
    this.#wakePolicies(this.#toldAdmission.set(unit.scope, undefined));
  }

  #yield(unit: Unit, output: Output): void {
    unit.projectId = output.projectId;
    unit.claims = this.#claims.replace(unit, unit.claims, output.entries ?? NOTHING);
    unit.facts = this.#facts.replace(unit.facts, output.facts ?? NOTHING);
    const before = unit.rest;
    const { vif, guest, error, links, probe, entrances, health, announces, labels, pseudowires } = output;
    const rest = [vif, guest, error, links, probe, entrances, health, announces, labels, pseudowires];
    const nothing = rest.every((one) => one === undefined);
    if (before === undefined && nothing) return;
    unit.rest = nothing ? undefined : output;
    this.#replaceRest(unit.item, before ?? {}, output);
  }

  #replaceRest(portId: string, before: Unit['rest'] & object, after: Output): void {
    if (before.labels !== undefined || after.labels !== undefined) {
      if (before.labels !== undefined) this.#labels.delete(before.labels);
      if (after.labels !== undefined) this.#labels.add(after.labels);
      this.#labelsChanged = true;
      return;
    }
    if (before.pseudowires !== undefined || after.pseudowires !== undefined) {
      if (before.pseudowires !== undefined) this.#pseudowires.delete(before.pseudowires);
      if (after.pseudowires !== undefined) this.#pseudowires.add(after.pseudowires);
      this.#pseudowiresChanged = true;
      return;
    }
    if (before.probe !== undefined || after.probe !== undefined) {
      this.#replaceProbe(before.probe, after.probe);
      return;
    }
    if ([before, after].some((one) => (one.entrances ?? one.health ?? one.announces) !== undefined)) {
      this.#replaceEntrances(before.entrances ?? NOTHING, after.entrances ?? NOTHING);
      const { port } = before.health ?? {};
      if (port !== undefined && this.#healthPorts.get(port) === before.health) this.#healthPorts.delete(port);
      if (after.health !== undefined) this.#healthPorts.set(after.health.port, after.health);
      for (const one of before.announces ?? []) this.#announced.delete(`${one.address} ${one.service}`);
      for (const one of after.announces ?? []) this.#announced.set(`${one.address} ${one.service}`, one);
      return;
    }
    // A port may have gone over to another unit, which has said its own already.
    if (before.vif !== undefined && this.#vifs.get(portId) === before.vif) this.#vifs.delete(portId);
    if (after.vif !== undefined) this.#vifs.set(portId, after.vif);
    if (before.error !== undefined && this.#failed.get(portId) === before) {
      this.#failed.delete(portId);
      this.#errors.delete(portId);
    }
    if (after.error !== undefined) {
      this.#failed.set(portId, after);
      this.#errors.set(portId, after.error);
    }
    if (before.guest !== undefined && this.#guests.get(before.guest.vif) === before.guest) {
      this.#guests.delete(before.guest.vif);
    }
    if (after.guest !== undefined) this.#guests.set(after.guest.vif, after.guest);
    if (before.links !== undefined || after.links !== undefined) {
      this.#hostLinks = new Map((after.links ?? []).map((link) => [link.portId, link]));
      this.#linksChanged = true;
    }
    if (portId !== '') this.#ports.add(portId);
  }

  #replaceProbe(before: ProbeTarget | undefined, after: ProbeTarget | undefined): void {
    if (before !== undefined && this.#probes.get(before.memberId) === before) this.#probes.delete(before.memberId);
    if (after !== undefined) this.#probes.set(after.memberId, after);
    this.#probesChanged = true;
  }

  /** Of several that are at one place, as the node ports of two clusters at one router may be, the first by where it leads counts, in whatever order they come. */
  #replaceEntrances(before: readonly Entrance[], after: readonly Entrance[]): void {
    const gone = new Set(before);
    const come = new Map<string, Entrance[]>();
    for (const one of after) {
      const others = come.get(entranceKey(one));
      if (others === undefined) come.set(entranceKey(one), [one]);
      else others.push(one);
    }
    for (const key of new Set([...before.map(entranceKey), ...come.keys()])) {
      const all = [...(this.#entrancesAt.get(key) ?? []).filter((one) => !gone.has(one)), ...(come.get(key) ?? [])];
      if (all.length === 0) this.#entrancesAt.delete(key);
      else this.#entrancesAt.set(key, all);
      const [first] = [...all].sort((a, b) => (placeOf(a) < placeOf(b) ? -1 : 1));
      if (first === undefined) this.#entrances.delete(key);
      else this.#entrances.set(key, first);
      this.#entrancesChanged.add(key);
    }
  }
}

/** Of two that lead to one place the one that fewer may come to. */
function placeOf({ to, sources }: Entrance): string {
  return `${to.address} ${to.port} ${sources?.join() ?? 'all'}`;
}

const NOTHING_TOLD: ToldReader = { of: () => new Map() };

const NO_HEALTH: HealthReader = { stateOf: () => undefined };

/** Kinds of slices of which each host has its own. */
function isOwn(kind: SliceKind): boolean {
  return kind === 'host' || kind === 'standby' || kind === 'pseudowires';
}

const NOTHING: readonly never[] = [];

const NO_OUTPUT: Output = {};

type PlanFunction = (unit: Unit, source: unknown, reader: PlanReader) => Output;

type Starter = (unit: Unit, numberOf: NumberOf) => UnitMemory;
