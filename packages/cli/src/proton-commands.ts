/** `cable proton`: models of protons, in files here without a server, or installed at one. */
import { openApiBelow } from '@cable/api';
import { composeRegistry } from '@cable/model';
import type { ProtonModel } from '@cable/proton';
import { Argument, type Command } from 'commander';
import type { Bind, CliContext } from './context.ts';
import { CliError } from './errors.ts';
import { readModelFiles } from './model-files.ts';
import { addLifeCommands } from './proton-life.ts';
import { harmless, renderJson } from './render.ts';

/** Those that go without a server. */
export const LOCAL_PROTON_COMMANDS: ReadonlySet<string> = new Set(['lint', 'diff', 'gen']);

const GENERATED = ['types', 'client', 'docs', 'form', 'vectors', 'openapi'] as const;

export function addProtonCommands(root: Command, bind: Bind): void {
  const proton = root
    .command('proton')
    .description('Networking APIs from model files: checks, compares and uses them.');
  proton
    .command('lint')
    .argument('<path...>', 'model files; of a directory all *.yaml and *.yml are one model')
    .description('Says what is wrong with models, with line and column; fails if anything is.')
    .action(bind((context, _options, args) => lint(context, args[0] as readonly string[])));
  proton
    .command('diff')
    .argument('<old>', 'file or directory')
    .argument('<new>', 'file or directory')
    .description('Shows whom each change between two models breaks: readers, writers, stored objects.')
    .action(bind((context, _options, args) => diff(context, String(args[0]), String(args[1]))));
  proton
    .command('gen')
    .addArgument(new Argument('<what>', 'what to write').choices(GENERATED))
    .argument('<path>', 'file or directory')
    .description(
      'Writes what follows of a model: types or a client in TypeScript, a reference, forms, test vectors, OpenAPI.',
    )
    .action(
      bind((context, _options, args) => generate(context, args[0] as (typeof GENERATED)[number], String(args[1]))),
    );
  addLifeCommands(proton, bind);
}

async function lint(context: CliContext, paths: readonly string[]): Promise<void> {
  const { lintFiles } = await import('@cable/proton');
  let bad = 0;
  for (const path of paths) {
    const { files, options } = await readModelFiles(path);
    const { lines, isGood } = lintFiles(files, options);
    printLines(context, lines);
    if (!isGood) bad += 1;
  }
  if (bad > 0) throw new CliError(1, bad === 1 ? '1 model is not good' : `${bad} models are not good`);
}

async function diff(context: CliContext, older: string, newer: string): Promise<void> {
  const { diffLines, diffModels } = await import('@cable/proton');
  const [before, after] = [await loadModel(older), await loadModel(newer)];
  if (context.json) context.print(renderJson(diffModels(before, after)));
  else printLines(context, diffLines(before, after));
}

async function generate(context: CliContext, what: (typeof GENERATED)[number], path: string): Promise<void> {
  const { GENERATORS } = await import('@cable/proton');
  const model = await loadModel(path);
  context.print(what === 'openapi' ? await openApiText(model) : GENERATORS[what](model));
}

/** As a server answers it that has this version alone. */
async function openApiText(stored: ProtonModel): Promise<string> {
  const { declarationOf, prefixOf } = await import('@cable/proton');
  const { models } = composeRegistry([], [declarationOf({ stored, others: [] }, '')]);
  return renderJson(openApiBelow(models, prefixOf(stored)));
}

async function loadModel(path: string): Promise<ProtonModel> {
  const { problemText, readModel } = await import('@cable/proton');
  const { files, options } = await readModelFiles(path);
  const answer = readModel(files, options);
  if ('model' in answer) return answer.model;
  throw new CliError(1, answer.problems.map((problem) => harmless(problemText(problem, 'error'))).join('\n'));
}

/** A model is somebody else’s text. */
function printLines(context: CliContext, lines: readonly string[]): void {
  context.print(lines.map((line) => `${harmless(line)}\n`).join(''));
}
