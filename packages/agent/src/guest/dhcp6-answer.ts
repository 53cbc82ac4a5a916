import type { Ipv6Mode } from '@cable/model';
import { cidrContains, type ExtraDhcpOption, formatIp, ipToBytes, parseCidr, parseIp } from '@cable/model';
import { decodeIas, encodeIa, type Ia, type IaAnswer } from './dhcp6-ia.ts';
import type { Dhcp6Message, Dhcp6Option } from './dhcp6-message.ts';
import { dnsServersOption, domainSearchOption, OPTION6, serverDuid, statusOption, uint32 } from './dhcp6-options.ts';

/** DHCPv6 message types (RFC 8415 §7.3). */
export const MESSAGE6 = {
  solicit: 1,
  advertise: 2,
  request: 3,
  confirm: 4,
  renew: 5,
  rebind: 6,
  reply: 7,
  release: 8,
  decline: 9,
  informationRequest: 11,
} as const;

/** Status codes (RFC 8415 §21.13). */
export const STATUS6 = { success: 0, noAddresses: 2, noBinding: 3, notOnLink: 4, noPrefixes: 6 } as const;

/** An IPv6 address of a port, and what its subnet says. */
export type Guest6Address = {
  readonly ipAddress: string;
  readonly cidr: string;
  readonly enableDhcp: boolean;
  /** `ipv6_address_mode`; null: nobody here configures addresses. */
  readonly addressMode: Ipv6Mode | null;
  readonly dnsNameservers: readonly string[];
};

/** A port as DHCPv6 sees it. */
export type Dhcp6Guest = {
  readonly networkId: string;
  readonly addresses: readonly Guest6Address[];
  readonly domainSearch: readonly string[];
  /** The port's `extra_dhcp_opts` with `ip_version` 6; they win over what the subnets say. */
  readonly extraOptions: readonly ExtraDhcpOption[];
};

/** `leaseSeconds`: valid and preferred lifetime of each address. */
export type Dhcp6Policy = { readonly leaseSeconds: number };

/** Why a message gets no answer. */
export type Dhcp6Silence =
  | 'not-a-request'
  | 'no-dhcp-subnet'
  | 'malformed'
  | 'no-client-id'
  | 'other-server'
  | 'no-server-id'
  | 'unwanted-server-id'
  | 'nothing-to-confirm';

export type Dhcp6Outcome =
  | { readonly kind: 'reply'; readonly type: 'advertise' | 'reply'; readonly message: Dhcp6Message }
  | { readonly kind: 'silence'; readonly reason: Dhcp6Silence };

/** A message that passed RFC 8415 §16. */
type Checked = {
  readonly message: Dhcp6Message;
  readonly clientId: Uint8Array | undefined;
  readonly duid: Uint8Array;
  readonly ias: readonly Ia[];
  /** Option 6; undefined: it asked for none in particular. */
  readonly wanted: ReadonlySet<number> | undefined;
};

/** What the port has for this client: `own` are addresses to give out, canonical text; `served` its subnets with DHCPv6. */
type Offer = { readonly own: readonly string[]; readonly served: readonly Guest6Address[] };

/** What a client may send. */
type RequestName = Exclude<keyof typeof MESSAGE6, 'advertise' | 'reply'>;

const REQUESTS: readonly RequestName[] = [
  'solicit',
  'request',
  'confirm',
  'renew',
  'rebind',
  'release',
  'decline',
  'informationRequest',
];
const MAX_DUID_BYTES = 130;
const HIGHEST_PREFERENCE = 255;
const MIN_REFRESH_SECONDS = 600;

/**
 * What the guest is told (RFC 8415 §18.3). The port's addresses are the only ones there are, so nothing is remembered: the same message
 * always has the same answer, on every host.
 */
export function answerDhcp6(message: Dhcp6Message, guest: Dhcp6Guest, policy: Dhcp6Policy): Dhcp6Outcome {
  const name = REQUESTS.find((one) => MESSAGE6[one] === message.type);
  if (name === undefined) return silence('not-a-request');
  const offer = offerOf(guest);
  if (offer.served.length === 0) return silence('no-dhcp-subnet');
  const checked = check(name, message, serverDuid(guest.networkId));
  if (typeof checked === 'string') return silence(checked);
  const configuration = configurationOptions(guest, offer, checked);
  switch (name) {
    case 'solicit':
      return answerSolicit(checked, offer, configuration, policy);
    case 'request':
      return reply(checked, [...encodeIas(grant(checked.ias, offer, true), policy), ...configuration]);
    case 'renew':
    case 'rebind':
      return reply(checked, [...encodeIas(renew(checked.ias, offer), policy), ...configuration]);
    case 'confirm':
      return answerConfirm(checked, offer);
    case 'release':
    case 'decline':
      return answerRelease(checked, offer, policy);
    case 'informationRequest':
      return reply(checked, [...configuration, ...refreshOption(configuration, checked, policy)]);
  }
}

