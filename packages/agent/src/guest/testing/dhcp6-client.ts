import { formatIp, ipFromBytes, ipToBytes, parseIp } from '@cable/model';
import type { Dhcp6Guest, Guest6Address } from '../dhcp6-answer.ts';
import { type Dhcp6Message, type Dhcp6Option, decodeDhcp6Options, encodeDhcp6Options } from '../dhcp6-message.ts';
import { OPTION6, serverDuid, uint32 } from '../dhcp6-options.ts';

export const CLIENT_DUID: Uint8Array = Uint8Array.of(0, 3, 0, 1, 0xfa, 0x16, 0x3e, 0, 0, 5);

export function guest6Address(changes: Partial<Guest6Address> = {}): Guest6Address {
  return {
    ipAddress: '2001:db8::5',
    cidr: '2001:db8::/64',
    enableDhcp: true,
    addressMode: 'dhcpv6-stateful',
    dnsNameservers: ['2001:db8::53'],
    ...changes,
  };
}

export function guest6(changes: Partial<Dhcp6Guest> = {}): Dhcp6Guest {
  return {
    networkId: '9a9a9a9a-0000-4000-8000-000000000001',
    addresses: [guest6Address()],
    domainSearch: ['example.org.'],
    extraOptions: [],
    ...changes,
  };
}

export type Client6Fields = {
  /** Null: the message carries none. Default: the client's own, and for `server` none. */
  readonly client?: Uint8Array | null;
  readonly server?: Uint8Array | 'ours';
  readonly options?: readonly Dhcp6Option[];
};

export function client6Message(type: number, fields: Client6Fields = {}): Dhcp6Message {
  const { client = CLIENT_DUID, server, options = [] } = fields;
  const duid = server === 'ours' ? serverDuid(guest6().networkId) : server;
  return {
    type,
    transactionId: 0xabcdef,
    options: [
      ...(client === null ? [] : [{ code: OPTION6.clientId, value: client }]),
      ...(duid === undefined ? [] : [{ code: OPTION6.serverId, value: duid }]),
      ...options,
    ],
  };
}

/** IA_NA with these addresses, or another IA by its code. */
export function iaOption(iaid: number, addresses: readonly string[] = [], code: number = OPTION6.iaNa): Dhcp6Option {
  const header = code === OPTION6.iaTa ? [uint32(iaid)] : [uint32(iaid), uint32(0), uint32(0)];
  const inner = addresses.map((text) => ({
    code: OPTION6.iaAddress,
    value: Buffer.concat([bytesOf(text), uint32(0), uint32(0)]),
  }));
  return { code, value: Buffer.concat([...header, encodeDhcp6Options(inner)]) };
}

function bytesOf(text: string): Uint8Array {
  const ip = parseIp(text);
  if (ip === undefined) throw new Error(`not an address: ${text}`);
  return ipToBytes(ip);
}

/** `option 6`. */
export function requestedOption(...codes: readonly number[]): Dhcp6Option {
  return { code: OPTION6.requestedOptions, value: Uint8Array.from(codes.flatMap((code) => [code >>> 8, code & 255])) };
}

/** The options of a reply that say something about leases, as text: `na 1: 2001:db8::5 for 86400, status 2; status 0`. */
export function describe6(message: Dhcp6Message): string {
  const kinds = new Map<number, string>([
    [OPTION6.iaNa, 'na'],
    [OPTION6.iaTa, 'ta'],
    [OPTION6.iaPd, 'pd'],
  ]);
  const parts = message.options.flatMap(({ code, value }) => {
    if (code === OPTION6.statusCode) return [status(value)];
    if (code === OPTION6.rapidCommit) return ['rapid'];
    const kind = kinds.get(code);
    if (kind === undefined) return [];
    const view = new DataView(value.buffer, value.byteOffset, value.length);
    const inner = decodeDhcp6Options(value.subarray(code === OPTION6.iaTa ? 4 : 12)) ?? [];
    return [`${kind} ${view.getUint32(0)}: ${inner.map(describeInner).join(', ')}`];
  });
  return parts.join('; ');
}

function describeInner({ code, value }: Dhcp6Option): string {
  if (code === OPTION6.statusCode) return status(value);
  const view = new DataView(value.buffer, value.byteOffset, value.length);
  const ip = ipFromBytes(value.slice(0, 16));
  return `${ip === undefined ? '?' : formatIp(ip)} for ${view.getUint32(20)}`;
}

function status(value: Uint8Array): string {
  return `status ${((value[0] ?? 0) << 8) | (value[1] ?? 0)}`;
}
