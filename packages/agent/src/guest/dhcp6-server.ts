import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { type Logger, Repeats } from '@cable/kit';
import type { GuestRecord } from '../desired.ts';
import type { Dhcp6Guest } from './dhcp6-answer.ts';
import { answerDhcp6Datagram } from './dhcp6-datagram.ts';
import { createRateLimit, type RateLimit } from './rate-limit.ts';
import { vifOf } from './service-address.ts';

export type Dhcp6ServerOptions = {
  readonly guests: () => ReadonlyMap<number, GuestRecord>;
  /** Bound, and from now on the server's: see `openBoundSocket`. */
  readonly fd: number;
  readonly leaseSeconds: number;
  /** Adds one to a counter. */
  readonly count: (counter: string) => void;
  readonly log: Logger;
  readonly signal: AbortSignal;
};

/** What is remembered of guests: how much each asked, and of which the log has told lately. */
export type Dhcp6Memory = { readonly limit: RateLimit; readonly told: Repeats };

/** Answers go there whatever port was asked from (RFC 8415 §7.2). */
const CLIENT_PORT = 546;

/** Starts answering; resolves when it hears. Ends with the signal. */
export async function startDhcp6Server(options: Dhcp6ServerOptions): Promise<void> {
  const socket = createSocket('udp6');
  const memory = dhcp6Memory();
  socket.on('message', (bytes, sender) => handleDatagram(options, memory, socket, bytes, sender));
  const listening = once(socket, 'listening');
  socket.bind({ fd: options.fd });
  await listening;
  socket.on('error', (err) => options.log.error({ err }, 'dhcp6 socket failed'));
  const close = (): void => {
    socket.close();
  };
  if (options.signal.aborted) close();
  else options.signal.addEventListener('abort', close, { once: true });
}

export function dhcp6Memory(): Dhcp6Memory {
  return { limit: createRateLimit({ burst: 20, perSecond: 5 }), told: new Repeats(() => performance.now()) };
}

function handleDatagram(
  options: Dhcp6ServerOptions,
  memory: Dhcp6Memory,
  socket: Socket,
  bytes: Uint8Array,
  sender: RemoteInfo,
): void {
  const answer = answerGuest6(options, memory, bytes, sender.address);
  if (answer === undefined) return;
  socket.send(answer, CLIENT_PORT, sender.address, (err) => {
    if (err !== null) options.count('dhcp6_send_failed');
  });
}

/** The bytes to send back, or undefined for silence. Every datagram raises one counter. */
export function answerGuest6(
  options: Pick<Dhcp6ServerOptions, 'guests' | 'leaseSeconds' | 'count' | 'log'>,
  memory: Dhcp6Memory,
  bytes: Uint8Array,
  senderAddress: string,
): Uint8Array | undefined {
  const { count, log } = options;
  const vif = vifOf(senderAddress);
  const guest = vif === undefined ? undefined : options.guests().get(vif);
  if (vif === undefined || guest === undefined) return silent(count, 'unknown_guest');
  if (!memory.limit.take(vif)) return silent(count, 'rate_limited');
  const { counter, answer, omitted } = answerDhcp6Datagram(bytes, dhcp6Guest(guest), options);
  count(counter);
  log.debug({ port: guest.portId, outcome: counter }, 'dhcp6 message heard');
  if (omitted.length === 0) return answer;
  count('dhcp6_options_omitted');
  // Once in a while for each port: a guest that asks on and on must not fill the disk.
  if (memory.told.isNews(guest.portId, 'omitted')) {
    log.warn({ port: guest.portId, omitted }, 'dhcp6 answer has no room for all options: give the port fewer');
  }
  return answer;
}

function dhcp6Guest({ networkId, addresses, dnsDomain, extraDhcp6Options }: GuestRecord): Dhcp6Guest {
  return {
    networkId,
    addresses: addresses.filter(({ ipVersion }) => ipVersion === 6),
    domainSearch: [dnsDomain],
    extraOptions: extraDhcp6Options,
  };
}

function silent(count: (counter: string) => void, reason: string): undefined {
  count(`dhcp6_ignored_${reason}`);
  return undefined;
}