function offerOf(guest: Dhcp6Guest): Offer {
  const served = guest.addresses.filter(
    ({ enableDhcp, addressMode }) => enableDhcp && addressMode !== null && addressMode !== 'slaac',
  );
  const own = served.flatMap(({ addressMode, ipAddress }) => {
    const ip = parseIp(ipAddress);
    return addressMode === 'dhcpv6-stateful' && ip?.version === 6 ? [formatIp(ip)] : [];
  });
  return { own: [...new Set(own)], served };
}

/** RFC 8415 §16: who must say who it is, and which server it means. */
function check(name: RequestName, message: Dhcp6Message, duid: Uint8Array): Checked | Dhcp6Silence {
  const clientIds = valuesOf(message, OPTION6.clientId);
  const serverIds = valuesOf(message, OPTION6.serverId);
  const [clientId] = clientIds;
  const [serverId] = serverIds;
  if (clientIds.length > 1 || serverIds.length > 1) return 'malformed';
  if (clientId !== undefined && (clientId.length < 3 || clientId.length > MAX_DUID_BYTES)) return 'malformed';
  if (clientId === undefined && name !== 'informationRequest') return 'no-client-id';
  const names = ['request', 'renew', 'release', 'decline'].includes(name);
  if (serverId === undefined && names) return 'no-server-id';
  if (serverId !== undefined && !names && name !== 'informationRequest') return 'unwanted-server-id';
  if (serverId !== undefined && Buffer.compare(serverId, duid) !== 0) return 'other-server';
  const ias = decodeIas(message.options);
  const requested = valuesOf(message, OPTION6.requestedOptions)[0];
  if (ias === undefined || (name === 'informationRequest' && ias.length > 0)) return 'malformed';
  if (requested !== undefined && requested.length % 2 !== 0) return 'malformed';
  return { message, clientId, duid, ias, wanted: requested === undefined ? undefined : codesIn(requested) };
}

function valuesOf(message: Dhcp6Message, code: number): readonly Uint8Array[] {
  return message.options.filter((option) => option.code === code).map(({ value }) => value);
}

function codesIn(value: Uint8Array): ReadonlySet<number> {
  const codes = new Set<number>();
  for (let at = 0; at + 1 < value.length; at += 2) codes.add(((value[at] ?? 0) << 8) | (value[at + 1] ?? 0));
  return codes;
}

/** With rapid commit the client has its lease after two messages (RFC 8415 §18.3.1). */
function answerSolicit(
  checked: Checked,
  offer: Offer,
  configuration: readonly Dhcp6Option[],
  policy: Dhcp6Policy,
): Dhcp6Outcome {
  const given = [...encodeIas(grant(checked.ias, offer, false), policy), ...configuration];
  if (valuesOf(checked.message, OPTION6.rapidCommit).length > 0)
    return reply(checked, [{ code: OPTION6.rapidCommit, value: new Uint8Array(0) }, ...given]);
  // The highest preference ends the client's waiting for other servers: there is none.
  const preference = { code: OPTION6.preference, value: Uint8Array.of(HIGHEST_PREFERENCE) };
  return answer(checked, 'advertise', [preference, ...given]);
}

/**
 * Which IA gets which address. One that names addresses of the port keeps them; what nobody names goes to those that have none in turn, and the
 * rest to the first. `strict`: an address of another link is refused (RFC 8415 §18.3.2), else it was only a hint.
 */
function grant(ias: readonly Ia[], offer: Offer, strict: boolean): readonly IaAnswer[] {
  const offLink = (ia: Ia): boolean => strict && ia.addresses.some(({ text }) => !isOnLink(text, offer));
  const shares = share(
    ias.filter((ia) => ia.code === OPTION6.iaNa && !offLink(ia)),
    offer.own,
  );
  return ias.map((ia) => {
    if (ia.code === OPTION6.iaPd) return refuse(ia, STATUS6.noPrefixes, 'no prefixes are delegated here');
    if (offLink(ia)) return refuse(ia, STATUS6.notOnLink, 'the address is not of this link');
    const granted = shares.get(ia) ?? [];
    return granted.length === 0
      ? refuse(ia, STATUS6.noAddresses, 'the port has no address for this')
      : { ia, granted: granted.map(bytesOf), withdrawn: [], status: null };
  });
}

/** As `grant`, for a client that has addresses: those that the port has no more it must give up, and gets the port's new ones. */
function renew(ias: readonly Ia[], offer: Offer): readonly IaAnswer[] {
  const shares = share(
    ias.filter((ia) => ia.code === OPTION6.iaNa),
    offer.own,
  );
  return ias.map((ia) => {
    const granted = shares.get(ia) ?? [];
    const withdrawn = ia.addresses.filter(({ text }) => !granted.includes(text)).map(({ bytes }) => bytes);
    if (granted.length + withdrawn.length === 0) return refuse(ia, STATUS6.noBinding, 'the port has no lease for this');
    return { ia, granted: granted.map(bytesOf), withdrawn, status: null };
  });
}

