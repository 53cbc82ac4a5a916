import { createClient } from '@cable/api';
import type { HttpTransport } from '@cable/kit';
import { BUILT_IN_RESOURCES, CommandBook, type ResourceModel, resourceWords } from '@cable/model';
import { Argument, Command } from 'commander';
import { AGENT_COMMANDS, addAgentCommands } from './agent-commands.ts';
import { addCaptureCommand } from './capture.ts';
import { showCheck } from './check.ts';
import { completionScript, SHELLS, type Shell } from './completion.ts';
import type { Bind, CliContext, CliDeps } from './context.ts';
import { explainFailure } from './errors.ts';
import { addFaultCommands } from './fault-commands.ts';
import { commandWords, globalOptions } from './global-options.ts';
import { addPkiCommands } from './pki-commands.ts';
import { addProtonCommands, LOCAL_PROTON_COMMANDS } from './proton-commands.ts';
import { harmless } from './render.ts';
import { addResourceCommands } from './resource-commands.ts';
import { type Connect, certifiedSite, findSite, plainSite, type Site } from './site.ts';
import { showStatus } from './status.ts';
import { commandResources } from './words.ts';

/** Runs one command line (without the program's name) and gives the exit status: 0, 1 refused or failed, 2 wrong usage. */
export async function runCommandLine(argv: readonly string[], deps: CliDeps): Promise<number> {
  const opened: HttpTransport[] = [];
  const site = await siteOf(argv, deps);
  const connect: Connect = (server, options) => {
    const transport = site.connect(server, options);
    opened.push(transport);
    return transport;
  };
  const models = await modelsFor(argv, deps, site);
  const book = new CommandBook();
  const { resources, leftOut } = commandResources(models, book);
  const loaded = { ...deps, connect, resources, site };
  try {
    const program = createProgram(loaded);
    leftOut.push(...addAllResources(program, loaded, book));
    if (leftOut.length > 0) deps.printError(`${harmless(leftOutText(leftOut))}\n`);
    await program.parseAsync(spellResources(argv, loaded), { from: 'user' });
    return 0;
  } catch (err) {
    const { text, exitStatus } = explainFailure(err);
    deps.printError(text);
    return exitStatus;
  } finally {
    for (const transport of opened) transport.close();
    site.close();
  }
}

type LoadedDeps = Omit<CliContext, 'server' | 'json' | 'project' | 'isSomebody' | 'client'> & { readonly site: Site };

/** What can be completed is public: nobody logs in for it. */
async function siteOf(argv: readonly string[], deps: CliDeps): Promise<Site> {
  if (needsServer(argv)) return await findSite(deps, argv);
  return isCompletion(argv) ? await certifiedSite(deps, argv) : plainSite(deps, argv);
}

function isCompletion(argv: readonly string[]): boolean {
  return argv[commandWords(argv)[0] ?? -1] === 'completion';
}

/** False: it concerns this machine alone, and must go without a server. */
function needsServer(argv: readonly string[]): boolean {
  const [first = '', second = ''] = commandWords(argv).map((at) => argv[at]);
  if (first === 'show' || first === 'pki' || (first === 'host' && AGENT_COMMANDS.has(second))) return false;
  if (first === 'proton' && LOCAL_PROTON_COMMANDS.has(second)) return false;
  return !isCompletion(argv) && argv[0] !== '--version' && argv[0] !== '-V';
}

/** A capture goes without a server, too, where the port is here. */
async function modelsFor(argv: readonly string[], deps: CliDeps, site: Site): Promise<readonly ResourceModel[]> {
  const first = argv[commandWords(argv)[0] ?? -1];
  if (isCompletion(argv)) return await deps.loadModels(site.server, site.connect);
  if (!needsServer(argv)) return [];
  if (first === 'capture' || site.failure !== undefined) return BUILT_IN_RESOURCES;
  return await deps.loadModels(site.server, site.connect);
}

/** Most names in the line about what is left out. */
const MAX_NAMED = 5;

/** What this version can make no command of. A newer server may have more than it knows. */
function leftOutText(leftOut: readonly string[]): string {
  const named = leftOut.slice(0, MAX_NAMED).map((words) => `'${words}'`);
  const more = leftOut.length > MAX_NAMED ? ` and ${leftOut.length - MAX_NAMED} more` : '';
  return `note: this cable has no room for what the server has besides: ${named.join(', ')}${more}. A newer one may.`;
}

