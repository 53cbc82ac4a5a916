import { collectionPath } from '@cable/api';
import type { ActionDeclaration, AnyObject, ResourceModel, Verb } from '@cable/model';
import { type Command, Option } from 'commander';
import type { Bind, CliContext } from './context.ts';
import { CliError, explainFailure } from './errors.ts';
import { attributeFlags, collect, dashed, optionsOf, type Purpose } from './flags.ts';
import { pickColumns, type Row, renderJson, renderObject, renderTable } from './render.ts';
import { createResolver, type Resolve } from './resolve.ts';
import { bodyFromOptions, filtersFromOptions } from './values.ts';
import { listColumns, resourceWords } from './words.ts';

type Options = Readonly<Record<string, unknown>>;

/** Adds the verbs of one resource, derived from its declaration: list, show, create, set, delete, and its actions. */
export function addResourceCommands(root: Command, resource: ResourceModel, bind: Bind): void {
  const parent = findCommand(root, resourceWords(resource));
  if (parent.description() === '') parent.description(resource.description);
  for (const verb of resource.verbs) ADD[verb](parent, resource, bind);
  for (const action of resource.actions ?? []) addAction(parent, resource, action, bind);
}

const ADD: Readonly<Record<Verb, (parent: Command, resource: ResourceModel, bind: Bind) => void>> = {
  list: (parent, resource, bind) => {
    const command = parent
      .command('list')
      .description(`Lists ${spoken(resource.plural)}.`)
      .option('-c, --column <name>', 'show this column (repeatable)', collect)
      .option('--sort <column[:desc]>', 'sort by this column (repeatable)', collect)
      .option('--limit <number>', 'show at most so many');
    addOptions(command, resource, 'filter');
    command.action(bind((context, options) => list(context, resource, options)));
  },
  show: (parent, resource, bind) => {
    parent
      .command(`show <${placeholder(resource)}>`)
      .description(`Shows one ${spoken(resource.name)}.`)
      .option('-c, --column <name>', 'show this attribute (repeatable)', collect)
      .action(bind((context, options, [ref]) => show(context, resource, options, String(ref))));
  },
  create: (parent, resource, bind) => {
    const lead = leadOf(resource);
    const command = parent
      .command(lead === undefined ? 'create' : `create [${lead}]`)
      .description(`Creates a ${spoken(resource.name)}.`)
      .option('-c, --column <name>', 'show this attribute (repeatable)', collect);
    addOptions(command, resource, 'create');
    command.action(bind((context, options, [value]) => create(context, resource, withLead(options, lead, value))));
  },
  update: (parent, resource, bind) => {
    const command = parent
      .command(`set <${placeholder(resource)}>`)
      .alias('update')
      .description(`Changes a ${spoken(resource.name)}.`)
      .option('-c, --column <name>', 'show this attribute (repeatable)', collect);
    addOptions(command, resource, 'update');
    command.action(bind((context, options, [ref]) => update(context, resource, options, String(ref))));
  },
  delete: (parent, resource, bind) => {
    parent
      .command(`delete <${placeholder(resource)}...>`)
      .description(`Deletes ${spoken(resource.plural)}.`)
      .action(bind((context, _options, [refs]) => remove(context, resource, (refs as readonly unknown[]).map(String))));
  },
};

