/**
 * What a declaration becomes at doors that have words of their own: commands and options of the command line, parameters of a list's query. Which words are taken
 * is said here and nowhere else: the registry refuses a declaration that needs one, and the command line leaves it out.
 */
import type { ActionDeclaration, Resource, Verb } from './declaration.ts';

/** What is done to protons besides what is done to every object. */
const PROTON_COMMANDS: readonly string[] = [
  ...['proton diff', 'proton explain', 'proton gen', 'proton install', 'proton lint', 'proton migrate', 'proton model'],
  'proton quota',
  ...['proton remove', 'proton remove-version', 'proton set-version', 'proton versions'],
];

/** Commands that are no declaration's, and words in front of processes: no other command is one of them, or is below one. */
export const FIXED_COMMANDS: readonly string[] = [
  ...['agent', 'capture', 'check', 'completion', 'drops', 'flows', 'help', 'host adopt-store', 'host confirm-removal'],
  ...['kube', 'lab', 'pki', ...PROTON_COMMANDS, 'server', 'show', 'status', 'trace', 'why'],
];

/** Options that mean the same in every command, without dashes in front. */
export const FIXED_OPTIONS: readonly string[] = [
  ...[
    'ca',
    'cert',
    'column',
    'help',
    'json',
    'key',
    'limit',
    'os-cloud',
    'project',
    'role',
    'server',
    'sort',
    'version',
  ],
];

/** Parameters of a list's query that are no filters. */
export const QUERY_PARAMETERS: readonly string[] = [
  ...['changed_since', 'fields', 'limit', 'marker', 'page_reverse', 'sort_dir', 'sort_key'],
];

/** Commands of the verbs, the shown one first. */
export const VERB_WORDS: Readonly<Record<Verb, readonly string[]>> = {
  list: ['list'],
  show: ['show'],
  create: ['create'],
  update: ['set', 'update'],
  delete: ['delete'],
};

/** A word that every group of commands has. */
const HELP = 'help';

/** Names that no action may have: their commands are those of verbs, or help. */
export const VERB_NAMES: ReadonlySet<string> = new Set([...Object.values(VERB_WORDS).flat(), HELP]);

/** A name as it is written in commands and options. */
export function dashed(name: string): string {
  return name.replaceAll(/[_:]/g, '-');
}

/** True for words that a resource's commands can have, e.g. `network agent`. */
export function isCommandText(text: string): boolean {
  return /^[a-z][a-z0-9-]*( [a-z][a-z0-9-]*)*$/.test(text);
}

/** The words of a resource's commands, e.g. `security group rule`. */
export function resourceWords({ command, type, name }: Pick<Resource, 'command' | 'type' | 'name'>): readonly string[] {
  return command?.split(' ') ?? (type ?? name).split('_');
}

/** One command of an action. `part`: the attribute of its body that the command's last word stands for; undefined: options give the body. */
export type ActionCommand = { readonly words: readonly string[]; readonly part: string | undefined };

/**
 * The commands of an action: `add_router_interface` with a body of `subnet_id` and `port_id` has `add subnet` and `add port`, as the `openstack` client has it;
 * any other has its own name.
 */
export function actionCommands({ name, on, body = {} }: ActionDeclaration): readonly ActionCommand[] {
  const verb = /^(add|remove)_/.exec(name)?.[1];
  const parts = Object.keys(body);
  if (verb === undefined || on === 'collection' || parts.length === 0 || !parts.every((one) => one.endsWith('_id'))) {
    return [{ words: [dashed(name)], part: undefined }];
  }
  return parts.map((part) => ({ words: [verb, dashed(part.replace(/_id$/, ''))], part }));
}

/** True for what can stand behind the two dashes of an option: `--no-x` takes something back. */
export function isOptionName(option: string): boolean {
  return /^[A-Za-z][A-Za-z0-9]*(-[A-Za-z0-9]+)*$/.test(option) && !option.startsWith('no-');
}

/** The same for options that a command line does not tell apart: `a-b` and `aB`. */
export function optionKey(option: string): string {
  return option.replaceAll(/-(.)/g, (_all, letter: string) => letter.toUpperCase());
}

const FIXED_KEYS: ReadonlyMap<string, string> = new Map(FIXED_OPTIONS.map((option) => [optionKey(option), option]));
const PARAMETERS: ReadonlySet<string> = new Set(QUERY_PARAMETERS);

/** Why an attribute of this name can have no option; undefined: it can. `others`: names beside it, itself perhaps among them. */
export function optionProblem(name: string, others: Iterable<string>): string | undefined {
  const option = dashed(name);
  if (!isOptionName(option)) return `--${option} cannot be an option`;
  const key = optionKey(option);
  const fixed = FIXED_KEYS.get(key);
  if (fixed !== undefined) return `--${fixed} is an option of every command`;
  for (const other of others) if (other !== name && optionKey(dashed(other)) === key) return `${other} has its option`;
  return undefined;
}

/** Why a list cannot have a filter of this name; undefined: it can. */
export function filterProblem(name: string): string | undefined {
  return PARAMETERS.has(name) ? `${name} is a parameter of every list` : undefined;
}

/** Who has which command. A command has no others below it. */
export class CommandBook {
  readonly #commands = new Map<string, string>();
  readonly #groups = new Map<string, string>();
  readonly #resources = new Map<string, string>();
  /** Those of several words. */
  readonly #spelled = new Map<string, string>();
  readonly #firstWords = new Map<string, string>();

  constructor() {
    for (const command of FIXED_COMMANDS) this.claim(command.split(' '), 'the command line');
  }

  /** Takes the words of a resource's commands. Undefined: done; else who has them, and nothing is taken. */
  open(words: readonly string[], owner: string): string | undefined {
    const [first = ''] = words;
    // `security-group-rule` is taken for `security group rule`.
    const spelled = words.join('-');
    const taken =
      (words.includes(HELP) ? 'the command line' : undefined) ??
      this.#resources.get(spelled) ??
      (words.length > 1 ? this.#firstWords.get(spelled) : undefined) ??
      this.#spelled.get(first) ??
      prefixesOf(words).reduce<string | undefined>((found, path) => found ?? this.#commands.get(path), undefined) ??
      this.#commands.get(words.join(' '));
    if (taken !== undefined) return taken;
    this.#resources.set(spelled, owner);
    if (words.length > 1) this.#spelled.set(spelled, owner);
    if (!this.#firstWords.has(first)) this.#firstWords.set(first, owner);
    return undefined;
  }

  /** Takes one command. Undefined: done; else who has it, and nothing is taken. */
  claim(words: readonly string[], owner: string): string | undefined {
    const path = words.join(' ');
    const groups = prefixesOf(words);
    const taken =
      this.#commands.get(path) ??
      this.#groups.get(path) ??
      groups.reduce<string | undefined>((found, group) => found ?? this.#commands.get(group), undefined);
    if (taken !== undefined) return taken;
    this.#commands.set(path, owner);
    for (const group of groups) if (!this.#groups.has(group)) this.#groups.set(group, owner);
    return undefined;
  }
}

/** What stands in front of the last word: of `a b c` `a` and `a b`. */
function prefixesOf(words: readonly string[]): readonly string[] {
  return words.slice(1).map((_word, at) => words.slice(0, at + 1).join(' '));
}
