import { type Client, collectionPath, parametersOf, parentParameter } from '@cable/api';
import {
  type ActionDeclaration,
  type AnyObject,
  actionCommands,
  type CommandBook,
  dashed,
  type ResourceModel,
  resourceWords,
  VERB_WORDS,
  type Verb,
} from '@cable/model';
import { type Command, Option } from 'commander';
import type { Bind, CliContext } from './context.ts';
import { CliError, explainFailure } from './errors.ts';
import { attributeFlags, collect, optionsOf, type Purpose, withoutFlags, withoutParent } from './flags.ts';
import { pickColumns, type Row, renderJson, renderObject, renderTable } from './render.ts';
import { createResolver, type Resolve } from './resolve.ts';
import { addTagOptions, addUntagOptions, changesTags, changeTags, isTagged, takeTags } from './tags.ts';
import { bodyFromOptions, filtersFromOptions } from './values.ts';
import { actionAlias, listColumns } from './words.ts';

type Options = Readonly<Record<string, unknown>>;

/**
 * Adds the verbs of one resource, derived from its declaration: list, show, create, set, delete, and its actions. `book`: which words are taken. Answers what is
 * left out, since something else has its words: never what this version knows, but a newer server may have more.
 */
export function addResourceCommands(
  root: Command,
  resource: ResourceModel,
  bind: Bind,
  book: CommandBook,
): readonly string[] {
  const words = resourceWords(resource);
  const leftOut: string[] = [];
  const claim = (...command: readonly string[]): boolean => {
    const isFree = book.claim([...words, ...command], resource.type) === undefined;
    if (!isFree) leftOut.push([...words, ...command].join(' '));
    return isFree;
  };
  const parent = findCommand(root, words);
  if (parent.description() === '') parent.description(resource.description);
  for (const verb of resource.verbs) {
    if (!VERB_WORDS[verb].every((word) => claim(word))) continue;
    ADD[verb](parent, resource, bind);
    const purpose = PURPOSES[verb];
    const without = purpose === undefined ? [] : withoutFlags(withoutParent(resource), purpose);
    leftOut.push(...without.map((name) => `${[...words, VERB_WORDS[verb][0]].join(' ')} --${dashed(name)}`));
  }
  if (isTagged(resource) && claim('unset')) addUnset(parent, resource, bind);
  for (const action of resource.actions ?? []) addAction(parent, resource, action, bind, claim);
  return leftOut;
}

/** What a verb's options are for. */
const PURPOSES: { readonly [V in Verb]?: Purpose } = { list: 'filter', create: 'create', update: 'update' };

const ADD: Readonly<Record<Verb, (parent: Command, resource: ResourceModel, bind: Bind) => void>> = {
  list: (parent, resource, bind) => {
    const command = parent
      .command(['list', ...parentArgument(resource)].join(' '))
      .description(`Lists ${spoken(resource.plural)}.`)
      .option('-c, --column <name>', 'show this column (repeatable)', collect)
      .option('--sort <column[:desc]>', 'sort by this column (repeatable)', collect)
      .option('--limit <number>', 'show at most so many');
    addOptions(command, resource, 'filter');
    command.action(bind(async (context, options, args) => list(await placeOf(context, resource, args), options)));
  },
  show: (parent, resource, bind) => {
    parent
      .command(['show', ...parentArgument(resource), `<${placeholder(resource)}>`].join(' '))
      .description(`Shows one ${spoken(resource.name)}.`)
      .option('-c, --column <name>', 'show this attribute (repeatable)', collect)
      .action(bind(async (context, options, args) => show(await placeOf(context, resource, args), options)));
  },
  create: (parent, resource, bind) => {
    const lead = leadOf(resource);
    const command = parent
      .command(['create', ...parentArgument(resource), ...(lead === undefined ? [] : [`[${lead}]`])].join(' '))
      .description(`Creates a ${spoken(resource.name)}.`)
      .option('-c, --column <name>', 'show this attribute (repeatable)', collect);
    addOptions(command, withoutParent(resource), 'create');
    addTagOptions(command, resource, 'create');
    command.action(
      bind(async (context, options, args) => {
        const place = await placeOf(context, resource, args);
        await create(place, withLead(options, lead, place.args[0]));
      }),
    );
  },
  update: (parent, resource, bind) => {
    const command = parent
      .command(['set', ...parentArgument(resource), `<${placeholder(resource)}>`].join(' '))
      .alias('update')
      .description(`Changes a ${spoken(resource.name)}.`)
      .option('-c, --column <name>', 'show this attribute (repeatable)', collect);
    addOptions(command, resource, 'update');
    addTagOptions(command, resource, 'update');
    command.action(bind(async (context, options, args) => update(await placeOf(context, resource, args), options)));
  },
  delete: (parent, resource, bind) => {
    parent
      .command(['delete', ...parentArgument(resource), `<${placeholder(resource)}...>`].join(' '))
      .description(`Deletes ${spoken(resource.plural)}.`)
      .action(bind(async (context, _options, args) => remove(await placeOf(context, resource, args))));
  },
};

