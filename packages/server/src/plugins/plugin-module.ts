/** Plug-ins, rules of dispatch, flavors and the directory as resources. What asks plug-ins is loaded when it is first needed. */

import { type Stats, statSync } from 'node:fs';
import {
  type AnyObject,
  CableError,
  type DispatchDefault,
  type DispatchRule,
  type Network,
  type Plugin,
} from '@cable/model';
import { isFields } from '@cable/plugin/contract';
import type { ActionHandler, EngineDeps } from '../engine/context.ts';
import { type Claim, type Contribution, contribute } from '../engine/module.ts';
import { permitRead } from '../engine/permission.ts';
import { currentRow } from '../engine/read.ts';
import { readerOf } from '../engine/reader.ts';
import { heardKey, toldPrefix } from '../keys.ts';
import { checkZone } from '../resources/availability-zone.ts';
import type { Tables } from '../tables.ts';
import { whyFull } from './backend-slots.ts';
import { flavorsOf, registeredBackends, VROUTER } from './backends.ts';
import { placeBy } from './placing.ts';

/** Types of objects that a plug-in owns. */
const OWNED = ['network', 'subnet', 'port', 'router'] as const;

type GivenPlugin = Plugin & { readonly token?: string };

const showReport: ActionHandler = async (deps, name, _body, asked) => {
  const { state, report } = await seenPlugin(deps, name, asked, 'probe');
  return {
    name,
    state,
    passed: report.length > 0 && report.every((one) => isFields(one) && one['passed'] === true),
    checks: report,
  };
};

const test: ActionHandler = async (deps, name, _body, asked) => {
  const plugin = await seenPlugin(deps, name, asked, 'test');
  const { testPlugin } = await import('./registering.ts');
  const { passed, checks } = await testPlugin(deps, plugin, asked);
  return { passed, checks };
};

const capabilities: ActionHandler = async (deps, name, _body, asked) =>
  (await seenPlugin(deps, name, asked, 'capabilities')).capabilities;

async function seenPlugin(
  deps: EngineDeps,
  name: string,
  { credentials }: Parameters<ActionHandler>[3],
  action: string,
): Promise<Plugin> {
  const reader = readerOf(deps, credentials);
  const before = await currentRow(deps, deps.resources.named('plugin'), name, reader);
  permitRead(deps, { credentials, row: reader.row }, { type: 'plugin', action, before });
  return before as unknown as Plugin;
}

/** Plug-ins: where they are asked, and that what is asked elsewhere is registered anew. */
export const pluginModule: Contribution<AnyObject> = contribute<GivenPlugin>({
  derive: (_planning, given) => {
    checkSocket(given.endpoint);
    return { secret: given.token ?? null };
  },
  change: (_planning, before, after) => {
    const secret = after.token ?? before.secret;
    if (after.endpoint !== before.endpoint) checkSocket(after.endpoint);
    const isElsewhere =
      after.endpoint !== before.endpoint || after.authorities !== before.authorities || secret !== before.secret;
    return isElsewhere ? { secret, state: 'Registering', problem: null } : { secret };
  },
  check: (_view, { name, endpoint }) => {
    checkName(name);
    checkEndpoint(endpoint);
  },
  present: (tables, { name, problem }) => {
    const heard = tables.of('heard').get(name);
    const objects = OWNED.map((type) => (tables.has(type) ? tables.any(type).count('cable:backend', name) : 0));
    return {
      usage: heard?.usage ?? {},
      objects: objects.reduce((sum, count) => sum + count, 0),
      undelivered: heard?.undelivered ?? 0,
      reason: problem ?? (heard?.refusal || null),
      last_heard: heard === undefined || heard.at === '' ? null : heard.at,
    };
  },
  removed: ({ plan }, { name }) => {
    plan.deletePrefix(toldPrefix(name));
    plan.deleteKey(heardKey(name));
  },
  inUse: ({ name }, holderType, holders) =>
    new CableError(
      'InUse',
      `Plug-in ${name} is used by ${holders.length} of type ${holderType}: ${holders.slice(0, 10).join(', ')}.`,
      {
        label: 'Plugin',
        detail: 'Delete its objects, and the rules, defaults and ranges that name it, first.',
      },
    ),
  actions: { probe: showReport, test, capabilities },
});

