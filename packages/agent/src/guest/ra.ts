import {
  encodeDnsName,
  formatCidr,
  formatIp,
  type IpPrefix,
  ipToBytes,
  macToBytes,
  parseCidr,
  parseDnsName,
  parseIp,
  parseMac,
} from '@cable/model';
import type { RaNetwork, RaSubnet } from '../desired.ts';

/** Router advertisements and solicitations as bytes: RFC 4861, 4191 (routes), 8106 (name servers, search domains). */

/** `bytes`: from the ICMPv6 type on, checksum 0. `omitted`: what it does not say, each with the reason, for the log. */
export type RaTemplate = { readonly bytes: Uint8Array; readonly omitted: readonly string[] };

/** Why a router solicitation is dropped. */
export type SolicitationFault = 'short' | 'not-a-solicitation' | 'bad-option';

/** An option, and how it is called when there is no room for it. */
type RaOption = { readonly bytes: Uint8Array; readonly name: string };

/** What an advertisement cannot say, with the reason. */
type Refusal = { readonly refused: string };

const ADVERTISEMENT = 134;
/** ICMPv6 type of router solicitations. */
export const SOLICITATION = 133;
const OPTION = { sourceLinkAddress: 1, prefix: 3, mtu: 5, route: 24, dnsServers: 25, dnsSearch: 31 } as const;
const FLAG = { managed: 0x80, other: 0x40, onLink: 0x80, autonomous: 0x40 } as const;

/** What every IPv6 link carries unfragmented (RFC 8200 §5), less the header of IPv6, in whole units of 8 bytes. */
const MAX_BYTES = 1240;
const HOP_LIMIT = 64;
/** Three times the longest time between two advertisements, 600 s (RFC 4861 §6.2.1, RFC 8106 §5.1). */
const ROUTER_SECONDS = 1800;
const VALID_SECONDS = 86_400;
const PREFERRED_SECONDS = 14_400;
/** Below it a link cannot carry IPv6, and guests refuse the option (RFC 8200 §5). */
const MIN_MTU_BYTES = 1280;

/**
 * The advertisement of a network; undefined when no subnet of it wants one. `withdrawn`: prefixes in which guests may have addresses, and are to
 * begin nothing with them any more.
 */
export function raTemplate(network: RaNetwork, withdrawn: readonly string[] = []): RaTemplate | undefined {
  const subnets = network.subnets.filter(({ raMode, cidr }) => raMode !== null && prefixOf(cidr) !== undefined);
  const mac = parseMac(network.routerMac);
  if (subnets.length === 0 || mac === undefined) return undefined;
  const routes = subnets.flatMap(routeOptions);
  const options = [
    option(OPTION.sourceLinkAddress, macToBytes(mac), 'source link-layer address'),
    ...(network.mtuBytes < MIN_MTU_BYTES
      ? []
      : [option(OPTION.mtu, concat(zeros(2), uint32(network.mtuBytes)), 'MTU')]),
    ...subnets.map(prefixOption),
    ...withdrawn.map(withdrawnPrefixOption),
    ...dnsServerOptions(subnets),
    ...routes.filter((one) => 'bytes' in one),
    ...dnsSearchOptions(network.domainSearch),
  ];
  const chosen: Uint8Array[] = [header(network, subnets)];
  const omitted = routes.flatMap((one) => ('bytes' in one ? [] : [one.refused]));
  let size = 16;
  for (const { bytes, name } of options) {
    if (size + bytes.length > MAX_BYTES) {
      omitted.push(`${name}: no room`);
    } else {
      chosen.push(bytes);
      size += bytes.length;
    }
  }
  return { bytes: concat(...chosen), omitted };
}

/** Managed when some subnet gives addresses by DHCPv6, other when some gives configuration by it. */
function header(network: RaNetwork, subnets: readonly RaSubnet[]): Uint8Array {
  const managed = subnets.some(({ raMode }) => raMode === 'dhcpv6-stateful') ? FLAG.managed : 0;
  const other = subnets.some(({ raMode }) => raMode !== 'slaac') ? FLAG.other : 0;
  const seconds = network.isDefaultRouter ? ROUTER_SECONDS : 0;
  return concat(
    Uint8Array.of(ADVERTISEMENT, 0, 0, 0, HOP_LIMIT, managed | other, seconds >>> 8, seconds & 255),
    zeros(8),
  );
}

/** Hosts make addresses of 64 bits only (RFC 4862 §5.5.3), and none where DHCPv6 gives them. */
function prefixOption(subnet: RaSubnet): RaOption {
  const prefix = prefixOf(subnet.cidr);
  const length = prefix?.prefixLength ?? 0;
  const autonomous = subnet.raMode !== 'dhcpv6-stateful' && length === 64 ? FLAG.autonomous : 0;
  return prefixInformation(subnet.cidr, length, FLAG.onLink | autonomous, VALID_SECONDS, PREFERRED_SECONDS);
}

