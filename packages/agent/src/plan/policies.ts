import { MAPS } from '../bpf/abi.gen.ts';
import type { ByteText } from '../bpf/codec.ts';
import { bytesOf, orderAround, type Prefix } from './address.ts';
import type { KeyOf, Planned } from './entries.ts';
import type { Fact } from './facts.ts';
import { idOf } from './inputs.ts';
import type { NumberOf } from './numbers.ts';
import { peeredNetworks } from './peerings.ts';
import { type ClassChanges, type ClassedPrefix, type PolicyClass, PolicyClasses } from './policy-classes.ts';
import { encodeRules } from './policy-rules.ts';
import {
  type RuleLists,
  type Selector,
  type SelectorRules,
  sortNetworkPolicyRules,
  sortRules,
} from './policy-selectors.ts';
import { joinedNetworks } from './reach.ts';
import { EVERY_NETWORK, groupTopic, type PlannedPolicy, type PolicyUse, type StatedFact } from './topics.ts';
import type { Family, MemoryRun, PolicySize, UnitKey, UnitMemory } from './unit.ts';

/** Bounds of one policy in one network: what exceeds them is refused, so that no tenant fills the host's maps alone. */
export const MAX_POLICY_RULES = 65_536;
export const MAX_POLICY_CLASSES = 131_072;

/** The policy of a set of security groups, or of network policies, in a network, for the ports of this host that have it. */
export const POLICIES: Family = {
  name: 'policy',
  source: { kind: 'topic', topic: 'policy-use' },
  subject: 'policy',
  kind: 'memory',
  start: (unit, numberOf) => new PolicyMemory(unit, numberOf),
};

/** Bits before the address in the key of cb_class_1: the policy. */
const HEAD_BITS = 32;

/** Selectors, prefixes and classes of a policy in a network; what changed of them is what is written. */
class PolicyMemory implements UnitMemory {
  readonly #name: string;
  readonly #numberOf: NumberOf;
  #rules: SelectorRules = NO_RULES;
  /** What they were made of besides items (`Received.made`). */
  #made = '';
  /** Group facts that were read, by key: which members of them counted, and for which selectors (`Listing.groups`). */
  #groups: ReadonlyMap<string, string> = new Map();
  #classes: PolicyClasses;
  /** The policy's number in the entries that are claimed; undefined: none are. */
  #number: number | undefined;
  /** Whose the claimed entries are. */
  #projectId: string | undefined;
  /** Claimed rules by the name of their class; '': those for every address. */
  readonly #ruleEntries = new Map<string, ReadonlyMap<string, Planned>>();
  /** Values of the entries of prefixes, by class number; of this run. */
  readonly #classValues = new Map<number, ByteText>();
  /** Prefixes that are gone, while their entries may be claimed. */
  #gone: readonly ClassedPrefix[] = [];

  constructor({ scope }: UnitKey, numberOf: NumberOf) {
    this.#name = scope;
    this.#numberOf = numberOf;
    this.#classes = new PolicyClasses(numberOf);
  }

