/** `clouds.yaml`, as every client of OpenStack reads it. */
import { readFileSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { parse, YAMLParseError } from 'yaml';
import { type Access, AccessError, AUTH_WORDS, type AuthWord, accessFromWords } from './access.ts';

type Fields = Readonly<Record<string, unknown>>;

/**
 * Reads a file in the form of clouds.yaml. `name`: the cloud that is meant; null: the only one. `isSecret`: refuse a file that everybody may read. Throws
 * `AccessError`.
 */
export function readAccess(file: string, name: string | null, { isSecret }: { readonly isSecret: boolean }): Access {
  return accessFromClouds(readSecret(file, isSecret), { file, name });
}

/** A file may not be changed into another between the look at its mode and its being read, for then both are the attacker's; but it may be read by all. */
function readSecret(file: string, isSecret: boolean): string {
  try {
    const { mode } = statSync(file);
    if (isSecret && (mode & 0o007) !== 0) {
      throw new AccessError(`${file} has a secret in it, and others may read it: chmod o= ${file}`);
    }
    return readFileSync(file, 'utf8');
  } catch (err) {
    if (err instanceof AccessError) throw err;
    throw new AccessError(`${file} cannot be read: ${err instanceof Error ? err.message : String(err)}`);
  }
}

/** Throws `AccessError`, which names the file and the place. */
export function accessFromClouds(
  text: string,
  { file, name }: { readonly file: string; readonly name: string | null },
): Access {
  const clouds = fieldsOf(fieldsOf(parsed(text, file), file)['clouds'], `${file}: clouds`);
  const names = Object.keys(clouds);
  const chosen = name ?? (names.length === 1 ? names[0] : undefined);
  if (chosen === undefined) throw new AccessError(`${file} has the clouds ${names.join(', ')}: say which one is meant`);
  if (!Object.hasOwn(clouds, chosen)) throw new AccessError(`${file} has no cloud ${chosen}, but ${names.join(', ')}`);
  const place = `${file}: cloud ${chosen}`;
  const cloud = fieldsOf(clouds[chosen], place);
  const auth = fieldsOf(cloud['auth'], `${place}: auth`);
  const words: Partial<Record<AuthWord, string>> = {};
  for (const word of AUTH_WORDS) {
    const text = auth[word] ?? (word === 'system_scope' ? cloud[word] : undefined);
    if (text === undefined || text === null || word === 'auth_url') continue;
    // What looks like a number in YAML is a name all the same.
    if (typeof text !== 'string' && typeof text !== 'number') throw new AccessError(`${place}: ${word} is a text`);
    words[word] = String(text);
  }
  return {
    ...accessFromWords(words, urlsOf(auth['auth_url'], place), place),
    ca: certificateOf(cloud['cacert'], file, place),
    verify: flagOf(
      cloud['verify'] ?? (cloud['insecure'] === undefined ? true : !flagOf(cloud['insecure'], place)),
      place,
    ),
    region: textOf(cloud['region_name'], `${place}: region_name`),
    interface: interfaceOf(textOf(cloud['interface'] ?? cloud['endpoint_type'], `${place}: interface`), place),
    endpoints: endpointsOf(cloud),
  };
}

function parsed(text: string, file: string): unknown {
  try {
    return parse(text, { maxAliasCount: 100 }) as unknown;
  } catch (err) {
    if (!(err instanceof YAMLParseError)) throw new AccessError(`${file} is no YAML`);
    // Its message shows the line, in which a secret may be.
    const line = err.linePos?.[0].line;
    throw new AccessError(`${file} is no YAML${line === undefined ? '' : `: line ${line}`} (${err.code})`);
  }
}

/** One, or several of one Keystone, in which case any will do. */
function urlsOf(given: unknown, place: string): readonly string[] {
  const urls: readonly unknown[] = Array.isArray(given) ? given : given === undefined || given === null ? [] : [given];
  return urls.map((url) => {
    if (typeof url === 'string') return url;
    throw new AccessError(`${place}: auth_url is a text, or a list of them`);
  });
}

function certificateOf(given: unknown, file: string, place: string): string | null {
  const path = textOf(given, `${place}: cacert`);
  if (path === null) return null;
  return readSecret(resolve(dirname(file), path), false);
}

function interfaceOf(text: string | null, place: string): Access['interface'] {
  const name = (text ?? 'public').replace(/URL$/, '');
  if (name === 'public' || name === 'internal' || name === 'admin') return name;
  throw new AccessError(`${place}: interface is public, internal or admin`);
}

function endpointsOf(cloud: Fields): Readonly<Record<string, string>> {
  const found = Object.entries(cloud).flatMap(([word, value]) => {
    const type = /^(.+)_endpoint_override$/.exec(word)?.[1];
    return type === undefined || typeof value !== 'string' ? [] : [[type.replaceAll('_', '-'), value] as const];
  });
  return Object.fromEntries(found);
}

function flagOf(given: unknown, place: string): boolean {
  if (typeof given === 'boolean') return given;
  throw new AccessError(`${place}: verify is true or false`);
}

function textOf(given: unknown, place: string): string | null {
  if (given === undefined || given === null) return null;
  if (typeof given === 'string') return given;
  throw new AccessError(`${place} is a text`);
}

function fieldsOf(given: unknown, place: string): Fields {
  if (typeof given === 'object' && given !== null && !Array.isArray(given)) return given as Fields;
  throw new AccessError(`${place} is not there, or is no mapping`);
}
