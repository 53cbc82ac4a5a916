/**
 * Who counts as one where nodes join. An address has its share; who has a network of IPv6 has as many addresses as he likes, so all of a /64 together have no more than a few addresses'. A
 * node that has joined from an address is known by it, and needs nobody's leave on its network.
 */
import { isIPv6 } from 'node:net';

/** Shares of an address that all of a /64 have together: nodes of a link are in one. */
export const NET_SHARES = 4;

/** Addresses that are remembered. Who has shown no good token makes none be forgotten. */
const MAX_KNOWN = 8192;

/** `address`: IPv4 that came by a socket of IPv6 is IPv4. `net`: the /64 of IPv6; of IPv4 the address. */
export type Source = { readonly address: string; readonly net: string };

export function sourceOf(text: string): Source {
  const address = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(text)?.[1] ?? text;
  if (!isIPv6(address)) return { address, net: address };
  const [head = '', tail] = address.replace(/%.*$/, '').split('::');
  const groups = head === '' ? [] : head.split(':');
  const rest = tail === undefined || tail === '' ? 0 : tail.split(':').length + (tail.includes('.') ? 1 : 0);
  const gap = tail === undefined ? 0 : 8 - groups.length - rest;
  const all = [...groups, ...Array<string>(gap).fill('0'), ...(tail?.split(':') ?? [])];
  const net = all.slice(0, 4).map((group) => Number.parseInt(group, 16).toString(16));
  return { address, net: `${net.join(':')}::/64` };
}

/** Addresses from which a good token was shown. */
export class KnownSources {
  /** Who showed one last is last. */
  readonly #addresses = new Set<string>();

  has({ address }: Source): boolean {
    return this.#addresses.has(address);
  }

  add({ address }: Source): void {
    this.#addresses.delete(address);
    this.#addresses.add(address);
    const [oldest] = this.#addresses;
    if (this.#addresses.size > MAX_KNOWN && oldest !== undefined) this.#addresses.delete(oldest);
  }
}
