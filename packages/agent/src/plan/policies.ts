import type { SliceKey } from '@cable/model';
import { CB_CLASS_PRIVATE, CB_DIR_EGRESS, CB_DIR_INGRESS, CB_FAMILY_V4, CB_FAMILY_V6, MAPS } from '../bpf/abi.gen.ts';
import type { ByteText } from '../bpf/codec.ts';
import { bytesOf, orderAround, type Prefix } from './address.ts';
import type { KeyOf, Planned } from './entries.ts';
import type { Fact } from './facts.ts';
import { idOf } from './inputs.ts';
import type { NumberOf } from './numbers.ts';
import { peeredNetworks } from './peerings.ts';
import { type ClassChanges, type ClassedPrefix, type PolicyClass, PolicyClasses } from './policy-classes.ts';
import { encodeRules, type RuleMatch } from './policy-rules.ts';
import {
  isOfDomains,
  type RuleLists,
  type Selector,
  type SelectorRules,
  sortNetworkPolicyRules,
  sortRules,
  sortTieredRules,
} from './policy-selectors.ts';
import { type Deciders, decidersOn, flattenTiers, type Judged, RuleIndex, verdictOn } from './policy-tiers.ts';
import { deniedBy, isKeptOut } from './private-subnets.ts';
import { joinedNetworks } from './reach.ts';
import { NO_DOMAINS, ToldDomains } from './told-domains.ts';
import { EVERY_NETWORK, groupTopic, type PlannedPolicy, type PolicyUse, type StatedFact } from './topics.ts';
import type { Family, MemoryRun, PolicySize, UnitKey, UnitMemory } from './unit.ts';

/** Bounds of one policy in one network: what exceeds them is refused. How much those of one project may have together, `Admission` says. */
export const MAX_POLICY_RULES = 65_536;
export const MAX_POLICY_CLASSES = 131_072;
/** Rules of all classes of one policy that only what is told has: beyond it such a class is left out. */
export const MAX_TOLD_RULES = 8192;

/** The policy of a set of security groups, or of network policies, in a network, for the ports of this host that have it. */
export const POLICIES: Family = {
  name: 'policy',
  source: { kind: 'topic', topic: 'policy-use' },
  subject: 'policy',
  kind: 'memory',
  start: (unit, numberOf) => new PolicyMemory(unit, numberOf),
};

