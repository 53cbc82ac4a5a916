/** How much one policy names, of pods and of prefixes: where that is more than there is room for, some of its rules are closed, and who wrote it is to be told. */
import { POLICY_SLICES_MAX, parseCidr, parseLabelSelector, parseLabels, prefixesLeft, selects } from '@cable/model';
import type { NamespaceFacts } from './namespaces.ts';

type Peer = {
  readonly pods: string | null;
  readonly namespaces: string | null;
  readonly cidr: string | null;
  readonly except?: readonly string[];
};

type Rules = readonly { readonly peers: readonly Peer[] | null }[];

export type NamespaceList = {
  get(key: string): NamespaceFacts | undefined;
  keys(): Iterable<string>;
};

/**
 * What is said of a policy that names too much; undefined: there is room for it, if it is the only one of its pods. `most`: of prefixes. Ports with names are not reckoned with, by which it may be
 * more.
 */
export function roomProblem(rules: Rules, namespaces: NamespaceList, most: number): string | undefined {
  const problems = [slicesProblem(rules, namespaces), prefixesProblem(rules, most)];
  const [first, ...more] = problems.filter((one) => one !== undefined);
  return first === undefined ? undefined : [first, ...more].join('; ');
}

function prefixesProblem(rules: Rules, most: number): string | undefined {
  const counts = rules.flatMap(({ peers }) => (peers ?? []).map(prefixesOf));
  const count = counts.reduce((sum, one) => sum + one, 0);
  if (count <= most) return undefined;
  return `its rules name ${count} prefixes (each exception counts as many as its length is more than that of its prefix), and there is room for ${most}: those behind allow nothing, and what else they would do is denied in their direction. Name fewer, or shorter ones`;
}

function prefixesOf({ cidr, except = [] }: Peer): number {
  const whole = cidr === null ? undefined : parseCidr(cidr);
  return whole === undefined
    ? 0
    : prefixesLeft(
        whole,
        except.flatMap((one) => parseCidr(one) ?? []),
      );
}

function slicesProblem(rules: Rules, namespaces: NamespaceList): string | undefined {
  const named = new Set<string>();
  const peers = rules.flatMap((rule) => rule.peers ?? []).filter(({ cidr }) => cidr === null);
  for (const { selector, pods } of selectorsOf(peers)) {
    for (const name of selector === undefined ? [''] : selected(selector, namespaces)) {
      for (const one of pods) {
        named.add(`${name}/${one}`);
        if (named.size > POLICY_SLICES_MAX) return TOO_MANY;
      }
    }
  }
  return undefined;
}

const TOO_MANY = `its rules name more than ${POLICY_SLICES_MAX} slices of pods (namespaces times selectors of pods, each once): those for which there is no room allow nothing, and what else they would do is denied in their direction. Name fewer, or all namespaces (namespaceSelector: {}), which are one`;

type Selected = { readonly selector: string | undefined; readonly pods: ReadonlySet<string> };

/** Selectors of pods, by that of their namespaces; undefined: the policy's own, or all, in one slice. */
function selectorsOf(peers: readonly Peer[]): readonly Selected[] {
  const found = new Map<string | undefined, Set<string>>();
  for (const { namespaces, pods } of peers) {
    const selector = namespaces === null || namespaces === '' ? undefined : namespaces;
    const known = found.get(selector);
    const text = `${namespaces ?? '-'} ${pods ?? ''}`;
    const one = selector === undefined ? text : (pods ?? '');
    if (known === undefined) found.set(selector, new Set([one]));
    else known.add(one);
  }
  return [...found].map(([selector, pods]) => ({ selector, pods }));
}

function* selected(selector: string, namespaces: NamespaceList): Iterable<string> {
  const asked = parseLabelSelector(selector);
  if (asked === undefined) return;
  for (const name of namespaces.keys()) if (selects(asked, parseLabels(namespaces.get(name)?.labels ?? []))) yield name;
}
