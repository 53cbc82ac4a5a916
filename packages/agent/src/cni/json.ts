import { invalidConfig } from './errors.ts';

/** A JSON object whose members are not known to be anything. */
export type JsonObject = { readonly [name: string]: unknown };

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * A member that a runtime of Go may have written: its JSON packages read names whatever the case of their letters, and containerd's writes them as its own fields are named (`HostPort`). The name
 * itself goes before others.
 */
export function memberOf(parent: JsonObject, name: string): unknown {
  if (Object.hasOwn(parent, name)) return parent[name];
  const other = Object.keys(parent).find((one) => one.toLowerCase() === name.toLowerCase());
  return other === undefined ? undefined : parent[other];
}

/** The member as an object; absent or null: empty. Throws CniError 7. */
export function objectAt(parent: JsonObject, name: string, path: string): JsonObject {
  const value = parent[name] ?? {};
  if (isObject(value)) return value;
  throw invalidConfig(path, 'is not an object', `make ${path} a JSON object or leave it out`);
}

/** The member as a non-empty string of at most 255 characters; undefined when absent. Throws CniError 7. */
export function stringAt(parent: JsonObject, name: string, path: string): string | undefined {
  const value = parent[name];
  if (value === undefined || value === null) return undefined;
  if (typeof value === 'string' && value !== '' && value.length <= 255) return value;
  throw invalidConfig(path, 'is not a string of 1 to 255 characters', `make ${path} a string or leave it out`);
}

/** The member as true or false; undefined when absent. Throws CniError 7. */
export function booleanAt(parent: JsonObject, name: string, path: string): boolean | undefined {
  const value = parent[name];
  if (value === undefined || value === null) return undefined;
  if (typeof value === 'boolean') return value;
  throw invalidConfig(path, 'is neither true nor false', `make ${path} one of them or leave it out`);
}

/** The member as a list of at most `max` such strings; undefined when absent. Throws CniError 7. */
export function stringsAt(parent: JsonObject, name: string, path: string, max: number): readonly string[] | undefined {
  const value = parent[name];
  if (value === undefined || value === null) return undefined;
  if (!Array.isArray(value) || value.length > max) {
    throw invalidConfig(path, `is not a list of at most ${max} strings`, `make ${path} such a list or leave it out`);
  }
  return value.map((_, index) => stringAt(value as unknown as JsonObject, String(index), `${path}[${index}]`) ?? '');
}
