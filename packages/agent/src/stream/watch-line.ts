import type { Slice, SliceKey, WatchLine } from '@cable/model';

const KINDS: ReadonlySet<string> = new Set(['host', 'network', 'router', 'policy', 'group']);

/**
 * One line of the host stream; undefined when it is not one. The server is trusted with the content of slices; a kind that this agent does
 * not know is refused, since a newer server may send what an older agent cannot enforce.
 */
export function parseWatchLine(text: string): WatchLine | undefined {
  const line = parseJson(text);
  if (!isRecord(line) || !isRevision(line['revision'])) return undefined;
  const revision = line['revision'];
  switch (line['type']) {
    case 'put': {
      const { key, slice } = line;
      return isKey(key) && isSlice(slice) ? { type: 'put', key, revision, slice } : undefined;
    }
    case 'delete':
      return isKey(line['key']) ? { type: 'delete', key: line['key'], revision } : undefined;
    case 'sync': {
      const { keys } = line;
      return Array.isArray(keys) && keys.every(isKey) ? { type: 'sync', revision, keys } : undefined;
    }
    case 'bookmark':
      return { type: 'bookmark', revision };
    default:
      return undefined;
  }
}

/** True for a key of a kind that this agent knows. */
export function isKey(value: unknown): value is SliceKey {
  return typeof value === 'string' && KINDS.has(value.slice(0, value.indexOf(':')));
}

export function isSlice(value: unknown): value is Slice {
  return isRecord(value) && typeof value['kind'] === 'string' && KINDS.has(value['kind']);
}

export function isRevision(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The JSON value of the text; undefined when it is not JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
