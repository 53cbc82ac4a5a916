import type { DhcpMessage } from '../dhcp-message.ts';
import { OPTION } from '../dhcp-options.ts';
import { ipv4Bytes, parseIpv4 } from '../ipv4.ts';

export type ClientFields = Partial<Omit<DhcpMessage, 'options'>> & {
  /** Option 50 and 54, as text. */
  readonly requested?: string;
  readonly server?: string;
  readonly options?: readonly (readonly [number, Uint8Array])[];
};

/** A message as the guest of `guestRecord()` sends it. */
export function clientMessage(type: number, fields: ClientFields = {}): DhcpMessage {
  const { requested, server, options = [], ...header } = fields;
  const all = new Map<number, Uint8Array>([[OPTION.messageType, Uint8Array.of(type)], ...options]);
  if (requested !== undefined) all.set(OPTION.requestedAddress, ipv4Bytes(ip(requested)));
  if (server !== undefined) all.set(OPTION.serverIdentifier, ipv4Bytes(ip(server)));
  return {
    op: 1,
    xid: 0x1badcafe,
    secs: 3,
    flags: 0,
    ciaddr: 0,
    yiaddr: 0,
    siaddr: 0,
    giaddr: 0,
    sname: new Uint8Array(0),
    file: new Uint8Array(0),
    chaddr: Uint8Array.of(0xfa, 0x16, 0x3e, 0, 0, 5),
    ...header,
    options: all,
  };
}

/** The number of an address that is known to be right. */
export function ip(text: string): number {
  const address = parseIpv4(text);
  if (address === undefined) throw new Error(`not an IPv4 address: ${text}`);
  return address;
}