function share(ias: readonly Ia[], own: readonly string[]): ReadonlyMap<Ia, readonly string[]> {
  const shares = new Map<Ia, string[]>(ias.map((ia) => [ia, []]));
  const free = new Set(own);
  for (const [ia, mine] of shares) {
    for (const { text } of ia.addresses) if (free.delete(text)) mine.push(text);
  }
  const rest = [...free];
  for (const mine of shares.values()) if (mine.length === 0) mine.push(...rest.splice(0, 1));
  shares
    .values()
    .next()
    .value?.push(...rest);
  return shares;
}

function refuse(ia: Ia, code: number, text: string): IaAnswer {
  return { ia, granted: [], withdrawn: [], status: { code, text } };
}

function isOnLink(text: string, offer: Offer): boolean {
  const ip = parseIp(text);
  if (ip === undefined) return false;
  return offer.served.some(({ cidr }) => {
    const prefix = parseCidr(cidr, true);
    return prefix !== undefined && cidrContains(prefix, ip);
  });
}

/**
 * A guest that was away asks whether its addresses still hold (RFC 8415 §18.3.3). An address that is not the port's does not, wherever it lies:
 * anti-spoofing would drop it, and the guest would learn so only at its renewal.
 */
function answerConfirm(checked: Checked, offer: Offer): Dhcp6Outcome {
  const addresses = checked.ias.flatMap((ia) => ia.addresses);
  if (addresses.length === 0) return silence('nothing-to-confirm');
  const holds = addresses.every(({ text }) => offer.own.includes(text));
  return reply(checked, [
    holds
      ? statusOption(STATUS6.success, 'all addresses hold')
      : statusOption(STATUS6.notOnLink, 'an address is not of this port'),
  ]);
}

/** The address stays the port's, whatever its guest gives back or finds in use. */
function answerRelease(checked: Checked, offer: Offer, policy: Dhcp6Policy): Dhcp6Outcome {
  const unknown = checked.ias.filter((ia) => !ia.addresses.some(({ text }) => offer.own.includes(text)));
  const refused = unknown.map((ia) => refuse(ia, STATUS6.noBinding, 'the port has no lease for this'));
  return reply(checked, [statusOption(STATUS6.success, 'done'), ...encodeIas(refused, policy)]);
}

/** All options that the port has, or of them those that the client asked for. */
function configurationOptions(guest: Dhcp6Guest, offer: Offer, { wanted, message }: Checked): readonly Dhcp6Option[] {
  const known = new Map<number, Dhcp6Option>();
  const own = [
    dnsServersOption(offer.served.flatMap(({ dnsNameservers }) => dnsNameservers)),
    domainSearchOption(guest.domainSearch),
    ...guest.extraOptions.filter(({ client }) => client === 'any' || (client === 'ipxe') === isIpxe(message)),
  ];
  for (const option of own) if (option !== undefined) known.set(option.code, option);
  return [...known.values()].filter(({ code }) => wanted === undefined || wanted.has(code));
}

/** What iPXE says of itself (option 15). */
function isIpxe(message: Dhcp6Message): boolean {
  return valuesOf(message, OPTION6.userClass).some((value) => Buffer.from(value).includes('iPXE'));
}

/** When to ask again (RFC 8415 §21.23), to who wants to know. */
function refreshOption(
  configuration: readonly Dhcp6Option[],
  { wanted }: Checked,
  policy: Dhcp6Policy,
): readonly Dhcp6Option[] {
  const code = OPTION6.refreshSeconds;
  if (wanted?.has(code) !== true || configuration.some((option) => option.code === code)) return [];
  return [{ code, value: uint32(Math.max(MIN_REFRESH_SECONDS, policy.leaseSeconds)) }];
}

function encodeIas(answers: readonly IaAnswer[], policy: Dhcp6Policy): readonly Dhcp6Option[] {
  return answers.map((one) => encodeIa(one, policy.leaseSeconds));
}

function bytesOf(text: string): Uint8Array {
  const ip = parseIp(text);
  return ip === undefined ? new Uint8Array(16) : ipToBytes(ip);
}

function reply(checked: Checked, options: readonly Dhcp6Option[]): Dhcp6Outcome {
  return answer(checked, 'reply', options);
}

function answer(checked: Checked, type: 'advertise' | 'reply', options: readonly Dhcp6Option[]): Dhcp6Outcome {
  const client = checked.clientId === undefined ? [] : [{ code: OPTION6.clientId, value: checked.clientId }];
  const message: Dhcp6Message = {
    type: MESSAGE6[type],
    transactionId: checked.message.transactionId,
    options: [{ code: OPTION6.serverId, value: checked.duid }, ...client, ...options],
  };
  return { kind: 'reply', type, message };
}

function silence(reason: Dhcp6Silence): Dhcp6Outcome {
  return { kind: 'silence', reason };
}
