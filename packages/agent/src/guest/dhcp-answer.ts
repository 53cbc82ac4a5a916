import type { GuestAddress, GuestRecord } from '../desired.ts';
import type { DhcpMessage } from './dhcp-message.ts';
import {
  addressOption,
  configurationOptions,
  type DhcpConfiguration,
  numberOption,
  OPTION,
  secondsOption,
} from './dhcp-options.ts';
import { ipv4Bytes, parseIpv4 } from './ipv4.ts';

/** DHCP message types, option 53. */
export const MESSAGE = {
  discover: 1,
  offer: 2,
  request: 3,
  decline: 4,
  ack: 5,
  nak: 6,
  release: 7,
  inform: 8,
} as const;

/** Why a message gets no answer. `release` and `decline` never have one; the address belongs to the port either way. */
export type DhcpSilence =
  | 'not-a-request'
  | 'relayed'
  | 'foreign-mac'
  | 'no-dhcp-subnet'
  | 'other-server'
  | 'malformed'
  | 'foreign-address'
  | 'release'
  | 'decline';

export type DhcpOutcome =
  | { readonly kind: 'reply'; readonly type: 'offer' | 'ack' | 'nak'; readonly message: DhcpMessage }
  | { readonly kind: 'silence'; readonly reason: DhcpSilence };

export type DhcpPolicy = {
  /** Longest lease given; a client may ask for a shorter one, down to a minute. */
  readonly leaseSeconds: number;
  /** Told to guests whose subnet names no server; null: none. */
  readonly nameServer: string | null;
};

/** An address on a subnet with DHCP, with its numbers. */
type Offerable = { readonly address: GuestAddress; readonly ip: number; readonly server: number };

const BROADCAST_FLAG = 0x8000;
const NO_BOOT: Omit<DhcpConfiguration, 'options'> = { siaddr: 0, file: new Uint8Array(0), sname: new Uint8Array(0) };
const MIN_LEASE_SECONDS = 60;

/**
 * What the guest is told (RFC 2131 §4.3). There is nothing to allocate: the port's addresses are the only possible answers, so
 * the same request always has the same answer and a wrong address is always refused.
 */
export function answerDhcp(request: DhcpMessage, guest: GuestRecord, policy: DhcpPolicy): DhcpOutcome {
  const type = numberOption(request.options, OPTION.messageType, 1);
  if (request.op !== 1 || type === undefined) return silence('not-a-request');
  if (request.giaddr !== 0) return silence('relayed');
  if (formatMac(request.chaddr) !== guest.macAddress.toLowerCase()) return silence('foreign-mac');
  const offerable = offerableAddresses(guest);
  const first = offerable[0];
  if (first === undefined) return silence('no-dhcp-subnet');
  switch (type) {
    case MESSAGE.discover:
      return answerDiscover(request, guest, offerable, first, policy);
    case MESSAGE.request:
      return answerRequest(request, guest, offerable, first, policy);
    case MESSAGE.inform:
      return answerInform(request, guest, offerable, first, policy);
    case MESSAGE.decline:
      return silence('decline');
    case MESSAGE.release:
      return silence('release');
    default:
      return silence('not-a-request');
  }
}

function answerDiscover(
  request: DhcpMessage,
  guest: GuestRecord,
  offerable: readonly Offerable[],
  first: Offerable,
  policy: DhcpPolicy,
): DhcpOutcome {
  const requested = addressOption(request.options, OPTION.requestedAddress);
  const chosen = offerable.find((one) => one.ip === requested) ?? first;
  const lease = leaseConfiguration(request, guest, chosen, MESSAGE.offer, policy);
  return { kind: 'reply', type: 'offer', message: reply(request, { ciaddr: 0, yiaddr: chosen.ip }, lease) };
}

/**
 * SELECTING has a server identifier; INIT-REBOOT the requested address alone; RENEWING and REBINDING `ciaddr` alone. In all
 * four the address wanted is the port's or it is not.
 */
function answerRequest(
  request: DhcpMessage,
  guest: GuestRecord,
  offerable: readonly Offerable[],
  first: Offerable,
  policy: DhcpPolicy,
): DhcpOutcome {
  const server = addressOption(request.options, OPTION.serverIdentifier);
  const requested = addressOption(request.options, OPTION.requestedAddress);
  if (badAddressOption(request)) return silence('malformed');
  if (requested !== undefined && request.ciaddr !== 0 && requested !== request.ciaddr) return silence('malformed');
  const wanted = requested ?? request.ciaddr;
  if (wanted === 0) return silence('malformed');
  if (server !== undefined && !offerable.some((one) => one.server === server)) return silence('other-server');
  const chosen = offerable.find((one) => one.ip === wanted && (server === undefined || one.server === server));
  if (chosen === undefined) return refuse(request, server ?? first.server);
  const lease = leaseConfiguration(request, guest, chosen, MESSAGE.ack, policy);
  return {
    kind: 'reply',
    type: 'ack',
    message: reply(request, { ciaddr: request.ciaddr, yiaddr: chosen.ip }, lease),
  };
}

