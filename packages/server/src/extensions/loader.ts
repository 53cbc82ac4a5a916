/**
 * Extensions of a directory, loaded at the start and loaded anew while the server runs: all or nothing.
 *
 *   read ──> compose, look through ──> fill tables ──> [writes wait] ──> keys of types ──> tables, modules, registry at once ──> [writes go on]
 */
import { ExpectedError, type Logger, startTurns } from '@cable/kit';
import type { AnyObject, Attribute } from '@cable/model';
import type { Compare, Op, Store } from '@cable/store';
import type { EngineDeps } from '../engine/context.ts';
import { PROTON } from '../engine/fences.ts';
import { createKeyMaker } from '../engine/keys-of.ts';
import { missingTypes } from '../engine/loaded-types.ts';
import { Modules } from '../engine/module.ts';
import { lookAt } from '../engine/plan.ts';
import type { LoadedResources, ResourceRegistry } from '../engine/registry.ts';
import { storedProblem } from '../engine/stored-values.ts';
import { objectPrefix, typeKey } from '../keys.ts';
import { TOMBSTONES, type Tombstone } from '../rows.ts';
import type { StagedTables } from '../tables.ts';
import { ExtensionError, type LoadedExtension } from './extension.ts';
import { type Base, composeLoadout, type LoadedProtonExtension, type Loadout } from './loadout.ts';

export type ExtensionLoaderOptions = {
  readonly base: Base;
  /** What is to be loaded now. Throws `ExtensionError`. */
  readonly read: () => Promise<readonly LoadedExtension[]>;
  /** What comes by the rows of protons. Absent: nothing. */
  readonly readProtons?: ReadProtons;
  readonly log: Logger;
};

/** What the rows of protons come to; what cannot be loaded is left out, and logged. Absent from the answer is nothing but that. */
export type ReadProtons = (rows: Iterable<AnyObject>) => Promise<readonly LoadedProtonExtension[]>;

type Deps = Pick<EngineDeps, 'tables' | 'resources' | 'modules' | 'keys' | 'addresses' | 'catchUp' | 'changeover'> & {
  readonly store: Pick<Store, 'txn' | 'list'>;
};

/** How often a reload begins anew because the store was listed anew meanwhile. */
const ATTEMPTS = 5;

/** Loads extensions. One a server. */
export class ExtensionLoader {
  readonly #options: ExtensionLoaderOptions;
  #loadout: Loadout;
  /** What was read of files last. */
  #files: readonly LoadedExtension[];
  #reloading: Promise<unknown> = Promise.resolve();

  private constructor(options: ExtensionLoaderOptions, files: readonly LoadedExtension[]) {
    this.#options = options;
    this.#files = files;
    this.#loadout = composeLoadout(options.base, files);
  }

  /** Reads what is to be loaded from the start. Throws `ExtensionError`. */
  static async read(options: ExtensionLoaderOptions): Promise<ExtensionLoader> {
    return new ExtensionLoader(options, await options.read());
  }

  /** What is loaded. */
  get loadout(): Loadout {
    return this.#loadout;
  }

