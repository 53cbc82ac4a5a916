import type { SliceKey } from '@cable/model';
import type { AgentMap, MapEntry } from '../desired.ts';
import type { Claims } from './claims.ts';
import type { Fact, Facts } from './facts.ts';
import type {
  DeviceReader,
  GatewayReader,
  HealthReader,
  IdKind,
  IdSource,
  LearnedReader,
  LocalDevice,
  ToldReader,
  TypedSlices,
} from './inputs.ts';
import type { AllReads, Readable } from './reads.ts';
import type { Topic } from './topics.ts';
import type { MemoryRun, NumberedTopic, PlanReader, PolicySize } from './unit.ts';
import type { Unit } from './units.ts';

export type RunParts = {
  readonly host: string;
  readonly zone: string;
  readonly ownEncapsulation: boolean;
  readonly bridgeMappings: ReadonlyMap<string, string>;
  readonly exportsFlows: boolean;
  readonly snoopsGroups: boolean;
  readonly devices: DeviceReader;
  readonly health: HealthReader;
  readonly gateways: GatewayReader;
  readonly learned: LearnedReader;
  readonly told: ToldReader;
  readonly ids: Readonly<Record<IdKind, Pick<IdSource, 'acquire'>>>;
  /** Units that found no number free. */
  readonly lacking: Set<Unit>;
  readonly slices: TypedSlices;
  readonly facts: Facts;
  readonly claims: Claims;
  readonly reads: AllReads;
  readonly number: (topic: NumberedTopic, key: string) => number | undefined;
  readonly admit: (name: string, size: PolicySize, projectId: string | undefined) => boolean;
  readonly admitTold: (name: string, size: PolicySize, projectId: string | undefined) => boolean;
};

/** What the unit that runs reads and writes, with its reads recorded. One unit at a time. */
export class Run implements MemoryRun {
  readonly #parts: RunParts;
  readonly #read: Readable[] = [];
  #unit: Unit | undefined;
  #touched: Unit['touched'] = 'everything';
  readonly #acquired: { readonly kind: IdKind; readonly name: string }[] = [];
  #number = 0;

  constructor(parts: RunParts) {
    this.#parts = parts;
  }

  begin(unit: Unit): void {
    this.#unit = unit;
    this.#touched = unit.touched;
    this.#number += 1;
    this.#read.length = 0;
    this.#acquired.length = 0;
    if (unit.family.kind === 'memory') unit.touched = new Map();
  }

