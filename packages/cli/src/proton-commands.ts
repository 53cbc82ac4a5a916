/** `cable proton lint|diff|gen`: models of protons, in files here; no server is asked. */
import { readdir, readFile, stat } from 'node:fs/promises';
import { dirname, join, normalize } from 'node:path';
import type { ModelFile, ProtonModel, ReadOptions } from '@cable/proton';
import { Argument, type Command } from 'commander';
import type { Bind, CliContext } from './context.ts';
import { CliError } from './errors.ts';
import { harmless, renderJson } from './render.ts';

/** Those that go without a server. */
export const LOCAL_PROTON_COMMANDS: ReadonlySet<string> = new Set(['lint', 'diff', 'gen']);

const GENERATED = ['types', 'client', 'docs', 'form', 'vectors'] as const;

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
    .description('Writes what follows of a model: types or a client in TypeScript, a reference, forms, test vectors.')
    .action(
      bind((context, _options, args) => generate(context, args[0] as (typeof GENERATED)[number], String(args[1]))),
    );
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
  context.print(GENERATORS[what](await loadModel(path)));
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

/** The files of one model, and what they import from the directory beside it. */
async function readModelFiles(
  path: string,
): Promise<{ readonly files: readonly ModelFile[]; readonly options: ReadOptions }> {
  const isDirectory = (await orFail(path, stat(path))).isDirectory();
  const names = isDirectory
    ? (await readdir(path)).filter((name) => /\.ya?ml$/.test(name)).map((name) => join(path, name))
    : [path];
  if (names.length === 0)
    throw new CliError(1, `${path} has no file *.yaml or *.yml`, 'Name a directory that has a model.');
  const files = await Promise.all(
    names.map(async (name) => ({ name, text: await orFail(name, readFile(name, 'utf8')) })),
  );
  const models = dirname(normalize(isDirectory ? join(path, 'model.yaml') : path));
  return { files, options: { imports: await readImports(join(models, '..'), files) } };
}

/** Files below the directory of models that are imported; one that is not there may be built in. */
async function readImports(models: string, files: readonly ModelFile[]): Promise<Readonly<Record<string, string>>> {
  const paths = files.flatMap(({ text }) => /^imports\s*:\s*["']?([\w./-]+)/m.exec(text)?.[1] ?? []);
  const inside = [...new Set(paths)].filter((path) => !path.startsWith('/') && !path.split('/').includes('..'));
  const texts = await Promise.all(
    inside.map(async (path) => [path, await readFile(join(models, path), 'utf8').catch(() => undefined)] as const),
  );
  return Object.fromEntries(texts.flatMap(([path, text]) => (text === undefined ? [] : [[path, text]])));
}

async function orFail<T>(path: string, reading: Promise<T>): Promise<T> {
  try {
    return await reading;
  } catch (err) {
    throw new CliError(1, `${path} cannot be read: ${err instanceof Error ? err.message : String(err)}`);
  }
}
