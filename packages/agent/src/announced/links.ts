/** Links on which this host announces addresses of Services, and addresses of which prefixes. */
import { createHash } from 'node:crypto';
import { cidrContains, formatIp, type IpPrefix, parseCidr, parseIp } from '@cable/model';
import { CB_MAX_ANNOUNCED_PREFIXES } from '../bpf/abi.gen.ts';
import type { ObservedLink } from '../devices/link-rows.ts';
import type { AnnouncingLink } from './announced-addresses.ts';

/** A device, as far as it matters here. */
export type LinkFacts = Pick<ObservedLink, 'ifindex' | 'name' | 'mac' | 'up' | 'carrier'> & {
  readonly addresses: readonly Pick<ObservedLink['addresses'][number], 'cidr' | 'linkLocal'>[];
};

/** As `links` of `AnnouncedAddresses`, with an address of IPv6 that the host asks by; undefined: it has none. */
export type OwnLink = AnnouncingLink & { readonly own6: string | undefined };

export type AnnouncingLinks = {
  readonly links: readonly OwnLink[];
  /** What the host says to others that it announces. */
  readonly tags: readonly number[];
  /** Prefixes that there was no room for. */
  readonly left: readonly string[];
};

/**
 * `more`: prefixes whose addresses are announced on each of these links, whatever their subnets. A link that is down or has no carrier announces nothing: others are to take its addresses.
 * `underlay`: names of devices by which other hosts are reached. The first prefixes in the order of their text count, as many as a host can tell others of.
 */
export function announcingLinks(
  links: readonly LinkFacts[],
  more: readonly string[],
  underlay: readonly string[] = [],
): AnnouncingLinks {
  const usable = links.filter(({ up, carrier, mac }) => up && carrier && mac !== '');
  const prefixes = new Map(
    usable.map(({ ifindex, addresses }) => [
      ifindex,
      [...new Set([...addresses.flatMap((one) => subnetOf(one) ?? []), ...more])].sort(),
    ]),
  );
  const all = [...new Set([...prefixes.values()].flat())].sort();
  const [told, left] = [all.slice(0, CB_MAX_ANNOUNCED_PREFIXES), all.slice(CB_MAX_ANNOUNCED_PREFIXES)];
  return {
    links: usable.map(({ ifindex, name, mac, addresses }) => {
      const own = (prefixes.get(ifindex) ?? []).filter((one) => told.includes(one));
      const parsed = own.flatMap((text) => {
        const prefix = parseCidr(text);
        return prefix === undefined ? [] : [{ prefix, tag: tagOf(text) }];
      });
      const leadsToHosts = underlay.includes(name);
      return { ifindex, name, mac, has: (address) => tagAt(parsed, address), leadsToHosts, own6: own6Of(addresses) };
    }),
    tags: told.map(tagOf),
    left,
  };
}

/** By which hosts know the same prefix; never 0. 16 bits of a hash: two prefixes of one cluster that have the same are taken for one. */
export function tagOf(prefix: string): number {
  return createHash('sha256').update(prefix).digest().readUInt16LE() || 1;
}

function tagAt(
  prefixes: readonly { readonly prefix: IpPrefix; readonly tag: number }[],
  address: string,
): number | undefined {
  const ip = parseIp(address);
  return ip === undefined ? undefined : prefixes.find(({ prefix }) => cidrContains(prefix, ip))?.tag;
}

/** Undefined: it is alone in it. */
function subnetOf({ cidr, linkLocal }: LinkFacts['addresses'][number]): string | undefined {
  const [text = '', length = ''] = cidr.split('/');
  const ip = parseIp(text);
  if (ip === undefined || linkLocal) return undefined;
  const bits = (ip.version === 4 ? 32 : 128) - Number(length);
  if (bits <= 1) return undefined;
  return `${formatIp({ ...ip, value: (ip.value >> BigInt(bits)) << BigInt(bits) })}/${length}`;
}

function own6Of(addresses: LinkFacts['addresses']): string | undefined {
  const own = addresses.filter(({ cidr }) => cidr.includes(':'));
  return (own.find(({ linkLocal }) => linkLocal) ?? own[0])?.cidr.split('/')[0];
}
