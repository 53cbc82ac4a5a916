import { CableError } from '@cable/model';
import { type Door, doorOf } from '../doors.ts';
import type { Authenticator } from './auth.ts';

/** Asks the authenticator of the listener that has let the connection in, however the request looks. Throws `HTTPUnauthorized` where there is none. */
export function authenticateByDoor(byDoor: Readonly<Partial<Record<Door, Authenticator>>>): Authenticator {
  return async (request) => {
    const door = doorOf(request.socket);
    const authenticate = door === undefined ? undefined : byDoor[door];
    if (authenticate === undefined) throw new CableError('HTTPUnauthorized', 'Nobody is let in here.');
    return await authenticate(request);
  };
}
