/** The registry: core resources and extensions put together, each type with everything that it has from any of them. */
import { actionCommands, CommandBook, resourceWords, VERB_WORDS } from './command-words.ts';
import type { ActionDeclaration, Attribute, Resource, ResourceModel } from './declaration.ts';
import { DeclarationError } from './declaration-checks.ts';
import {
  ACTION,
  ATTRIBUTE,
  CHANGE,
  FORM,
  isRecord,
  problem,
  RESOURCE,
  type Shape,
  shapeProblem,
} from './declaration-shape.ts';
import { defineResource } from './define-resource.ts';
import type { ExtensionDeclaration } from './extensions/extension.ts';
import { formsOf } from './forms.ts';

/** What is loaded. */
export type Registry = {
  /** One of each type. */
  readonly models: readonly ResourceModel[];
  /** By alias. */
  readonly extensions: readonly ExtensionDeclaration[];
};

/**
 * Puts core and extensions together; their order does not matter to what is valid. Throws `DeclarationError`, which says which extension or resource and what
 * to do: for an attribute, action or command that is there already, a type that is not, a requirement that is not loaded, and whatever `defineResource` refuses.
 */
export function composeRegistry(core: readonly Resource[], extensions: readonly ExtensionDeclaration[] = []): Registry {
  const loaded = new Set(extensions.map(({ alias }) => alias));
  for (const extension of extensions) checkExtension(extension, extensions, loaded);
  const resources = [
    ...core,
    ...extensions.flatMap(({ alias, resources: own = [] }) => own.map((one) => ({ ...one, extension: alias }))),
  ];
  checkTypes(resources);
  for (const extension of extensions) checkTargets(extension, resources);
  const models = define(
    resources.map((resource) => extend(resource, extensions)),
    loaded,
  );
  checkAcross(models);
  checkCommands(models);
  return { models, extensions: [...extensions].sort((a, b) => (a.alias < b.alias ? -1 : 1)) };
}

/** Every model and its further forms: what is served. */
export function servedModels(models: readonly ResourceModel[]): readonly ResourceModel[] {
  const served = new Map(models.map((model): [string, readonly ResourceModel[]] => [model.type, [model]]));
  for (const model of models.filter((one) => !isNested(one))) serve(model);
  for (const model of models.filter(isNested)) serve(model);
  return models.flatMap((model) => served.get(model.type) ?? []);

  function serve(model: ResourceModel): void {
    served.set(model.type, [model, ...formsOf(model, (type) => served.get(type) ?? [])]);
  }
}

/** Its forms stand in paths of others' forms. */
function isNested({ parent, forms = [] }: ResourceModel): boolean {
  return parent !== undefined || forms.some(({ under }) => under !== undefined);
}

/** The name of a model among all that are served: its type, of a form `<type>.<form>`. */
export function servedName({ type, form }: Pick<ResourceModel, 'type' | 'form'>): string {
  return form === undefined ? type : `${type}.${form}`;
}

type Part<T> = Readonly<Record<string, T>>;

const EXTENSION: Shape = {
  fields: () => ({
    ...{ alias: 'text', name: 'text', description: 'text', updated: 'text', requires: 'texts', changes: 'any' },
    ...{ attributes: 'any', resources: { each: RESOURCE }, actions: 'any', columns: { named: 'texts' } },
    forms: 'any',
  }),
  needs: ['alias', 'name', 'description', 'updated'],
};

function checkExtension(
  extension: ExtensionDeclaration,
  all: readonly ExtensionDeclaration[],
  loaded: ReadonlySet<string>,
): void {
  const { alias, requires = [], attributes = {}, changes = {}, actions = {}, forms = {} } = extension;
  const found =
    shapeProblem(extension, EXTENSION) ??
    partProblem(attributes, 'attributes', ATTRIBUTE) ??
    partProblem(changes, 'changes', CHANGE) ??
    listsProblem(actions, 'actions', ACTION) ??
    listsProblem(forms, 'forms', FORM);
  if (found !== undefined) throw refusal(alias, found.text, found.remedy);
  if (!/^[a-z0-9][a-z0-9_-]*$/.test(alias)) throw refusal(alias, 'alias is not a word', 'Write it as net-mtu.');
  if (all.some((one) => one !== extension && one.alias === alias)) {
    throw refusal(alias, 'it is loaded twice', 'Load it once.');
  }
  const missing = requires.find((one) => !loaded.has(one));
  if (missing !== undefined)
    throw refusal(alias, `it requires ${missing}`, `Load ${missing} too, or leave this one out.`);
}

