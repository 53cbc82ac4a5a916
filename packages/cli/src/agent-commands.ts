import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { isListenedOn, TransportError } from '@cable/kit';
import type { Command } from 'commander';
import type { Bind, CliContext } from './context.ts';
import { CliError } from './errors.ts';
import { collect } from './flags.ts';
import { flatten, type Row, renderJson, renderObject, renderTable } from './render.ts';

type Options = Readonly<Record<string, unknown>>;

/** Those below `host` that its agent is asked, not the server. */
export const AGENT_COMMANDS: ReadonlySet<string> = new Set(['adopt-store', 'confirm-removal']);

/**
 * Adds what is asked of a host's agent over its socket on this machine: `cable show maps|vifs|counters|agent`, what it says about itself, and
 * `cable host adopt-store|confirm-removal`, what only an operator decides.
 */
export function addAgentCommands(root: Command, bind: Bind): void {
  addShowCommands(root, bind);
  const host = root.commands.find((command) => command.name() === 'host') ?? root.command('host');
  const add = (name: string, description: string, path: string, help: string): Command =>
    withAgentOptions(host.command(name).description(description))
      .addHelpText('after', `\n${help}`)
      .action(bind((context, options) => commandAgent(context, options, path)));
  add(
    'adopt-store',
    'Lets the agent on this machine follow another store than before.',
    '/history/adopt',
    'For an agent that refuses its server with OtherHistory: the store is another one, or was restored from a snapshot. What the\n' +
      'store knows then replaces what the host has; what is equal stays untouched. May be repeated.',
  );
  add(
    'confirm-removal',
    'Lets the agent on this machine remove the ports that its server left out.',
    '/removal/confirm',
    'For an agent that keeps ports which its server does not name any more, more than half of them and at least ten: see\n' +
      'server.held_removal in cable show agent. They are removed at once, and what was kept with them. May be repeated.',
  );
}

function addShowCommands(root: Command, bind: Bind): void {
  const show = root.command('show').description('Shows what the agent on this machine has in the kernel.');
  const add = (
    name: string,
    description: string,
    body: (context: CliContext, options: Options) => Promise<void>,
  ): Command => withAgentOptions(show.command(name).description(description)).action(bind(body));
  add('maps', 'Shows the data plane’s maps, decoded.', showMaps).option(
    '--map <name>',
    'only this map (repeatable)',
    collect,
  );
  add('vifs', 'Shows the interfaces of the host’s ports.', showVifs);
  add('counters', 'Shows packets, bytes and drops by reason of each interface.', showCounters);
  add('agent', 'Shows the agent’s state.', async (context, options) => {
    const status = (await askAgent(context, options, '/status')) as Row;
    context.print(context.json ? renderJson(status) : renderObject(flatten(status)));
  });
}

const RUN_DIR = '/run/cable';

export function withAgentOptions(command: Command): Command {
  return command
    .option('--host <name>', 'the host; needed when several agents run on this machine')
    .option('--run-dir <directory>', `where the agents keep their sockets (default: ${RUN_DIR})`);
}

/** Prints what the command came to: that there was nothing to do is no failure. */
async function commandAgent(context: CliContext, options: Options, path: string): Promise<void> {
  const said = (await askAgent(context, options, path, 'POST')) as Row;
  context.print(context.json ? renderJson(said) : `${String(said['message'])}\n`);
}

async function showMaps(context: CliContext, options: Options): Promise<void> {
  const maps = (await askAgent(context, options, '/maps')) as Readonly<Record<string, readonly Row[]>>;
  const wanted = selectMaps(Object.keys(maps), options['map']);
  if (context.json) return context.print(renderJson(Object.fromEntries(wanted.map((name) => [name, maps[name]]))));
  for (const name of wanted) {
    const rows = maps[name] ?? [];
    const count = rows.length === 0 ? 'empty' : `${rows.length} ${rows.length === 1 ? 'entry' : 'entries'}`;
    context.print(`${name}: ${count}\n${rows.length === 0 ? '' : renderTable(columnsOf(rows), rows)}\n`);
  }
}

/** `vif` means `cb_vif_2`. */
function selectMaps(names: readonly string[], asked: unknown): readonly string[] {
  if (!Array.isArray(asked)) return names;
  return asked.map((text) => {
    const found = names.find((name) => name === text || name.replace(/^cb_(.*)_\d+$/, '$1') === text);
    if (found === undefined) throw new CliError(2, `--map: there is no '${text}'`, `There are: ${names.join(', ')}`);
    return found;
  });
}

async function showVifs(context: CliContext, options: Options): Promise<void> {
  const vifs = (await askAgent(context, options, '/vifs')) as readonly Row[];
  if (context.json) return context.print(renderJson(vifs));
  const columns = ['port_id', 'name', 'network', 'device', 'mac_address', 'addresses', 'state', 'reason'];
  context.print(renderTable(columns, vifs));
}

const TRAFFIC = ['rx_packets', 'rx_bytes', 'tx_packets', 'tx_bytes'];

