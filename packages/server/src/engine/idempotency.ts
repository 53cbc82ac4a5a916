/**
 * `Idempotency-Key`: the id of an object is made from the key, so the object itself is what tells that the request was done before. Nothing is kept besides, and
 * nothing runs out.
 */
import { createHash, createHmac } from 'node:crypto';
import { type AnyObject, CableError, type ResourceModel } from '@cable/model';
import type { Credentials } from '../policy/credentials.ts';
import { REQUEST } from './hidden.ts';
import type { Given } from './module.ts';
import type { Look } from './view.ts';

/**
 * The id of the object at a place of the request (0: the first, or the only one): the same for the same project, type and key. Those who have no project have
 * their keys each for himself. A UUID of version 8 (RFC 9562). `secret`: the store's (`ensureIdSecret`).
 */
export function repeatableId(
  secret: Buffer,
  { projectId, userId }: Pick<Credentials, 'projectId' | 'userId'>,
  type: string,
  key: string,
  place: number,
): string {
  const name = JSON.stringify([projectId ?? { user: userId }, type, key, place]);
  const hash = createHmac('sha256', secret).update(name).digest();
  hash.writeUInt8((hash.readUInt8(6) & 0x0f) | 0x80, 6);
  hash.writeUInt8((hash.readUInt8(8) & 0x3f) | 0x80, 8);
  const hex = hash.toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join('-');
}

/** What was asked for, in short, as one of `count` objects. The order in which attributes were given does not matter. */
export function requestOf(given: Readonly<Record<string, unknown>>, count: number): string {
  const sorted = Object.entries(given).sort(([a], [b]) => (a < b ? -1 : 1));
  return createHash('sha256')
    .update(JSON.stringify([count, sorted]))
    .digest('hex')
    .slice(0, 32);
}

/**
 * The objects of a request that was done before; undefined: it was not. Throws `IdempotencyKeyReused` when the key was used for another one, and
 * `IdempotencyKeyConflict` when some of its objects have been deleted since.
 */
export function findRepeated(
  look: Pick<Look, 'get'>,
  resource: ResourceModel,
  starts: readonly Given<AnyObject>[],
): readonly AnyObject[] | undefined {
  const found = starts.flatMap((start) =>
    start[REQUEST] === undefined ? [] : (look.get(resource.type, start.id) ?? []),
  );
  if (found.length === 0) return undefined;
  const wanted = new Map(starts.map((start) => [start.id, start[REQUEST]]));
  if (found.some((object) => (object as AnyObject)[REQUEST] !== wanted.get(object.id))) {
    throw new CableError(
      'IdempotencyKeyReused',
      'The Idempotency-Key was used before, for a request with another body.',
    );
  }
  if (found.length === starts.length) return found;
  throw new CableError(
    'IdempotencyKeyConflict',
    `The request was done before; ${starts.length - found.length} of its ${starts.length} ${resource.plural} are not there any more.`,
  );
}
