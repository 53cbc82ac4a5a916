/** Which back end realises a new network or router: by rules in order, then by defaults. Pure: `explain` and creation are one. */
import type { DispatchDefault, DispatchRule, Plugin } from '@cable/model';
import type { FlavorSaid } from '@cable/plugin/contract';
import { type Backend, flavorsOf, registeredBackends, typeFor, VROUTER, type Wish, whyNot } from './backends.ts';

/** What is to be placed. `flavor`, `networkType` null: it is not said. */
export type Placement = {
  readonly resource: 'network' | 'router';
  readonly flavor: string | null;
  readonly project: string;
  readonly zones: readonly string[];
  readonly networkType: string | null;
};

/** What it is placed by. */
export type DispatchRows = {
  readonly plugins: readonly Plugin[];
  readonly rules: readonly DispatchRule[];
  readonly defaultOf: (project: string) => DispatchDefault | undefined;
  readonly hostZones: ReadonlySet<string>;
};

/** Why it is refused: `unknown-flavor` and `cannot` are the caller's to correct, `away` passes. */
export type Refusal = { readonly kind: 'unknown-flavor' | 'cannot' | 'away'; readonly reason: string };

export type Placed = {
  /** Null: it is refused. */
  readonly backend: Backend | null;
  readonly refusal: Refusal | null;
  /** By what the back end was found, for people. */
  readonly by: string;
  readonly ruleId: string | null;
  readonly flavor: string | null;
  /** `provider:network_type` that a network has; null: of a router. */
  readonly networkType: string | null;
  readonly candidates: readonly { readonly backend: string; readonly can: boolean; readonly why: string }[];
  readonly rules: readonly { readonly id: string; readonly priority: number; readonly why: string }[];
};

/** Name under which the defaults of all projects stand. */
const ALL = '*';

/** Where it is placed, or why it is not. */
export function place(rows: DispatchRows, wanted: Placement): Placed {
  const backends = registeredBackends(rows.plugins);
  const flavors = flavorsOf(backends);
  const own = [rows.defaultOf(wanted.project), rows.defaultOf(ALL)];
  const flavor = wanted.flavor ?? defaultFlavor(own, flavors, wanted);
  const said = flavor === null ? undefined : flavors.get(flavor);
  const none = { backend: null, by: '', ruleId: null, flavor, networkType: null, candidates: [], rules: [] } as const;
  if (flavor !== null && said?.resources.includes(wanted.resource) !== true) {
    const fit = [...flavors].filter(([, { resources }]) => resources.includes(wanted.resource)).map(([name]) => name);
    const reason = `there is no flavor ${flavor} of ${wanted.resource}s: use one of ${fit.join(', ')}`;
    return { ...none, refusal: { kind: 'unknown-flavor', reason } };
  }
  if (wanted.networkType !== null && said !== undefined && !said.networkTypes.includes(wanted.networkType)) {
    const reason = `flavor ${flavor} is of type ${said.networkTypes.join(', ')}, not ${wanted.networkType}`;
    return { ...none, refusal: { kind: 'cannot', reason } };
  }
  const wish: Wish = {
    ...{ resource: wanted.resource, flavor, zones: wanted.zones, hostZones: rows.hostZones },
    types: wanted.networkType === null ? said?.networkTypes : [wanted.networkType],
  };
  const candidates = backends.map((one) => {
    const why = whyNot(one, wish);
    return { backend: one.name, can: why === undefined, why: why ?? '' };
  });
  const matches = ruleMatches(rows.rules, { ...wanted, flavor });
  const { name, by, ruleId } = chosenName(matches, own, candidates, { ...wanted, flavor });
  const told = { by, ruleId, flavor, candidates, rules: matches.map(({ rule, why }) => ({ ...shortRule(rule), why })) };
  const backend = backends.find((one) => one.name === name);
  if (backend === undefined) {
    const reason = `${by} leads to the plug-in ${name}, which is not registered: see cable plugin show ${name}`;
    return { ...told, backend: null, networkType: null, refusal: { kind: 'away', reason } };
  }
  const why = whyNot(backend, wish);
  if (why !== undefined) {
    const kind = why.startsWith('it is ') ? 'away' : 'cannot';
    const reason = `${by} leads to ${name}, but ${why}`;
    return { ...told, backend: null, networkType: null, refusal: { kind, reason } };
  }
  const networkType = wanted.resource === 'network' ? (typeFor(backend.capabilities, wish.types) ?? null) : null;
  return { ...told, backend, networkType, refusal: null };
}

