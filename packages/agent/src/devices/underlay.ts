import { type LinkAddress, listAddresses } from '../net/address.ts';
import { type Link, listLinks } from '../net/link.ts';
import type { NetlinkSocket } from '../net/socket.ts';
import type { LinkChanges } from './link-rows.ts';
import type { Links } from './link-table.ts';

/** A device, as far as it matters here. */
export type UnderlayLink = Pick<Link, 'name' | 'kind' | 'flags' | 'mtuBytes'> & {
  readonly addresses: readonly Pick<LinkAddress, 'cidr'>[];
};

/** What packets to the underlay address come in by. */
export type Underlay = {
  /** Names, sorted. More than one: each of them has the address. */
  readonly devices: readonly string[];
  /** The largest packet that all of them take; at most 65,535. */
  readonly mtuBytes: number;
};

const IFF_LOOPBACK = 0x8;
/** The largest packet of IPv4. */
const MOST_BYTES = 65_535;

/** Follows which device has the underlay address, and how large a packet it takes. */
export class UnderlayWatch {
  readonly #address: string;
  #now: Underlay | undefined;

  /** Reads the devices that there are. */
  constructor(address: string, socket: NetlinkSocket) {
    this.#address = address;
    const addresses = listAddresses(socket);
    const links = listLinks(socket).map((link) => ({
      ...link,
      addresses: addresses.filter(({ ifindex }) => ifindex === link.ifindex),
    }));
    this.#now = findUnderlay(address, links);
  }

  /**
   * undefined: no device has the address, or one that no packet comes in by (loopback, dummy): then routing decides which devices carry the
   * tunnels, and nothing is known of them.
   */
  get now(): Underlay | undefined {
    return this.#now;
  }

  /** Takes the table as it is. True: something is different. */
  look(links: Pick<Links, 'values'>): boolean {
    const found = findUnderlay(this.#address, links.values());
    const isSame = JSON.stringify(found) === JSON.stringify(this.#now);
    this.#now = found;
    return !isSame;
  }

  /** Whether a look may show something else after such changes: it goes over all devices. */
  concerns({ names, ifindexes }: LinkChanges, links: Pick<Links, 'get'>): boolean {
    if (this.#now?.devices.some((name) => names.has(name))) return true;
    return [...ifindexes].some((ifindex) => hasAddress(this.#address, links.get(ifindex)?.addresses ?? []));
  }
}

function findUnderlay(address: string, links: Iterable<UnderlayLink>): Underlay | undefined {
  const found = [...links].filter(({ addresses }) => hasAddress(address, addresses));
  const isVirtual = ({ flags, kind }: UnderlayLink): boolean => (flags & IFF_LOOPBACK) !== 0 || kind === 'dummy';
  if (found.length === 0 || found.some(isVirtual)) return undefined;
  const devices = found.map(({ name }) => name).sort();
  return { devices, mtuBytes: Math.min(MOST_BYTES, ...found.map(({ mtuBytes }) => mtuBytes)) };
}

function hasAddress(address: string, addresses: UnderlayLink['addresses']): boolean {
  return addresses.some(({ cidr }) => cidr.slice(0, cidr.indexOf('/')) === address);
}
