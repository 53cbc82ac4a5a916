/** What tells the items of a list apart: the field that names them. */
const IDENTITIES = ['portId', 'id', 'subnetId', 'ipAddress'] as const;

/**
 * The next value, with every part that equals its counterpart in the previous value replaced by that very object. So a slice in which
 * one endpoint changed has all the other endpoints of its predecessor, and what was computed from these stays valid.
 */
export function shareStructure<T>(previous: unknown, next: T): T {
  return share(previous, next) as T;
}

function share(previous: unknown, next: unknown): unknown {
  if (Object.is(previous, next)) return previous;
  if (Array.isArray(next)) return Array.isArray(previous) ? shareArray(previous, next) : next;
  if (isRecord(next) && isRecord(previous)) return shareRecord(previous, next);
  return next;
}

function shareArray(previous: readonly unknown[], next: readonly unknown[]): unknown {
  const byIdentity = new Map(previous.map((item, i) => [identity(item, i), item] as const));
  const shared = next.map((item, i) => share(byIdentity.get(identity(item, i)), item));
  const same = shared.length === previous.length && shared.every((item, i) => Object.is(item, previous[i]));
  return same ? previous : shared;
}

function shareRecord(previous: Record<string, unknown>, next: Record<string, unknown>): unknown {
  const keys = Object.keys(next);
  let same = Object.keys(previous).length === keys.length;
  const shared: Record<string, unknown> = {};
  for (const key of keys) {
    shared[key] = share(previous[key], next[key]);
    if (!Object.is(shared[key], previous[key]) || !(key in previous)) same = false;
  }
  return same ? previous : shared;
}

function identity(item: unknown, index: number): unknown {
  if (!isRecord(item)) return typeof item === 'string' ? item : index;
  const field = IDENTITIES.find((name) => typeof item[name] === 'string');
  return field === undefined ? index : item[field];
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