function partProblem(part: unknown, field: string, shape: Shape): ReturnType<typeof shapeProblem> {
  if (!isRecord(part)) return problem(`${field} is not an object`, 'Correct it.');
  for (const [type, attributes] of Object.entries(part)) {
    if (!isRecord(attributes)) return problem(`${field}.${type} is not an object`, 'Correct it.');
    for (const [name, attribute] of Object.entries(attributes)) {
      const found = shapeProblem(attribute, shape, `${field}.${type}.${name}`);
      if (found !== undefined) return found;
    }
  }
  return undefined;
}

function listsProblem(part: unknown, field: string, shape: Shape): ReturnType<typeof shapeProblem> {
  if (typeof part !== 'object' || part === null) return problem(`${field} is not an object`, 'Correct it.');
  for (const [type, list] of Object.entries(part)) {
    if (!Array.isArray(list)) return problem(`${field}.${type} is not a list`, 'Correct it.');
    for (const one of list) {
      const found = shapeProblem(one, shape, `${field}.${type}`);
      if (found !== undefined) return found;
    }
  }
  return undefined;
}

function refusal(alias: string, text: string, remedy: string): DeclarationError {
  return new DeclarationError(`extension ${alias}`, text, remedy);
}

function checkTypes(resources: readonly Resource[]): void {
  const types = resources.map(typeOf);
  const twice = types.find((type, at) => types.indexOf(type) !== at);
  if (twice !== undefined) {
    throw new DeclarationError(`resource ${twice}`, 'the type is there twice', 'Give one of them another type.');
  }
}

/** Words in a type's place, and what an extension may bring under them. */
const GROUPS: Readonly<Record<string, readonly string[]>> = {
  '*': ['attributes'],
  '*tagged': ['attributes', 'actions'],
};

function typeOf(resource: Resource): string {
  return resource.type ?? resource.name;
}

/** Every type that an extension speaks of is there. */
function checkTargets(extension: ExtensionDeclaration, all: readonly Resource[]): void {
  const { alias, attributes, changes, actions, columns, forms } = extension;
  const known = new Set(all.map(typeOf));
  for (const [what, part] of Object.entries({ attributes, changes, actions, columns, forms })) {
    const stray = Object.keys(part ?? {}).find((type) => !known.has(type) && GROUPS[type]?.includes(what) !== true);
    if (stray === undefined) continue;
    throw refusal(alias, `${what} name the type ${stray}, which is not there`, 'Load what brings it, or correct it.');
  }
}

/** The resource with what the extensions bring to its type. */
function extend(resource: Resource, extensions: readonly ExtensionDeclaration[]): Resource {
  const type = typeOf(resource);
  const attributes: Record<string, Attribute> = { ...resource.attributes };
  const actions: ActionDeclaration[] = [...(resource.actions ?? [])];
  for (const { alias, attributes: added = {}, actions: acts = {} } of extensions) {
    const tagged = resource.tagged ? '*tagged' : '';
    const own = { ...(resource.standard ? added['*'] : {}), ...added[tagged], ...added[type] };
    addAttributes(attributes, own, alias, type);
    actions.push(...[...(acts[tagged] ?? []), ...(acts[type] ?? [])].map((one) => ({ ...one, extension: alias })));
  }
  for (const { alias, changes = {} } of extensions) changeAttributes(attributes, changes[type] ?? {}, alias, type);
  const forms = [...(resource.forms ?? []), ...extensions.flatMap((one) => one.forms?.[type] ?? [])];
  return {
    ...{ ...resource, attributes, ...columnsOf(resource, extensions) },
    ...(actions.length > 0 ? { actions } : {}),
    ...(forms.length > 0 ? { forms } : {}),
  };
}

/** Where none are named the columns are derived, those of extensions among them. */
function columnsOf(resource: Resource, extensions: readonly ExtensionDeclaration[]): Pick<Resource, 'columns'> {
  const { columns } = resource;
  const type = typeOf(resource);
  return columns === undefined
    ? {}
    : { columns: [...columns, ...extensions.flatMap((one) => one.columns?.[type] ?? [])] };
}

