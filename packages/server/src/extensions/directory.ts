/** Reads extensions from a directory: `NAME.json` is a declaration alone, `NAME.mjs` exports a function `extension`. */
import { createHash } from 'node:crypto';
import { readdir, readFile, realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Logger } from '@cable/kit';
import { createBounds, MOST_BYTES } from './bounds.ts';
import { addressOf, attempt, messageOf, runCode } from './code.ts';
import { ExtensionError, type LoadedExtension, type ServerExtension } from './extension.ts';
import { extensionOf } from './given.ts';
import { runGuarded } from './strays.ts';
import { LOAD_MS, tryCode } from './trial.ts';

/** Reads all files anew; one that has not changed gives the same value. Throws `ExtensionError`. */
export type DirectoryReader = () => Promise<readonly LoadedExtension[]>;

type Known = { readonly hash: string; readonly extension: LoadedExtension };

/** Reads a directory, in the order of the files' names. Files of other kinds are none of its. `signal`: ends what is tried out, when the server stops. */
export function createDirectoryReader(directory: string, log: Logger, signal: AbortSignal): DirectoryReader {
  let known: ReadonlyMap<string, Known> = new Map();
  return async () => {
    const now = new Map<string, Known>();
    const bounds = createBounds();
    for (const name of await namesIn(directory, log)) {
      const file = join(directory, name);
      const one = await about(file, () => read(file, known.get(file), signal));
      const wrong = bounds.add(one.extension);
      if (wrong !== undefined) throw new ExtensionError(`${file}: ${wrong}`);
      now.set(file, one);
    }
    known = now;
    return Array.from(now.values(), (one) => one.extension);
  };
}

async function namesIn(directory: string, log: Logger): Promise<readonly string[]> {
  const names = await about(directory, () => attempt('the directory cannot be read', () => readdir(directory)));
  const isExtension = (name: string): boolean => /^[^.].*\.(json|mjs)$/.test(name);
  for (const file of names.filter((name) => !isExtension(name))) log.warn({ file }, 'neither .json nor .mjs, left out');
  return names.filter(isExtension).sort();
}

async function read(file: string, before: Known | undefined, signal: AbortSignal): Promise<Known> {
  const text = await textOf(file);
  const hash = createHash('sha256').update(text).digest('hex').slice(0, 16);
  if (before?.hash === hash) return before;
  const made = file.endsWith('.json')
    ? extensionOf({ declaration: await attempt('it is not JSON', () => JSON.parse(text) as unknown) })
    : await run(addressOf(pathToFileURL(await realpath(file)).href, hash), signal);
  return { hash, extension: { ...made, file } };
}

async function textOf(file: string): Promise<string> {
  const { size, isFile } = await attempt('it cannot be read', async () => {
    const is = await stat(file);
    return { size: is.size, isFile: is.isFile() };
  });
  // Of a pipe, a read would wait for whoever writes to it.
  if (!isFile) throw new Error('it is no file. Take it out of the directory.');
  if (size > MOST_BYTES) throw new Error(`it has ${size} bytes; there may be ${MOST_BYTES}. Make it shorter.`);
  return attempt('it cannot be read', () => readFile(file, 'utf8'));
}

/** What has not passed in a process of its own is never run in the server. */
async function run(address: string, signal: AbortSignal): Promise<ServerExtension> {
  const wrong = await tryCode(address, LOAD_MS, signal);
  if (wrong !== undefined) throw new Error(wrong);
  return runGuarded(() => runCode(address), LOAD_MS);
}

/** Names the file in what is thrown. */
async function about<T>(path: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (cause) {
    throw new ExtensionError(`${path}: ${messageOf(cause)}`);
  }
}
