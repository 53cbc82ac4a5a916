import { createSocket, type RemoteInfo, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { type Logger, startTimeLimit } from '@cable/kit';
import type { GuestRecord } from '../desired.ts';
import type { ClusterZone } from './cluster-zone.ts';
import { ConnectionShares } from './connection-shares.ts';
import { answerDns, encodeAlias } from './dns-answer.ts';
import type { DnsForwarder, DnsUpstream } from './dns-forwarder.ts';
import { createDnsFramer, frameDnsMessage } from './dns-framing.ts';
import type { DnsQuery } from './dns-query.ts';
import type { DnsZone } from './dns-zone.ts';
import { type ChargedLimit, createRateLimit } from './rate-limit.ts';
import { vifOf } from './service-address.ts';
import { type ToldAnswer, toldOf } from './told-answer.ts';

export type DnsServerOptions = {
  readonly guests: () => ReadonlyMap<number, GuestRecord>;
  /** The names of a network; undefined: it is not known here. A promise: they are still put together. */
  readonly zoneOf: (networkId: string) => DnsZone | Promise<DnsZone> | undefined;
  /** Kubernetes clusters whose Services ports of a network reach; absent: none. */
  readonly clustersOf?: (networkId: string) => readonly ClusterZone[] | Promise<readonly ClusterZone[]>;
  /** Servers that are asked for other names, now; none: those are refused. */
  readonly upstreams: () => readonly DnsUpstream[];
  readonly forwarder: Pick<DnsForwarder, 'forward'>;
  /** Bound, one of IPv4 or IPv6 each, and from now on the server's: see `openBoundSocket`. */
  readonly sockets: readonly DnsSockets[];
  /**
   * Told that a port is about to have an answer; the answer waits for it, a second at the most. `read`: addresses that the answer tells, if any; costs time. Undefined: nobody waits. Absent: nobody
   * is told.
   */
  readonly answered?: (portId: string, read: () => ToldAnswer | undefined) => Promise<void> | undefined;
  /** Adds one to a counter. */
  readonly count: (counter: string) => void;
  readonly log: Logger;
  readonly signal: AbortSignal;
};

/** Descriptors of the sockets at one address. */
export type DnsSockets = { readonly version: 4 | 6; readonly udpFd: number; readonly tcpFd: number };

/** Bounds on what guests can hold of the agent. */
const QUESTIONS = { burst: 2000, perSecond: 1000 };
/** A large answer counts as so many questions more for each of these bytes beyond the first. */
const LARGE_BYTES = 512;
const QUESTIONS_OF_LARGE = 4;
/** Of IPv6: IPv4's is less. */
const IP_UDP_BYTES = 48;
const MAX_MESSAGE_BYTES = 4096;
/** An answer waits no longer for who is told of it. */
const MAX_HELD_MS = 1000;
const MAX_CONNECTIONS = 1024;
const MAX_CONNECTIONS_PER_GUEST = 8;
const MAX_PENDING_PER_CONNECTION = 16;
const MAX_UNSENT_BYTES = 256 << 10;
/** RFC 7766 section 6.2.3: a few seconds. */
const IDLE_TIMEOUT_MS = 10_000;

type Protocol = 'udp' | 'tcp';

/** Answers one message of a guest. Undefined: silence. Never rejects. Every message raises one counter. */
type Answer = (bytes: Uint8Array, vif: number, protocol: Protocol) => Promise<Uint8Array | undefined>;

/** Starts answering by UDP and TCP; resolves when it hears. Ends, with its connections, with the signal. */
export async function startDnsServer(options: DnsServerOptions): Promise<void> {
  const limit = createRateLimit(QUESTIONS);
  const answer: Answer = async (bytes, vif, protocol) => {
    try {
      return await answerMessage(options, limit, { bytes, vif, protocol });
    } catch (err) {
      options.log.error({ err }, 'dns question failed');
      return silent(options.count, 'failed');
    }
  };
  await Promise.all([...options.sockets.map((one) => startUdp(options, one, answer)), startTcp(options, answer)]);
}

async function answerMessage(
  options: DnsServerOptions,
  limit: ChargedLimit,
  { bytes, vif, protocol }: { readonly bytes: Uint8Array; readonly vif: number; readonly protocol: Protocol },
): Promise<Uint8Array | undefined> {
  const { count } = options;
  const guest = options.guests().get(vif);
  if (guest === undefined) return silent(count, 'unknown_guest');
  if (!limit.take(vif)) return silent(count, 'rate_limited');
  const zone = await options.zoneOf(guest.networkId);
  if (zone === undefined) return silent(count, 'unknown_guest');
  const upstreams = options.upstreams();
  const maxUdpBytes = guest.mtuBytes - IP_UDP_BYTES;
  const clusters = await (options.clustersOf?.(guest.networkId) ?? []);
  const outcome = answerDns(bytes, zone, { protocol, canForward: upstreams.length > 0, maxUdpBytes, clusters });
  count(outcome.counter);
  if (outcome.kind === 'silence') return undefined;
  const ask = (query: DnsQuery, by: Protocol = protocol): Promise<Uint8Array> =>
    options.forwarder.forward(query, vif, upstreams, by);
  const answer =
    outcome.kind === 'answer'
      ? outcome.bytes
      : outcome.kind === 'forward'
        ? await ask(outcome.query)
        : await encodeAlias(outcome, ask, protocol);
  // To read and to copy it takes the time of others.
  if (outcome.kind !== 'answer') limit.charge(vif, Math.floor(answer.length / LARGE_BYTES) * QUESTIONS_OF_LARGE);
  await tell(options, guest, answer);
  return answer;
}

/** Who is told may let the answer wait, and no longer than a guest does without asking again. */
async function tell({ answered, count, log }: DnsServerOptions, guest: GuestRecord, answer: Uint8Array): Promise<void> {
  if (answered === undefined) return;
  const waiting = answered(guest.portId, () => toldOf(answer, guest));
  if (waiting === undefined) return;
  const limit = startTimeLimit(MAX_HELD_MS, undefined);
  const late = new Promise<void>((resolve) => limit.signal.addEventListener('abort', () => resolve(), { once: true }));
  try {
    await Promise.race([waiting, late]);
    if (limit.signal.aborted) count('dns_held_too_long');
  } catch (err) {
    log.error({ err }, 'who is told of dns answers failed');
  } finally {
    limit.stop();
  }
}

function silent(count: (counter: string) => void, reason: string): undefined {
  count(`dns_ignored_${reason}`);
  return undefined;
}

async function startUdp(options: DnsServerOptions, { version, udpFd }: DnsSockets, answer: Answer): Promise<void> {
  const socket = createSocket(`udp${version}`);
  socket.on('message', (bytes, sender) => void answerDatagram(options, answer, { socket, bytes, sender }));
  const listening = once(socket, 'listening');
  socket.bind({ fd: udpFd });
  await listening;
  socket.on('error', (err) => options.log.error({ err }, 'dns socket failed'));
  onAbort(options.signal, () => socket.close());
}

async function answerDatagram(
  { count, signal }: DnsServerOptions,
  answer: Answer,
  { socket, bytes, sender }: { readonly socket: UdpSocket; readonly bytes: Uint8Array; readonly sender: RemoteInfo },
): Promise<void> {
  const vif = vifOf(sender.address);
  const reply = vif === undefined ? silent(count, 'unknown_guest') : await answer(bytes, vif, 'udp');
  if (reply === undefined || signal.aborted) return;
  socket.send(reply, sender.port, sender.address, (err) => {
    if (err !== null) count('dns_send_failed');
  });
}

async function startTcp(options: DnsServerOptions, answer: Answer): Promise<void> {
  const shares = new ConnectionShares({ total: MAX_CONNECTIONS, perGuest: MAX_CONNECTIONS_PER_GUEST });
  const open = new Set<Socket>();
  const serve = (socket: Socket): unknown => {
    socket.on('error', () => socket.destroy());
    const vif = vifOf(socket.remoteAddress ?? '');
    const admission = vif === undefined ? 'refused' : shares.admit(vif, socket);
    if (admission !== 'admitted') options.count(`dns_connections_${admission}`);
    if (vif === undefined || admission === 'refused') return socket.destroy();
    open.add(socket);
    socket.on('close', () => {
      open.delete(socket);
      shares.release(vif, socket);
    });
    return serveConnection(socket, (bytes) => answer(bytes, vif, 'tcp'));
  };
  const servers = await Promise.all(
    options.sockets.map(({ tcpFd }) => listen(createServer({ allowHalfOpen: true }, serve), tcpFd)),
  );
  for (const server of servers) server.on('error', (err) => options.log.error({ err }, 'dns socket failed'));
  onAbort(options.signal, () => {
    for (const server of servers) server.close();
    for (const socket of open) socket.destroy();
  });
}

async function listen(server: Server, fd: number): Promise<Server> {
  const listening = once(server, 'listening');
  server.listen({ fd });
  await listening;
  return server;
}

/** Answers in the order in which answers come (RFC 7766 section 7). Who asks on without reading is cut off, who asks much at once is read later. */
function serveConnection(socket: Socket, answer: (bytes: Uint8Array) => Promise<Uint8Array | undefined>): void {
  const framer = createDnsFramer(MAX_MESSAGE_BYTES);
  let pending = 0;
  let isEnded = false;
  const settle = (): void => {
    if (pending < MAX_PENDING_PER_CONNECTION) socket.resume();
    if (isEnded && pending === 0) socket.end();
  };
  socket.setNoDelay(true);
  socket.setTimeout(IDLE_TIMEOUT_MS, () => socket.destroy());
  socket.on('end', () => {
    isEnded = true;
    settle();
  });
  socket.on('data', (chunk) => {
    const messages = framer.push(chunk);
    // What is no DNS at all is not answered; neither is a guest that pours.
    if (messages === undefined || socket.writableLength > MAX_UNSENT_BYTES) return socket.destroy();
    for (const message of messages) {
      pending += 1;
      void answer(message).then((reply) => {
        pending -= 1;
        if (socket.destroyed) return undefined;
        if (reply === undefined) return socket.destroy();
        socket.write(frameDnsMessage(reply));
        return settle();
      });
    }
    return pending < MAX_PENDING_PER_CONNECTION ? undefined : socket.pause();
  });
}

function onAbort(signal: AbortSignal, close: () => void): void {
  if (signal.aborted) close();
  else signal.addEventListener('abort', close, { once: true });
}
