import type { KeyValue, StoreEvent } from '../contract.ts';

/** A key's record: `<create revision>,<mod revision>,<lease or nothing>` and, after a newline, the value. */
export function encodeRecord(kv: KeyValue): string {
  return `${kv.createRevision},${kv.modRevision},${kv.lease ?? ''}\n${kv.value}`;
}

/** The reverse of `encodeRecord`; throws when the record is not one: the file is damaged or of another program. */
export function decodeRecord(key: string, record: string): KeyValue {
  const end = record.indexOf('\n');
  const [create, mod, lease] = record.slice(0, Math.max(0, end)).split(',');
  const createRevision = Number(create);
  const modRevision = Number(mod);
  if (end < 0 || lease === undefined || !(createRevision > 0) || !(modRevision >= createRevision)) {
    throw new Error(`the store's record of key ${key} is damaged`);
  }
  return { key, value: record.slice(end + 1), createRevision, modRevision, lease: lease === '' ? null : lease };
}

/** One event of the history: `[key]` a delete, `[key, record]` a put. */
export type LogEntry = readonly [key: string] | readonly [key: string, record: string];

/** The event that a log entry of `revision` stands for. */
export function decodeEvent(revision: number, entry: LogEntry): StoreEvent {
  const [key, record] = entry;
  return record === undefined
    ? { kind: 'delete', key, modRevision: revision }
    : { kind: 'put', kv: decodeRecord(key, record) };
}
