import type { SliceHeader, SliceItem, SliceKey, SliceKind } from '@cable/model';
import type { AgentMap, DesiredVif, GuestRecord, HostLink, MapEntry, ProbeTarget } from '../desired.ts';
import type { Announced, Entrance, HealthPort } from './entrances.ts';
import type { Planned } from './entries.ts';
import type { Fact } from './facts.ts';
import type { IdKind, LearnedReader, LocalDevice, ToldReader } from './inputs.ts';
import type { LabelRow } from './label-rows.ts';
import type { NumberOf } from './numbers.ts';
import type { Deciders, Judged } from './policy-tiers.ts';
import type { PseudowireRow } from './pseudowire-rows.ts';
import type { StatedFact, Topic } from './topics.ts';

/** Names a unit within its family: the id of its slice and the key of its item there, or the key of the facts that it is about and ''. */
export type UnitKey = { readonly scope: string; readonly item: string };

/** Why there is a unit: a header, an item, or facts under a key of a topic. It goes when that is gone. */
export type UnitSource =
  | { readonly kind: 'header' | 'item'; readonly slice: SliceKind }
  | { readonly kind: 'topic'; readonly topic: Topic };

/** What the unit is about, so that a refusal of its entries is told where it belongs. `host`: nothing narrower. */
export type UnitSubject = 'port' | 'policy' | 'endpoint' | 'host';

/** What a unit yields from what it reads. All of it replaces what the unit yielded before. */
export type Output = {
  readonly entries?: readonly Planned[];
  readonly facts?: readonly StatedFact[];
  /** Whose entries these are; undefined: nobody's in particular. */
  readonly projectId?: string | undefined;
  readonly vif?: DesiredVif;
  readonly guest?: GuestRecord;
  /** Why the port that the unit is about cannot be programmed. */
  readonly error?: string;
  /** Links of host-owned ports. */
  readonly links?: readonly HostLink[];
  /** How the member of a pool is probed that the unit is about. */
  readonly probe?: ProbeTarget;
  /** What this host lets in from outside for the Service that the unit is about. */
  readonly entrances?: readonly Entrance[];
  /** Who may ask at a port of this host whether that Service has endpoints here. */
  readonly health?: HealthPort;
  /** Addresses of that Service that hosts announce. */
  readonly announces?: readonly Announced[];
  /** Where packets of a VPN go by labels, and come from. */
  readonly labels?: readonly LabelRow[];
  readonly pseudowires?: readonly PseudowireRow[];
};

/** What units read. Each read is recorded: a change of what was read runs the unit again. */
export type PlanReader = {
  /** This host's name. */
  readonly host: string;
  /** This host's availability zone. Not a read: it does not change. */
  readonly zone: string;
  /** The vrouter makes VXLAN itself. Not a read: it does not change. */
  readonly ownEncapsulation: boolean;
  /** Name of this host's interface on each physical network that it is on. Not a read: it does not change. */
  readonly bridgeMappings: ReadonlyMap<string, string>;
  /** Flows of ports that say so are told. Not a read: it does not change. */
  readonly exportsFlows: boolean;
  readonly snoopsGroups: boolean;
  header<K extends SliceKind>(kind: K, id: string): SliceHeader<K> | undefined;
  item<K extends SliceKind>(kind: K, id: string, item: string): SliceItem<K> | undefined;
  items<K extends SliceKind>(kind: K, id: string): readonly SliceItem<K>[];
  /** Facts by member, in no order. */
  facts<T extends Topic>(topic: T, key: string): ReadonlyMap<string, Fact<T>>;
  /** Facts sorted by member. */
  sortedFacts<T extends Topic>(topic: T, key: string): readonly Fact<T>[];
  device(name: string): LocalDevice | undefined;
  /** What this host's own probes say of a member; undefined: nothing. */
  health(memberId: string): 'up' | 'down' | undefined;
  /** As `GatewayReader`; of a router use `liveGateway`. */
  gatewayHost(id: string): string | undefined;
  /** As `GatewayReader`. */
  isCutOff(routerId: string): boolean;
  /** As `LearnedReader`. */
  learned(vpnId: string): ReturnType<LearnedReader['of']>;
  /** Host-local number of the key of a numbered topic; undefined: no such fact. */
  number(topic: NumberedTopic, key: string): number | undefined;
  /**
   * Dense number of a name. The unit must state a fact of the topic with that name about it, as long as it makes use of the number: so long it
   * stays, and it is no read. Undefined: none is free; the unit is run again when one may be.
   */
  id(kind: IdKind, name: string): number | undefined;
};