/** Configuration without a lease for a guest that set its address itself (RFC 2131 §4.3.5). */
function answerInform(
  request: DhcpMessage,
  guest: GuestRecord,
  offerable: readonly Offerable[],
  first: Offerable,
  policy: DhcpPolicy,
): DhcpOutcome {
  const chosen = request.ciaddr === 0 ? first : offerable.find((one) => one.ip === request.ciaddr);
  if (chosen === undefined) return silence('foreign-address');
  const configuration = configurationOptions(guest, chosen.address, { asked: request.options, ...policy });
  const options = new Map([...head(MESSAGE.ack, chosen.server), ...configuration.options, ...echo(request)]);
  const message = reply(request, { ciaddr: request.ciaddr, yiaddr: 0 }, { ...configuration, options });
  return { kind: 'reply', type: 'ack', message };
}

/** A NAK goes to everybody, so it names no client address (RFC 2131 table 3). */
function refuse(request: DhcpMessage, server: number): DhcpOutcome {
  const text = new TextEncoder().encode('the address does not belong to this port');
  const options = new Map([...head(MESSAGE.nak, server), [OPTION.message, text] as const, ...echo(request)]);
  const message = reply(request, { ciaddr: 0, yiaddr: 0 }, { ...NO_BOOT, options });
  return { kind: 'reply', type: 'nak', message: { ...message, flags: BROADCAST_FLAG } };
}

function leaseConfiguration(
  request: DhcpMessage,
  guest: GuestRecord,
  chosen: Offerable,
  type: number,
  policy: DhcpPolicy,
): DhcpConfiguration {
  const configuration = configurationOptions(guest, chosen.address, { asked: request.options, ...policy });
  const asked = numberOption(request.options, OPTION.leaseSeconds, 4) ?? policy.leaseSeconds;
  const lease = Math.min(Math.max(asked, MIN_LEASE_SECONDS), policy.leaseSeconds);
  const options = new Map([
    ...head(type, chosen.server),
    [OPTION.leaseSeconds, secondsOption(lease)] as const,
    [OPTION.renewalSeconds, secondsOption(Math.floor(lease / 2))] as const,
    [OPTION.rebindingSeconds, secondsOption(Math.floor((lease * 7) / 8))] as const,
    ...configuration.options,
    ...echo(request),
  ]);
  return { ...configuration, options };
}

function head(type: number, server: number): readonly (readonly [number, Uint8Array])[] {
  return [
    [OPTION.messageType, Uint8Array.of(type)],
    [OPTION.serverIdentifier, ipv4Bytes(server)],
  ];
}

/** The client identifier comes back as it was sent (RFC 6842 §3). */
function echo(request: DhcpMessage): readonly (readonly [number, Uint8Array])[] {
  const identifier = request.options.get(OPTION.clientIdentifier);
  return identifier === undefined || identifier.length > 255 ? [] : [[OPTION.clientIdentifier, identifier]];
}

function reply(
  request: DhcpMessage,
  addresses: { readonly ciaddr: number; readonly yiaddr: number },
  configuration: DhcpConfiguration,
): DhcpMessage {
  return {
    op: 2,
    xid: request.xid,
    secs: 0,
    flags: request.flags & BROADCAST_FLAG,
    ...addresses,
    giaddr: 0,
    chaddr: request.chaddr,
    ...configuration,
  };
}

/** The port's IPv4 addresses on subnets with DHCP, in the port's order. */
function offerableAddresses(guest: GuestRecord): readonly Offerable[] {
  return guest.addresses.flatMap((address) => {
    const ip = parseIpv4(address.ipAddress);
    const server = parseIpv4(address.dhcpServer);
    return address.enableDhcp && ip !== undefined && server !== undefined ? [{ address, ip, server }] : [];
  });
}

/** True when an option that must be an address is there and is not one. */
function badAddressOption(request: DhcpMessage): boolean {
  return [OPTION.serverIdentifier, OPTION.requestedAddress].some(
    (code) => request.options.has(code) && addressOption(request.options, code) === undefined,
  );
}

function silence(reason: DhcpSilence): DhcpOutcome {
  return { kind: 'silence', reason };
}

function formatMac(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(':');
}