/** Matches and classes that one policy keeps indexes of at the most, so that what is written down costs no more than that. */
const MAX_INDEXED = 131_072;
const MAX_INDEXES = 256;

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
  /** What is allowed in each class, by its name, where rules have tiers; '': to every address that has no class. */
  readonly #flat = new Map<string, readonly RuleMatch[]>();
  /** How many entries the rules of a class take, by its name; '': those for every address. */
  readonly #counts = new Map<string, number>();
  /** Classes that only what is told has, and for which there is no room: nothing is claimed of them. */
  #withheld: ReadonlySet<string> = NOTHING;
  /** Claimed rules by the name of their class; '': those for every address. */
  readonly #ruleEntries = new Map<string, ReadonlyMap<string, Planned>>();
  /** Values of the entries of prefixes, by class number; of this run. */
  readonly #classValues = new Map<number, ByteText>();
  /** Rules of classes that were asked about since the rules are these, by the class's name; '': of addresses that have none. */
  readonly #indexes = new Map<string, RuleIndex>();
  #told: ToldDomains = NO_DOMAINS;
  /** Prefixes that are gone, while their entries may be claimed. */
  #gone: readonly ClassedPrefix[] = [];

  constructor({ scope }: UnitKey, numberOf: NumberOf) {
    this.#name = scope;
    // In those of network policies a bit says who keeps the class out.
    const isMarked = scope.startsWith('network_policies:');
    this.#numberOf = isMarked ? (name) => numberOf(name) & ~CB_CLASS_PRIVATE : numberOf;
    this.#classes = new PolicyClasses(this.#numberOf, isOfDomains);
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

  get domains(): readonly string[] {
    return this.#told.domains;
  }

  get withheld(): number {
    let count = 0;
    for (const name of this.#withheld) count += this.#classes.classes.get(name)?.prefixes ?? 0;
    return count;
  }

  /** Where there are tiers, whose policy denies the packet with that address (`Prefix.order`); 0: none, it is isolated. Undefined: it is not denied by tiers. */
  denierOf(address: string, packet: Judged): number | undefined {
    const { tiers } = this.#rules;
    if (tiers === undefined) return undefined;
    const isIsolated = packet.direction === CB_DIR_INGRESS ? tiers.ingress : tiers.egress;
    const matches = this.#ruleLists(this.#classes.classAt(address)).flat();
    const { isAllowed, by } = verdictOn(packet, matches, isIsolated);
    return isAllowed ? undefined : by;
  }

  /** Who decides about the packet with that address. */
  decidersOf(address: string, packet: Judged): Deciders {
    const { tiers } = this.#rules;
    // Without tiers what is not isolated is allowed by a rule.
    const isIsolated = tiers === undefined || (packet.direction === CB_DIR_INGRESS ? tiers.ingress : tiers.egress);
    return decidersOn(this.#indexOf(this.#classes.classAt(address)).matching(packet), isIsolated);
  }

  #indexOf(one: PolicyClass | undefined): RuleIndex {
    const name = one?.name ?? '';
    const known = this.#indexes.get(name);
    if (known !== undefined) return known;
    const index = new RuleIndex(this.#ruleLists(one));
    const indexed = [...this.#indexes.values()].reduce((sum, { size }) => sum + size, index.size);
    if (indexed > MAX_INDEXED || this.#indexes.size >= MAX_INDEXES) this.#indexes.clear();
    this.#indexes.set(name, index);
    return index;
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
    const rulesChanged =
      before === NO_RULES ||
      this.#made !== received.made ||
      received.items.some((slice) => !nothing(run.touchedItems(slice)));
    if (rulesChanged) {
      this.#rules = yield* received.sorted();
      this.#indexes.clear();
    }
    this.#made = received.made;
    const reach = reachOf(run, use.networkId);
    const toldBefore = this.#told;
    const { selectors } = this.#rules;
    this.#told = ToldDomains.of(run, { policy: this.#name, networkId: use.networkId, ...received }, selectors);
    const listing = new Listing(run, this.#rules, reach, this.#told);
    const touched = yield* this.#touched(run, before, listing);
    for (const order of this.#told.touched(run, toldBefore, rulesChanged)) {
      touched.push(order);
      yield;
    }
    const changes = yield* this.#classes.update(touched, (order) => listing.listed(order));
    this.#gone = changes.gone;
    this.#groups = listing.groups;
    yield* this.#flatten(rulesChanged);
    yield* this.#countRules(rulesChanged);
    const size = this.#size();
    const withheldBefore = this.#withheld;
    this.#withheld = this.#chooseTold(run);
    const fits = size.rules <= MAX_POLICY_RULES && size.classes <= MAX_POLICY_CLASSES;
    const admitted = run.admit(fits ? size : NO_SIZE);
    if (!fits || !admitted) {
      yield* this.#withdraw(run);
      return { ok: false, reason: fits ? hostIsFull(this.#name) : tooLarge(this.#name, size) };
    }
    const number = run.number('policy-use', this.#name) ?? 0;
    // Of other subnets a class may be called otherwise, though it is the same.
    if (this.#number !== number || keepersName(before) !== keepersName(this.#rules)) yield* this.#claimAll(run, number);
    else yield* this.#claimChanges(run, withOthers(changes, withheldBefore, this.#withheld), rulesChanged);
    return { ok: true, number, isStateless: received.isStateless };
  }

  /** Undefined: it has not been received. `made`: what its rules are made of besides its items. */
  #received(run: MemoryRun, { policy: key, networkId }: PolicyUse): Received | undefined {
    const id = idOf(key);
    if (!key.startsWith('network_policies:')) {
      const header = run.header('policy', id);
      if (header === undefined) return undefined;
      const rules = run.items('policy', id);
      return { made: '', items: [key], isStateless: header.stateless === true, sorted: () => sortRules(rules) };
    }
    const header = run.header('network_policies', id);
    if (header === undefined) return undefined;
    const rules = run.items('network_policies', id);
    // Elsewhere another may have that address.
    const joined = [...joinedNetworks(run, networkId)];
    const nodePrefixes = joined.flatMap((id) => [...run.facts('node-address', id).keys()]).sort();
    const isolation = { ingress: header.ingress, egress: header.egress, nodePrefixes };
    const made = `${isolation.ingress} ${isolation.egress} ${nodePrefixes.join()}`;
    const { tiers, privateIn } = header;
    if (tiers === undefined && privateIn === undefined) {
      const sorted = () => sortNetworkPolicyRules(isolation, rules);
      return { made, items: [key], isStateless: false, sorted };
    }
    const ofTiers = tiers === undefined ? undefined : run.header('cluster_policies', idOf(tiers));
    if (tiers !== undefined && ofTiers === undefined) return undefined;
    if (privateIn !== undefined && run.header('private_subnets', idOf(privateIn)) === undefined) return undefined;
    const ofCluster = tiers === undefined ? [] : run.items('cluster_policies', idOf(tiers));
    const subnets = privateIn === undefined ? [] : run.items('private_subnets', idOf(privateIn));
    const items = [key, tiers, privateIn].filter((one) => one !== undefined);
    const sorted = () => sortTieredRules(isolation, rules, ofCluster, subnets);
    const { domainExcept = [] } = ofTiers ?? {};
    return { made: `${made} ${tiers} ${privateIn}`, items, isStateless: false, domainExcept, sorted };
  }

  /** Prefixes that other selectors may list than at the last run. */
  *#touched(run: MemoryRun, before: SelectorRules, listing: Listing): Generator<void, string[]> {
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

  /** Without what is told and nothing else: nobody who is asked for a name's addresses keeps a policy from being in force. */
  #size(): PolicySize {
    let rules = this.#counts.get('') ?? 0;
    let classes = 0;
    for (const one of this.#classes.classes.values()) {
      classes += one.prefixes - one.told;
      if (!isOnlyTold(one)) rules += this.#counts.get(one.name) ?? 0;
    }
    return { rules, classes };
  }

  /** Classes that are left out of those that only what is told has; those of the fewest selectors are taken first. */
  #chooseTold(run: MemoryRun): ReadonlySet<string> {
    const all = [...this.#classes.classes.values()].filter(isOnlyTold);
    const sorted = all.sort((a, b) => a.selectors.length - b.selectors.length || (a.name < b.name ? -1 : 1));
    const withheld = new Set<string>();
    const told = { rules: 0, classes: 0 };
    for (const { name, prefixes } of sorted) {
      const rules = this.#counts.get(name) ?? 0;
      if (told.rules + rules > MAX_TOLD_RULES) {
        withheld.add(name);
        continue;
      }
      told.rules += rules;
      told.classes += prefixes;
    }
    if (!run.admitTold(told)) for (const { name } of sorted) withheld.add(name);
    return withheld;
  }

  /** Of classes that are known it stays what was counted, unless rules are others. */
  *#countRules(rulesChanged: boolean): Generator<void, void> {
    const { classes } = this.#classes;
    if (rulesChanged) this.#counts.clear();
    for (const name of this.#counts.keys()) if (name !== '' && !classes.has(name)) this.#counts.delete(name);
    for (const one of [undefined, ...classes.values()]) {
      const name = one?.name ?? '';
      if (this.#counts.has(name)) continue;
      this.#counts.set(name, yield* countEntries(this.#lists(one)));
    }
  }

  /** Undefined: of addresses that have no class. */
  #lists(one: PolicyClass | undefined): RuleLists {
    return this.#rules.tiers === undefined ? this.#ruleLists(one) : [this.#flat.get(one?.name ?? '') ?? []];
  }

  #ruleLists(one: PolicyClass | undefined): RuleLists {
    const selectors = one?.selectors ?? [];
    const { any, selectors: rulesOf, keepers = [] } = this.#rules;
    return [...any, ...selectors.flatMap((name) => rulesOf.get(name)?.rules ?? []), deniedBy(keepers, selectors)];
  }

  /** What the class is called in the maps. */
  #classId(one: PolicyClass): number {
    const number = this.#classes.numberOf(one);
    return isKeptOut(this.#rules.keepers ?? [], one.selectors) ? (number | CB_CLASS_PRIVATE) >>> 0 : number;
  }

  /** Of classes that are known stays what was flattened, unless rules are others. */
  *#flatten(rulesChanged: boolean): Generator<void, void> {
    const { tiers } = this.#rules;
    const { classes } = this.#classes;
    if (rulesChanged) this.#flat.clear();
    if (tiers === undefined) return;
    for (const name of this.#flat.keys()) if (name !== '' && !classes.has(name)) this.#flat.delete(name);
    for (const one of [undefined, ...classes.values()]) {
      if (this.#flat.has(one?.name ?? '')) continue;
      const matches = this.#ruleLists(one).flat();
      const all: RuleMatch[] = [];
      for (const family of [CB_FAMILY_V4, CB_FAMILY_V6]) {
        all.push(...(yield* flattenTiers(matches, { direction: CB_DIR_INGRESS, family }, tiers.ingress)));
        all.push(...(yield* flattenTiers(matches, { direction: CB_DIR_EGRESS, family }, tiers.egress)));
      }
      this.#flat.set(one?.name ?? '', all);
    }
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
    if (any) wanted.set('', yield* encodeRules(number, 0, this.#lists(undefined)));
    const light = new Set<string>();
    for (const one of classes) {
      if (one.selectors.some(isOfDomains)) light.add(one.name);
      if (this.#withheld.has(one.name)) wanted.set(one.name, NO_ENTRIES);
      else wanted.set(one.name, yield* encodeRules(number, this.#classId(one), this.#lists(one)));
    }
    for (const [name, entries] of wanted) {
      for (const key of this.#ruleEntries.get(name)?.keys() ?? []) {
        if (!entries.has(key)) run.remove('cb_rule_1', key);
        yield;
      }
    }
    for (const [name, entries] of wanted) {
      for (const entry of entries.values()) {
        // Of a class that some address has for what it was told: without it that address has what is around it.
        run.put('cb_rule_1', light.has(name) ? { ...entry, onlyAllows: true } : entry);
        yield;
      }
      if (entries.size === 0) this.#ruleEntries.delete(name);
      else this.#ruleEntries.set(name, entries);
    }
  }

  #claimPrefix(run: MemoryRun, number: number, row: ClassedPrefix): void {
    const one = row.state.class;
    if (one === undefined || this.#withheld.has(one.name)) {
      dropPrefix(run, row);
      return;
    }
    const key = MAPS.cb_class_1.key.text(classKey(number, row));
    const more = row.state.isTold ? ({ onlyAllows: true } as const) : {};
    run.put('cb_class_1', { key, value: this.#classValue(one), ...more });
    row.state.claimed = key;
  }

  /** One text for all prefixes of a class. */
  #classValue(one: PolicyClass): ByteText {
    const classId = this.#classId(one);
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
    run.admitTold(NO_SIZE);
    this.#rules = NO_RULES;
    this.#indexes.clear();
    this.#flat.clear();
    this.#counts.clear();
    this.#withheld = NOTHING;
    this.#groups = new Map();
    this.#told = NO_DOMAINS;
    this.#classes = new PolicyClasses(this.#numberOf, isOfDomains);
  }
}

function isOnlyTold({ prefixes, told }: PolicyClass): boolean {
  return prefixes === told;
}

/** The changes, and classes that are withheld and were not, or the other way round: they are claimed anew as if their number was another. */
function withOthers(changes: ClassChanges, before: ReadonlySet<string>, after: ReadonlySet<string>): ClassChanges {
  if (before.size === 0 && after.size === 0) return changes;
  const others = [...before].filter((one) => !after.has(one)).concat([...after].filter((one) => !before.has(one)));
  return { ...changes, renumbered: new Set([...changes.renumbered, ...others]) };
}

/** A policy as the server sent it. `items`: the slices whose items are its rules. */
type Received = {
  readonly made: string;
  readonly items: readonly SliceKey[];
  readonly isStateless: boolean;
  /** Prefixes that no name means; absent: none, or no rule means names. */
  readonly domainExcept?: readonly string[];
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

  readonly #told: ToldDomains;

  constructor(run: MemoryRun, { selectors }: SelectorRules, reach: ReadonlyMap<string, Within>, told: ToldDomains) {
    this.#told = told;
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
    for (const name of this.#told.listed(order)) {
      if (first === undefined) first = name;
      else if (name !== first) all = (all ?? new Set([first])).add(name);
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

/** Equal for those of the same private subnets. */
function keepersName({ keepers = [] }: SelectorRules): string {
  return keepers
    .map(({ everybody, peers }) => `${everybody} ${peers}`)
    .sort()
    .join();
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
const NOTHING: ReadonlySet<string> = new Set();
const NO_ENTRIES: ReadonlyMap<string, Planned> = new Map();

function dropPrefix(run: MemoryRun, { state }: ClassedPrefix): void {
  if (state.claimed !== undefined) run.remove('cb_class_1', state.claimed);
  state.claimed = undefined;
}

function classKey(policy: number, { length, order }: ClassedPrefix): KeyOf<'cb_class_1'> {
  return { prefixlen: HEAD_BITS + length, policy, addr: bytesOf(order) };
}

/** As many as `encodeRules` makes of them: what matches the same is one. */
function* countEntries(lists: RuleLists): Generator<void, number> {
  const seen = new Set<number>();
  for (const matches of lists) {
    for (const { prefixlen, direction, family, protocol, portBe } of matches)
      seen.add((((prefixlen * 2 + direction) * 8 + family) * 256 + protocol) * 65_536 + portBe);
    yield;
  }
  return seen.size;
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
