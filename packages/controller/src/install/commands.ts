/** `cable kube authorities|admission|join|cni|store-directory`: what runs in pods of the manifests beside server, agent and controller. */
import { lchown, mkdir, readdir, readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createClient } from '@cable/api';
import { ExpectedError, exitUsage, httpTransport, type Logger, onAbort, startLoop } from '@cable/kit';
import { isClusterName } from '@cable/model';
import { certificatesIn, followTlsFiles, isPlace, pkiPaths } from '@cable/pki';
import { Command, InvalidArgumentError, Option } from 'commander';
import { openKubeAccess } from '../kube-access.ts';
import { admit, agentAccount, createAdmissionServer, ensureCluster, listenAt } from './admission.ts';
import { AdmissionDoor, DOOR_LIMITS } from './admission-door.ts';
import { AdmissionReviews } from './admission-reviews.ts';
import { KnownSources } from './admission-sources.ts';
import { AuthoritiesKeeper } from './authorities.ts';
import { CNI_VERSIONS, installCni, removeCni } from './cni-files.ts';
import { getJoinToken } from './join.ts';
import { PORTS, USER } from './names.ts';

export type CommandDeps = { readonly log: Logger; readonly signal: AbortSignal };

type Run = (deps: CommandDeps) => Promise<void>;

/** The first word of each. */
export const POD_COMMANDS = ['authorities', 'admission', 'join', 'cni', 'store-directory'] as const;

/** Between two looks at what may be over soon; a Secret that was changed is found by it, too. */
const LOOK_MS = 600_000;
const JOIN_PATIENCE_MS = 60_000;
/** From `src/` and from `dist/` alike. */
const PLUGIN = fileURLToPath(new URL('../../../../build/cni/cable-cni', import.meta.url));

/** Parses the arguments after `cable kube`, of which the first is one of `POD_COMMANDS`. Prints and ends the process for --help and for errors. */
export function parsePodCommand(argv: readonly string[], env: NodeJS.ProcessEnv): Run {
  let run: Run | undefined;
  const root = new Command('cable kube').exitOverride(exitUsage).showHelpAfterError('  See what it takes with --help.');
  const add = (name: (typeof POD_COMMANDS)[number], text: string): Command =>
    root.command(name).description(text).exitOverride(exitUsage).showHelpAfterError('  See what it takes with --help.');
  const namespaceOption = (): Option =>
    new Option('--namespace <name>', 'namespace of Cable').default(env['POD_NAMESPACE'] ?? 'kube-system');
  const clusterOption = (): Option =>
    new Option('--cluster <name>', 'name of the cluster').argParser(parseCluster).makeOptionMandatory();

  add('authorities', 'Keeps authorities in a Secret, and certificates of this server and of the controller.')
    .addOption(clusterOption())
    .addOption(namespaceOption())
    .requiredOption('--directory <directory>', 'where the server looks for them (cable server --pki)')
    .requiredOption('--address <place>', 'DNS name or address of this server (repeatable)', addPlace)
    .option('--name <name>', 'name of this server', hostname())
    .option('--once', 'end after the first round')
    .action((given: AuthoritiesGiven) => {
      run = (deps) => runAuthorities(given, deps);
    });
  add('admission', 'Lets nodes join: gives tokens to pods of the agent.')
    .addOption(clusterOption())
    .addOption(namespaceOption())
    .requiredOption('--server <url>', 'Cable’s server, as its administrator: unix:PATH')
    .requiredOption('--pki <directory>', 'certificate of this server')
    .option('--listen <address>', 'address to listen on', '::')
    .option('--port <number>', 'port to listen on', parsePort, PORTS.join)
    .action((given: AdmissionGiven) => {
      run = (deps) => runAdmission(given, deps);
    });
  add('join', 'Waits until this node is let in, and leaves the token by which its agent joins, if it needs one.')
    .requiredOption('--url <url>', 'where nodes are let in: https://HOST:PORT', parseUrl)
    .requiredOption('--ca <file>', 'authorities of servers, PEM')
    .requiredOption('--token-file <file>', 'token of the ServiceAccount')
    .requiredOption('--state <directory>', 'that of the agent')
    .requiredOption('--out <file>', 'where the agent looks for the token (cable agent --join-file)')
    .action((given: JoinGiven) => {
      run = (deps) => runJoin(given, deps);
    });
  add('cni', 'Puts the plug-in and its configuration on this node, or removes them.')
    .requiredOption('--bin <directory>', 'the runtime’s plug-ins')
    .requiredOption('--conf <directory>', 'its configurations')
    .option('--plugin <file>', 'the executable', PLUGIN)
    .option('--cluster <name>', 'name of the cluster', parseCluster)
    .option('--socket <path>', 'the agent’s socket on the node')
    .addOption(new Option('--cni-version <version>', 'as the runtime knows it').choices(CNI_VERSIONS).default('1.0.0'))
    .option('--remove', 'remove both, and stay until the process is ended')
    .action((given: CniGiven, command: Command) => {
      const { cluster, socket } = given;
      if (given.remove !== true && (cluster === undefined || socket === undefined))
        command.error("error: required options '--cluster <name>' and '--socket <path>' not specified (or --remove)");
      run = (deps) => runCni(given, deps);
    });
  add('store-directory', 'Makes the directory of the embedded store, for a server that does not run as root.')
    .requiredOption('--directory <directory>', 'the store’s (cable server --store lmdb:DIRECTORY)')
    .action((given: { readonly directory: string }) => {
      run = () => giveTo(given.directory, USER);
    });
  root.parse([...argv], { from: 'user' });
  return run ?? (() => Promise.resolve());
}

