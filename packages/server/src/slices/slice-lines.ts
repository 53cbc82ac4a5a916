import { hash } from 'node:crypto';
import type { NodeKey } from '@cable/compiler';
import type { ServerLine, SliceKey } from '@cable/model';

/** Hashes and digests count modulo this. */
const HASH_RANGE = 2 ** 48;

/** Content with what its line says of it. `json`: the value, serialised. */
export type Content = { readonly json: string; readonly hash: number; readonly revision: number };

/** 48 bits made of what a line is about and its content. `item` null: the header. */
export function contentHash(key: NodeKey, item: string | null, json: string): number {
  return hash('sha1', `${key}\0${item ?? ''}\0${json}`, 'buffer').readUIntBE(0, 6);
}

export function addHash(digest: number, added: number): number {
  return (digest + added) % HASH_RANGE;
}

export function subtractHash(digest: number, removed: number): number {
  return (digest - removed + HASH_RANGE) % HASH_RANGE;
}

/** The line that brings a header or an item. */
export function contentLine(key: SliceKey, item: string | null, { json, hash, revision }: Content): string {
  const about = `"key":${JSON.stringify(key)},`;
  const what = item === null ? `"type":"header",${about}` : `"type":"put",${about}"item":${JSON.stringify(item)},`;
  return `{${what}"revision":${revision},"hash":${hash},"value":${json}}\n`;
}

/** Any line without content, as it is sent. */
export function encodeLine(line: Exclude<ServerLine, { readonly type: 'header' | 'put' }>): string {
  return `${JSON.stringify(line)}\n`;
}
