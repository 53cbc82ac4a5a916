/** By which listener a connection came: who is believed depends on it. */

/** `unix`: a socket that this user alone opens; `plain`: TCP from this machine; `tls`: from anywhere. */
export type Door = 'unix' | 'plain' | 'tls';

const doors = new WeakMap<object, Door>();

/** Notes it of a socket as requests have it, before the first of them. */
export function stampDoor(socket: object, door: Door): void {
  doors.set(socket, door);
}

/** Undefined: no listener of ours has let it in. */
export function doorOf(socket: object): Door | undefined {
  return doors.get(socket);
}
