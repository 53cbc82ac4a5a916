/** `protonclient`: Gluon's command line. Its commands and options are made of what the server says of its protons; nothing is installed here. */
import { ApiError, type Client, createClient, parseSchema } from '@cable/api';
import { type Attribute, type ResourceModel, VERB_WORDS, type Verb } from '@cable/model';
import { Argument, Command, Option } from 'commander';
import type { CliDeps } from '../context.ts';
import { CliError, explainFailure } from '../errors.ts';
import { findSite } from '../site.ts';

/** Port of Gluon's server. */
const PORT = '2705';

const VERBS: readonly Verb[] = ['list', 'show', 'create', 'update', 'delete'];

type Deps = Pick<CliDeps, 'env' | 'connect' | 'print' | 'printError'>;

/** Runs one command line (without the program's name) and gives the exit status: 0, 1 refused or failed, 2 wrong usage. */
export async function runProtonClient(argv: readonly string[], deps: Deps): Promise<number> {
  const server = serverOf(argv, deps.env);
  const site = await findSite({ ...deps, env: { ...keystoneEnvironment(deps.env), CABLE_SERVER: server } }, []);
  const transport = site.connect(server);
  const client = createClient({ transport });
  try {
    if (site.failure !== undefined) throw site.failure;
    const { api, models } = await modelsOf(client, optionOf(argv, '--api'));
    await createProgram(deps, client, api, models).parseAsync([...argv], { from: 'user' });
    return 0;
  } catch (err) {
    const { text, exitStatus } = explainFailure(err);
    deps.printError(text);
    return exitStatus;
  } finally {
    transport.close();
    site.close();
  }
}

function optionOf(argv: readonly string[], name: string): string | undefined {
  const at = argv.findIndex((one) => one === name || one.startsWith(`${name}=`));
  const [, own] = argv[at]?.split('=', 2) ?? [];
  return at < 0 ? undefined : (own ?? argv[at + 1]);
}

