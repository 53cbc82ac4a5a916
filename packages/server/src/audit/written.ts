/** What requests have written, for the audit log. */
import type { Op } from '@cable/store';
import type { FastifyRequest } from 'fastify';
import { HOST_RUNTIME, OBJECTS } from '../keys.ts';
import type { Credentials } from '../policy/credentials.ts';

/** An object, or what a host has told of one (`vif`, `health`). */
export type Changed = { readonly type: string; readonly id: string; readonly deleted?: true };

/** Of one request. `credentials`: as whom it acts, where that is not who sent it; `requestId`: the sender's. */
export type Note = {
  readonly address: string | null;
  readonly shown: string | null;
  readonly requestId: string;
  readonly changed: Changed[];
  credentials?: Credentials;
  askedAs?: string;
};

const notes = new WeakMap<FastifyRequest, Note>();

/** From now on what the request writes is noted. */
export function openNote(request: FastifyRequest, note: Note): void {
  notes.set(request, note);
}

/** As whom the request acts, and how its sender names it. */
export function noteActing(request: FastifyRequest, credentials: Credentials, requestId: string | null): void {
  const note = notes.get(request);
  if (note === undefined) return;
  note.credentials = credentials;
  if (requestId !== null) note.askedAs = requestId;
}

export function noteOf(request: FastifyRequest): Note | undefined {
  return notes.get(request);
}

/** For `Asked.wrote`: what a transaction of the request has written. Nothing is noted of a request that has no note. */
export function noteWrites(request: FastifyRequest): (ops: readonly Op[]) => void {
  return (ops) => notes.get(request)?.changed.push(...changedBy(ops));
}

/** The objects among what is written; keys that are made of them are not told. */
export function changedBy(ops: readonly Op[]): readonly Changed[] {
  return ops.flatMap((op): readonly Changed[] => {
    if (op.kind === 'deletePrefix') return [];
    const place = placeOf(op.key);
    if (place === undefined) return [];
    return [op.kind === 'delete' ? { ...place, deleted: true } : place];
  });
}

function placeOf(key: string): { readonly type: string; readonly id: string } | undefined {
  const root = [OBJECTS, HOST_RUNTIME].find((one) => key.startsWith(one));
  if (root === undefined) return undefined;
  const slash = key.indexOf('/', root.length);
  return slash < 0 ? undefined : { type: key.slice(root.length, slash), id: key.slice(slash + 1) };
}
