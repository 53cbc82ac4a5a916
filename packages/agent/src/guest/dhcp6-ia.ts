import { formatIp, ipFromBytes } from '@cable/model';
import { type Dhcp6Option, decodeDhcp6Options, encodeDhcp6Options } from './dhcp6-message.ts';
import { OPTION6, statusOption, uint32 } from './dhcp6-options.ts';

/** An identity association of a client (RFC 8415 §21.4, 21.5, 21.21): what it has or wants. */
export type Ia = {
  /** Option code: IA_NA, IA_TA or IA_PD. */
  readonly code: number;
  readonly iaid: number;
  /** Of an IA_NA or IA_TA; 16 bytes each, and as canonical text. */
  readonly addresses: readonly { readonly bytes: Uint8Array; readonly text: string }[];
};

/** What an IA gets. `withdrawn`: addresses that the client must not use any longer. */
export type IaAnswer = {
  readonly ia: Ia;
  readonly granted: readonly Uint8Array[];
  readonly withdrawn: readonly Uint8Array[];
  readonly status: { readonly code: number; readonly text: string } | null;
};

const HEADER_BYTES: Readonly<Record<number, number>> = { [OPTION6.iaNa]: 12, [OPTION6.iaTa]: 4, [OPTION6.iaPd]: 12 };
const MAX_IAS = 16;
const MAX_ADDRESSES = 16;

/** All IAs of a message; undefined: one is malformed, or there are more than 16, or more than 16 addresses in one. */
export function decodeIas(options: readonly Dhcp6Option[]): readonly Ia[] | undefined {
  const ias: Ia[] = [];
  for (const { code, value } of options) {
    const headerBytes = HEADER_BYTES[code];
    if (headerBytes === undefined) continue;
    const inner = value.length < headerBytes ? undefined : decodeDhcp6Options(value.subarray(headerBytes));
    const addresses = inner === undefined ? undefined : decodeAddresses(inner);
    if (addresses === undefined || ias.length === MAX_IAS) return undefined;
    ias.push({ code, iaid: new DataView(value.buffer, value.byteOffset).getUint32(0), addresses });
  }
  return ias;
}

function decodeAddresses(options: readonly Dhcp6Option[]): Ia['addresses'] | undefined {
  const addresses: { readonly bytes: Uint8Array; readonly text: string }[] = [];
  for (const { code, value } of options) {
    if (code !== OPTION6.iaAddress) continue;
    const bytes = value.subarray(0, 16);
    const ip = ipFromBytes(bytes);
    if (value.length < 24 || ip === undefined || addresses.length === MAX_ADDRESSES) return undefined;
    addresses.push({ bytes, text: formatIp(ip) });
  }
  return addresses;
}

/** The option of a reply. Renewal at one half of the lease, rebinding at four fifths (RFC 8415 §21.4); both 0 without an address. */
export function encodeIa({ ia, granted, withdrawn, status }: IaAnswer, leaseSeconds: number): Dhcp6Option {
  const lease = granted.length === 0 ? 0 : leaseSeconds;
  const times = [uint32(Math.floor(lease / 2)), uint32(Math.floor((lease * 4) / 5))];
  const inner = [
    ...granted.map((address) => addressOption(address, leaseSeconds)),
    ...withdrawn.map((address) => addressOption(address, 0)),
    ...(status === null ? [] : [statusOption(status.code, status.text)]),
  ];
  const header = ia.code === OPTION6.iaTa ? [uint32(ia.iaid)] : [uint32(ia.iaid), ...times];
  return { code: ia.code, value: Buffer.concat([...header, encodeDhcp6Options(inner)]) };
}

function addressOption(address: Uint8Array, seconds: number): Dhcp6Option {
  return { code: OPTION6.iaAddress, value: Buffer.concat([address, uint32(seconds), uint32(seconds)]) };
}