/** That of the project, else of all; null where a type was asked for that it does not have: who says more knows better. */
function defaultFlavor(
  defaults: readonly (DispatchDefault | undefined)[],
  flavors: ReadonlyMap<string, FlavorSaid>,
  { resource, networkType }: Placement,
): string | null {
  const name = defaults.map((one) => one?.[`${resource}_flavor`] ?? null).find(Boolean) ?? null;
  const types = name === null ? undefined : flavors.get(name)?.networkTypes;
  return networkType !== null && types?.includes(networkType) === false ? null : name;
}

type Match = { readonly rule: DispatchRule; readonly why: string };

/** In order; `why`: why it does not match, empty of one that does. */
function ruleMatches(rules: readonly DispatchRule[], wanted: Placement): readonly Match[] {
  const inOrder = [...rules].sort((a, b) => a.priority - b.priority);
  return inOrder.map((rule) => ({ rule, why: whyUnmatched(rule, wanted) }));
}

function whyUnmatched({ resource, flavor, projects, zone }: DispatchRule, wanted: Placement): string {
  if (resource !== null && resource !== wanted.resource) return `it is of ${resource}s`;
  if (flavor !== null && flavor !== wanted.flavor) return `it is of flavor ${flavor}`;
  if (projects !== null && !matchesGlob(projects, wanted.project)) return `it is of projects ${projects}`;
  if (zone !== null && !wanted.zones.includes(zone)) return `it is of zone ${zone}`;
  return '';
}

/** Stars stand for anything; linear in the text. */
export function matchesGlob(glob: string, text: string): boolean {
  const [first = '', ...others] = glob.split('*');
  if (!text.startsWith(first)) return false;
  let at = first.length;
  const last = others.pop();
  if (last === undefined) return text.length === first.length;
  for (const part of others) {
    const found = text.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return text.length - last.length >= at && text.endsWith(last);
}

type Chosen = { readonly name: string; readonly by: string; readonly ruleId: string | null };

function chosenName(
  matches: readonly Match[],
  [own, all]: readonly (DispatchDefault | undefined)[],
  candidates: Placed['candidates'],
  { flavor, zones }: Placement,
): Chosen {
  const match = matches.find(({ why }) => why === '')?.rule;
  if (match !== undefined) return { name: match.plugin, by: `rule ${match.priority}`, ruleId: match.id };
  for (const one of [own, all]) {
    if (one?.plugin == null) continue;
    return { name: one.plugin, by: `the default of ${one === all ? 'all projects' : 'the project'}`, ruleId: null };
  }
  const able = candidates.filter(({ can }) => can).map(({ backend }) => backend);
  const [only, ...more] = able;
  // What the vrouter has not, and one plug-in alone has, needs no rule.
  if ((flavor !== null || zones.length > 0) && only !== undefined && only !== VROUTER && more.length === 0) {
    const what = [...(flavor === null ? [] : [`flavor ${flavor}`]), ...zones.map((zone) => `zone ${zone}`)];
    return { name: only, by: `${what.join(', ')}, which ${only} alone has,`, ruleId: null };
  }
  return { name: VROUTER, by: 'no rule and no default', ruleId: null };
}

function shortRule({ id, priority }: DispatchRule): { readonly id: string; readonly priority: number } {
  return { id, priority };
}
