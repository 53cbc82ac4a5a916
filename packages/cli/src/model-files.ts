/** Files of models of protons, on this machine. */
import { readdir, readFile, stat } from 'node:fs/promises';
import { dirname, join, normalize } from 'node:path';
import type { ModelFile, ReadOptions } from '@cable/proton';
import { CliError } from './errors.ts';

/** The files of one model, and what they import from the directory beside it. */
export async function readModelFiles(
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
