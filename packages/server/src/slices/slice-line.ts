import { splitKey } from '@cable/compiler';
import type { Slice, SliceKey, SliceKind, WatchLine } from '@cable/model';

/** A slice as it is sent: the bytes of its `put` line, made once and shared by every stream. */
export type SliceEntry = {
  readonly key: SliceKey;
  /** Store revision at which the content last changed. */
  readonly revision: number;
  readonly line: Buffer;
  /** Where in `line` the part begins that depends on the content alone. */
  readonly contentOffset: number;
};

/** A referent goes out before what refers to it. */
const SEND_ORDER: Readonly<Record<SliceKind, number>> = { group: 0, policy: 1, router: 2, network: 3, host: 4 };

/** The entry of a slice; `before` itself when the content is the same as there. */
export function sliceEntry(key: SliceKey, revision: number, slice: Slice, before: SliceEntry | undefined): SliceEntry {
  const head = Buffer.from(`{"type":"put","key":${JSON.stringify(key)},"revision":${revision}`);
  const content = Buffer.from(`,"slice":${JSON.stringify(slice)}}\n`);
  if (before?.line.subarray(before.contentOffset).equals(content)) return before;
  return { key, revision, line: Buffer.concat([head, content]), contentOffset: head.length };
}

/** Any line but a put, as it is sent. */
export function encodeLine(line: Exclude<WatchLine, { readonly type: 'put' }>): string {
  return `${JSON.stringify(line)}\n`;
}

/** Sorts keys into the order in which their lines are sent. */
export function compareKeys(a: SliceKey, b: SliceKey): number {
  return SEND_ORDER[splitKey(a).kind] - SEND_ORDER[splitKey(b).kind];
}