  *update(run: MemoryRun): Generator<void, readonly StatedFact[]> {
    const use = run.sortedFacts('policy-use', this.#name)[0]?.value;
    if (use === undefined) return [];
    run.setProject(use.projectId);
    if (use.projectId !== this.#projectId) yield* this.#withdraw(run);
    this.#projectId = use.projectId;
    this.#classValues.clear();
    const outcome = yield* this.#plan(run, use);
    return [{ topic: 'policy', key: this.#name, member: '', value: outcome }];
  }

  *clear(run: MemoryRun): Generator<void, void> {
    yield* this.#withdraw(run);
  }

  *#plan(run: MemoryRun, use: PolicyUse): Generator<void, PlannedPolicy> {
    const received = this.#received(run, use);
    if (received === undefined) {
      yield* this.#forget(run);
      return { ok: false, reason: `policy ${this.#name} has not been received` };
    }
    const before = this.#rules;
    const rulesChanged = before === NO_RULES || this.#made !== received.made || !nothing(run.touchedItems(use.policy));
    if (rulesChanged) this.#rules = yield* received.sorted();
    this.#made = received.made;
    const reach = reachOf(run, use.networkId);
    const listing = new Listing(run, this.#rules, reach);
    const touched = yield* this.#touched(run, before, listing);
    const changes = yield* this.#classes.update(touched, (order) => listing.listed(order));
    this.#gone = changes.gone;
    this.#groups = listing.groups;
    const size = this.#size();
    const fits = size.rules <= MAX_POLICY_RULES && size.classes <= MAX_POLICY_CLASSES;
    const admitted = run.admit(fits ? size : NO_SIZE);
    if (!fits || !admitted) {
      yield* this.#withdraw(run);
      return { ok: false, reason: fits ? hostIsFull(this.#name) : tooLarge(this.#name, size) };
    }
    const number = run.number('policy-use', this.#name) ?? 0;
    if (this.#number !== number) yield* this.#claimAll(run, number);
    else yield* this.#claimChanges(run, changes, rulesChanged);
    return { ok: true, number, isStateless: received.isStateless };
  }

  /** Undefined: it has not been received. `made`: what its rules are made of besides its items. */
  #received(run: MemoryRun, { policy: key, networkId }: PolicyUse): Received | undefined {
    const id = idOf(key);
    if (!key.startsWith('network_policies:')) {
      const header = run.header('policy', id);
      if (header === undefined) return undefined;
      const rules = run.items('policy', id);
      return { made: '', isStateless: header.stateless === true, sorted: () => sortRules(rules) };
    }
    const header = run.header('network_policies', id);
    if (header === undefined) return undefined;
    const rules = run.items('network_policies', id);
    // Elsewhere another may have that address.
    const joined = [...joinedNetworks(run, networkId)];
    const nodePrefixes = joined.flatMap((id) => [...run.facts('node-address', id).keys()]).sort();
    const isolation = { ingress: header.ingress, egress: header.egress, nodePrefixes };
    const made = `${isolation.ingress} ${isolation.egress} ${nodePrefixes.join()}`;
    return { made, isStateless: false, sorted: () => sortNetworkPolicyRules(isolation, rules) };
  }

  /** Prefixes that other selectors may list than at the last run. */
  *#touched(run: MemoryRun, before: SelectorRules, listing: Listing): Generator<void, readonly string[]> {
    const touched: string[] = [];
    for (const key of new Set([...this.#groups.keys(), ...listing.groups.keys()])) {
      const stays = this.#groups.get(key) === listing.groups.get(key) && !run.afresh;
      for (const order of run.touchedFacts('group-prefix', key)) touched.push(order);
      if (stays) continue;
      for (const order of run.facts('group-prefix', key).keys()) {
        touched.push(order);
        yield;
      }
    }
    if (before === this.#rules) return touched;
    for (const { prefixes } of [...before.selectors.values(), ...this.#rules.selectors.values()]) {
      for (const prefix of prefixes) touched.push(prefix);
      yield;
    }
    return touched;
  }

  #size(): PolicySize {
    let rules = count(this.#rules.any);
    for (const one of this.#classes.classes.values()) rules += count(this.#lists(one));
    return { rules, classes: this.#classes.classed };
  }

  #lists(one: PolicyClass): RuleLists {
    return [...this.#rules.any, ...one.selectors.flatMap((name) => this.#rules.selectors.get(name)?.rules ?? [])];
  }

  *#claimAll(run: MemoryRun, number: number): Generator<void, void> {
    yield* this.#withdraw(run);
    this.#number = number;
    yield* this.#claimRules(run, number, [...this.#classes.classes.values()], []);
    for (const row of this.#classes.rows) {
      this.#claimPrefix(run, number, row);
      yield;
    }
  }

  *#claimChanges(run: MemoryRun, changes: ClassChanges, rulesChanged: boolean): Generator<void, void> {
    const number = this.#number ?? 0;
    const { classes } = this.#classes;
    const affected = rulesChanged
      ? [...classes.values()]
      : [...changes.renumbered].flatMap((name) => classes.get(name) ?? []);
    const dead = [...changes.dead].map((one) => one.name);
    yield* this.#claimRules(run, number, affected, dead, rulesChanged);
    yield* this.#dropPrefixes(run, this.#gone);
    this.#gone = [];
    for (const row of changes.moved) {
      this.#claimPrefix(run, number, row);
      yield;
    }
    if (changes.renumbered.size === 0) return;
    for (const row of this.#classes.rows) {
      if (changes.renumbered.has(row.state.class?.name ?? '')) this.#claimPrefix(run, number, row);
      yield;
    }
  }

  /** What goes, goes first: where numbers have been exchanged, one class's new entry has the key of another's old one. */
  *#claimRules(
    run: MemoryRun,
    number: number,
    classes: readonly PolicyClass[],
    dead: readonly string[],
    any = true,
  ): Generator<void, void> {
    const wanted = new Map<string, ReadonlyMap<string, Planned>>(dead.map((name) => [name, NO_ENTRIES] as const));
    if (any) wanted.set('', yield* encodeRules(number, 0, this.#rules.any));
    for (const one of classes) {
      wanted.set(one.name, yield* encodeRules(number, this.#classes.numberOf(one), this.#lists(one)));
    }
    for (const [name, entries] of wanted) {
      for (const key of this.#ruleEntries.get(name)?.keys() ?? []) {
        if (!entries.has(key)) run.remove('cb_rule_1', key);
        yield;
      }
    }
    for (const [name, entries] of wanted) {
      for (const entry of entries.values()) {
        run.put('cb_rule_1', entry);
        yield;
      }
      if (entries.size === 0) this.#ruleEntries.delete(name);
      else this.#ruleEntries.set(name, entries);
    }
  }

  #claimPrefix(run: MemoryRun, number: number, row: ClassedPrefix): void {
    const one = row.state.class;
    if (one === undefined) {
      dropPrefix(run, row);
      return;
    }
    const key = MAPS.cb_class_1.key.text(classKey(number, row));
    run.put('cb_class_1', { key, value: this.#classValue(one) });
    row.state.claimed = key;
  }

  /** One text for all prefixes of a class. */
  #classValue(one: PolicyClass): ByteText {
    const classId = this.#classes.numberOf(one);
    const known = this.#classValues.get(classId);
    if (known !== undefined) return known;
    const value = MAPS.cb_class_1.value.text({ classId });
    this.#classValues.set(classId, value);
    return value;
  }

  *#dropPrefixes(run: MemoryRun, rows: Iterable<ClassedPrefix>): Generator<void, void> {
    for (const row of rows) {
      dropPrefix(run, row);
      yield;
    }
  }

  /** Claims nothing any more; what is known stays known. */
  *#withdraw(run: MemoryRun): Generator<void, void> {
    yield* this.#dropPrefixes(run, this.#gone);
    yield* this.#dropPrefixes(run, this.#classes.rows);
    for (const entries of this.#ruleEntries.values()) {
      for (const key of entries.keys()) {
        run.remove('cb_rule_1', key);
        yield;
      }
    }
    this.#gone = [];
    this.#ruleEntries.clear();
    this.#number = undefined;
  }

  *#forget(run: MemoryRun): Generator<void, void> {
    yield* this.#withdraw(run);
    run.admit(NO_SIZE);
    this.#rules = NO_RULES;
    this.#groups = new Map();
    this.#classes = new PolicyClasses(this.#numberOf);
  }
}

/** A policy as the server sent it. */
type Received = {
  readonly made: string;
  readonly isStateless: boolean;
  readonly sorted: () => Generator<void, SelectorRules>;
};

/** Which selectors of a policy list a prefix, as of now. */
class Listing {
  /** Keys of the group facts that it reads, each with which members of them count (`withinName`), and for which selectors. */
  readonly groups: ReadonlyMap<string, string>;
  readonly #byPrefix = new Map<string, string[]>();
  readonly #byGroup: readonly {
    readonly name: string;
    readonly members: ReadonlyMap<string, Fact>;
    readonly within: Within;
  }[];
  /** Equal lists are one object: there are as many as prefixes. */
  readonly #lists = new Map<string, readonly string[]>();

  constructor(run: MemoryRun, { selectors }: SelectorRules, reach: ReadonlyMap<string, Within>) {
    const keysOf = ({ groupIds }: Selector): (readonly [string, Within])[] =>
      groupIds.flatMap((groupId) => [
        [groupTopic(groupId, EVERY_NETWORK), undefined] as const,
        ...Array.from(reach, ([networkId, within]) => [groupTopic(groupId, networkId), within] as const),
      ]);
    const all = [...selectors.values()];
    const groups = new Map<string, string>();
    for (const one of all) {
      for (const [key, within] of keysOf(one)) {
        groups.set(key, `${groups.get(key) ?? withinName(within)} ${one.name}`);
      }
    }
    this.groups = groups;
    for (const { name, prefixes } of all) {
      for (const prefix of prefixes) {
        const names = this.#byPrefix.get(prefix);
        if (names === undefined) this.#byPrefix.set(prefix, [name]);
        else names.push(name);
      }
    }
    this.#byGroup = all.flatMap((one) =>
      keysOf(one).map(([key, within]) => ({ name: one.name, members: run.facts('group-prefix', key), within })),
    );
  }

  listed(order: string): readonly string[] {
    const byPrefix = this.#byPrefix.get(order);
    let first = byPrefix?.[0];
    let all: Set<string> | undefined = byPrefix === undefined || byPrefix.length === 1 ? undefined : new Set(byPrefix);
    for (const { name, members, within } of this.#byGroup) {
      if (name === first || !members.has(order) || !isWithin(order, within)) continue;
      if (first === undefined) first = name;
      else all = (all ?? new Set([first])).add(name);
    }
    if (first === undefined) return NO_NAMES;
    const sorted = all === undefined ? undefined : [...all].sort();
    const text = sorted?.join('+') ?? first;
    const known = this.#lists.get(text);
    if (known !== undefined) return known;
    const list = sorted ?? [first];
    this.#lists.set(text, list);
    return list;
  }
}

/** Prefixes that members of a group in a network must be in to count; undefined: they all do. */
type Within = readonly Prefix[] | undefined;

/** Networks that packets can come from with their own source address: what a peering joins with what it lets through alone. */
function reachOf(run: MemoryRun, networkId: string): ReadonlyMap<string, Within> {
  const reach = new Map<string, Within>(peeredNetworks(run, networkId));
  for (const id of joinedNetworks(run, networkId)) reach.set(id, undefined);
  return reach;
}

/** Equal for those in which the same members count. */
function withinName(within: Within): string {
  return within === undefined ? 'all' : [...new Set(within.map((one) => one.order))].sort().join();
}

function isWithin(order: string, within: Within): boolean {
  if (within === undefined) return true;
  const length = Number(order.slice(-3));
  return within.some((one) => one.length <= length && orderAround(order, one.length) === one.order);
}

const NO_RULES: SelectorRules = { any: [], selectors: new Map() };
const NO_SIZE: PolicySize = { rules: 0, classes: 0 };
const NO_NAMES: readonly string[] = [];
const NO_ENTRIES: ReadonlyMap<string, Planned> = new Map();

function dropPrefix(run: MemoryRun, { state }: ClassedPrefix): void {
  if (state.claimed !== undefined) run.remove('cb_class_1', state.claimed);
  state.claimed = undefined;
}

function classKey(policy: number, { length, order }: ClassedPrefix): KeyOf<'cb_class_1'> {
  return { prefixlen: HEAD_BITS + length, policy, addr: bytesOf(order) };
}

function count(lists: RuleLists): number {
  return lists.reduce((sum, matches) => sum + matches.length, 0);
}

function nothing(list: Iterable<unknown>): boolean {
  for (const _ of list) return false;
  return true;
}

function tooLarge(name: string, { rules, classes }: PolicySize): string {
  const bound = `${MAX_POLICY_RULES} and ${MAX_POLICY_CLASSES}`;
  return `policy ${name} needs ${rules} rule and ${classes} address entries, more than ${bound}: use fewer rules, port ranges or remote groups`;
}

function hostIsFull(name: string): string {
  return `policy ${name} does not fit: the host's policy maps are full; move ports to another host`;
}