/** The flag whose value may stand without it, as in the `openstack` client: the name; where there is none, what the object is part of. */
function leadOf(resource: ResourceModel): string | undefined {
  const flags = attributeFlags(resource, 'create');
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

/**
 * `add_router_interface` with a body of `subnet_id` and `port_id` becomes `add subnet <router> <subnet>` and `add port ..`, as the
 * `openstack` client has it; any other action its own name, with options.
 */
function addAction(parent: Command, resource: ResourceModel, action: ActionDeclaration, bind: Bind): void {
  const verb = /^(add|remove)_/.exec(action.name)?.[1];
  const properties = Object.entries(action.body ?? {});
  if (verb !== undefined && properties.length > 0 && properties.every(([name]) => name.endsWith('_id'))) {
    const does = verb === 'add' ? 'Adds parts to' : 'Removes parts from';
    const verbCommand = findCommand(parent, [verb]).description(`${does} a ${spoken(resource.name)}.`);
    for (const [property, { description }] of properties) {
      const noun = property.replace(/_id$/, '');
      verbCommand
        .command(`${dashed(noun)} <${placeholder(resource)}> <${dashed(noun)}>`)
        .description(description ?? action.description)
        .action(
          bind(async (context, _options, [ref, target]) => {
            const resolve = resolver(context);
            await act(context, resource, action, String(ref), { [property]: await resolve(noun, String(target)) });
          }),
        );
    }
    return;
  }
  const command = parent.command(`${dashed(action.name)} <${placeholder(resource)}>`).description(action.description);
  addOptions(command, { attributes: action.body ?? {} }, 'update');
  command.action(
    bind(async (context, options, [ref]) => {
      const body = await bodyFromOptions({ attributes: action.body ?? {} }, 'update', options, resolver(context));
      await act(context, resource, action, String(ref), body);
    }),
  );
}

async function list(context: CliContext, resource: ResourceModel, options: Options): Promise<void> {
  const asked = columnsOf(resource, options);
  const columns = asked ?? listColumns(resource);
  const params = new URLSearchParams();
  const filters = await filtersFromOptions(resource, options, resolver(context));
  for (const [name, value] of [...filters, ...sortOf(resource, options), ...limitOf(options)])
    params.append(name, value);
  if (asked !== undefined || !context.json) for (const column of columns) params.append('fields', column);
  const answer = await context.client().request('GET', `${collectionPath(resource)}?${params}`);
  const found = (answer as Readonly<Record<string, unknown>> | undefined)?.[resource.plural];
  if (!Array.isArray(found)) throw new CliError(1, `the server's answer has no ${resource.plural}`);
  const rows = found as readonly Row[];
  if (!context.json) return context.print(renderTable(columns, rows));
  context.print(renderJson(asked === undefined ? rows : rows.map((row) => pickColumns(row, asked))));
}

async function show(context: CliContext, resource: ResourceModel, options: Options, ref: string): Promise<void> {
  const asked = columnsOf(resource, options);
  const id = await resolver(context)(resource.name, ref);
  const object = await context.client().get<string>(resource.name, id);
  print(context, resource, object, asked);
}

async function create(context: CliContext, resource: ResourceModel, options: Options): Promise<void> {
  const asked = columnsOf(resource, options);
  const body = await bodyFromOptions(resource, 'create', options, resolver(context));
  print(context, resource, await context.client().create<string>(resource.name, body), asked);
}

async function update(context: CliContext, resource: ResourceModel, options: Options, ref: string): Promise<void> {
  const asked = columnsOf(resource, options);
  const resolve = resolver(context);
  const body = await bodyFromOptions(resource, 'update', options, resolve);
  if (Object.keys(body).length === 0)
    throw new CliError(2, 'nothing to change is given', 'See the options with --help.');
  const id = await resolve(resource.name, ref);
  print(context, resource, await context.client().update<string>(resource.name, id, body), asked);
}

/** Goes on after a failure; the exit status then is 1. */
async function remove(context: CliContext, resource: ResourceModel, refs: readonly string[]): Promise<void> {
  const resolve = resolver(context);
  let failures = 0;
  for (const ref of refs) {
    try {
      await context.client().delete(resource.name, await resolve(resource.name, ref));
    } catch (err) {
      if (refs.length === 1) throw err;
      failures += 1;
      context.printError(explainFailure(err).text);
    }
  }
  if (failures > 0) throw new CliError(1, `${failures} of ${refs.length} ${spoken(resource.plural)} were not deleted`);
}

async function act(
  context: CliContext,
  resource: ResourceModel,
  action: ActionDeclaration,
  ref: string,
  body: object,
): Promise<void> {
  const id = await resolver(context)(resource.name, ref);
  const answer = await context.client().action(resource.name, id, action.name, body);
  if (typeof answer !== 'object' || answer === null) return;
  context.print(context.json ? renderJson(answer) : renderObject(answer as Row));
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
  const aliases = Object.entries(resource.attributes).filter(([, { aliasOf }]) => aliasOf !== undefined);
  const hidden = new Set(aliases.map(([name]) => name));
  context.print(renderObject(object, asked ?? Object.keys(object).filter((name) => !hidden.has(name))));
}

function resolver(context: CliContext): Resolve {
  return createResolver(context.client(), context.resources);
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