function addAttributes(to: Record<string, Attribute>, added: Part<Attribute>, alias: string, type: string): void {
  for (const [name, attribute] of Object.entries(added)) {
    if (Object.hasOwn(to, name)) {
      const from = to[name]?.extension === undefined ? 'core' : `extension ${to[name]?.extension}`;
      throw refusal(alias, `${type} has the attribute ${name} already, from ${from}`, 'Give it another name.');
    }
    to[name] = { ...attribute, extension: alias };
  }
}

function changeAttributes(
  of: Record<string, Attribute>,
  changes: Part<Partial<Attribute>>,
  alias: string,
  type: string,
): void {
  for (const [name, change] of Object.entries(changes)) {
    const before = Object.hasOwn(of, name) ? of[name] : undefined;
    if (before === undefined) {
      throw refusal(alias, `${type} has no attribute ${name} to change`, 'Require the extension that brings it.');
    }
    of[name] = { ...before, ...change };
  }
}

/** Parents before what is nested in them; the models in the order of the resources. */
function define(resources: readonly Resource[], loaded: ReadonlySet<string>): readonly ResourceModel[] {
  const models = new Map<string, ResourceModel>();
  const nested = resources.filter(({ parent }) => parent !== undefined);
  const alone = resources.filter(({ parent }) => parent === undefined);
  for (const resource of alone) models.set(typeOf(resource), defineResource(resource, { loaded }));
  const roots = new Map(models);
  for (const resource of nested) {
    const parent = roots.get(resource.parent?.type ?? '');
    models.set(typeOf(resource), defineResource(resource, { loaded, ...(parent === undefined ? {} : { parent }) }));
  }
  return resources.flatMap((resource) => models.get(typeOf(resource)) ?? []);
}

/** What no declaration can say alone: references lead to types that are there, from objects that are stored, and can be found by what they refer to. */
function checkAcross(models: readonly ResourceModel[]): void {
  const types = new Set(models.map(({ type }) => type));
  for (const { type, stored, storedAttributes, attributes } of models) {
    for (const [name, attribute] of Object.entries({ ...storedAttributes, ...attributes })) {
      if (!stored && targetsOf(attribute).length > 0) {
        const text = `attribute ${name}: it refers to ${targetsOf(attribute)[0]}, but ${type} is not stored`;
        throw new DeclarationError(`resource ${type}`, text, 'Leave the reference out.');
      }
      const stray = targetsOf(attribute).find((target) => !types.has(target));
      if (stray === undefined) continue;
      const text = `attribute ${name}: it refers to ${stray}, which is not there`;
      throw new DeclarationError(`resource ${type}`, text, 'Load what brings the type, or correct the reference.');
    }
  }
}

/** Each type has commands of its own, which can be reached. */
function checkCommands(models: readonly ResourceModel[]): void {
  const book = new CommandBook();
  const refuse = (type: string, words: readonly string[], owner: string, remedy: string): never => {
    const text = `command: ${words.join(' ')} is a command of ${owner} already`;
    throw new DeclarationError(`resource ${type}`, text, remedy);
  };
  for (const model of models) {
    const words = resourceWords(model);
    const owner = book.open(words, model.type);
    if (owner !== undefined) refuse(model.type, words, owner, 'Give the resource other words by command.');
  }
  for (const model of models) {
    const words = resourceWords(model);
    for (const word of model.verbs.flatMap((verb) => VERB_WORDS[verb])) {
      const owner = book.claim([...words, word], model.type);
      if (owner !== undefined)
        refuse(model.type, [...words, word], owner, 'Give one of the resources other words by command.');
    }
    for (const action of model.actions ?? []) {
      for (const command of action.noCommand === true ? [] : actionCommands(action)) {
        const path = [...words, ...command.words];
        const owner = book.claim(path, model.type);
        if (owner !== undefined) refuse(model.type, path, owner, `Give the action ${action.name} another name.`);
      }
    }
  }
}

function targetsOf(attribute: Attribute): readonly string[] {
  const inner = [attribute.items, ...Object.values(attribute.properties ?? {})].filter((one) => one !== undefined);
  return [...(attribute.reference === undefined ? [] : [attribute.reference.type]), ...inner.flatMap(targetsOf)];
}
