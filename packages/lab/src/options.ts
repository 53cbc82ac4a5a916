import { exitUsage } from '@cable/kit';
import type { OverlayIpVersion } from '@cable/model';
import { Command, InvalidArgumentError, Option } from 'commander';
import { isLabName, labOfStory, MAX_LAB_NAME } from './names.ts';
import { STORIES } from './stories/index.ts';
import { groupsOf, type Story } from './story.ts';
import type { StoreKind } from './world.ts';

export type UpOptions = {
  /** Name of the lab. */
  readonly name: string;
  readonly story: Story;
  readonly store: StoreKind;
  /** Of the agents; undefined: their default. */
  readonly encapsulation: string | undefined;
  /** Of the hosts' underlay addresses. */
  readonly overlayIpVersion: OverlayIpVersion;
  readonly qemu: boolean;
  readonly keep: boolean;
  readonly json: boolean;
  /** Groups of checks to run; empty: all. */
  readonly only: readonly string[];
  /** A value for each setting of the story. */
  readonly settings: Readonly<Record<string, number>>;
};

/** A lab by its name, or all of them. */
export type DownOptions = { readonly name: string } | { readonly all: true };

/** What the words on the command line start. */
export type Actions = {
  up(options: UpOptions): Promise<void>;
  down(options: DownOptions): Promise<void>;
  list(): void;
  show(story: Story): void;
};

/** Far more than a machine can have of anything. */
const MAX_SETTING = 999_999_999;

type Given = {
  readonly story: Story;
  readonly name?: string;
  readonly store?: StoreKind;
  readonly encapsulation?: string;
  readonly underlay: '4' | '6';
  readonly qemu: boolean;
  readonly keep: boolean;
  readonly json: boolean;
  readonly only: readonly string[];
  readonly set: readonly (readonly [string, string])[];
};

/** The command line of `cable lab`. */
export function labCommand(actions: Actions): Command {
  const command = new Command('cable lab')
    .exitOverride(exitUsage)
    .showHelpAfterError('  See what it takes with --help.')
    .helpCommand(true)
    .description(
      'Builds a small world of network namespaces on this machine, checks what its story says, and removes it. Ends with 0 when every check holds. ' +
        'Labs of different names may be up at once.',
    )
    .addOption(storyOption())
    .addOption(nameOption())
    .addOption(new Option('--store <kind>', 'where the server keeps its objects').choices(['lmdb', 'etcd']))
    .addOption(
      new Option('--encapsulation <who>', 'as of `cable agent`, for the agents of the lab').choices([
        'auto',
        'own',
        'kernel',
      ]),
    )
    .addOption(
      new Option('--underlay <version>', 'IP version of the addresses that hosts tunnel to')
        .choices(['4', '6'])
        .default('4'),
    )
    .option('--no-qemu', 'leave out real machines under QEMU')
    .option('--keep', 'leave the lab up and say how to use it; `cable lab down` removes it', false)
    .option('--json', 'print the results as JSON', false)
    .addOption(onlyOption())
    .addOption(setOption())
    .hook('preAction', refuseOptionsOfUp)
    .action((given: Given, self: Command) => {
      refuseWords(self);
      return actions.up(upOptions(given, self));
    });
  command.command('list').description('say what each story shows').action(actions.list);
  command
    .command('show')
    .description('draw the world of a story, and list its checks and settings')
    .addOption(storyOption())
    .action((_own: unknown, self: Command) => actions.show(self.optsWithGlobals<Given>().story));
  command
    .command('down')
    .description('remove a lab that was kept, or that a crash left behind')
    .addOption(storyOption())
    .addOption(nameOption())
    .option('--all', 'remove every lab on this machine', false)
    .action((_own: unknown, self: Command) => {
      const { all, name, story } = self.optsWithGlobals<Given & { readonly all: boolean }>();
      return actions.down(all ? { all } : { name: name ?? labOfStory(story.name) });
    });
  // Only for itself: commander's own words do not name the commands.
  return command.allowExcessArguments();
}

