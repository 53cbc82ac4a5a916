import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import { type KnownSchema, parseSchema, readSchema } from '@cable/api';
import type { HttpTransport } from '@cable/kit';
import type { ResourceModel } from '@cable/model';

/** What the loader works with. */
export type ModelLoaderOptions = {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly connect: (server: string) => HttpTransport;
  /** For when neither the server nor the disk says anything. */
  readonly fallback: readonly ResourceModel[];
  /** How long the server may take to answer. Default 2,000. */
  readonly timeoutMs?: number;
};

/**
 * Makes what loads a server's models: from its schema, which is kept in the cache directory (`$XDG_CACHE_HOME/cable`, else `~/.cache/cable`) and asked for only
 * whether it is still that. A server that does not answer has what it had last, or the fallback; a directory that cannot be written to costs nothing but time.
 */
export function createModelLoader(
  given: Omit<ModelLoaderOptions, 'connect'> & Partial<Pick<ModelLoaderOptions, 'connect'>>,
): (server: string, connect?: ModelLoaderOptions['connect']) => Promise<readonly ResourceModel[]> {
  return async (server, connect = given.connect) => {
    if (connect === undefined) throw new Error('nothing connects to a server');
    const options = { ...given, connect };
    const file = cacheFile(options.env, server);
    const known = file === undefined ? undefined : await readCache(file);
    const told = await ask(options, server, known);
    if (file !== undefined && told !== undefined && told.text !== undefined)
      await writeCache(file, told.text, told.etag);
    return told?.models ?? known?.models ?? options.fallback;
  };
}

type Told = KnownSchema & { readonly text?: string };

/** The server's schema, or the fallback for one that is too old to have it; undefined: it does not answer. */
async function ask(
  { connect, fallback, timeoutMs = 2000 }: ModelLoaderOptions,
  server: string,
  known: KnownSchema | undefined,
): Promise<Told | undefined> {
  let text: string | undefined;
  let transport: HttpTransport | undefined;
  try {
    const connected = connect(server);
    transport = connected;
    const reader: Parameters<typeof readSchema>[0] = {
      request: async (request) => {
        const answer = await connected.request(request);
        if (answer.status === 200) text = answer.body;
        return answer;
      },
    };
    const schema = await readSchema(reader, known, { signal: AbortSignal.timeout(timeoutMs) });
    if (schema === undefined) return { etag: '', models: fallback };
    return text === undefined || schema.etag === '' ? schema : { ...schema, text };
  } catch {
    // Whatever it is, the command itself meets it again, and says it.
    return undefined;
  } finally {
    transport?.close();
  }
}

/** Longest name of a file, in characters, with room for what a draft adds. */
const NAME_MAX = 200;

/** Undefined: there is no place for it. */
function cacheFile(env: ModelLoaderOptions['env'], server: string): string | undefined {
  const { XDG_CACHE_HOME: cache = '', HOME: home = '' } = env;
  const directory = isAbsolute(cache) ? cache : isAbsolute(home) ? join(home, '.cache') : undefined;
  const name = `schema-${encodeURIComponent(server)}`;
  return directory === undefined || name.length > NAME_MAX ? undefined : join(directory, 'cable', name);
}

/** The first line is the etag, the rest the schema as the server gave it. */
async function readCache(file: string): Promise<KnownSchema | undefined> {
  const text = await readFile(file, 'utf8').catch(() => '');
  const end = text.indexOf('\n');
  const models = end < 0 ? undefined : parseSchema(text.slice(end + 1));
  return models === undefined ? undefined : { etag: text.slice(0, end), models };
}

async function writeCache(file: string, text: string, etag: string): Promise<void> {
  const draft = `${file}.${process.pid}`;
  try {
    await mkdir(join(file, '..'), { recursive: true });
    await writeFile(draft, `${etag}\n${text}`);
    await rename(draft, file);
  } catch {
    await rm(draft, { force: true }).catch(() => {});
  }
}
