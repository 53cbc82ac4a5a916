import { Command, InvalidArgumentError, Option } from 'commander';
import { CHECK_GROUPS } from './checks/index.ts';
import { DEFAULT_LAB, MAX_LAB_NAME } from './names.ts';

export type UpOptions = {
  readonly name: string;
  readonly store: 'lmdb' | 'etcd';
  readonly qemu: boolean;
  readonly keep: boolean;
  readonly json: boolean;
  /** Groups of checks to run; empty: all. */
  readonly only: readonly string[];
};

export type DownOptions = { readonly name: string };

/** What the words on the command line start. */
export type Actions = { up(options: UpOptions): Promise<void>; down(options: DownOptions): Promise<void> };

/** The command line of `cable lab`. */
export function labCommand(actions: Actions): Command {
  const name = (): Option => new Option('--name <name>', 'name of the lab').default(DEFAULT_LAB).argParser(parseName);
  const command = new Command('cable lab')
    .description(
      'Builds a cloud of network namespaces on this machine (two hosts, a physical machine, VMs, a pod), checks it, and removes it. Ends with 0 when every check holds.',
    )
    .addOption(
      new Option('--store <kind>', 'where the server keeps its objects').choices(['lmdb', 'etcd']).default('lmdb'),
    )
    .option('--no-qemu', 'leave out the real machine under QEMU')
    .option('--keep', 'leave the lab up and say how to use it; `cable lab down` removes it', false)
    .option('--json', 'print the results as JSON', false)
    .addOption(onlyOption())
    .addOption(name())
    .action((options: UpOptions) => actions.up(options));
  command
    .command('down')
    .description('remove a lab that was kept, or that a crash left behind')
    .addOption(name())
    .action((_options: unknown, self: Command) => actions.down(self.optsWithGlobals<DownOptions>()));
  return command;
}

function onlyOption(): Option {
  return new Option('--only <group>', `run one group of checks, may be repeated: ${CHECK_GROUPS.join(', ')}`)
    .argParser(collectGroup)
    .default([], 'all');
}

function parseName(text: string): string {
  if (/^[a-z][a-z0-9]*$/.test(text) && text.length <= MAX_LAB_NAME) return text;
  throw new InvalidArgumentError(`use 1 to ${MAX_LAB_NAME} lower-case letters and digits, a letter first`);
}

function collectGroup(text: string, groups: readonly string[]): readonly string[] {
  if (CHECK_GROUPS.includes(text)) return [...groups, text];
  throw new InvalidArgumentError(`there is no such group; groups: ${CHECK_GROUPS.join(', ')}`);
}
