/** `cable kube convert`: what the operator says to it, and what it does. */
import { readFileSync } from 'node:fs';
import { ExpectedError, exitUsage } from '@cable/kit';
import { Command } from 'commander';
import { parseAllDocuments, stringify } from 'yaml';
import { convert } from './conversion.ts';
import type { Note } from './source.ts';

type Given = { readonly namespace: string; readonly namespaces?: string; readonly externalNetwork?: string };

/** `text`: YAML. `said`: lines for people. `isWhole`: there is something in the place of everything. */
export type Printed = { readonly text: string; readonly said: readonly string[]; readonly isWhole: boolean };

/** Runs what stands after `cable kube convert`. Prints and ends the process for --help and for errors of usage; throws `ExpectedError` for files that cannot be read. */
export function runConvert(argv: readonly string[], env: NodeJS.ProcessEnv): Printed {
  const command = new Command('cable kube convert')
    .description(
      'Prints Cable’s custom resources in the place of Kube-OVN’s (kubeovn.io), as YAML for kubectl apply; other objects as they are. Says on standard error what is otherwise. Ends with 1 where something has no counterpart.',
    )
    .exitOverride(exitUsage)
    .showHelpAfterError('  See what it takes with --help.')
    .argument('<file...>', 'manifests of Kube-OVN, or what kubectl get -o yaml says of them; -: standard input')
    .option('--namespace <name>', 'namespace of Cable’s controller', env['POD_NAMESPACE'] ?? 'kube-system')
    .option(
      '--namespaces <list>',
      'where SecurityGroups and QosPolicies are made (default: namespaces that Subnets are bound to)',
    )
    .option('--external-network <network>', 'name or ID in Cable of the network outside, of what leads there')
    .parse([...argv], { from: 'user' });
  const { namespace, namespaces, externalNetwork } = command.opts<Given>();
  const { objects, notes } = convert(
    command.args.flatMap((file) => documentsOf(file)),
    { namespace, namespaces: namespaces?.split(','), externalNetwork },
  );
  return {
    text: objects.map((one) => `---\n${stringify(one, { lineWidth: 0 })}`).join(''),
    said: notes.map(sayNote),
    isWhole: notes.every(({ isRefusal }) => !isRefusal),
  };
}

function sayNote({ subject, field, text, isRefusal }: Note): string {
  return `${isRefusal ? 'not converted' : 'note'}: ${[subject, field].filter((one) => one !== '').join(' ')}: ${text}`;
}

/** All of one file. */
function documentsOf(file: string): readonly unknown[] {
  const name = file === '-' ? 'standard input' : file;
  const read = (): string => {
    try {
      return readFileSync(file === '-' ? 0 : file, 'utf8');
    } catch (err) {
      throw new ExpectedError(`${name} cannot be read: ${(err as Error).message}`);
    }
  };
  const documents = parseAllDocuments(read());
  return [...documents].map((one) => {
    const [problem] = one.errors;
    if (problem !== undefined) throw new ExpectedError(`${name} is no YAML: ${problem.message}`);
    return one.toJS() as unknown;
  });
}
