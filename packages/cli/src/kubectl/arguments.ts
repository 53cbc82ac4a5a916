/** The arguments of `kubectl cable`: kubectl's own options, and a command of `cable` in which names of pods stand for ports. */
import { isUuid, parseIp } from '@cable/model';
import { Command } from 'commander';
import { addCaptureCommand } from '../capture.ts';
import { CliError } from '../errors.ts';
import { addFaultCommands } from '../fault-commands.ts';
import { globalOptions } from '../global-options.ts';

export type KubectlLine = {
  readonly command: KubectlCommand;
  /** Of the pods; undefined: that of the context. */
  readonly namespace: string | undefined;
  /** Pods of all namespaces. */
  readonly isAll: boolean;
  /** Where Cable is installed. */
  readonly cableNamespace: string;
  /** Options that kubectl is given: which cluster, as whom. */
  readonly kubectl: readonly string[];
  /** Words of the command, without kubectl's options. */
  readonly words: readonly Word[];
  readonly isHelp: boolean;
};

/** `isPod`: a name that stands for a port, in its `text` after `prefix`, as in `--from=web-1`. `isArgument`: neither an option nor the value of one. */
export type Word = {
  readonly text: string;
  readonly prefix?: string;
  readonly isPod: boolean;
  readonly isArgument?: true;
};

export type KubectlCommand = (typeof KUBECTL_COMMANDS)[number];

export const KUBECTL_COMMANDS = ['capture', 'drops', 'flows', 'ports', 'trace', 'why'] as const;

/** Of kubectl: each has a value. */
const OWN: Readonly<Record<string, 'namespace' | 'cable' | 'kubectl'>> = {
  '-n': 'namespace',
  '--namespace': 'namespace',
  '--cable-namespace': 'cable',
  '--context': 'kubectl',
  '--kubeconfig': 'kubectl',
  '--cluster': 'kubectl',
  '--user': 'kubectl',
  '--as': 'kubectl',
  '--as-group': 'kubectl',
  '--token': 'kubectl',
};

const ALL: ReadonlySet<string> = new Set(['-A', '--all-namespaces']);
/** Commands that are about many pods. */
const OF_MANY: ReadonlySet<string> = new Set(['drops', 'ports']);

/** Options whose value may be a port. */
const PORT_OPTIONS: ReadonlySet<string> = new Set(['--from', '--to']);

/** Throws `CliError` for what is not understood of kubectl's part; the rest is the command's to refuse. */
export function parseKubectlLine(argv: readonly string[]): KubectlLine {
  const given: Record<'namespace' | 'cable', string | undefined> = { namespace: undefined, cable: undefined };
  const kubectl: string[] = [];
  const rest: string[] = [];
  let isAll = false;
  for (let at = 0; at < argv.length; at += 1) {
    const word = argv[at] ?? '';
    if (ALL.has(word)) {
      isAll = true;
      continue;
    }
    const [name, joined] = splitOption(word);
    const kind = OWN[name];
    if (kind === undefined) {
      rest.push(word);
      continue;
    }
    if (joined === undefined) at += 1;
    const value = joined ?? argv[at];
    if (value === undefined) throw new CliError(2, `${name} needs a value`);
    if (kind === 'kubectl') kubectl.push(`${name}=${value}`);
    else given[kind] = value;
  }
  const command = KUBECTL_COMMANDS.find((one) => one === rest[0]);
  const isHelp = rest.length === 0 || rest.includes('--help') || rest.includes('-h') || rest[0] === 'help';
  if (command === undefined && !isHelp)
    throw new CliError(2, `there is no kubectl cable ${String(rest[0])}`, `There are: ${KUBECTL_COMMANDS.join(', ')}.`);
  const words = command === undefined ? [] : wordsOf(command, rest.slice(1));
  if (command === 'ports' && !isHelp) refuseUnknown(words);
  if (isAll && command !== undefined && !OF_MANY.has(command))
    throw new CliError(2, `--all-namespaces is for ${[...OF_MANY].join(' and ')}`, 'Give NAMESPACE/NAME.');
  if (isAll && given.namespace !== undefined) throw new CliError(2, 'give either --namespace or --all-namespaces');
  return {
    command: command ?? 'ports',
    namespace: given.namespace,
    isAll,
    cableNamespace: given.cable ?? 'kube-system',
    kubectl,
    words,
    isHelp,
  };
}

