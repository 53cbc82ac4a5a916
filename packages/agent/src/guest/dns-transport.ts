import { createSocket } from 'node:dgram';
import { connect } from 'node:net';
import type { DnsTransport, DnsUpstream } from './dns-forwarder.ts';
import { createDnsFramer, frameDnsMessage } from './dns-framing.ts';

const MAX_MESSAGE_BYTES = 65_535;

/** Sockets of the kernel: one for each question, so that the kernel picks a random port and drops what others than the server send. */
export const socketTransport: DnsTransport = {
  exchange: (upstream, protocol, query, accepts, signal) =>
    protocol === 'udp' ? overUdp(upstream, query, accepts, signal) : overTcp(upstream, query, accepts, signal),
};

function overUdp(
  { address, port }: DnsUpstream,
  query: Uint8Array,
  accepts: (message: Uint8Array) => boolean,
  signal: AbortSignal,
): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
    let open = true;
    const end = (settle: () => void): void => {
      if (!open) return;
      open = false;
      signal.removeEventListener('abort', onAbort);
      socket.close();
      settle();
    };
    const fail = (err: Error): void => end(() => reject(err));
    const onAbort = (): void => fail(new Error('no answer in time'));
    socket.on('error', fail);
    socket.on('message', (message) => {
      if (accepts(message)) end(() => resolve(message));
    });
    socket.on('connect', () => {
      if (open) socket.send(query);
    });
    socket.connect(port, address);
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
  });
}

function overTcp(
  { address, port }: DnsUpstream,
  query: Uint8Array,
  accepts: (message: Uint8Array) => boolean,
  signal: AbortSignal,
): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: address, port });
    const framer = createDnsFramer(MAX_MESSAGE_BYTES);
    const end = (settle: () => void): void => {
      signal.removeEventListener('abort', onAbort);
      socket.destroy();
      settle();
    };
    const fail = (err: Error): void => end(() => reject(err));
    const onAbort = (): void => fail(new Error('no answer in time'));
    socket.on('error', fail);
    socket.on('close', () => fail(new Error('the server closed the connection')));
    socket.on('connect', () => socket.write(frameDnsMessage(query)));
    socket.on('data', (chunk) => {
      const messages = framer.push(chunk);
      const answer = messages?.find(accepts);
      if (answer !== undefined) end(() => resolve(answer));
      else if (messages === undefined) fail(new Error('the server does not keep to the framing'));
    });
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
  });
}
