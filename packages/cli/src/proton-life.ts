/** `cable proton install|migrate|…`: what becomes of protons at a server. */
import { mkdir, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Command } from 'commander';
import type { Bind, CliContext } from './context.ts';
import { CliError } from './errors.ts';
import { readModelFiles } from './model-files.ts';
import { untilDone } from './proton-again.ts';
import { harmless, type Row, renderJson, renderObject, renderTable } from './render.ts';

const PATH = '/cable/v1/protons';

type Options = Readonly<Record<string, unknown>>;

export function addLifeCommands(proton: Command, bind: Bind): void {
  proton
    .command('install')
    .argument('<path>', 'model file, or directory of one model')
    .option('--no-served', 'its paths do not answer yet')
    .option('--no-storage', 'objects stay stored as the version before has them')
    .option('--backend <name>', 'what makes packets of its objects, such as vrouter-l3vpn; none: nothing here does')
    .option('--breaking', 'also if it breaks clients of what is there')
    .option('--dry-run', 'only says what would be')
    .description('Installs a model, or another version of one, on all servers. Again, it changes nothing.')
    .action(bind((context, options, args) => install(context, String(args[0]), options)));
  proton
    .command('migrate')
    .argument('<proton>')
    .option('--to <version>', 'make this the version as which objects are stored first')
    .option('--dry-run', 'only counts them')
    .description('Writes objects that are stored as an older version has them as the stored version has them.')
    .action(bind((context, options, args) => migrate(context, String(args[0]), options)));
  proton
    .command('remove')
    .argument('<proton>')
    .option('--objects', 'and all objects of it')
    .description('Removes a proton; refused while it has objects, but with --objects.')
    .action(bind((context, options, args) => remove(context, String(args[0]), options['objects'] === true)));
  proton
    .command('remove-version')
    .argument('<proton>')
    .argument('<version>')
    .description('Removes a version as which no object is stored.')
    .action(bind((context, _options, args) => ofVersion(context, 'DELETE', args)));
  proton
    .command('set-version')
    .argument('<proton>')
    .argument('<version>')
    .option('--served', 'its paths answer')
    .option('--no-served', 'they do not')
    .option('--deprecated', 'clients should leave it')
    .option('--no-deprecated', 'they need not')
    .description('Says whether a version is served, and whether clients should leave it.')
    .action(bind((context, options, args) => ofVersion(context, 'PUT', args, flagsOf(options))));
  proton
    .command('versions')
    .argument('<proton>')
    .description('Lists its versions.')
    .action(bind((context, _options, args) => versions(context, String(args[0]))));
  proton
    .command('quota')
    .argument('<proton>')
    .argument('<object>', 'as explain names it')
    .argument('<limit>', '-1: any number')
    .option('--in-project <id>', 'of this project alone')
    .description('Says how many objects of one type each project may have, or one project.')
    .action(bind((context, options, args) => setQuota(context, args, options['inProject'])));
  proton
    .command('explain')
    .argument('<proton>')
    .argument('[what]', 'an object, or an attribute of one: vpn, vpn.ipv4_family')
    .option('--api-version <version>', 'another version than the stored one')
    .description('Says what its objects and attributes are, as the server has them.')
    .action(bind((context, options, args) => explain(context, args, options)));
  proton
    .command('model')
    .argument('<proton>')
    .argument('[version]', 'absent: the stored one')
    .option('-o, --output <directory>', 'write the files there')
    .description('Shows the files that a version was installed from.')
    .action(bind((context, options, args) => model(context, args, options)));
}

/** Commander gives what was not said its default: of these only what was said counts. */
function flagsOf(options: Options): Row {
  const said = Object.entries(options).filter(
    ([name, value]) => ['served', 'deprecated'].includes(name) && typeof value === 'boolean',
  );
  return Object.fromEntries(said);
}

async function install(context: CliContext, path: string, options: Options): Promise<void> {
  const { files, options: read } = await readModelFiles(path);
  const imports = Object.entries(read.imports ?? {}).map(([name, text]) => ({ name, text, import: true }));
  const body = {
    files: [...files.map(({ name, text }) => ({ name: basename(name), text })), ...imports],
    ...(options['served'] === false ? { served: false } : {}),
    ...(options['storage'] === false ? { storage: false } : {}),
    ...(typeof options['backend'] === 'string' ? { backend: backendOf(options['backend']) } : {}),
    ...{ breaking: options['breaking'] === true, dry_run: options['dryRun'] === true },
  };
  const send = () => context.client().request('POST', `${PATH}/install`, body);
  const answer = (await untilDone(context, send)) as Row;
  if (context.json) context.print(renderJson(answer));
  else context.print(installedText(answer));
}