async function showCounters(context: CliContext, options: Options): Promise<void> {
  const counters = (await askAgent(context, options, '/counters')) as Readonly<Record<string, Row>>;
  if (context.json) return context.print(renderJson(counters));
  const vifs = (await askAgent(context, options, '/vifs')) as readonly Row[];
  const names = new Map(vifs.map((vif) => [vif['port_id'], vif['name']]));
  const rows = Object.entries(counters).map(([port, counts]) => {
    const drops = Object.entries(counts).filter(([name]) => !TRAFFIC.includes(name));
    return { port, name: names.get(port), ...counts, drops: drops.map(([name, count]) => `${name} ${count}`) };
  });
  context.print(renderTable(['port', 'name', ...TRAFFIC, 'drops'], rows));
}

function columnsOf(rows: readonly Row[]): readonly string[] {
  return [...new Set(rows.flatMap((row) => Object.keys(row)))];
}

async function askAgent(
  context: CliContext,
  options: Options,
  path: string,
  method: 'GET' | 'POST' = 'GET',
): Promise<unknown> {
  const agent = await openAgent(context, options);
  try {
    return await agent.ask(path, method);
  } finally {
    agent.close();
  }
}

/** The agent of the host that the options name, or of the only one on this machine. All throw `CliError`. */
export type OpenAgent = {
  ask(path: string, method?: 'GET' | 'POST'): Promise<unknown>;
  /** Lines of an answer that goes on; that it breaks later is a `TransportError`. */
  stream(path: string, signal: AbortSignal): Promise<AsyncIterable<string>>;
  close(): void;
};

export async function openAgent(context: CliContext, options: Options): Promise<OpenAgent> {
  const runDir = runDirOf(options);
  const host = options['host'] === undefined ? await onlyHost(runDir) : String(options['host']);
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,254}$/.test(host)) throw new CliError(2, `--host: '${host}' is not a host's name`);
  const socket = socketOf(runDir, host);
  if (!existsSync(socket)) {
    const running = await runningIn(runDir);
    const remedy = running.length === 0 ? whyNone(runDir) : `There are: ${running.join(', ')}`;
    throw new CliError(1, `no agent of host '${host}' runs on this machine`, remedy);
  }
  const transport = context.connect(`unix:${socket}`);
  const refused = (status: number, body: string): CliError =>
    new CliError(1, `the agent of ${host} answered ${status}: ${errorIn(body).slice(0, 300)}`);
  const reaching = async <T>(work: Promise<T>): Promise<T> => {
    try {
      return await work;
    } catch (err) {
      if (!(err instanceof TransportError)) throw err;
      throw new CliError(1, `the agent of host '${host}' does not answer`, `Start it: cable agent --host ${host} ...`);
    }
  };
  return {
    ask: async (path, method = 'GET') => {
      const { status, body } = await reaching(transport.request({ method, path }));
      if (status !== 200) throw refused(status, body);
      return JSON.parse(body);
    },
    stream: async (path, signal) => {
      const { status, lines } = await reaching(transport.stream({ method: 'GET', path, signal }));
      if (status === 200) return lines;
      let body = '';
      for await (const line of lines) body += line;
      throw refused(status, body);
    },
    close: () => transport.close(),
  };
}

/** What an agent says that is wrong. Its body is an object with `error`; what is not is told as it is. */
function errorIn(body: string): string {
  try {
    const { error } = JSON.parse(body) as { readonly error?: unknown };
    return typeof error === 'string' ? error : body;
  } catch {
    return body;
  }
}

function runDirOf(options: Options): string {
  return String(options['runDir'] ?? RUN_DIR);
}

/** Agents on this machine that the caller may ask; none for who may not look for them. */
export async function agentsHere(context: CliContext, options: Options): Promise<readonly OpenAgent[]> {
  const hosts = await runningIn(runDirOf(options));
  return Promise.all(hosts.map((host) => openAgent(context, { ...options, host })));
}

async function onlyHost(runDir: string): Promise<string> {
  const [first, ...others] = await runningIn(runDir);
  if (first !== undefined && others.length === 0) return first;
  if (first === undefined) throw new CliError(1, 'no agent runs on this machine', whyNone(runDir));
  throw new CliError(
    2,
    'several agents run on this machine',
    `Add --host with one of: ${[first, ...others].join(', ')}`,
  );
}

/** For when no agent runs. */
function whyNone(runDir: string): string {
  const left = socketsIn(runDir);
  if (left.length === 0) return `No agent's socket is in ${runDir}.`;
  return `Nobody listens on the sockets that agents have left in ${runDir}: ${left.join(', ')}.`;
}

/** Hosts whose agents run here. */
async function runningIn(runDir: string): Promise<readonly string[]> {
  const hosts = socketsIn(runDir);
  const running = await Promise.all(hosts.map((host) => isListenedOn(socketOf(runDir, host))));
  return hosts.filter((_, index) => running[index]);
}

/** Hosts of whose agents there is a socket: one that was killed leaves it. */
function socketsIn(runDir: string): readonly string[] {
  return namesIn(runDir)
    .filter((host) => existsSync(socketOf(runDir, host)))
    .sort();
}

function namesIn(directory: string): readonly string[] {
  try {
    return readdirSync(directory);
  } catch {
    // It is not there, or not for the caller to look into.
    return [];
  }
}

function socketOf(runDir: string, host: string): string {
  return join(runDir, host, 'agent.sock');
}