  /**
   * Says on the store which types are loaded. Before anything is served. Throws `ExtensionError` when the store has types of extensions that are not loaded here:
   * objects of theirs would be out of reach, and rules that span them would not hold.
   */
  async enter({ store, tables, resources }: Pick<Deps, 'store' | 'tables' | 'resources'>): Promise<void> {
    refuseMissing({ tables, resources });
    const ops = putsOf(this.#loadout);
    if (ops.length === 0) return;
    const { revision } = await store.txn([], ops);
    await tables.waitFor(revision);
  }

  /** What would be loaded if these were the rows of protons. Throws `ExtensionError`, and what says why a proton cannot be loaded. */
  async compose(rows: Iterable<AnyObject>): Promise<Loadout> {
    return composeLoadout(this.#options.base, this.#files, (await this.#options.readProtons?.(rows)) ?? []);
  }

  /** Loads what the rows of protons come to, once the tables have them, before anything is served. */
  async takeProtons({
    tables,
    resources,
  }: Pick<Deps, 'tables'> & { readonly resources: ResourceRegistry }): Promise<void> {
    const protons = (await this.#options.readProtons?.(tables.any(PROTON).values())) ?? [];
    if (protons.length === 0) return;
    const next = composeLoadout(this.#options.base, this.#files, protons);
    for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
      const staged = await tables.stage(next.resources.all);
      if (!staged.commit()) continue;
      resources.take(next.resources);
      this.#loadout = next;
      return;
    }
    throw new ExpectedError('protons: the store was listed anew again and again: start again later');
  }

  /** Reads everything anew, and loads it in place of what is loaded. Throws what says why not; nothing has changed then. */
  reload(deps: Deps): Promise<void> {
    return this.#afterOthers(async () => this.#reload(deps, await this.#options.read()));
  }

  /** The same of the protons alone: what came of files stays. */
  reloadProtons(deps: Deps): Promise<void> {
    return this.#afterOthers(() => this.#reload(deps, this.#files));
  }

  #afterOthers(run: () => Promise<void>): Promise<void> {
    const done = this.#reloading.then(run);
    this.#reloading = done.catch(() => {});
    return done;
  }

  async #reload(deps: Deps, files: readonly LoadedExtension[]): Promise<void> {
    const protons = await this.#options.readProtons?.(deps.tables.any(PROTON).values());
    const next = composeLoadout(this.#options.base, files, protons);
    refuseMissing({ tables: deps.tables, resources: { current: next.resources } }, this.#loadout.resources);
    for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
      const staged = await deps.tables.stage(next.resources.all);
      const open = await deps.changeover.close();
      try {
        if (!(await this.#change(deps, next, staged))) continue;
        this.#files = files;
        return;
      } finally {
        open();
        staged.discard();
      }
    }
    throw new ExpectedError('extensions: the store was listed anew again and again: load them again later');
  }

  /** While no transaction is under way here. False: the tables lack something. */
  async #change(deps: Deps, next: Loadout, staged: StagedTables): Promise<boolean> {
    await deps.catchUp.run();
    await refuseOtherKeys(deps, this.#loadout, next);
    await refuseOtherValues(deps, this.#loadout, next, staged);
    await this.#writeTypes(deps, next);
    if (!staged.commit()) return false;
    // From here to the end nothing waits: requests find all of it, or nothing.
    deps.modules.replace(next.modules, next.rules);
    deps.resources.take(next.resources);
    this.#loadout = next;
    return true;
  }

  /** In one transaction; a type is unloaded only when nobody, through whatever server, has an object of it. */
  async #writeTypes(deps: Deps, next: Loadout): Promise<void> {
    const { store, tables } = deps;
    const gone = [...this.#loadout.keyedTypes].filter(([type]) => !next.keyedTypes.has(type));
    const compares = gone.map(([type]): Compare => ({ kind: 'prefixEmpty', prefix: objectPrefix(type) }));
    const ops = [...putsOf(next), ...gone.map(([type]): Op => ({ kind: 'delete', key: typeKey(type) }))];
    if (ops.length === 0) return;
    const { ok, revision } = await store.txn(compares, ops);
    if (!ok) throw await refuseUnload(deps, gone);
    await tables.waitFor(revision);
  }
}

function putsOf({ keyedTypes }: Loadout): Op[] {
  return Array.from(keyedTypes, ([type, alias]) => ({ kind: 'put', key: typeKey(type), value: alias }));
}

/** `leaving`: what is loaded still, and may be unloaded. */
function refuseMissing(
  { tables, resources }: { readonly tables: Deps['tables']; readonly resources: Pick<Deps['resources'], 'current'> },
  leaving?: LoadedResources,
): void {
  const missing = missingTypes({ tables, resources }).filter(({ id }) => leaving?.has(id) !== true);
  if (missing.length === 0) return;
  const words = missing.map(({ id, extension }) => `the type ${id} of the extension ${extension}`);
  throw new ExtensionError(
    `the store has ${words.join(', ')}, which is not loaded. Put the extension into the directory; to unload it, take it out while a server that has it runs, and send that SIGHUP.`,
  );
}

/** `gone`: types, with the aliases of their extensions. What is swept is in the store and nobody's object any more. */
async function refuseUnload(
  { store, tables, catchUp }: Deps,
  gone: readonly (readonly [type: string, alias: string])[],
): Promise<ExtensionError> {
  await catchUp.run();
  const counted = await Promise.all(
    gone.map(async ([type, alias]) => {
      const isStored = (await store.list(objectPrefix(type))).kvs.length > 0;
      return { words: `${type} of ${alias}`, count: tables.any(type).size, isStored };
    }),
  );
  const used = counted.filter(({ count }) => count > 0);
  const swept = counted.filter(({ count, isStored }) => count === 0 && isStored);
  if (used.length === 0 && swept.length > 0) {
    return new ExtensionError(
      `types whose objects have been deleted and are being swept from the store cannot be unloaded yet (${swept.map(({ words }) => words).join(', ')}). Send SIGHUP again in some seconds.`,
    );
  }
  const words = used.map((one) => `${one.words}: ${one.count}`);
  return new ExtensionError(
    `types that have objects cannot be unloaded (${words.join(', ') || 'there were some just now'}). Delete the objects first, or put the extension back.`,
  );
}

/** What an extension makes of objects that are there must be what was made of them, or their keys would be wrong from now on. */
async function refuseOtherKeys(deps: Deps, before: Loadout, next: Loadout): Promise<void> {
  const look = lookAt(deps);
  const turns = startTurns();
  const newKeys = createKeyMaker({ current: next.resources }, new Modules(next.modules));
  const oldKeys = createKeyMaker({ current: before.resources }, new Modules(before.modules));
  const ofProtons = next.resources.protonTypes;
  for (const { type, stored } of before.resources.all) {
    // Who changed a proton has looked at its objects.
    if (ofProtons.has(type) || !stored || !next.resources.has(type) || !mayDiffer(type, before, next)) continue;
    refuseUnswept(deps, type);
    let count = 0;
    for (const row of deps.tables.any(type).values()) {
      if (turns.due()) await turns.next();
      const had = [...oldKeys.keysOf(type, row, look).keys()].sort().join('\n');
      const has = [...newKeys.keysOf(type, row, look).keys()].sort().join('\n');
      if (had !== has) count += 1;
    }
    if (count === 0) continue;
    throw new ExtensionError(
      `objects of ${type} have other claims, marks or references by it than by what is loaded: ${count}. Delete them first, or clear their references.`,
    );
  }
}

/** What an extension declares must take the values that are there, of objects that it does not know yet too: they would be shown as what they are not. */
async function refuseOtherValues(deps: Deps, before: Loadout, next: Loadout, staged: StagedTables): Promise<void> {
  const turns = startTurns();
  const ofProtons = next.resources.protonTypes;
  for (const { type, stored, storedAttributes } of next.resources.all) {
    if (!stored || ofProtons.has(type)) continue;
    const known = before.resources.has(type) ? before.resources.named(type).storedAttributes : {};
    const others = Object.entries(storedAttributes).filter(([name, one]) => !isSameDeclared(known[name], one));
    if (others.length === 0) continue;
    const found = new Map<string, { count: number; readonly first: string }>();
    for (const row of staged.rows(type) ?? deps.tables.any(type).values()) {
      if (turns.due()) await turns.next();
      for (const [name, attribute] of others) {
        const wrong = storedProblem(attribute, row[name]);
        if (wrong === undefined) continue;
        const one = found.get(name) ?? { count: 0, first: `${row.id}: ${wrong}` };
        one.count += 1;
        found.set(name, one);
      }
    }
    const [name, wrong] = [...found][0] ?? [];
    if (wrong === undefined) continue;
    const remedy =
      'Leave the declaration as it was, give the attribute a default or another name, or change the objects';
    throw new ExtensionError(
      `objects of ${type} have no value of ${name} that its declaration takes: ${wrong.count}, such as ${wrong.first}. ${remedy} first.`,
    );
  }
}

function isSameDeclared(before: Attribute | undefined, next: Attribute): boolean {
  return before === next || JSON.stringify(before) === JSON.stringify(next);
}

/** What is not swept yet has the keys of before. */
function refuseUnswept({ tables }: Deps, type: string): void {
  const all = [...tables.any(TOMBSTONES).values()] as unknown as readonly Tombstone[];
  if (!all.some(({ parts }) => parts.some((one) => one.type === type))) return;
  throw new ExtensionError(`objects of ${type} are being deleted: try again in some seconds.`);
}

function mayDiffer(type: string, before: Loadout, next: Loadout): boolean {
  const makers = ({ modules }: Loadout): readonly unknown[] =>
    (modules[type] ?? []).flatMap(({ claims, marks, references }) => [claims, marks, references]);
  const [had, has] = [makers(before), makers(next)];
  const references = ({ resources }: Loadout): string =>
    JSON.stringify(
      Object.entries(resources.named(type).storedAttributes).map(([name, one]) => [name, referencePart(one)]),
    );
  return had.length !== has.length || had.some((one, at) => one !== has[at]) || references(before) !== references(next);
}

function referencePart({
  reference,
  items,
}: {
  readonly reference?: unknown;
  readonly items?: { readonly reference?: unknown; readonly properties?: unknown };
}): unknown {
  return [reference, items?.reference, items?.properties];
}