function checkName(name: string): void {
  if (/^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/.test(name) && name !== VROUTER) return;
  const rule = name === VROUTER ? 'it is the built-in back end’s' : 'give small letters, digits and "-"';
  throw new CableError('InvalidInput', `Invalid input for name. Reason: ${rule}.`);
}

const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/;

/** What it is told are others' networks, and its token opens it: in the clear that stays on the machine. */
function checkEndpoint(endpoint: string): void {
  if (/^unix:\/[^\p{Cc}]{1,100}$/u.test(endpoint)) return;
  const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined;
  const isPlain = url !== undefined && url.username === '' && url.search === '' && url.hash === '';
  const isAllowed = isPlain && (url.protocol === 'https:' || (url.protocol === 'http:' && LOOPBACK.test(url.hostname)));
  if (!isAllowed) throw noPlace(endpoint, '');
  if (url.pathname !== '/' || endpoint.endsWith('/'))
    throw noPlace(endpoint, ': leave out what follows HOST:PORT, the contract’s own path, /v1/VERB, is put there');
}

/** What is there now, and is no socket, cannot become one of a plug-in; what is not there yet may. */
function checkSocket(endpoint: string | undefined): void {
  const path = /^unix:(.*)$/s.exec(endpoint ?? '')?.[1];
  const found = path === undefined ? undefined : statOf(path);
  if (found !== undefined && !found.isSocket()) throw noPlace(endpoint ?? '', ': there is no Unix socket, but a file');
}

function statOf(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch {
    // What the server may not look at it finds out by its probe.
    return undefined;
  }
}

function noPlace(endpoint: string, why: string): CableError {
  const message = `endpoint: ${endpoint.slice(0, 100)} is no place to ask a plug-in at${why}.`;
  return new CableError('PluginEndpointNotAllowed', message);
}

/** Rules: no two at one place, and of flavors that there are. */
export const dispatchRuleModule: Contribution<AnyObject> = {
  ...contribute<DispatchRule>({
    derive: (planning, given) => {
      checkFlavor(planning.deps.tables, 'flavor', given.flavor ?? null, given.resource ?? null);
      return {};
    },
    change: (planning, before, after) => {
      if (before.flavor !== after.flavor || before.resource !== after.resource)
        checkFlavor(planning.deps.tables, 'flavor', after.flavor, after.resource);
      return {};
    },
    claims: ({ priority }) => [priorityClaim(priority)],
  }),
  actions: { explain },
};

function priorityClaim(priority: number): Claim {
  return {
    ...{ kind: 'dispatch_priority', value: String(priority) },
    holder: (look) => look.by('dispatch_rule', 'priority', String(priority))[0]?.id,
    taken: (holder) => new CableError('HTTPConflict', `Rule ${holder} has priority ${priority} already.`),
  };
}

async function explain(...[deps, , body, asked]: Parameters<ActionHandler>): Promise<unknown> {
  const { credentials } = asked;
  const before = { id: '' };
  permitRead(deps, { credentials, row: () => undefined }, { type: 'dispatch_rule', action: 'explain', before });
  const text = (name: string): string | null => (typeof body[name] === 'string' ? String(body[name]) : null);
  const zone = text('zone');
  const resource = body['resource'] === 'router' ? 'router' : 'network';
  if (zone !== null) checkZone(deps.tables, zone, resource);
  const placed = placeBy(deps, {
    ...{ resource, flavor: text('flavor') },
    ...{ project: text('project_id') ?? credentials.projectId ?? '', zones: zone === null ? [] : [zone] },
    networkType: text('network_type'),
  });
  const { backend, refusal, by, ruleId, flavor, networkType, rules } = placed;
  const candidates = placed.candidates.map((one) => {
    const full = one.can ? whyFull(deps.tables, one.backend, resource) : undefined;
    return full === undefined ? one : { ...one, can: false, why: full };
  });
  const full = backend === null ? undefined : whyFull(deps.tables, backend.name, resource);
  return {
    backend: full === undefined ? (backend?.name ?? null) : null,
    reason: full === undefined ? (refusal?.reason ?? by) : `${by} leads to ${backend?.name}, but ${full}`,
    ...{ rule_id: ruleId, flavor, network_type: full === undefined ? networkType : null, candidates, rules },
  };
}

