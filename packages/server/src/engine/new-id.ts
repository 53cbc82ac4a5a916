import { randomUUID } from 'node:crypto';
import { hashedUuid } from '@cable/kit';

/** How long ids begin alike. */
const TICK_MS = 64;
const TICKS = 0x1000;

/**
 * Makes UUIDs (version 4) of which those made within 64 ms begin with the same three digits: their keys lie together in the store, which then writes a few pages
 * for all of them and not one for each. The other 110 bits are random, 28 of them among the first eleven characters, by which Nova names a port's device.
 */
export function createIdMaker(nowMs: () => number): () => string {
  return () => {
    const tick = Math.floor(nowMs() / TICK_MS) % TICKS;
    return tick.toString(16).padStart(3, '0') + randomUUID().slice(3);
  };
}

/** A UUID that a text of a kind always has (RFC 9562, version 8). */
export function namedId(kind: string, text: string): string {
  return hashedUuid(`cable ${kind} ${text}`);
}