/** Topics whose keys have host-local numbers. */
export type NumberedTopic = 'router' | 'policy-use' | 'pool' | 'member' | 'mirror';

/** Reader and writer of a unit with a memory: it yields differences. */
export type MemoryRun = PlanReader & {
  /** Whether the unit runs for the first time since its memory was made, or something changed of which `touched` tells no details. */
  readonly afresh: boolean;
  /** Keys of items of the slice that changed since the last run. */
  touchedItems(slice: SliceKey): Iterable<string>;
  /** Members of the facts that changed since the last run. */
  touchedFacts(topic: Topic, key: string): Iterable<string>;
  /** What DNS told a port. */
  told(portId: string): ReturnType<ToldReader['of']>;
  /** Addresses (`Prefix.order`) of which that is otherwise than at the last run. */
  touchedTold(portId: string): Iterable<string>;
  put(map: AgentMap, entry: MapEntry): void;
  remove(map: AgentMap, key: string): void;
  setProject(projectId: string | undefined): void;
  /** Whether the host's policy maps have room for a policy of this size, beside the others. Runs the unit again when that changes. */
  admit(size: PolicySize): boolean;
  /** The same of what DNS told the policy's ports, which has room of its own. */
  admitTold(size: PolicySize): boolean;
};

/** Entries that a policy takes in `cb_rule_1` and `cb_class_1`. */
export type PolicySize = { readonly rules: number; readonly classes: number };

/**
 * A unit that keeps what it computed, for a thing too large to be computed again for each change. Work is done in portions: between two of
 * them (`yield`) the process does other things.
 */
export type UnitMemory = {
  /** Brings what the unit yields up to date; returns its facts. */
  update(run: MemoryRun): Generator<void, readonly StatedFact[]>;
  /** Of a policy: names that its rules mean. */
  readonly domains?: readonly string[];
  /** Of a policy: addresses that DNS told for its rules and for which there is no room. */
  readonly withheld?: number;
  /** Of a policy: as `Planner.denierOf`. */
  denierOf?(address: string, packet: Judged): number | undefined;
  /** Of network policies: as `Planner.decidersOf`. */
  decidersOf?(address: string, packet: Judged): Deciders;
  /** Removes whatever entries the unit yielded. */
  clear(run: MemoryRun): Generator<void, void>;
};

/** A kind of units. Its place in `FAMILIES` is its rank, and what it reads of facts is stated by families before it. */
export type Family = {
  readonly name: string;
  readonly source: UnitSource;
  readonly subject: UnitSubject;
} & (
  | { readonly kind: 'plain'; readonly plan: (unit: UnitKey, source: unknown, reader: PlanReader) => Output }
  | { readonly kind: 'memory'; readonly start: (unit: UnitKey, numberOf: NumberOf) => UnitMemory }
);

/** A unit for each item of a kind of slices. `UnitKey`: slice id, item key. */
export function itemFamily<K extends SliceKind>(
  about: { readonly name: string; readonly slice: K; readonly subject: UnitSubject },
  plan: (unit: UnitKey, item: SliceItem<K>, reader: PlanReader) => Output,
): Family {
  const source = { kind: 'item', slice: about.slice } as const;
  return { ...about, kind: 'plain', source, plan: (unit, item, reader) => plan(unit, item as SliceItem<K>, reader) };
}

/** A unit for each slice of a kind. `UnitKey`: slice id, ''. */
export function headerFamily<K extends SliceKind>(
  about: { readonly name: string; readonly slice: K; readonly subject: UnitSubject },
  plan: (unit: UnitKey, header: SliceHeader<K>, reader: PlanReader) => Output,
): Family {
  const source = { kind: 'header', slice: about.slice } as const;
  return {
    ...about,
    kind: 'plain',
    source,
    plan: (unit, header, reader) => plan(unit, header as SliceHeader<K>, reader),
  };
}

/** A unit for each key under which facts of a topic stand. `UnitKey`: that key, ''. */
export function topicFamily(
  about: { readonly name: string; readonly topic: Topic; readonly subject: UnitSubject },
  plan: (unit: UnitKey, reader: PlanReader) => Output,
): Family {
  const source = { kind: 'topic', topic: about.topic } as const;
  return { ...about, kind: 'plain', source, plan: (unit, _source, reader) => plan(unit, reader) };
}