function backendOf(name: string): string {
  return name === 'none' ? '' : name;
}

function installedText({ proton, version, state, changes, warnings, servers }: Row): string {
  const rows = (value: unknown): readonly Row[] => (Array.isArray(value) ? (value as readonly Row[]) : []);
  const lines = [`${proton} ${version}: ${state}`];
  for (const text of Array.isArray(warnings) ? warnings : []) lines.push(`warning: ${String(text)}`);
  if (state === 'would be installed') lines.push(...rows(changes).map(changeText));
  else if (rows(changes).length > 0) lines.push(`${rows(changes).length} changes; cable proton diff shows them`);
  for (const { server, state: is } of rows(servers)) lines.push(`server ${String(server)}: ${String(is)}`);
  if (rows(servers).some(({ state: is }) => is === 'not yet'))
    lines.push('It goes on by itself: cable proton list shows who has loaded it.');
  return lines.map((line) => `${harmless(line)}\n`).join('');
}

function changeText({ object, attribute, text, breaking }: Row): string {
  const place = [object, attribute].filter((one) => typeof one === 'string').join('.');
  return `${breaking === true ? 'breaking: ' : ''}${place}${place === '' ? '' : ': '}${String(text)}`;
}

async function migrate(context: CliContext, proton: string, options: Options): Promise<void> {
  const path = `${PATH}/${encodeURIComponent(proton)}/migrate`;
  const isDryRun = options['dryRun'] === true;
  const to = typeof options['to'] === 'string' ? { to: options['to'] } : {};
  let done = 0;
  for (;;) {
    const send = () => context.client().request('PUT', path, { ...to, dry_run: isDryRun });
    const answer = (await untilDone(context, send)) as Row;
    const { migrated, left } = answer;
    done += Number(migrated);
    const isOver = isDryRun || Number(left) === 0;
    if (isOver && context.json) context.print(renderJson({ migrated: done, left }));
    else if (isOver)
      context.print(`${isDryRun ? `${String(left)} objects would be` : `${done} objects are`} migrated.\n`);
    else context.printError(`${done} objects are migrated, ${String(left)} are left\n`);
    if (isOver) return;
  }
}

async function remove(context: CliContext, proton: string, withObjects: boolean): Promise<void> {
  const path = `${PATH}/${encodeURIComponent(proton)}`;
  const { proton: shown } = (await context.client().request('GET', path)) as { readonly proton: Row };
  const send = () => context.client().request('DELETE', `${path}${withObjects ? '?objects=true' : ''}`);
  await untilDone(context, send, { isGone: true });
  const objects = Number(shown['objects']);
  if (context.json) context.print(renderJson({ removed: proton, objects }));
  else context.print(`${harmless(proton)} is removed${objects > 0 ? `, with ${objects} objects` : ''}.\n`);
}

async function ofVersion(
  context: CliContext,
  method: 'PUT' | 'DELETE',
  [proton, version]: readonly unknown[],
  body?: Row,
): Promise<void> {
  const path = `${PATH}/${encodeURIComponent(String(proton))}/versions/${encodeURIComponent(String(version))}`;
  const shown = (await untilDone(context, () => context.client().request(method, path, body))) as Row;
  context.print(context.json ? renderJson(shown) : versionsTable(versionsOf(shown)));
}

async function setQuota(
  context: CliContext,
  [proton, object, limit]: readonly unknown[],
  project: unknown,
): Promise<void> {
  const body = { object, quota: Number(limit), ...(typeof project === 'string' ? { project_id: project } : {}) };
  const shown = (await context
    .client()
    .request('PUT', `${PATH}/${encodeURIComponent(String(proton))}/quota`, body)) as Row;
  const { name, quotas, project_quotas } = shown;
  context.print(context.json ? renderJson(shown) : renderObject({ name, quotas, project_quotas }));
}

