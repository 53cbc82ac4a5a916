/** Options of every command. */
import { Option } from 'commander';
import { DEFAULT_SERVER } from './site.ts';

/** For the program: a new value each time, since Commander writes into what it is given. */
export function globalOptions(): readonly Option[] {
  return [
    new Option('--server <address>', `http://HOST:PORT or unix:PATH (env CABLE_SERVER; default ${DEFAULT_SERVER})`),
    new Option(
      '--os-cloud <name>',
      'log in to Keystone as clouds.yaml says (env OS_CLOUD; or OS_AUTH_URL, OS_USERNAME, ... as for openstack); the server is that of the catalog unless --server names one',
    ),
    new Option('--project <id>', 'act in this project (env CABLE_PROJECT)'),
    new Option(
      '--role <name>',
      'act with this role only, e.g. member (env CABLE_ROLE; default: the server decides)',
    ),
    new Option('--json', 'print JSON instead of tables'),
  ];
}

const WITH_VALUE: ReadonlySet<string> = new Set(
  globalOptions().flatMap(({ long, required }) => (required && long !== undefined ? [long] : [])),
);

/** Where on a command line its words are: neither options nor the values of those above. The first ones are the command's. */
export function commandWords(argv: readonly string[]): readonly number[] {
  const places: number[] = [];
  for (let at = 0; at < argv.length && argv[at] !== '--'; at += 1) {
    const word = argv[at] ?? '';
    if (WITH_VALUE.has(word)) at += 1;
    else if (!word.startsWith('-')) places.push(at);
  }
  return places;
}
