import type { PolicyRule } from '@cable/model';
import { parsePrefix } from './address.ts';
import { type RuleMatch, ruleMatches } from './policy-rules.ts';

/** What a rule's remote names: the members of a group, or a prefix (neither when the rule's CIDR is malformed: it matches nothing). */
export type Selector = {
  /** `group:<id>` or `prefix:<prefix>`: the same for the same remote in any policy. */
  readonly name: string;
  readonly groupId: string | undefined;
  /** `Prefix.order`. */
  readonly prefix: string | undefined;
};

/** The matches of one rule each. */
export type RuleLists = readonly (readonly RuleMatch[])[];

/** A policy's rules by the selector of their remote. `any` counts for every address. */
export type SelectorRules = {
  readonly any: RuleLists;
  /** By name. */
  readonly selectors: ReadonlyMap<string, Selector & { readonly rules: RuleLists }>;
};

/** Sorts rules by their remote, in portions. */
export function* sortRules(rules: Iterable<PolicyRule>): Generator<void, SelectorRules> {
  const any: (readonly RuleMatch[])[] = [];
  const selectors = new Map<string, Selector & { readonly rules: (readonly RuleMatch[])[] }>();
  for (const rule of rules) {
    const named = nameSelector(rule.remote);
    if (named === 'any') any.push(ruleMatches(rule));
    else {
      const selector = selectors.get(named.name) ?? { ...named, rules: [] };
      selector.rules.push(ruleMatches(rule));
      selectors.set(named.name, selector);
    }
    yield;
  }
  return { any, selectors };
}

/** A prefix of length 0 is `any`. */
function nameSelector(remote: PolicyRule['remote']): Selector | 'any' {
  if (remote.kind === 'any') return 'any';
  if (remote.kind === 'group') return { name: `group:${remote.groupId}`, groupId: remote.groupId, prefix: undefined };
  const prefix = parsePrefix(remote.cidr);
  if (prefix === undefined) return { name: `invalid:${remote.cidr}`, groupId: undefined, prefix: undefined };
  if (remote.cidr.endsWith('/0')) return 'any';
  return { name: `prefix:${prefix.order}`, groupId: undefined, prefix: prefix.order };
}