function serverOf(argv: readonly string[], env: Deps['env']): string {
  const host = optionOf(argv, '--host') ?? env['OS_PROTON_HOST'] ?? '127.0.0.1';
  const port = optionOf(argv, '--port') ?? env['OS_PROTON_PORT'] ?? PORT;
  return /^https?:/.test(host) ? `${host}:${port}` : `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** Gluon's variables were those of Keystone v2. */
function keystoneEnvironment(env: Deps['env']): Deps['env'] {
  const tenant = env['OS_TENANT_NAME'];
  if (env['OS_AUTH_URL'] === undefined || tenant === undefined) return env;
  return { OS_PROJECT_NAME: tenant, OS_USER_DOMAIN_ID: 'default', OS_PROJECT_DOMAIN_ID: 'default', ...env };
}

/** The collections of the default version of an API; of the only one, if none is named. */
async function modelsOf(
  client: Client,
  api: string | undefined,
): Promise<{ readonly api: string; readonly models: readonly ResourceModel[] }> {
  const names = await namesOf(client);
  const only = api ?? (names.length === 1 ? names[0] : undefined);
  if (only === undefined || !names.includes(only)) {
    throw new CliError(
      2,
      only === undefined ? '--api is needed: there are several' : `there is no API ${only}`,
      `There are: ${names.join(', ')}.`,
    );
  }
  const path = `/proton/${encodeURIComponent(only)}`;
  const { default_version: version } = (await client.request('GET', path)) as {
    readonly default_version: { readonly version_id: string };
  };
  const schema = await client.request('GET', `${path}/${version.version_id}/schema`);
  const models = parseSchema(JSON.stringify(schema)) ?? [];
  return { api: only, models: models.filter(({ parent }) => parent === undefined) };
}

async function namesOf(client: Client): Promise<readonly string[]> {
  try {
    const { protons } = (await client.request('GET', '/proton/')) as {
      readonly protons: readonly { readonly proton_service: string }[];
    };
    return protons.map(({ proton_service: name }) => name);
  } catch (err) {
    if (!(err instanceof ApiError) || err.status !== 404) throw err;
    throw new CliError(1, 'the server has no API', 'An administrator installs one: cable proton install.');
  }
}

function createProgram(deps: Deps, client: Client, api: string, models: readonly ResourceModel[]): Command {
  const program = new Command('protonclient')
    .description(`Commands of ${api}.`)
    .configureOutput({ writeOut: deps.print, writeErr: deps.printError })
    .exitOverride()
    .showHelpAfterError('  See what it takes with --help.')
    .option('--api <api>', 'the API; needed where there are several')
    .option('--host <host>', 'the server (env OS_PROTON_HOST)', '127.0.0.1')
    .option('--port <port>', 'its port (env OS_PROTON_PORT)', PORT);
  for (const model of models) for (const verb of VERBS) addVerb(program, { deps, client, model }, verb);
  return program;
}

type Place = { readonly deps: Deps; readonly client: Client; readonly model: ResourceModel };

function addVerb(program: Command, { deps, client, model }: Place, verb: Verb): void {
  const noun = model.command?.split(' ').at(-1) ?? model.name;
  const command = program.command(`${noun}-${verb}`).description(`${VERB_WORDS[verb][0]}: ${model.description}`);
  const isOfOne = verb === 'show' || verb === 'update' || verb === 'delete';
  if (isOfOne) command.addArgument(new Argument(`<${model.key}>`, 'key of the object'));
  if (verb === 'create' || verb === 'update') {
    for (const [name, attribute] of Object.entries(model.attributes)) addOption(command, name, attribute, verb);
  }
  command.action(async (...given: unknown[]) => {
    const key = isOfOne ? `/${encodeURIComponent(String(given[0]))}` : '';
    const options = given[isOfOne ? 1 : 0] as Readonly<Record<string, unknown>>;
    const body = verb === 'create' || verb === 'update' ? bodyOf(model, options) : undefined;
    const answer = await client.request(METHODS[verb], `${model.collection}${key}`, body);
    if (answer !== undefined) deps.print(`${JSON.stringify(answer, null, 4)}\n`);
  });
}

const METHODS: Readonly<Record<Verb, string>> = {
  list: 'GET',
  show: 'GET',
  create: 'POST',
  update: 'PUT',
  delete: 'DELETE',
};

/** An option has the attribute's name, with its underscores. */
function addOption(command: Command, name: string, attribute: Attribute, verb: 'create' | 'update'): void {
  if (attribute.write !== 'both' && attribute.write !== verb) return;
  const option = new Option(`--${name} <${attribute.type}>`, attribute.description ?? name);
  if (attribute.values !== undefined) option.choices(attribute.values.map(String));
  if (verb === 'create' && attribute.required === true) option.makeOptionMandatory();
  option.argParser((text) => optionValue(text, attribute, name));
  command.addOption(option);
}

function optionValue(text: string, { type, values }: Attribute, name: string): unknown {
  if (values !== undefined && !values.map(String).includes(text))
    throw new CliError(2, `--${name}: '${text}' is none of ${values.join(', ')}`);
  if (type === 'boolean') {
    if (/^(true|1|yes|on)$/i.test(text)) return true;
    if (/^(false|0|no|off)$/i.test(text)) return false;
    throw new CliError(2, `--${name}: '${text}' is neither true nor false`);
  }
  if (type === 'integer' || type === 'number') {
    const number = Number(text);
    if (text.trim() === '' || Number.isNaN(number)) throw new CliError(2, `--${name}: '${text}' is no number`);
    return number;
  }
  if (type !== 'list' && type !== 'dict' && type !== 'any' && type !== 'object') return text;
  try {
    return JSON.parse(text);
  } catch {
    throw new CliError(2, `--${name}: '${text}' is no JSON`);
  }
}

/** What was given, by the attributes' names. */
function bodyOf(
  { attributes }: ResourceModel,
  options: Readonly<Record<string, unknown>>,
): Readonly<Record<string, unknown>> {
  const names = new Map(Object.keys(attributes).map((name) => [new Option(`--${name} <x>`).attributeName(), name]));
  const given = Object.entries(options).filter(([name, value]) => names.has(name) && value !== undefined);
  return Object.fromEntries(given.map(([name, value]) => [names.get(name) ?? name, value]));
}