  /** From now on a change of what the unit has read in this run touches it, and of nothing else. */
  end(unit: Unit): void {
    const { reads } = unit;
    const now = this.#read;
    if (reads.length === now.length && reads.every((one) => one.run === this.#number)) return;
    for (const one of reads) if (one.run !== this.#number) one.delete(unit);
    for (const one of now) one.add(unit);
    unit.reads = (now.length === 1 ? now[0]?.alone : undefined) ?? [...now];
  }

  /** The unit is no more: nothing touches it. */
  endForEver(unit: Unit): void {
    for (const one of [...unit.reads, ...this.#read]) one.delete(unit);
    unit.reads = [];
  }

  /** Names whose numbers the unit asked for in this run. */
  get acquired(): readonly { readonly kind: IdKind; readonly name: string }[] {
    return this.#acquired;
  }

  get host(): string {
    return this.#parts.host;
  }

  get ownEncapsulation(): boolean {
    return this.#parts.ownEncapsulation;
  }

  get bridgeMappings(): ReadonlyMap<string, string> {
    return this.#parts.bridgeMappings;
  }

  get exportsFlows(): boolean {
    return this.#parts.exportsFlows;
  }

  get zone(): string {
    return this.#parts.zone;
  }

  get snoopsGroups(): boolean {
    return this.#parts.snoopsGroups;
  }

  header: PlanReader['header'] = (kind, id) => {
    this.#note(this.#parts.reads.slices.of('header', `${kind}:${id}`));
    return this.#parts.slices.header(kind, id);
  };

  item: PlanReader['item'] = (kind, id, item) => {
    this.#note(this.#parts.reads.slices.of(`${kind}:${id}`, item));
    return this.#parts.slices.item(kind, id, item);
  };

  items: PlanReader['items'] = (kind, id) => {
    this.#note(this.#parts.reads.slices.of('items', `${kind}:${id}`));
    return Array.from(this.#parts.slices.items(kind, id), ([, item]) => item);
  };

  facts<T extends Topic>(topic: T, key: string): ReadonlyMap<string, Fact<T>> {
    this.#note(this.#parts.reads.facts.of(topic, key));
    return this.#parts.facts.of(topic, key);
  }

  sortedFacts<T extends Topic>(topic: T, key: string): readonly Fact<T>[] {
    this.#note(this.#parts.reads.facts.of(topic, key));
    return this.#parts.facts.sorted(topic, key);
  }

  device(name: string): LocalDevice | undefined {
    this.#note(this.#parts.reads.host.of('device', name));
    return this.#parts.devices.byName(name);
  }

  health(memberId: string): 'up' | 'down' | undefined {
    this.#note(this.#parts.reads.host.of('health', memberId));
    return this.#parts.health.stateOf(memberId);
  }

  gatewayHost(id: string): string | undefined {
    this.#note(this.#parts.reads.host.of('gateway', id));
    return this.#parts.gateways.hostOf(id);
  }

  isCutOff(routerId: string): boolean {
    this.#note(this.#parts.reads.host.of('gateway', routerId));
    return this.#parts.gateways.isCutOff(routerId);
  }

  learned(vpnId: string): ReturnType<LearnedReader['of']> {
    this.#note(this.#parts.reads.host.of('learned', vpnId));
    return this.#parts.learned.of(vpnId);
  }

  number(topic: NumberedTopic, key: string): number | undefined {
    this.#note(this.#parts.reads.host.of(topic, key));
    return this.#parts.number(topic, key);
  }

  id(kind: IdKind, name: string): number | undefined {
    const { ids, lacking } = this.#parts;
    const id = ids[kind].acquire(name);
    if (id !== undefined) this.#acquired.push({ kind, name });
    else if (this.#unit !== undefined) lacking.add(this.#unit);
    return id;
  }

  get afresh(): boolean {
    return this.#touched === 'everything';
  }

  touchedItems(slice: SliceKey): Iterable<string> {
    return this.#details(this.#parts.reads.slices.find('items', slice));
  }

  touchedFacts(topic: Topic, key: string): Iterable<string> {
    return this.#details(this.#parts.reads.facts.find(topic, key));
  }

  told(portId: string): ReturnType<ToldReader['of']> {
    this.#note(this.#parts.reads.host.of('told', portId));
    return this.#parts.told.of(portId);
  }

  touchedTold(portId: string): Iterable<string> {
    return this.#details(this.#parts.reads.host.find('told', portId));
  }

  put(map: AgentMap, entry: MapEntry): void {
    if (this.#unit !== undefined) this.#parts.claims.put(this.#unit, map, entry);
  }

  remove(map: AgentMap, key: string): void {
    if (this.#unit !== undefined) this.#parts.claims.remove(this.#unit, map, key);
  }

  setProject(projectId: string | undefined): void {
    if (this.#unit !== undefined) this.#unit.projectId = projectId;
  }

  admit(size: PolicySize): boolean {
    const name = this.#unit?.scope ?? '';
    this.#note(this.#parts.reads.host.of('admission', name));
    return this.#parts.admit(name, size, this.#unit?.projectId);
  }

  admitTold(size: PolicySize): boolean {
    const name = this.#unit?.scope ?? '';
    this.#note(this.#parts.reads.host.of('admission', name));
    return this.#parts.admitTold(name, size, this.#unit?.projectId);
  }

  #note(one: Readable): void {
    if (one.run === this.#number) return;
    one.run = this.#number;
    this.#read.push(one);
  }

  #details(read: Readable | undefined): Iterable<string> {
    if (read === undefined || this.#touched === 'everything') return [];
    return this.#touched.get(read) ?? [];
  }
}
