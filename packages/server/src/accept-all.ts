/** All connections that wait are accepted in one round of the event loop. */
import { type Server, Socket } from 'node:net';
import koffi from 'koffi';

const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;

/** As Node's own. */
const AS_ACCEPTED = { readable: true, writable: true, allowHalfOpen: true } as const;

/** So many at once; others have their turn then. */
const MOST = 1024;

/**
 * libuv (since 1.45) accepts one connection a round. In a server whose rounds take 50 ms that would be 20 a second: the kernel's queue overflows,
 * and what does not fit comes again after 1, 3, 7, 15 seconds. So behind each that it accepts, those that wait too are taken with accept4(2). Call it for
 * a server that listens. The server does not count these connections: its end does not wait for theirs.
 */
export function acceptAll(server: Server): void {
  const { _handle: handle } = server as unknown as { readonly _handle: { readonly fd: number } };
  const { fd } = handle;
  const accept4 = koffi.load(null).func('int accept4(int fd, void *address, void *length, int flags)');
  let isTaking = false;
  server.on('connection', () => {
    if (isTaking || !server.listening) return;
    isTaking = true;
    for (let taken = 0; taken < MOST; taken += 1) {
      const accepted: number = accept4(fd, null, null, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (accepted < 0) break;
      const socket = new Socket({ fd: accepted, ...AS_ACCEPTED });
      socket.setNoDelay(true);
      server.emit('connection', socket);
    }
    isTaking = false;
  });
}
