/**
 * Tiers of network policies, flattened: Admin, then NetworkPolicies where some isolate, then Baseline. What is left is what is allowed, as prefixes of protocol and
 * port that hold nothing else: that an entry is not there never lets pass more.
 */
import { ANY_PORT_BITS, ANY_PROTOCOL_BITS, PORT_BITS, type RuleMatch } from './policy-rules.ts';

/** What a rule of the cluster's policies does with what it matches. `order`: of two of a tier the one with the lower text counts. */
export type TierStep = {
  readonly tier: 'admin' | 'baseline';
  readonly order: string;
  readonly action: 'allow' | 'deny' | 'pass';
};

/** Of all rules that match a packet those that may decide. */
type Deciding = {
  readonly admin: Decider | undefined;
  /** Lowest id of a NetworkPolicy that allows it; undefined: none does. */
  readonly allowedBy: number | undefined;
  readonly baseline: Decider | undefined;
};

type Decider = TierStep & { readonly rule: number };

/** `by`: first 32 bits of the id of who decided; 0: no policy did. */
export type Verdict = { readonly isAllowed: boolean; readonly by: number };

const NOBODY: Deciding = { admin: undefined, allowedBy: undefined, baseline: undefined };

/** What of the rules of one class, in one direction and for one version of IP, is in force. */
export function* flattenTiers(
  matches: Iterable<RuleMatch>,
  base: Pick<RuleMatch, 'direction' | 'family'>,
  isIsolated: boolean,
): Generator<void, readonly RuleMatch[]> {
  const root = emptyNode();
  for (const match of matches) {
    if (match.direction === base.direction && match.family === base.family) {
      const node = nodeAt(root, match);
      node.own = alsoBy(node.own, match);
    }
    yield;
  }
  const { parts } = yield* allowedIn(root, { depth: 0, value: 0 }, NOBODY, isIsolated);
  return [...flatParts(parts)].map(({ place, rule }) => ({ ...base, ...matchAt(place), rule }));
}

/** A packet, as rules see it. */
export type Judged = Pick<RuleMatch, 'direction' | 'family' | 'protocol' | 'portBe'>;

/** What becomes of one packet, by the rules of its class. */
export function verdictOn(packet: Judged, matches: Iterable<RuleMatch>, isIsolated: boolean): Verdict {
  const value = placeValue(packet);
  let deciding = NOBODY;
  for (const match of matches) {
    if (match.direction !== packet.direction || match.family !== packet.family) continue;
    const place = placeOf(match);
    const unsaid = PLACE_BITS - place.depth;
    if (value >>> unsaid === place.value >>> unsaid) deciding = alsoBy(deciding, match);
  }
  return decide(deciding, isIsolated);
}

/** `by`: first 32 bits of the ids of who decided so; none: no policy did, or those that isolate and do not allow it. */
export type Deciders = { readonly isAllowed: boolean; readonly by: readonly number[] };

/** Who decided about a packet that these rules match: of NetworkPolicies all that allow it. */
export function decidersOn(matching: readonly RuleMatch[], isIsolated: boolean): Deciders {
  const deciding = matching.reduce(alsoBy, NOBODY);
  const { isAllowed, by } = decide(deciding, isIsolated);
  const isOfAdmin = deciding.admin !== undefined && deciding.admin.action !== 'pass';
  if (isOfAdmin || deciding.allowedBy === undefined) return { isAllowed, by: by === 0 ? [] : [by] };
  const allowing = new Set(matching.flatMap(({ step, rule }) => (step === undefined ? [rule] : [])));
  // What is allowed whatever policies say is none's word.
  return { isAllowed, by: allowing.has(0) ? [] : [...allowing] };
}

/** Rules of a class, by what they match: a packet finds its own whatever their number. */
export class RuleIndex {
  readonly size: number;
  readonly #matches = new Map<string, RuleMatch[]>();

  constructor(lists: Iterable<readonly RuleMatch[]>) {
    let size = 0;
    for (const matches of lists) {
      for (const match of matches) {
        const key = placeText(match, placeOf(match));
        const there = this.#matches.get(key);
        if (there === undefined) this.#matches.set(key, [match]);
        else there.push(match);
        size += 1;
      }
    }
    this.size = size;
  }

  matching(packet: Judged): readonly RuleMatch[] {
    const value = placeValue(packet);
    return Array.from({ length: PLACE_BITS + 1 }, (_, depth) => placeText(packet, { depth, value })).flatMap(
      (key) => this.#matches.get(key) ?? [],
    );
  }
}

/** Names a place of a direction and version of IP. */
function placeText({ direction, family }: Pick<RuleMatch, 'direction' | 'family'>, { depth, value }: Place): string {
  const unsaid = PLACE_BITS - depth;
  return `${direction} ${family} ${depth} ${value >>> unsaid}`;
}

