/** Options of every command, and what is looked for on a command line before it can be understood. */
import { Option } from 'commander';

export const DEFAULT_SERVER = 'http://127.0.0.1:9696';

/** For the program: a new value each time, since Commander writes into what it is given. */
export function globalOptions(): readonly Option[] {
  return [
    new Option(
      '--server <address>',
      `https://HOST:PORT, http://HOST:PORT or unix:PATH (env CABLE_SERVER; default ${DEFAULT_SERVER})`,
    ),
    new Option('--ca <file>', 'authorities of servers asked by https (env CABLE_CA; default: those of the system)'),
    new Option(
      '--cert <file>',
      'certificate of a user (cable pki issue user) that is shown to a server asked by https (env CABLE_CERT)',
    ),
    new Option('--key <file>', 'its key (env CABLE_KEY)'),
    new Option(
      '--os-cloud <name>',
      'log in to Keystone as clouds.yaml says (env OS_CLOUD; or OS_AUTH_URL, OS_USERNAME, ... as for openstack); the server is that of the catalog unless --server names one',
    ),
    new Option('--project <id>', 'act in this project (env CABLE_PROJECT)'),
    new Option('--role <name>', 'act with this role only, e.g. member (env CABLE_ROLE; default: the server decides)'),
    new Option('--json', 'print JSON instead of tables'),
  ];
}

const WITH_VALUE: ReadonlySet<string> = new Set(
  globalOptions().flatMap(({ long, required }) => (required && long !== undefined ? [long] : [])),
);

/** `--name VALUE` or `--name=VALUE`, the last of them. */
export function optionOf(argv: readonly string[], name: string): string | undefined {
  const at = argv.lastIndexOf(name);
  const joined = argv.findLast((word) => word.startsWith(`${name}=`))?.slice(name.length + 1);
  return joined ?? (at < 0 ? undefined : argv[at + 1]);
}

/** Where its words are: neither options nor the values of those above. The first ones are the command's. */
export function commandWords(argv: readonly string[]): readonly number[] {
  const places: number[] = [];
  for (let at = 0; at < argv.length && argv[at] !== '--'; at += 1) {
    const word = argv[at] ?? '';
    if (WITH_VALUE.has(word)) at += 1;
    else if (!word.startsWith('-')) places.push(at);
  }
  return places;
}
