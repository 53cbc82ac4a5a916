/** Files of models of protons, on this machine. */
import { readdir, readFile, stat } from 'node:fs/promises';
import { dirname, join, normalize } from 'node:path';
import type { ModelFile, ReadOptions } from '@cable/proton';
import { CliError } from './errors.ts';

/** Of all files: as many characters as a model may have, each of them of one byte to four. */
const BYTES_MAX = 1_048_576;

const TOO_LARGE = 'A model has at most 262144 characters: make it smaller.';

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
  let left = BYTES_MAX;
  const files: ModelFile[] = [];
  for (const name of names.toSorted()) {
    const text = await readSome(name, left);
    left -= text.length;
    files.push({ name, text });
  }
  const models = dirname(normalize(isDirectory ? join(path, 'model.yaml') : path));
  return { files, options: { imports: await readImports(join(models, '..'), files) } };
}

/** Files below the directory of models that are imported; one that is not there may be built in. */
async function readImports(models: string, files: readonly ModelFile[]): Promise<Readonly<Record<string, string>>> {
  const paths = files.flatMap(({ text }) => /^imports\s*:\s*["']?([\w./-]+)/m.exec(text)?.[1] ?? []);
  const inside = [...new Set(paths)].filter((path) => !path.startsWith('/') && !path.split('/').includes('..'));
  const texts = await Promise.all(
    inside.map(async (path) => {
      const file = join(models, path);
      // What is not there may be built in; what is, and is no model, is told.
      const isThere = await stat(file).then(
        () => true,
        () => false,
      );
      return [path, isThere ? await readSome(file, BYTES_MAX) : undefined] as const;
    }),
  );
  return Object.fromEntries(texts.flatMap(([path, text]) => (text === undefined ? [] : [[path, text]])));
}

/** A file of no more than so many bytes: what is larger is no model, and is not read. */
async function readSome(name: string, mostBytes: number): Promise<string> {
  const about = await orFail(name, stat(name));
  if (!about.isFile()) throw new CliError(1, `${name} cannot be read: it is no file`, 'Name a file of a model.');
  if (about.size > mostBytes) {
    throw new CliError(1, `${name}:1:1: error: the model has ${about.size} bytes or more`, TOO_LARGE);
  }
  return await orFail(name, readFile(name, 'utf8'));
}

async function orFail<T>(path: string, reading: Promise<T>): Promise<T> {
  try {
    return await reading;
  } catch (err) {
    throw new CliError(1, `${path} cannot be read: ${err instanceof Error ? err.message : String(err)}`);
  }
}
