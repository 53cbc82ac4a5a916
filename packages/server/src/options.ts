import { exitUsage, type LogLevel } from '@cable/kit';
import { parseUnderlayMtu, UNDERLAY_MTU_BYTES } from '@cable/model';
import { Command, InvalidArgumentError, Option } from 'commander';
import { isLocal, type ListenAddress, parseListen } from './listen.ts';

/** What the operator asked for on the command line. */
export type CommandLine = {
  readonly store: string;
  readonly listen: readonly ListenAddress[];
  readonly auth: 'noauth';
  readonly underlayMtu: number;
  readonly logLevel: LogLevel;
};

/** Parses the arguments. Prints and ends the process for --help and for errors, as commander does. */
export function parseCommandLine(argv: readonly string[]): CommandLine {
  const command = new Command('cable server')
    .description('The control plane: Neutron API, compiler, and the stream to the hosts.')
    .exitOverride(exitUsage)
    .showHelpAfterError('  See what it takes with --help.')
    .option('--store <address>', 'lmdb:DIRECTORY, or etcd:HOST:PORT,HOST:PORT', 'lmdb:/var/lib/cable/store')
    .option('--listen <address>', 'ADDR:PORT or unix:PATH; may be repeated (default: 127.0.0.1:9696)', addListen)
    .addOption(
      new Option('--auth <kind>', 'how clients prove who they are; noauth is for local listeners only')
        .choices(['noauth'])
        .default('noauth'),
    )
    .option('--underlay-mtu <bytes>', 'largest packet that the hosts’ network carries', parseMtu, 1500)
    .addOption(new Option('--log-level <level>').choices(['debug', 'info', 'warn', 'error', 'silent']).default('info'));
  command.parse(argv);
  const options = command.opts<Omit<CommandLine, 'listen'> & { listen?: readonly ListenAddress[] }>();
  const listen = options.listen ?? [{ kind: 'tcp', host: '127.0.0.1', port: 9696 }];
  const open = listen.find((address) => !isLocal(address));
  if (open !== undefined) {
    command.error(
      `error: --auth noauth believes everybody, so it is refused on an address that others can reach` +
        `${open.kind === 'tcp' ? ` (${open.host})` : ''}: listen on 127.0.0.1, [::1] or unix:PATH`,
    );
  }
  return { ...options, listen };
}

function addListen(text: string, before: readonly ListenAddress[] | undefined): readonly ListenAddress[] {
  const address = parseListen(text);
  if (address === undefined) throw new InvalidArgumentError('Give ADDR:PORT, [ADDR]:PORT or unix:PATH.');
  return [...(before ?? []), address];
}

function parseMtu(text: string): number {
  const bytes = parseUnderlayMtu(text);
  if (bytes !== undefined) return bytes;
  throw new InvalidArgumentError(`Give a number from ${UNDERLAY_MTU_BYTES.least} to ${UNDERLAY_MTU_BYTES.most}.`);
}
