/** Everything that is loaded, put together and looked through before any of it counts. */
import { type AnyObject, DeclarationError, type ExtensionDeclaration, type Registry } from '@cable/model';
import type { Contribution, ModuleTable } from '../engine/module.ts';
import { Modules } from '../engine/module.ts';
import { type LoadedProton, LoadedResources } from '../engine/registry.ts';
import { assertRoutable } from '../http/route-table.ts';
import { readBy, type Upgrade } from '../object-text.ts';
import { createPolicy } from '../policy/policy.ts';
import type { PolicySource } from '../policy/policy-source.ts';
import { PolicyError, type RuleDefault } from '../policy/rules.ts';
import { SLICE_TABLES } from '../slices/compiled-view.ts';
import { RUNTIME_TYPES } from '../tables.ts';
import { ExtensionError, type LoadedExtension } from './extension.ts';
import { limitProblem } from './limits.ts';

/** What is there whatever is loaded at run time. */
export type Base = {
  /** Puts what extensions declare together with what is there. Throws `DeclarationError`. */
  readonly compose: (added: readonly ExtensionDeclaration[]) => Registry;
  readonly modules: ModuleTable;
  readonly rules: readonly RuleDefault[];
  /** What the operator says about rules; absent: nothing. */
  readonly policy?: Pick<PolicySource, 'options' | 'explain'>;
};

/** One state of what is loaded. */
export type Loadout = {
  readonly resources: LoadedResources;
  readonly modules: ModuleTable;
  readonly rules: readonly RuleDefault[];
  /** Alias of the extension that brings it, by stored type of run-time extensions. */
  readonly keyedTypes: ReadonlyMap<string, string>;
};

/** What came by a proton. `digest`: of its row. */
export type LoadedProtonExtension = LoadedExtension & {
  readonly proton: LoadedProton;
  /** By type: what makes of texts of older versions what is declared now. */
  readonly upgrades: Readonly<Record<string, Upgrade>>;
};

/** Throws `ExtensionError` for what could not be served, with file and remedy. */
export function composeLoadout(
  base: Base,
  extensions: readonly LoadedExtension[],
  protons: readonly LoadedProtonExtension[] = [],
): Loadout {
  const all = [...extensions, ...protons];
  try {
    const registry = base.compose(all.map(({ declaration }) => declaration));
    const keyedTypes = keyedTypesOf(registry, extensions);
    const protonTypes = new Map(
      protons.flatMap(({ proton, declaration }) =>
        (declaration.resources ?? []).map(({ type, name }): [string, LoadedProton] => [type ?? name, proton]),
      ),
    );
    refuseReserved(extensions, registry);
    for (const extension of extensions) refuseBeyond(extension, registry, keyedTypes);
    const loadout: Loadout = {
      resources: new LoadedResources(registry, new Set(keyedTypes.keys()), protonTypes),
      modules: withContributions(base.modules, all),
      rules: [...base.rules, ...all.flatMap(({ rules = [] }) => rules)],
      keyedTypes,
    };
    readUpgraded(loadout, protons);
    assertServable(loadout, base.policy);
    return loadout;
  } catch (err) {
    throw named(base.policy?.explain(err) ?? err, all);
  }
}

function readUpgraded({ resources }: Loadout, protons: readonly LoadedProtonExtension[]): void {
  for (const { upgrades } of protons)
    for (const [type, upgrade] of Object.entries(upgrades)) readBy(resources.named(type), upgrade);
}

function keyedTypesOf(registry: Registry, extensions: readonly LoadedExtension[]): ReadonlyMap<string, string> {
  const aliases = new Set(extensions.map(({ declaration }) => declaration.alias));
  return new Map(
    registry.models.flatMap(({ type, stored, extension }) =>
      stored && extension !== undefined && aliases.has(extension) ? [[type, extension] as const] : [],
    ),
  );
}

const RESERVED: ReadonlySet<string> = new Set([...RUNTIME_TYPES, ...Object.keys(SLICE_TABLES)]);

function refuseReserved(extensions: readonly LoadedExtension[], { models }: Registry): void {
  const taken = models.find(({ type }) => RESERVED.has(type));
  if (taken === undefined || extensions.length === 0) return;
  throw new DeclarationError(
    `resource ${taken.type}`,
    'the server has something of its own by the name of that type',
    'Give it another type; its name may stay.',
  );
}

function refuseBeyond(extension: LoadedExtension, registry: Registry, keyedTypes: ReadonlyMap<string, string>): void {
  const wrong = limitProblem(extension, registry, keyedTypes);
  if (wrong !== undefined) throw new ExtensionError(`${extension.file}: ${wrong}`);
}

function withContributions(base: ModuleTable, extensions: readonly LoadedExtension[]): ModuleTable {
  const table: Record<string, readonly Contribution<AnyObject>[]> = { ...base };
  for (const { contributions = {} } of extensions) {
    for (const [type, one] of Object.entries(contributions)) table[type] = [...(table[type] ?? []), one];
  }
  return table;
}

/** Throws for what would fail only when it is asked for. */
function assertServable({ resources, modules, rules }: Loadout, policy: Base['policy']): void {
  const code = new Modules(modules);
  for (const { resource, operation } of resources.routes) {
    if (operation.kind !== 'action' || code.handlerOf(resource.type, operation.action.name) !== undefined) continue;
    throw new DeclarationError(
      `resource ${resource.type}`,
      `nothing does its action ${operation.action.name}`,
      `Give contributions.${resource.type}.actions a function of that name.`,
    );
  }
  assertRoutable(resources);
  createPolicy({ ...policy?.options(), rules, models: resources.all });
}

/** The error with the file that it is about. */
function named(err: unknown, extensions: readonly LoadedExtension[]): unknown {
  if (err instanceof PolicyError) {
    const rule = err.problems[0]?.rule;
    const from = extensions.filter(({ rules = [] }) => rules.some(({ name }) => name === rule));
    return new ExtensionError(`${filesOf(from)}${err.message}. Correct the rule, or give it another name.`);
  }
  if (!(err instanceof DeclarationError)) return err;
  const [kind, name = ''] = err.subject.split(' ');
  const from = extensions.filter(({ declaration }) =>
    kind === 'extension' ? declaration.alias === name : isAbout(declaration, name),
  );
  return new ExtensionError(`${filesOf(from)}${err.message}`);
}

function isAbout(
  { resources = [], attributes = {}, changes = {}, actions = {} }: ExtensionDeclaration,
  type: string,
): boolean {
  const has = [attributes, changes, actions].some((part) => Object.hasOwn(part, type));
  return has || resources.some((one) => (one.type ?? one.name) === type);
}

function filesOf(extensions: readonly LoadedExtension[]): string {
  return extensions.length === 0 ? '' : `${extensions.map(({ file }) => file).join(', ')}: `;
}