/** The commands of all resources. Answers what is left out. */
function addAllResources(program: Command, deps: LoadedDeps, book: CommandBook): readonly string[] {
  const bind = createBind(deps);
  const leftOut = deps.resources.flatMap((resource) => addOne(program, resource, bind, book));
  describeGroups(program, [], deps.resources);
  return leftOut;
}

/** Says of each command below `words` that has no text, since it only leads to others, whose those are. */
function describeGroups(command: Command, words: readonly string[], resources: readonly ResourceModel[]): void {
  for (const group of command.commands) {
    const path = [...words, group.name()];
    describeGroups(group, path, resources);
    if (group.description() !== '') continue;
    const held = resources.filter((resource) => path.every((word, at) => resourceWords(resource)[at] === word));
    group.description(`Commands for ${held.map(({ plural }) => plural.replaceAll('_', ' ')).join(' and ')}.`);
  }
}

function addOne(program: Command, resource: ResourceModel, bind: Bind, book: CommandBook): readonly string[] {
  try {
    return addResourceCommands(program, resource, bind, book);
  } catch {
    // A schema may come from any server: what cannot be understood of it must not take the other commands away.
    return [resourceWords(resource).join(' ')];
  }
}

/** The command tree without the resources. */
function createProgram(deps: LoadedDeps): Command {
  const program = new Command('cable')
    .description('One virtual network for virtual machines, containers and physical machines.')
    .version(deps.version)
    .configureHelp({ showGlobalOptions: true, sortSubcommands: true })
    .configureOutput({ writeOut: deps.print, writeErr: deps.printError })
    .exitOverride()
    .showHelpAfterError('  See what it takes with --help.')
    .addHelpText('after', '\nProcesses: cable server, cable agent, cable kube, cable lab (each has --help).');
  for (const option of globalOptions()) program.addOption(option);
  const bind = createBind(deps);
  addAgentCommands(program, bind);
  addFaultCommands(program, bind);
  addCaptureCommand(program, bind);
  addPkiCommands(program, bind);
  addProtonCommands(program, bind);
  program
    .command('status')
    .description('Shows whether the server answers, its revision, its hosts, and ports by status.')
    .action(bind(showStatus));
  program
    .command('check')
    .description('Looks whether every rule between the objects of the store holds, in its raw keys.')
    .action(bind(showCheck));
  program
    .command('completion')
    .description(
      `Prints a completion script for ${SHELLS.join(' or ')}, to be used so: source <(cable completion bash)`,
    )
    .addArgument(new Argument('<shell>').choices(SHELLS))
    .action((shell: Shell) => deps.print(completionScript(program, shell)));
  return program;
}

function createBind(deps: LoadedDeps): Bind {
  return (body) =>
    async function run(this: Command, ...given: unknown[]) {
      const options = this.optsWithGlobals<Record<string, unknown>>();
      const { server, isKnown, failure } = deps.site;
      const chosen = options['project'] ?? deps.env['CABLE_PROJECT'];
      const project = chosen === undefined ? undefined : String(chosen);
      const role = options['role'] ?? deps.env['CABLE_ROLE'];
      const client = once(() => {
        if (failure !== undefined) throw failure;
        return createClient({
          transport: deps.connect(server),
          resources: deps.resources,
          ...(project === undefined ? {} : { projectId: project }),
          ...(role === undefined ? {} : { roles: [String(role)] }),
        });
      });
      const isSomebody = isKnown || project !== undefined || role !== undefined;
      const context = { ...deps, server, json: options['json'] === true, project, isSomebody, client };
      await body(context, options, given.slice(0, this.registeredArguments.length));
    };
}

function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}

/** Accepts `security-group-rule` for `security group rule`. */
function spellResources(argv: readonly string[], deps: Pick<LoadedDeps, 'resources'>): readonly string[] {
  const [at = -1] = commandWords(argv);
  const word = argv[at]?.replaceAll('_', '-');
  const words = deps.resources.map(resourceWords).find((one) => one.length > 1 && one.join('-') === word);
  return words === undefined ? argv : [...argv.slice(0, at), ...words, ...argv.slice(at + 1)];
}