type AuthoritiesGiven = {
  readonly cluster: string;
  readonly namespace: string;
  readonly directory: string;
  readonly address: readonly string[];
  readonly name: string;
  readonly once?: boolean;
};

async function runAuthorities(
  { once, address, ...given }: AuthoritiesGiven,
  { log, signal }: CommandDeps,
): Promise<void> {
  const kube = await openKube({ log, signal });
  try {
    const keeper = new AuthoritiesKeeper({ ...given, places: address }, { kube: kube.api, now: () => new Date(), log });
    const run = (): Promise<void> => keeper.run();
    if (once === true) await untilDone('authorities', run, { log, signal });
    else await startLoop({ name: 'authorities', run, everyMs: LOOK_MS, log, signal }).done;
  } finally {
    kube.close();
  }
}

type AdmissionGiven = {
  readonly cluster: string;
  readonly namespace: string;
  readonly server: string;
  readonly pki: string;
  readonly listen: string;
  readonly port: number;
};

async function runAdmission(given: AdmissionGiven, { log, signal }: CommandDeps): Promise<void> {
  const { server: url, pki, listen, port, ...options } = given;
  const kube = await openKube({ log, signal });
  const transport = httpTransport(url, { timeoutMs: 10_000 });
  const deps = { kube: kube.api, cable: createClient({ transport }), log };
  const { cert, key } = pkiPaths(pki);
  let take = (_own: { readonly cert: string; readonly key: string }): void => undefined;
  const onChange = ({ own }: { readonly own: { readonly cert: string; readonly key: string } | null }): void => {
    if (own !== null) take(own);
  };
  const tls = await followTlsFiles({ own: { cert, key }, ca: null }, onChange, { log: log.child('tls'), signal });
  const own = tls.current.own ?? { cert: '', key: '' };
  const known = new KnownSources();
  const asking = { admit: (token: string) => admit(token, options, deps), now: Date.now };
  const reviews = new AdmissionReviews(agentAccount(options.namespace), asking, known);
  const door = new AdmissionDoor(DOOR_LIMITS, known);
  const server = createAdmissionServer(own, (from, token) => reviews.answer(from, token), door);
  take = ({ cert, key }) => server.setSecureContext({ cert, key, minVersion: 'TLSv1.3' });
  await untilDone('cluster', () => ensureCluster(deps.cable, options.cluster), { log, signal });
  await listenAt(server, { host: listen, port });
  log.info({ address: listen, port, cluster: options.cluster }, 'nodes are let in');
  await aborted(signal);
  server.close();
  server.closeAllConnections();
  transport.close();
  kube.close();
}

