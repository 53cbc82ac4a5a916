import type { GroupSlice, PolicyRule, PolicySlice } from '@cable/model';
import { type Prefix, parsePrefix } from './address.ts';
import { type RuleMatch, ruleMatches } from './policy-rules.ts';

/** What a rule's remote names: the members of a group, or fixed prefixes (none when the rule's CIDR is malformed: it matches nothing). */
export type Selector = {
  /** `group:<id>` or `prefix:<prefix>`: the same for the same remote in any policy. */
  readonly name: string;
  readonly groupId: string | undefined;
  readonly prefixes: readonly Prefix[];
  /** Matches of each rule with this remote. */
  readonly rules: readonly (readonly RuleMatch[])[];
};

/** A policy's rules by the selector of their remote, selectors sorted by name. `any` counts for every address. */
export type SelectorRules = {
  readonly any: readonly (readonly RuleMatch[])[];
  readonly selectors: readonly Selector[];
};

export function sortRules(slice: PolicySlice): SelectorRules {
  const any: (readonly RuleMatch[])[] = [];
  const selectors = new Map<string, Omit<Selector, 'rules'> & { rules: (readonly RuleMatch[])[] }>();
  for (const rule of slice.rules) {
    const named = nameSelector(rule.remote);
    if (named === 'any') {
      any.push(ruleMatches(rule));
      continue;
    }
    const selector = selectors.get(named.name) ?? { ...named, rules: [] };
    selector.rules.push(ruleMatches(rule));
    selectors.set(named.name, selector);
  }
  return { any, selectors: [...selectors.values()].sort((a, b) => (a.name < b.name ? -1 : 1)) };
}

/** Members of a group count only if they are in a network that can be reached with their own address. */
export type MemberReader = (group: GroupSlice | undefined, reachable: ReadonlySet<string>) => readonly Prefix[];

/** Reads members' addresses, each list once; what cannot be parsed matches nothing. */
export function createMemberReader(): MemberReader {
  const memo = new WeakMap<readonly string[], readonly Prefix[]>();
  const read = (texts: readonly string[]): readonly Prefix[] => {
    const known = memo.get(texts);
    if (known !== undefined) return known;
    const prefixes = texts.flatMap((text) => parsePrefix(text) ?? []);
    memo.set(texts, prefixes);
    return prefixes;
  };
  return (group, reachable) =>
    (group?.members ?? []).flatMap((member) => (reachable.has(member.networkId) ? read(member.addresses) : []));
}

/** A prefix of length 0 is `any`. */
function nameSelector(remote: PolicyRule['remote']): Omit<Selector, 'rules'> | 'any' {
  if (remote.kind === 'any') return 'any';
  if (remote.kind === 'group') return { name: `group:${remote.groupId}`, groupId: remote.groupId, prefixes: [] };
  const prefix = parsePrefix(remote.cidr);
  if (prefix === undefined) return { name: `invalid:${remote.cidr}`, groupId: undefined, prefixes: [] };
  if (remote.cidr.endsWith('/0')) return 'any';
  return { name: `prefix:${prefix.order}`, groupId: undefined, prefixes: [prefix] };
}
