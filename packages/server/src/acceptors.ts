/** More than one connection is accepted in a round of the event loop. */
import { once } from 'node:events';
import type { Server } from 'node:http';
import { createServer, type Server as NetServer } from 'node:net';
import koffi from 'koffi';

/**
 * libuv (since 1.45) accepts one connection a round and listening descriptor. In a server whose rounds take 50 ms that is 20 a second: the kernel's
 * queue overflows, and what does not fit comes again after 1, 3, 7 seconds. So each listening socket has so many descriptors more.
 */
const MORE = 31;

/** As Node's HTTP server has its connections. */
const AS_HTTP = { allowHalfOpen: true, noDelay: true } as const;

const F_DUPFD_CLOEXEC = 1030;

/** Lets a server that listens accept more at once. They have its connections then, so they are closed together with it. */
export async function acceptMore(server: Server, backlog: number): Promise<readonly NetServer[]> {
  const { _handle: handle } = server as unknown as { readonly _handle: { readonly fd: number } };
  const fcntl = koffi.load(null).func('int fcntl(int fd, int operation, int least)');
  const acceptors = Array.from({ length: MORE }, () => {
    const acceptor = createServer(AS_HTTP, (socket) => server.emit('connection', socket));
    acceptor.listen({ fd: fcntl(handle.fd, F_DUPFD_CLOEXEC, 0), backlog });
    return acceptor;
  });
  await Promise.all(acceptors.map((acceptor) => once(acceptor, 'listening')));
  return acceptors;
}
