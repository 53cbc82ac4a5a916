import { MAX_SLICE_BUCKETS, type ServerLine, type StoreHistory } from '@cable/model';
import { isRecord, type JsonRecord, parseJson } from '../json.ts';
import { isHash } from './digest.ts';
import type { ContentLine } from './staged-lines.ts';

/** A `ServerLine` of protocol 2 as the agent takes it. */
export type ParsedLine = { readonly type: 'content'; readonly line: ContentLine } | ControlLine;

/** A line that is not about content. `unknown`: of a newer server, passed over. */
export type ControlLine =
  | { readonly type: 'hello'; readonly history: StoreHistory }
  | { readonly type: 'refused'; readonly code: string; readonly message: string; readonly retry: boolean }
  | { readonly type: 'sync'; readonly revision: number; readonly digest: number; readonly mark?: string }
  | Extract<ServerLine, { readonly type: 'bookmark' }>
  | { readonly type: 'compare'; readonly key: string; readonly of: number }
  | { readonly type: 'ask'; readonly id: number; readonly ask: JsonRecord }
  | { readonly type: 'unknown' };

/** Undefined: not a line of the protocol, whatever its number: the connection is broken. */
export function parseServerLine(text: string): ParsedLine | undefined {
  const line = parseJson(text);
  if (!isRecord(line) || typeof line['type'] !== 'string') return undefined;
  switch (line['type']) {
    case 'header':
    case 'put':
    case 'delete':
    case 'reset':
    case 'reset-buckets':
    case 'drop': {
      const content = parseContent(line['type'], line);
      return content === undefined ? undefined : { type: 'content', line: content };
    }
    case 'hello': {
      const history = parseHistory(line['history']);
      return history === undefined ? undefined : { type: 'hello', history };
    }
    case 'refused': {
      const { code, message, retry } = line;
      return { type: 'refused', code: String(code), message: String(message), retry: retry !== false };
    }
    case 'sync': {
      const { revision, digest } = line;
      return isRevision(revision) && isHash(digest) ? { type: 'sync', revision, digest, ...markOf(line) } : undefined;
    }
    case 'bookmark':
      return parseBookmark(line);
    case 'compare': {
      const { key, of } = line;
      return typeof key === 'string' && isBucketCount(of) ? { type: 'compare', key, of } : undefined;
    }
    case 'ask': {
      const { id, ask } = line;
      return isRevision(id) && isRecord(ask) ? { type: 'ask', id, ask } : undefined;
    }
    default:
      return { type: 'unknown' };
  }
}

/** Undefined: it is not one. */
export function parseHistory(value: unknown): StoreHistory | undefined {
  if (!isRecord(value)) return undefined;
  const { cluster, mark } = value;
  return typeof cluster === 'string' && typeof mark === 'string' ? { cluster, mark } : undefined;
}

export function isRevision(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}

function parseContent(type: ContentLine['type'], line: JsonRecord): ContentLine | undefined {
  const { key, item, hash, value } = line;
  if (typeof key !== 'string') return undefined;
  if (type === 'reset') return { type, key, deliberate: false };
  if (type === 'reset-buckets') return parseBucketReset(key, line);
  if (type === 'drop') return { type, key };
  if (type === 'delete') return typeof item === 'string' ? { type, key, item } : undefined;
  if (!isHash(hash) || !isRecord(value)) return undefined;
  if (type === 'header') return { type, key, held: { hash, value } };
  return typeof item === 'string' ? { type, key, item, held: { hash, value } } : undefined;
}

function parseBucketReset(key: string, { of, buckets }: JsonRecord): ContentLine | undefined {
  if (!isBucketCount(of) || !Array.isArray(buckets)) return undefined;
  const numbers = new Set<number>(buckets);
  for (const number of numbers) if (!Number.isInteger(number) || number < 0 || number >= of) return undefined;
  return { type: 'reset-buckets', key, buckets: { of, numbers } };
}

function isBucketCount(value: unknown): value is number {
  return Number.isInteger(value) && Number(value) >= 1 && Number(value) <= MAX_SLICE_BUCKETS;
}

function parseBookmark(line: JsonRecord): ParsedLine | undefined {
  const { revision, ackWithinMs, digest } = line;
  if (!isRevision(revision)) return undefined;
  return {
    type: 'bookmark',
    revision,
    ...(typeof ackWithinMs === 'number' && ackWithinMs >= 0 ? { ackWithinMs } : {}),
    ...(isHash(digest) ? { digest } : {}),
    ...markOf(line),
  };
}

function markOf({ mark }: JsonRecord): { readonly mark?: string } {
  return typeof mark === 'string' ? { mark } : {};
}