/** Defaults: of flavors that there are. */
export const dispatchDefaultModule: Contribution<AnyObject> = contribute<DispatchDefault>({
  derive: (planning, given) => {
    checkDefaults(planning.deps.tables, given);
    return {};
  },
  change: (planning, _before, after) => {
    checkDefaults(planning.deps.tables, after);
    return {};
  },
});

function checkDefaults(tables: Tables, given: Partial<DispatchDefault>): void {
  checkFlavor(tables, 'network_flavor', given.network_flavor ?? null, 'network');
  checkFlavor(tables, 'router_flavor', given.router_flavor ?? null, 'router');
}

function checkFlavor(tables: Tables, attribute: string, flavor: string | null, resource: string | null): void {
  if (flavor === null) return;
  const all = flavorsOf(registeredBackends(tables.of('plugin').values()));
  const fit = [...all].filter(([, { resources }]) => resource === null || resources.includes(resource));
  if (fit.some(([name]) => name === flavor)) return;
  const names = fit.map(([name]) => name).join(', ');
  throw new CableError(
    'UnknownFlavor',
    `Invalid input for ${attribute}. Reason: there is no ${flavor.slice(0, 63)}: use one of ${names}.`,
  );
}

/** Flavors: shipped ones, and those of plug-ins. */
export const networkFlavorModule: Contribution<AnyObject> = {
  rows: (tables) =>
    [...flavorsOf(registeredBackends(tables.of('plugin').values()))].map(([name, flavor]) => {
      const { description, resources, networkTypes } = flavor;
      return { id: name, name, description, resources, network_types: networkTypes };
    }),
};

/** The directory. */
export const capabilityModule: Contribution<AnyObject> = {
  rows: (tables) => {
    const backends = registeredBackends(tables.of('plugin').values());
    const flavors = [...flavorsOf(backends)];
    return backends.map(({ name, state, capabilities: said }) => ({
      ...{ id: name, backend: name, state, release: said.version, resource: Object.keys(said.resources) },
      ...{ network_type: said.networkTypes, vif_type: said.vifTypes, zones: said.zones },
      flavors: flavors
        .filter(([flavor, { networkTypes }]) => takesFlavor(said.networkTypes, networkTypes) || flavor in said.flavors)
        .map(([flavor]) => flavor),
      extensions: said.extensions.map(({ alias }) => alias),
      ...{ features: said.features, limits: said.limits },
    }));
  },
};

function takesFlavor(own: readonly string[], wanted: readonly string[]): boolean {
  return own.some((type) => wanted.includes(type as Network['provider:network_type']));
}

/** Entries of `/v2.0/extensions` that registered plug-ins bring, of those that are not loaded. Whether they are heard of now does not matter. */
export function pluginExtensions(
  tables: Pick<Tables, 'has' | 'of'>,
  loaded: readonly { readonly alias: string }[],
): readonly { readonly alias: string; readonly name: string; readonly description: string; readonly by: string }[] {
  if (!tables.has('plugin') || tables.of('plugin').size === 0) return [];
  const known = new Set(loaded.map(({ alias }) => alias));
  const found = new Map<string, { alias: string; name: string; description: string; by: string }>();
  for (const { name: by, capabilities: said } of registeredBackends(tables.of('plugin').values())) {
    for (const { alias, name, description } of said.extensions) {
      if (known.has(alias) || found.has(alias)) continue;
      found.set(alias, { alias, name, description: description === '' ? `Of the plug-in ${by}.` : description, by });
    }
  }
  return [...found.values()];
}
