import { readFileSync } from 'node:fs';
import { exitUsage, type LogLevel, type ProbePlace, parseProbePlace } from '@cable/kit';
import { Command, InvalidArgumentError, Option } from 'commander';
import type { ListenPlace } from './contract/contract-server.ts';
import { parseRemotes, type Remote, type RemoteTls } from './ovsdb/remote.ts';

/** What the operator asked for on the command line. */
export type CommandLine = {
  readonly listen: ListenPlace;
  readonly token: string;
  readonly listenTls: { readonly cert: string; readonly key: string } | undefined;
  readonly northbound: readonly Remote[];
  readonly southbound: readonly Remote[];
  readonly ovnTls: RemoteTls | undefined;
  /** Undefined: nobody asks how it is. */
  readonly probeListen: ProbePlace | undefined;
  readonly logLevel: LogLevel;
};

type Given = {
  readonly listen: ListenPlace;
  readonly tokenFile: string;
  readonly listenCert?: string;
  readonly listenKey?: string;
  readonly northbound: readonly Remote[];
  readonly southbound: readonly Remote[];
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly probeListen?: ProbePlace;
  readonly logLevel: LogLevel;
};

const DATABASES = { northbound: 'unix:/var/run/ovn/ovnnb_db.sock', southbound: 'unix:/var/run/ovn/ovnsb_db.sock' };

/** Parses the arguments, and reads the files that they name. Prints and ends the process for --help and for errors, as commander does. */
export function parseCommandLine(argv: readonly string[]): CommandLine {
  const command = new Command('cable ovn')
    .description(
      'A back end that realises networks in OVN: it writes the Northbound database, and is told what is to be there by the Cable server. Several may run; one writes, by a lock of the database.',
    )
    .exitOverride(exitUsage)
    .showHelpAfterError('  See what it takes with --help.')
    .requiredOption('--listen <place>', 'where the Cable server asks it: unix:PATH or HOST:PORT', parseListen)
    .requiredOption('--token-file <file>', 'the bearer token that is wanted: what the plug-in is registered with')
    .option('--listen-cert <file>', 'certificate for --listen, PEM (needed but for unix: and loopback addresses)')
    .option('--listen-key <file>', 'its key')
    .option(
      '--northbound <remotes>',
      'members of the Northbound database',
      parseDatabase,
      parseDatabase(DATABASES.northbound),
    )
    .option(
      '--southbound <remotes>',
      'members of the Southbound database',
      parseDatabase,
      parseDatabase(DATABASES.southbound),
    )
    .option('--ca <file>', 'authorities of ssl: databases, PEM')
    .option('--cert <file>', 'certificate to show them')
    .option('--key <file>', 'its key')
    .option(
      '--probe-listen <address>',
      'loopback address and port where /livez, /readyz and /metrics are answered',
      parseProbe,
    )
    .addOption(
      new Option('--log-level <level>', 'what is logged').choices(['debug', 'info', 'warn', 'error']).default('info'),
    )
    .parse([...argv], { from: 'user' });
  const given = command.opts<Given>();
  const fail: (text: string) => never = (text) => command.error(`error: ${text}`);
  const problem = problemOf(given);
  if (problem !== undefined) return fail(problem);
  const read = (file: string | undefined): string | undefined => (file === undefined ? undefined : readOr(file, fail));
  const [ca, cert, key] = [read(given.ca), read(given.cert), read(given.key)];
  const [listenCert, listenKey] = [read(given.listenCert), read(given.listenKey)];
  const token = readOr(given.tokenFile, fail).trim();
  if (token === '') return fail(`option '--token-file': ${given.tokenFile} is empty`);
  return {
    listen: given.listen,
    token,
    listenTls: listenCert === undefined || listenKey === undefined ? undefined : { cert: listenCert, key: listenKey },
    northbound: given.northbound,
    southbound: given.southbound,
    ovnTls: ca === undefined || cert === undefined || key === undefined ? undefined : { ca, cert, key },
    probeListen: given.probeListen,
    logLevel: given.logLevel,
  };
}

/** What does not go together; undefined: all does. */
function problemOf({
  listen,
  listenCert,
  listenKey,
  northbound,
  southbound,
  ca,
  cert,
  key,
}: Given): string | undefined {
  if ((listenCert === undefined) !== (listenKey === undefined))
    return "options '--listen-cert' and '--listen-key' go together";
  if (listen.kind === 'tcp' && !isLoopback(listen.host) && listenCert === undefined)
    return "option '--listen' is no loopback address: the token would be read on the way. Give '--listen-cert' and '--listen-key'.";
  const files = [ca, cert, key].filter((one) => one !== undefined).length;
  const isSecure = [...northbound, ...southbound].some(({ kind }) => kind === 'ssl');
  if (isSecure && files < 3) return "databases by ssl: want '--ca', '--cert' and '--key'";
  return !isSecure && files > 0
    ? "options '--ca', '--cert' and '--key' have no effect: no database is asked by ssl:"
    : undefined;
}

function isLoopback(host: string): boolean {
  return host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}

function readOr(file: string, fail: (text: string) => never): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (err) {
    return fail(`cannot read ${file}: ${err instanceof Error ? err.message : String(err)}`);
  }
}

function parseListen(text: string): ListenPlace {
  if (text.startsWith('unix:') && text.length > 5) return { kind: 'unix', path: text.slice(5) };
  const [, six, four, port = ''] = /^(?:\[([0-9a-fA-F:]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text) ?? [];
  const host = six ?? four;
  if (host !== undefined && Number(port) <= 65_535) return { kind: 'tcp', host, port: Number(port) };
  throw new InvalidArgumentError('Give unix:PATH, or an address and a port such as 127.0.0.1:9800.');
}

function parseDatabase(text: string): readonly Remote[] {
  const remotes = parseRemotes(text);
  if (remotes !== undefined) return remotes;
  throw new InvalidArgumentError(
    'Give unix:PATH, tcp:HOST:PORT or ssl:HOST:PORT; of a cluster all members, with commas.',
  );
}

function parseProbe(text: string): ProbePlace {
  const place = parseProbePlace(text);
  if (place !== undefined) return place;
  throw new InvalidArgumentError('Give a loopback address and a port, such as 127.0.0.1:9801 or [::1]:9801.');
}