/** `unset`: takes what an object may have or not. */
function addUnset(parent: Command, resource: ResourceModel, bind: Bind): void {
  const command = parent
    .command(['unset', ...parentArgument(resource), `<${placeholder(resource)}>`].join(' '))
    .description(`Takes tags from a ${spoken(resource.name)}.`);
  addUntagOptions(command);
  command.action(
    bind(async (context, options, args) => {
      const { client, find, args: own } = await placeOf(context, resource, args);
      await takeTags(client, resource, await find(String(own[0])), options);
    }),
  );
}

/** Where a command works: on a collection, of a nested resource that of a parent. */
type Place = {
  readonly context: CliContext;
  readonly resource: ResourceModel;
  /** Of the parent. */
  readonly client: Client;
  readonly collection: string;
  readonly resolve: Resolve;
  /** Finds one of the collection's objects. */
  readonly find: (nameOrId: string) => Promise<string>;
  /** The command's arguments behind that of the parent. */
  readonly args: readonly unknown[];
};

/** The argument of a nested resource's commands that names the parent. */
function parentArgument(resource: ResourceModel): readonly string[] {
  const name = parentParameter(resource);
  return name === undefined ? [] : [`<${dashed(name.replace(/_id$/, ''))}>`];
}

async function placeOf(context: CliContext, resource: ResourceModel, args: readonly unknown[]): Promise<Place> {
  const client = context.client();
  const resolve = createResolver(client, context);
  const find = (nameOrId: string): Promise<string> => resolve(resource.type, nameOrId);
  if (resource.parent === undefined) {
    return { context, resource, client, collection: collectionPath(resource), resolve, find, args };
  }
  const [given, ...rest] = args;
  const parent = await resolve(resource.parent.type, String(given));
  const within = client.within(parent);
  return {
    ...{ context, resource, client: within, collection: collectionPath(resource, parent), resolve, args: rest },
    find: (nameOrId) => createResolver(within, context)(resource.type, nameOrId),
  };
}

/** The flag whose value may stand without it, as in the `openstack` client: the name; where there is none, what the object is part of. */
function leadOf(resource: ResourceModel): string | undefined {
  const flags = attributeFlags(withoutParent(resource), 'create');
  const named = flags.find(({ name }) => name === 'name');
  const parents = flags.filter(({ attribute }) => attribute.required && attribute.reference?.onDelete === 'cascade');
  return (named ?? (parents.length === 1 ? parents[0] : undefined))?.flags[0];
}

function withLead(options: Options, lead: string | undefined, value: unknown): Options {
  if (lead === undefined || value === undefined) return options;
  const key = new Option(`--${lead}`).attributeName();
  if (options[key] !== undefined) throw new CliError(2, `the ${lead} is given twice`);
  return { ...options, [key]: value };
}

/** The command under the root that the words name; made where it is not there yet. */
function findCommand(root: Command, words: readonly string[]): Command {
  return words.reduce(
    (parent, word) => parent.commands.find((one) => one.name() === word) ?? parent.command(word),
    root,
  );
}

function addOptions(command: Command, resource: Pick<ResourceModel, 'attributes'>, purpose: Purpose): void {
  for (const flags of attributeFlags(resource, purpose)) {
    for (const option of optionsOf(flags, purpose)) command.addOption(option);
  }
}

/** The commands of an action: `actionCommands`. `claim`: false for words that are taken. */
function addAction(
  parent: Command,
  resource: ResourceModel,
  action: ActionDeclaration,
  bind: Bind,
  claim: (...words: readonly string[]) => boolean,
): void {
  if (action.noCommand) return;
  for (const { words, part } of actionCommands(action)) {
    if (!claim(...words)) continue;
    if (part === undefined) addPlainAction(parent, resource, action, bind);
    else addPartAction(parent, resource, action, bind, { words, part });
  }
}