/** A word that is no command. */
function refuseWords(command: Command): void {
  const [word] = command.args;
  if (word === undefined) return;
  const commands = command.createHelp().visibleCommands(command);
  const names = commands.map((one) => one.name()).join(', ');
  command.error(`error: there is no command '${word}'; commands: ${names}; without one the story is built and checked`);
}

/** Options that the command, unlike `cable lab` alone, does not take: commander would drop them without a word. */
function refuseOptionsOfUp(lab: Command, acting: Command): void {
  if (acting === lab) return;
  const taken = new Set(acting.options.map((option) => option.attributeName()));
  const stray = lab.options.find(
    (option) => lab.getOptionValueSource(option.attributeName()) === 'cli' && !taken.has(option.attributeName()),
  );
  if (stray !== undefined) acting.error(`error: cable lab ${acting.name()} does not take ${stray.long}`);
}

function storyOption(): Option {
  const [demo] = STORIES;
  return new Option('--story <name>', 'the story').argParser(parseStory).default(demo, demo.name);
}

function nameOption(): Option {
  return new Option('--name <name>', 'name of the lab (default: made from the story)').argParser(parseName);
}

function onlyOption(): Option {
  return new Option('--only <group>', 'run one group of checks, may be repeated (`cable lab show` lists them)')
    .argParser((text: string, groups: readonly string[]) => [...groups, text])
    .default([], 'all');
}

function setOption(): Option {
  return new Option('--set <setting=number>', 'a setting of the story, may be repeated (`cable lab show` lists them)')
    .argParser((text: string, before: readonly unknown[]) => [...before, parseSetting(text)])
    .default([], 'as the story says');
}

/** Checks what can only be judged once the story is known. */
function upOptions(given: Given, command: Command): UpOptions {
  const { story, encapsulation, qemu, keep, json, only } = given;
  const { stores } = story.world;
  const store = given.store ?? stores[0];
  const groups = groupsOf(story);
  const unknown = only.find((group) => !groups.includes(group));
  if (!stores.includes(store)) command.error(`error: the story ${story.name} runs on ${stores.join(' and ')} only`);
  if (unknown !== undefined) {
    command.error(`error: the story ${story.name} has no group ${unknown}; groups: ${groups.join(', ')}`);
  }
  const name = given.name ?? labOfStory(story.name);
  const overlayIpVersion = given.underlay === '6' ? 6 : 4;
  const settings = settingsOf(story, given.set, command);
  return { name, story, store, encapsulation, overlayIpVersion, qemu, keep, json, only, settings };
}

function settingsOf(story: Story, given: Given['set'], command: Command): Readonly<Record<string, number>> {
  const known = story.world.settings ?? {};
  const standard = Object.entries(known).map(([name, setting]) => [name, setting.standard] as const);
  const told = given.map(([name, text]) => {
    const setting = known[name];
    if (setting === undefined) {
      const names = Object.keys(known);
      const there = names.length === 0 ? 'it has none' : `settings: ${names.join(', ')}`;
      return command.error(`error: the story ${story.name} has no setting ${name}; ${there}`);
    }
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (value >= setting.least && value <= MAX_SETTING) return [name, value] as const;
    return command.error(`error: ${name} must be a number from ${setting.least} to ${MAX_SETTING}, not ${text}`);
  });
  return Object.fromEntries([...standard, ...told]);
}

function parseStory(text: string): Story {
  const story = STORIES.find((one) => one.name === text);
  if (story !== undefined) return story;
  throw new InvalidArgumentError(`there is no such story; stories: ${STORIES.map((one) => one.name).join(', ')}`);
}

function parseName(text: string): string {
  if (isLabName(text)) return text;
  throw new InvalidArgumentError(`use 1 to ${MAX_LAB_NAME} lower-case letters and digits, a letter first`);
}

function parseSetting(text: string): readonly [string, string] {
  const [, name, number] = /^([a-z-]+)=(.+)$/.exec(text) ?? [];
  if (name === undefined || number === undefined) throw new InvalidArgumentError('give NAME=NUMBER');
  return [name, number];
}