type JoinGiven = {
  readonly url: string;
  readonly ca: string;
  readonly tokenFile: string;
  readonly state: string;
  readonly out: string;
};

async function runJoin(
  { url, ca: file, state: stateDir, ...files }: JoinGiven,
  { log, signal }: CommandDeps,
): Promise<void> {
  const ca = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new ExpectedError(`cannot read ${file}, the authorities of servers`, { cause });
  });
  const tls = { ca: certificatesIn(ca) };
  const transport = httpTransport(url, { timeoutMs: 10_000, tls: () => tls });
  const options = { stateDir, ca, ...files, patienceMs: JOIN_PATIENCE_MS };
  try {
    const how = await getJoinToken(options, { transport, now: () => new Date(), log, signal });
    log.info({ how }, 'the agent can start');
  } finally {
    transport.close();
  }
}

type CniGiven = {
  readonly bin: string;
  readonly conf: string;
  readonly plugin: string;
  readonly cluster?: string;
  readonly socket?: string;
  readonly cniVersion: string;
  readonly remove?: boolean;
};

async function runCni(
  { cluster = '', socket = '', remove, ...given }: CniGiven,
  { log, signal }: CommandDeps,
): Promise<void> {
  if (remove !== true) {
    await installCni({ ...given, cluster, socket });
    log.info({ ...given, cluster }, 'the plug-in is on the node');
    return;
  }
  await removeCni(given);
  log.info({ ...given }, 'the plug-in is removed from the node: this process stays until it is ended');
  await aborted(signal);
}

/** Gives a directory, made if it is not there, and what is in it to a user. Links are not followed. */
async function giveTo(directory: string, user: number): Promise<void> {
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    for (const name of await readdir(directory, { recursive: true })) await lchown(join(directory, name), user, user);
    await lchown(directory, user, user);
  } catch (cause) {
    throw new ExpectedError(`cannot give ${directory} to user ${user}: root with CHOWN is needed`, { cause });
  }
}

function openKube(deps: CommandDeps): ReturnType<typeof openKubeAccess> {
  return openKubeAccess(
    { kubeconfig: undefined, context: undefined },
    { log: deps.log.child('kube'), signal: deps.signal },
  );
}

/** Runs it until it succeeds once. */
async function untilDone(name: string, run: () => Promise<void>, { log, signal }: CommandDeps): Promise<void> {
  const ended = new AbortController();
  onAbort(signal, () => ended.abort());
  const once = async (): Promise<void> => {
    await run();
    ended.abort();
  };
  await startLoop({ name, run: once, log, signal: ended.signal }).done;
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    // Nothing else may keep the process: it is to stay.
    const timer = setInterval(() => undefined, 1 << 30);
    onAbort(signal, () => {
      clearInterval(timer);
      resolve();
    });
  });
}

function parseCluster(text: string): string {
  if (isClusterName(text)) return text;
  throw new InvalidArgumentError('Give at most 63 of a to z, 0 to 9 and "-", first and last none of "-".');
}

function addPlace(text: string, before: readonly string[] = []): readonly string[] {
  if (isPlace(text)) return [...before, text];
  throw new InvalidArgumentError('Give a DNS name or an address.');
}

function parsePort(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port >= 1 && port <= 65_535) return port;
  throw new InvalidArgumentError('Give a number from 1 to 65535.');
}

function parseUrl(text: string): string {
  if (URL.canParse(text) && new URL(text).protocol === 'https:') return text;
  throw new InvalidArgumentError('Give https://HOST:PORT.');
}