/** Lifetimes of 0: its addresses are deprecated at once, and gone after two hours at most (RFC 4862 §5.5.3). */
function withdrawnPrefixOption(cidr: string): RaOption {
  return prefixInformation(cidr, prefixOf(cidr)?.prefixLength ?? 0, FLAG.autonomous, 0, 0);
}

function prefixInformation(
  cidr: string,
  length: number,
  flags: number,
  validSeconds: number,
  preferredSeconds: number,
): RaOption {
  const base = prefixOf(cidr)?.base;
  const address = base === undefined ? zeros(16) : ipToBytes(base);
  const value = concat(Uint8Array.of(length, flags), uint32(validSeconds), uint32(preferredSeconds), zeros(4), address);
  return option(OPTION.prefix, value, `prefix ${cidr}`);
}

/** Name servers, one option each: those that fit are there. */
function dnsServerOptions(subnets: readonly RaSubnet[]): readonly RaOption[] {
  const servers = subnets.flatMap(({ dnsNameservers }) => dnsNameservers).map(parseIp);
  const texts = new Set(servers.flatMap((ip) => (ip?.version === 6 ? [formatIp(ip)] : [])));
  return [...texts].map((text) => {
    const ip = parseIp(text);
    const address = ip === undefined ? zeros(16) : ipToBytes(ip);
    return option(OPTION.dnsServers, concat(zeros(2), uint32(ROUTER_SECONDS), address), `name server ${text}`);
  });
}

function dnsSearchOptions(domains: readonly string[]): readonly RaOption[] {
  return [...new Set(domains)].flatMap((domain) => {
    const name = parseDnsName(domain);
    if (name === undefined || name.length === 0) return [];
    return [
      option(OPTION.dnsSearch, concat(zeros(2), uint32(ROUTER_SECONDS), encodeDnsName(name)), `domain ${domain}`),
    ];
  });
}

/** A guest takes the sender of the advertisement as next hop, so only routes by the gateway can be said here. */
function routeOptions(subnet: RaSubnet): readonly (RaOption | Refusal)[] {
  const gateway = subnet.gatewayIp === null ? undefined : parseIp(subnet.gatewayIp);
  return subnet.hostRoutes.flatMap(({ destination, nexthop }): readonly (RaOption | Refusal)[] => {
    const prefix = prefixOf(destination);
    const via = parseIp(nexthop);
    if (prefix === undefined || via?.version !== 6) return [];
    const name = `route ${formatCidr(prefix)}`;
    if (gateway === undefined || formatIp(gateway) !== formatIp(via))
      return [
        { refused: `${name}: its next hop ${nexthop} is not the gateway, and an advertisement can name no other` },
      ];
    const octets = prefix.prefixLength === 0 ? 0 : prefix.prefixLength <= 64 ? 8 : 16;
    const address = ipToBytes(prefix.base).subarray(0, octets);
    return [option(OPTION.route, concat(Uint8Array.of(prefix.prefixLength, 0), uint32(ROUTER_SECONDS), address), name)];
  });
}

function option(type: number, value: Uint8Array, name: string): RaOption {
  const units = Math.ceil((2 + value.length) / 8);
  return { bytes: concat(Uint8Array.of(type, units), value, zeros(units * 8 - 2 - value.length)), name };
}

function prefixOf(text: string): IpPrefix | undefined {
  const prefix = parseCidr(text, true);
  return prefix?.base.version === 6 ? prefix : undefined;
}

function concat(...parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(Buffer.concat(parts));
}

function zeros(length: number): Uint8Array {
  return new Uint8Array(length);
}

function uint32(value: number): Uint8Array {
  return Uint8Array.of(value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255);
}

/**
 * What is wrong with what a guest sent as a router solicitation (RFC 4861 §6.1.1), from the ICMPv6 type on; undefined: nothing. Hop limit and sender are the
 * vrouter's affair, the checksum the kernel's. Never throws.
 */
export function solicitationFault(bytes: Uint8Array): SolicitationFault | undefined {
  if (bytes.length < 8) return 'short';
  if (bytes[0] !== SOLICITATION || bytes[1] !== 0) return 'not-a-solicitation';
  for (let at = 8; at < bytes.length; ) {
    const size = (bytes[at + 1] ?? 0) * 8;
    if (size === 0 || at + size > bytes.length) return 'bad-option';
    at += size;
  }
  return undefined;
}