/** `isIsolated`: some NetworkPolicy isolates in that direction. */
function decide({ admin, allowedBy, baseline }: Deciding, isIsolated: boolean): Verdict {
  if (admin !== undefined && admin.action !== 'pass') return { isAllowed: admin.action === 'allow', by: admin.rule };
  if (allowedBy !== undefined) return { isAllowed: true, by: allowedBy };
  if (isIsolated) return { isAllowed: false, by: 0 };
  if (baseline === undefined || baseline.action === 'pass') return { isAllowed: true, by: 0 };
  return { isAllowed: baseline.action === 'allow', by: baseline.rule };
}

/** Protocol and port as 24 bits, most significant first: `depth` of them count. */
type Place = { readonly depth: number; readonly value: number };

const PLACE_BITS = 24;
const PROTOCOL_BITS = 8;

/** Of all that matches in a place, but in none that is in it, `own` decides. */
type Node = { own: Deciding; readonly halves: [Node | undefined, Node | undefined] };

/** A place that is allowed, and those in it that another allows. */
type Part = { readonly place: Place; readonly rule: number; readonly inner: readonly Part[] };

/** `isWhole`: all of the place is allowed. */
type Allowed = { readonly parts: readonly Part[]; readonly isWhole: boolean };

function emptyNode(): Node {
  return { own: NOBODY, halves: [undefined, undefined] };
}

function nodeAt(root: Node, match: RuleMatch): Node {
  const { depth, value } = placeOf(match);
  let node = root;
  for (let at = 0; at < depth; at += 1) {
    const half = ((value >>> (PLACE_BITS - 1 - at)) & 1) as 0 | 1;
    node.halves[half] ??= emptyNode();
    node = node.halves[half];
  }
  return node;
}

/** What is allowed is said of as large places as hold nothing else. */
function* allowedIn(
  node: Node | undefined,
  place: Place,
  around: Deciding,
  isIsolated: boolean,
): Generator<void, Allowed> {
  yield;
  const deciding = node === undefined ? around : both(around, node.own);
  const { isAllowed, by } = decide(deciding, isIsolated);
  if (node === undefined || node.halves.every((half) => half === undefined)) {
    return isAllowed ? { parts: [{ place, rule: by, inner: [] }], isWhole: true } : NOTHING;
  }
  const zero = yield* allowedIn(node.halves[0], halfOf(place, 0), deciding, isIsolated);
  const one = yield* allowedIn(node.halves[1], halfOf(place, 1), deciding, isIsolated);
  const parts = [...zero.parts, ...one.parts];
  const isWhole = zero.isWhole && one.isWhole;
  if (!isWhole || !isAllowed) return { parts, isWhole };
  const inner = parts.flatMap((part) => (part.rule === by ? part.inner : [part]));
  return { parts: [{ place, rule: by, inner }], isWhole };
}

const NOTHING: Allowed = { parts: [], isWhole: false };

function* flatParts(parts: readonly Part[]): Generator<Part> {
  for (const part of parts) {
    yield part;
    yield* flatParts(part.inner);
  }
}

function halfOf({ depth, value }: Place, half: 0 | 1): Place {
  return { depth: depth + 1, value: value | (half << (PLACE_BITS - 1 - depth)) };
}

function placeValue({ protocol, portBe }: Pick<RuleMatch, 'protocol' | 'portBe'>): number {
  return (protocol << (PLACE_BITS - PROTOCOL_BITS)) | portBe;
}

function placeOf({ prefixlen, ...rest }: RuleMatch): Place {
  const value = placeValue(rest);
  if (prefixlen <= ANY_PORT_BITS) return { depth: prefixlen - ANY_PROTOCOL_BITS, value };
  return { depth: PROTOCOL_BITS + prefixlen - PORT_BITS, value };
}

function matchAt({ depth, value }: Place): Pick<RuleMatch, 'prefixlen' | 'protocol' | 'portBe'> {
  const prefixlen = depth <= PROTOCOL_BITS ? ANY_PROTOCOL_BITS + depth : PORT_BITS + depth - PROTOCOL_BITS;
  return { prefixlen, protocol: value >>> (PLACE_BITS - PROTOCOL_BITS), portBe: value & 0xffff };
}

/** What decides when this rule matches, too. */
function alsoBy(deciding: Deciding, { step, rule }: Pick<RuleMatch, 'step' | 'rule'>): Deciding {
  if (step === undefined) return { ...deciding, allowedBy: Math.min(deciding.allowedBy ?? rule, rule) };
  const before = deciding[step.tier];
  if (before !== undefined && before.order <= step.order) return deciding;
  return { ...deciding, [step.tier]: { ...step, rule } };
}

/** What decides when the rules of both match. */
function both(a: Deciding, b: Deciding): Deciding {
  if (a === NOBODY) return b;
  if (b === NOBODY) return a;
  return {
    admin: firstOf(a.admin, b.admin),
    allowedBy: a.allowedBy === undefined ? b.allowedBy : Math.min(a.allowedBy, b.allowedBy ?? a.allowedBy),
    baseline: firstOf(a.baseline, b.baseline),
  };
}

function firstOf(a: Decider | undefined, b: Decider | undefined): Decider | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return a.order <= b.order ? a : b;
}