/** `add subnet <router> <subnet>`: of an action that attaches what its body names. */
function addPartAction(
  parent: Command,
  resource: ResourceModel,
  action: ActionDeclaration,
  bind: Bind,
  { words: [verb = '', noun = ''], part }: { readonly words: readonly string[]; readonly part: string },
): void {
  const does = verb === 'add' ? 'Adds parts to' : 'Removes parts from';
  findCommand(parent, [verb])
    .description(`${does} a ${spoken(resource.name)}.`)
    .command([noun, ...parentArgument(resource), `<${placeholder(resource)}>`, `<${noun}>`].join(' '))
    .description(action.body?.[part]?.description ?? action.description)
    .action(
      bind(async (context, _options, args) => {
        const place = await placeOf(context, resource, args);
        const target = await place.resolve(part.replace(/_id$/, ''), String(place.args[1]));
        await act(place, action, { [part]: target });
      }),
    );
}

function addPlainAction(parent: Command, resource: ResourceModel, action: ActionDeclaration, bind: Bind): void {
  const isOnObject = action.on !== 'collection';
  const words = [
    ...[dashed(action.name), ...parentArgument(resource)],
    ...(isOnObject ? [`<${placeholder(resource)}>`] : []),
    ...parametersOf(action.path ?? '').map((name) => `<${dashed(name)}>`),
  ];
  const command = parent.command(words.join(' ')).description(action.description);
  const alias = actionAlias(resource.type, action.name);
  if (alias !== undefined) command.alias(alias);
  const fields = fieldsOf(action);
  addOptions(command, fields, 'update');
  command.action(
    bind(async (context, options, args) => {
      const place = await placeOf(context, resource, args);
      await act(place, action, await bodyFromOptions(fields, 'update', options, place.resolve));
    }),
  );
}

/** The attributes of its body, all of which may be given. */
function fieldsOf({ body = {} }: ActionDeclaration): Pick<ResourceModel, 'attributes'> {
  const entries = Object.entries(body).map(([name, attribute]) => [name, { ...attribute, write: 'both' }] as const);
  return { attributes: Object.fromEntries(entries) };
}

async function list({ context, resource, collection, resolve }: Place, options: Options): Promise<void> {
  const asked = columnsOf(resource, options);
  const columns = asked ?? listColumns(resource);
  const params = new URLSearchParams();
  const filters = await filtersFromOptions(resource, options, resolve);
  for (const [name, value] of [...filters, ...sortOf(resource, options), ...limitOf(options)])
    params.append(name, value);
  if (asked !== undefined || !context.json) for (const column of columns) params.append('fields', column);
  const answer = await context.client().request('GET', `${collection}?${params}`);
  const found = (answer as Readonly<Record<string, unknown>> | undefined)?.[resource.plural];
  if (!Array.isArray(found)) throw new CliError(1, `the server's answer has no ${resource.plural}`);
  const rows = found as readonly Row[];
  if (!context.json) return context.print(renderTable(columns, rows));
  context.print(renderJson(asked === undefined ? rows : rows.map((row) => pickColumns(row, asked))));
}

async function show(place: Place, options: Options): Promise<void> {
  const { context, resource, client, find, args } = place;
  const asked = columnsOf(resource, options);
  const object = await client.get<string>(resource.type, await find(String(args[0])));
  print(context, resource, object, asked);
}

async function create({ context, resource, client, resolve }: Place, options: Options): Promise<void> {
  const asked = columnsOf(resource, options);
  const body = await bodyFromOptions(withoutParent(resource), 'create', options, resolve);
  const created = await client.create<string>(resource.type, body);
  const isDone = isCreatedWhole(resource, options);
  print(context, resource, isDone ? created : await changeTags(client, resource, created.id, options), asked);
}

/** True unless tags are given that the object is not created with. */
function isCreatedWhole(resource: ResourceModel, options: Options): boolean {
  return resource.attributes['tags']?.write !== undefined || !changesTags(resource, options);
}