/** Of `ports`, which no other command looks at. */
function refuseUnknown(words: readonly Word[]): void {
  const known = new Set(globalOptions().flatMap(({ long, short }) => [long, short]));
  const names = words.flatMap(({ text, prefix }) => prefix?.slice(0, -1) ?? (text.startsWith('-') ? text : []));
  const unknown = names.find((one) => !known.has(one));
  if (unknown !== undefined) throw new CliError(2, `kubectl cable ports knows no option ${unknown}`, 'See --help.');
}

/** `--name=VALUE`, and of `-n` as kubectl takes it. */
function splitOption(word: string): readonly [string, string | undefined] {
  if (/^-n./.test(word)) return ['-n', word.slice(2).replace(/^=/, '')];
  if (!word.startsWith('--')) return [word, undefined];
  const at = word.indexOf('=');
  return at < 0 ? [word, undefined] : [word.slice(0, at), word.slice(at + 1)];
}

function wordsOf(command: KubectlCommand, argv: readonly string[]): readonly Word[] {
  const withValue = optionsWithValue(command);
  const words: Word[] = [];
  for (let at = 0; at < argv.length; at += 1) {
    const word = argv[at] ?? '';
    if (!word.startsWith('-')) {
      words.push({ text: word, isPod: isPodName(word), isArgument: true });
      continue;
    }
    const [name, joined] = splitOption(word);
    const isPort = PORT_OPTIONS.has(name);
    if (joined !== undefined) words.push({ text: joined, prefix: `${name}=`, isPod: isPort && isPodName(joined) });
    else words.push({ text: word, isPod: false });
    const next = argv[at + 1];
    if (joined !== undefined || next === undefined || !withValue.has(name)) continue;
    words.push({ text: next, isPod: isPort && isPodName(next) });
    at += 1;
  }
  return words;
}

/** As `cable` declares them. */
function optionsWithValue(name: KubectlCommand): ReadonlySet<string> {
  const root = new Command();
  addFaultCommands(root, () => async () => undefined);
  addCaptureCommand(root, () => async () => undefined);
  const options = root.commands.find((one) => one.name() === name)?.options ?? [];
  return new Set(
    [...options, ...globalOptions()].flatMap(({ required, optional, long, short }) =>
      required || optional ? [long, short].filter((flag) => typeof flag === 'string') : [],
    ),
  );
}

/** `NAME`, `NAMESPACE/NAME`, both with `pod/` in front, or with a colon and an interface behind. */
const POD_NAME = /^(pods?\/)?([a-z0-9][a-z0-9.-]*\/)?[a-z0-9][a-z0-9.-]*(:[^/:%\s]{1,15})?$/;

/** Addresses and IDs of ports are what they are. */
function isPodName(text: string): boolean {
  return POD_NAME.test(text) && !isUuid(text) && parseIp(text) === undefined;
}

/** One interface of a pod. `interfaceName` undefined: none was named. */
export type PodPlace = {
  readonly namespace: string;
  readonly name: string;
  readonly interfaceName: string | undefined;
};

/** Of `NAME`, `pod/NAME` and `NAMESPACE/NAME`, each with or without `:INTERFACE`. */
export function podOf(text: string, namespace: string): PodPlace {
  const [pod = '', interfaceName] = text.replace(/^pods?\//, '').split(':');
  const [first = '', second] = pod.split('/');
  return second === undefined
    ? { namespace, name: first, interfaceName }
    : { namespace: first, name: second, interfaceName };
}
