import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { type Logger, Repeats } from '@cable/kit';
import type { GuestRecord } from '../desired.ts';
import { answerDhcp, type DhcpOutcome } from './dhcp-answer.ts';
import { type DhcpMessage, decodeDhcpMessage, encodeDhcpMessage } from './dhcp-message.ts';
import { decodeClasslessRoutes, formatGuestRoute, numberOption, OPTION } from './dhcp-options.ts';
import type { OmittedOption } from './dhcp-packing.ts';
import { createRateLimit, type RateLimit } from './rate-limit.ts';
import { vifOf } from './service-address.ts';

export type DhcpServerOptions = {
  readonly guests: () => ReadonlyMap<number, GuestRecord>;
  /** Bound, and from now on the server's: see `openBoundSocket`. */
  readonly fd: number;
  readonly leaseSeconds: number;
  /** Told to guests whose subnet names no name server; null: none. */
  readonly nameServer: string | null;
  /** Adds one to a counter. */
  readonly count: (counter: string) => void;
  readonly log: Logger;
  readonly signal: AbortSignal;
};

/** What is remembered of guests: how much each asked, and of which the log has told lately. */
export type DhcpMemory = { readonly limit: RateLimit; readonly told: Repeats };

/** Answers go there whatever port was asked from (RFC 2131 §4.1). */
const CLIENT_PORT = 68;
const IP_UDP_BYTES = 28;
/** What every host takes (RFC 2131 §2); option 57 can only raise it. */
const MIN_DATAGRAM_BYTES = 576;
const MAX_DATAGRAM_BYTES = 1500;
/** Routes that one line of the log names. */
const NAMED_ROUTES = 16;

/** Starts answering; resolves when it hears. Ends with the signal. */
export async function startDhcpServer(options: DhcpServerOptions): Promise<void> {
  const socket = createSocket('udp4');
  const memory: DhcpMemory = {
    limit: createRateLimit({ burst: 20, perSecond: 5 }),
    told: new Repeats(() => performance.now()),
  };
  socket.on('message', (bytes, sender) => handleDatagram(options, memory, socket, bytes, sender));
  const listening = once(socket, 'listening');
  socket.bind({ fd: options.fd });
  await listening;
  socket.on('error', (err) => options.log.error({ err }, 'dhcp socket failed'));
  const close = (): void => {
    socket.close();
  };
  if (options.signal.aborted) close();
  else options.signal.addEventListener('abort', close, { once: true });
}

function handleDatagram(
  options: DhcpServerOptions,
  memory: DhcpMemory,
  socket: Socket,
  bytes: Uint8Array,
  sender: RemoteInfo,
): void {
  const answer = answerDatagram(options, memory, bytes, sender.address);
  if (answer === undefined) return;
  socket.send(answer, CLIENT_PORT, sender.address, (err) => {
    if (err !== null) options.count('dhcp_send_failed');
  });
}

/** The bytes to send back, or undefined for silence. Every datagram raises one counter. */
export function answerDatagram(
  options: Pick<DhcpServerOptions, 'guests' | 'leaseSeconds' | 'nameServer' | 'count' | 'log'>,
  memory: DhcpMemory,
  bytes: Uint8Array,
  senderAddress: string,
): Uint8Array | undefined {
  const vif = vifOf(senderAddress);
  const guest = vif === undefined ? undefined : options.guests().get(vif);
  if (vif === undefined || guest === undefined) return silent(options, 'unknown-guest');
  if (!memory.limit.take(vif)) return silent(options, 'rate-limited');
  const decoded = decodeDhcpMessage(bytes);
  if (!decoded.ok) return silent(options, decoded.reason);
  const outcome = answerDhcp(decoded.message, guest, options);
  if (outcome.kind === 'silence') return silent(options, outcome.reason);
  return encodeReply(options, memory.told, guest, decoded.message, outcome);
}

function encodeReply(
  options: Pick<DhcpServerOptions, 'count' | 'log'>,
  told: Repeats,
  guest: GuestRecord,
  request: DhcpMessage,
  outcome: Extract<DhcpOutcome, { kind: 'reply' }>,
): Uint8Array {
  const asked = numberOption(request.options, OPTION.maxMessageSize, 2) ?? MIN_DATAGRAM_BYTES;
  const datagram = Math.max(MIN_DATAGRAM_BYTES, Math.min(asked, guest.mtuBytes, MAX_DATAGRAM_BYTES));
  const { bytes, omitted } = encodeDhcpMessage(outcome.message, datagram - IP_UDP_BYTES);
  options.count(`dhcp_${outcome.type}`);
  options.log.debug({ port: guest.portId, type: outcome.type }, 'dhcp answered');
  if (omitted.length > 0) {
    options.count('dhcp_options_omitted');
    // Once in a while for each port: a guest that asks on and on must not fill the disk.
    if (told.isNews(guest.portId, 'omitted')) {
      const fields = { port: guest.portId, omitted: omitted.map(describeOmitted), answerBytes: bytes.length };
      options.log.warn(fields, 'dhcp answer has no room for all options: the client takes no longer answer');
    }
  }
  return bytes;
}

/** `option 121: 10.1.0.0/16 via 10.0.0.1, ...`. */
function describeOmitted({ code, value }: OmittedOption): string {
  const isRoutes = code === OPTION.classlessRoutes || code === OPTION.microsoftClasslessRoutes;
  const routes = isRoutes ? decodeClasslessRoutes(value) : undefined;
  if (routes === undefined) return `option ${code}: ${value.length} bytes`;
  const named = routes.slice(0, NAMED_ROUTES).map(formatGuestRoute).join(', ');
  return `option ${code}: ${named}${routes.length > NAMED_ROUTES ? ` and ${routes.length - NAMED_ROUTES} more` : ''}`;
}

function silent(options: Pick<DhcpServerOptions, 'count'>, reason: string): undefined {
  options.count(`dhcp_ignored_${reason.replaceAll('-', '_')}`);
  return undefined;
}