async function update({ context, resource, client, resolve, find, args }: Place, options: Options): Promise<void> {
  const asked = columnsOf(resource, options);
  const body = await bodyFromOptions(resource, 'update', options, resolve);
  const isRetagged = changesTags(resource, options);
  const isChanged = Object.keys(body).length > 0;
  if (!isChanged && !isRetagged) throw new CliError(2, 'nothing to change is given', 'See the options with --help.');
  const id = await find(String(args[0]));
  const updated = isChanged ? await client.update<string>(resource.type, id, body) : undefined;
  const object = isRetagged ? await changeTags(client, resource, id, options) : updated;
  if (object !== undefined) print(context, resource, object, asked);
}

/** Goes on after a failure; the exit status then is 1. */
async function remove({ context, resource, client, find, args }: Place): Promise<void> {
  const refs = (args[0] as readonly unknown[]).map(String);
  let failures = 0;
  for (const ref of refs) {
    try {
      await client.delete(resource.type, await find(ref));
    } catch (err) {
      if (refs.length === 1) throw err;
      failures += 1;
      context.printError(explainFailure(err).text);
    }
  }
  if (failures > 0) throw new CliError(1, `${failures} of ${refs.length} ${spoken(resource.plural)} were not deleted`);
}

async function act(
  { context, resource, client, find, args }: Place,
  action: ActionDeclaration,
  body: object,
): Promise<void> {
  const isOnObject = action.on !== 'collection';
  const id = isOnObject ? await find(String(args[0])) : '';
  const names = parametersOf(action.path ?? '');
  const values = args.slice(isOnObject ? 1 : 0);
  const parameters = Object.fromEntries(names.map((name, at) => [name, String(values[at])]));
  const answer = await client.action(resource.type, id, action.name, body, parameters);
  if (typeof answer !== 'object' || answer === null) return;
  context.print(context.json ? renderJson(answer) : renderAnswer(answer as Row));
}

/** An answer that is a list is shown as one. */
function renderAnswer(answer: Row): string {
  const [[name, value] = [], more] = Object.entries(answer);
  if (more !== undefined || !Array.isArray(value)) return renderObject(answer);
  const rows = value as readonly Row[];
  const [first] = rows;
  return first === undefined ? `There are no ${name}.\n` : renderTable(Object.keys(first), rows);
}

function print(
  context: CliContext,
  resource: ResourceModel,
  object: AnyObject,
  asked: readonly string[] | undefined,
): void {
  if (context.json) {
    context.print(renderJson(asked === undefined ? object : pickColumns(object, asked)));
    return;
  }
  const aliases = Object.entries(resource.attributes).filter(
    ([, { aliasOf }]) => aliasOf !== undefined && resource.attributes[aliasOf] !== undefined,
  );
  const hidden = new Set(aliases.map(([name]) => name));
  context.print(renderObject(object, asked ?? Object.keys(object).filter((name) => !hidden.has(name))));
}

function columnsOf(resource: ResourceModel, options: Options): readonly string[] | undefined {
  const given = options['column'];
  if (!Array.isArray(given)) return undefined;
  return given.map((text) => attributeNamed(resource, '--column', String(text)));
}

/** The attribute that the text names, with dashes or as declared. */
function attributeNamed(resource: ResourceModel, flag: string, text: string): string {
  const names = Object.keys(resource.attributes);
  const found = names.find((name) => name === text || dashed(name) === dashed(text.toLowerCase()));
  if (found === undefined) throw new CliError(2, `${flag}: there is no '${text}'`, `There are: ${names.join(', ')}`);
  return found;
}

function sortOf(resource: ResourceModel, options: Options): readonly (readonly [string, string])[] {
  const given = options['sort'];
  return (Array.isArray(given) ? given : []).flatMap((text) => {
    const [, name = '', direction = 'asc'] = /^(.*?)(?::(asc|desc))?$/.exec(String(text)) ?? [];
    return [['sort_key', attributeNamed(resource, '--sort', name)] as const, ['sort_dir', direction] as const];
  });
}

function limitOf(options: Options): readonly (readonly [string, string])[] {
  const given = options['limit'];
  if (given === undefined) return [];
  if (!/^[1-9]\d{0,8}$/.test(String(given))) throw new CliError(2, `--limit: '${given}' is not a number from 1`);
  return [['limit', String(given)]];
}

function spoken(name: string): string {
  return name.replaceAll('_', ' ');
}

function placeholder(resource: Pick<ResourceModel, 'name'>): string {
  return dashed(resource.name);
}
