/** Reads extensions from a directory: `NAME.json` is a declaration alone, `NAME.mjs` exports a function `extension`. */
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Logger } from '@cable/kit';
import { isFields } from '../rows.ts';
import { EXTENSION_TOOLS, ExtensionError, type LoadedExtension, type ServerExtension } from './extension.ts';

/** Reads all files anew; one that has not changed gives the same value. Throws `ExtensionError`. */
export type DirectoryReader = () => Promise<readonly LoadedExtension[]>;

type Known = { readonly hash: string; readonly extension: LoadedExtension };

/** Reads a directory, in the order of the files' names. Files of other kinds are none of its. */
export function createDirectoryReader(directory: string, log: Logger): DirectoryReader {
  let known: ReadonlyMap<string, Known> = new Map();
  return async () => {
    const now = new Map<string, Known>();
    for (const name of await namesIn(directory, log)) {
      const file = join(directory, name);
      const text = await attempt(file, 'it cannot be read', () => readFile(file, 'utf8'));
      const hash = createHash('sha256').update(text).digest('hex').slice(0, 16);
      const before = known.get(file);
      const extension = before?.hash === hash ? before.extension : await read(file, text, hash);
      now.set(file, { hash, extension });
    }
    known = now;
    return Array.from(now.values(), (one) => one.extension);
  };
}

async function namesIn(directory: string, log: Logger): Promise<readonly string[]> {
  const names = await attempt(directory, 'the directory cannot be read', () => readdir(directory));
  const isExtension = (name: string): boolean => /^[^.].*\.(json|mjs)$/.test(name);
  for (const file of names.filter((name) => !isExtension(name))) log.warn({ file }, 'neither .json nor .mjs, left out');
  return names.filter(isExtension).sort();
}

async function read(file: string, text: string, hash: string): Promise<LoadedExtension> {
  const given = file.endsWith('.json')
    ? { declaration: await attempt(file, 'it is not JSON', () => JSON.parse(text) as unknown) }
    : await run(file, hash);
  const wrong = problemOf(given);
  if (wrong !== undefined) throw new ExtensionError(`${file}: ${wrong}`);
  return { ...(given as ServerExtension), file };
}

/** The query makes Node read a changed file anew; what the file imports itself is read once a process. */
async function run(file: string, hash: string): Promise<unknown> {
  const url = `${pathToFileURL(file).href}?${hash}`;
  const module = await attempt(file, 'it cannot be run', async () => (await import(url)) as Record<string, unknown>);
  const { extension } = module;
  if (typeof extension !== 'function') {
    throw new ExtensionError(`${file}: it has no function. Write: export function extension({ CableError }) {...}`);
  }
  return attempt(file, 'its function extension failed', () => extension(EXTENSION_TOOLS) as unknown);
}

const FIELDS: ReadonlySet<string> = new Set<keyof ServerExtension>(['declaration', 'contributions', 'rules']);

/** What the code gave may be anything. What is in the declaration is looked at when all are put together. */
function problemOf(given: unknown): string | undefined {
  if (!isFields(given)) return 'it gives no object. Give { declaration, contributions, rules }.';
  const { declaration, contributions = {}, rules = [] } = given;
  const stray = Object.keys(given).find((name) => !FIELDS.has(name));
  if (stray !== undefined) return `it gives ${stray}. Leave it out: there are ${[...FIELDS].join(', ')}.`;
  if (!isFields(declaration) || typeof declaration['alias'] !== 'string') {
    return 'its declaration is no object with an alias. Give it alias, name, description, updated and what it brings.';
  }
  if (!isFields(contributions)) return 'contributions is no object. Give one, by type.';
  for (const [type, one] of Object.entries(contributions)) {
    const wrong = contributionProblem(one);
    if (wrong !== undefined) return `contributions.${type}: ${wrong}`;
  }
  const isRule = (one: unknown): boolean =>
    isFields(one) && typeof one['name'] === 'string' && one['check'] !== undefined;
  if (!Array.isArray(rules) || !rules.every(isRule)) return 'rules is no list of rules. Write each as { name, check }.';
  return undefined;
}

const FUNCTIONS: ReadonlySet<string> = new Set([
  ...['derive', 'change', 'check', 'remove', 'created', 'lockKeys', 'claims', 'marks', 'references', 'broken', 'inUse'],
  ...['present', 'rows', 'listing'],
]);

function contributionProblem(one: unknown): string | undefined {
  if (!isFields(one)) return 'it is no object. Give one with functions.';
  const { actions = {}, ...functions } = one;
  const stray = Object.keys(functions).find((name) => !FUNCTIONS.has(name));
  if (stray !== undefined) return `there is no ${stray}. Name one of ${[...FUNCTIONS, 'actions'].join(', ')}.`;
  const odd = Object.entries(functions).find(([, value]) => typeof value !== 'function');
  if (odd !== undefined) return `${odd[0]} is no function. Make it one.`;
  const isHandler = (value: unknown): boolean => typeof value === 'function';
  if (isFields(actions) && Object.values(actions).every(isHandler)) return undefined;
  return 'actions is no object with functions. Give one function an action, by name.';
}

async function attempt<T>(path: string, problem: string, act: () => T | Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (cause) {
    throw new ExtensionError(`${path}: ${problem}: ${cause instanceof Error ? cause.message : String(cause)}`);
  }
}