async function versions(context: CliContext, proton: string): Promise<void> {
  const { proton: shown } = (await context.client().request('GET', `${PATH}/${encodeURIComponent(proton)}`)) as {
    readonly proton: Row;
  };
  const all = versionsOf(shown);
  context.print(context.json ? renderJson(all) : versionsTable(all));
}

function versionsOf({ versions: all }: Row): readonly Row[] {
  return Array.isArray(all) ? (all as readonly Row[]) : [];
}

function versionsTable(all: readonly Row[]): string {
  return renderTable(['version', 'file_version', 'served', 'storage', 'deprecated', 'installed_at', 'digest'], all);
}

async function explain(context: CliContext, [proton, what]: readonly unknown[], options: Options): Promise<void> {
  const resources = await schemaOf(context, String(proton), options['apiVersion']);
  const [noun, attribute] = typeof what === 'string' ? what.split('.') : [];
  if (noun === undefined) {
    const rows = resources.map((one) => ({
      object: nounOf(one),
      path: one['collection'],
      description: one['description'],
    }));
    context.print(context.json ? renderJson(rows) : renderTable(['object', 'path', 'description'], rows));
    return;
  }
  const found = resources.find((one) => [nounOf(one), one['name'], one['plural'], one['label']].includes(noun));
  if (found === undefined)
    throw new CliError(1, `there is no ${noun}`, `There are: ${resources.map(nounOf).join(', ')}.`);
  const attributes = found['attributes'] as Readonly<Record<string, Row>>;
  if (attribute === undefined) {
    const rows = Object.entries(attributes).map(([name, one]) => ({ attribute: name, ...summaryOf(one) }));
    context.print(
      context.json ? renderJson(found) : renderTable(['attribute', 'type', 'written', 'default', 'description'], rows),
    );
    return;
  }
  const one = attributes[attribute];
  if (one === undefined)
    throw new CliError(1, `${noun} has no attribute ${attribute}`, `It has: ${Object.keys(attributes).join(', ')}.`);
  context.print(context.json ? renderJson(one) : renderObject(one));
}

async function schemaOf(context: CliContext, proton: string, version: unknown): Promise<readonly Row[]> {
  const own = `/proton/${encodeURIComponent(proton)}`;
  const { default_version: standard } = (await context.client().request('GET', own)) as {
    readonly default_version?: Row;
  };
  const id = typeof version === 'string' ? `v${version.replace(/^v/, '')}` : String(standard?.['version_id']);
  const { resources } = (await context.client().request('GET', `${own}/${encodeURIComponent(id)}/schema`)) as {
    readonly resources: readonly Row[];
  };
  return resources.filter((one) => one['parent'] === undefined);
}

/** The word of its commands. */
function nounOf(resource: Row): string {
  const { command, name } = resource;
  return typeof command === 'string' ? (command.split(' ').at(-1) ?? '') : String(name);
}

const WRITTEN: Readonly<Record<string, string>> = { both: 'always', create: 'when it is made', update: 'later' };

function summaryOf({ type, values, write, required, default: standard, description }: Row): Row {
  return {
    type: Array.isArray(values) ? values.join('|') : type,
    written: write === undefined ? 'never' : `${WRITTEN[String(write)]}${required === true ? ', required' : ''}`,
    default: standard === undefined ? '' : JSON.stringify(standard),
    description,
  };
}

async function model(context: CliContext, [proton, version]: readonly unknown[], { output }: Options): Promise<void> {
  const path = `${PATH}/${encodeURIComponent(String(proton))}/model`;
  const { versions: all } = (await context.client().request('GET', path)) as { readonly versions: readonly Row[] };
  const found = all.find((one) => (version === undefined ? one['storage'] === true : one['version'] === version));
  if (found === undefined) throw new CliError(1, `${String(proton)} has no version ${String(version)}`);
  const files = found['files'] as readonly { readonly name: string; readonly text: string }[];
  if (typeof output !== 'string') {
    if (context.json) context.print(renderJson(files));
    else
      context.print(
        files.map(({ name, text }) => `# ${harmless(name)}\n${text.split('\n').map(harmless).join('\n')}\n`).join(''),
      );
    return;
  }
  await mkdir(output, { recursive: true });
  for (const { name, text } of files) await writeFile(join(output, basename(name)), text);
  context.print(`${files.length} files are written to ${output}.\n`);
}
