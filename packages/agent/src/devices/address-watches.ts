import type { LinkChanges } from './link-rows.ts';
import type { Links } from './link-table.ts';

/** Tells of addresses of this host that no device has any more. A change costs what it is about, not what there is. */
export class AddressWatches {
  readonly #links: Pick<Links, 'get' | 'values'>;
  readonly #watches = new Map<number, Set<Watch>>();
  /** Of addresses that the table does not show yet. */
  readonly #early = new Set<Watch>();

  constructor(links: Pick<Links, 'get' | 'values'>) {
    this.#links = links;
  }

  /** Calls `onLost` once when `address` leaves the last device that has it; one that no device has ever is not told of. Answers what ends the watch. */
  watch(address: string, onLost: () => void): () => void {
    const watch: Watch = { address, onLost };
    const ifindex = this.#holderOf(address);
    if (ifindex === undefined) this.#early.add(watch);
    else this.#add(ifindex, watch);
    return () => {
      this.#early.delete(watch);
      for (const watches of this.#watches.values()) watches.delete(watch);
    };
  }

  /** Takes changes that the table shows already. */
  take({ ifindexes }: Pick<LinkChanges, 'ifindexes'>): void {
    for (const ifindex of ifindexes) {
      for (const watch of this.#early) {
        if (!hasAddress(this.#links.get(ifindex), watch.address)) continue;
        this.#early.delete(watch);
        this.#add(ifindex, watch);
      }
      for (const watch of this.#watches.get(ifindex) ?? []) {
        if (hasAddress(this.#links.get(ifindex), watch.address)) continue;
        this.#watches.get(ifindex)?.delete(watch);
        const other = this.#holderOf(watch.address);
        if (other === undefined) watch.onLost();
        else this.#add(other, watch);
      }
      if (this.#watches.get(ifindex)?.size === 0) this.#watches.delete(ifindex);
    }
  }

  #add(ifindex: number, watch: Watch): void {
    const watches = this.#watches.get(ifindex) ?? new Set();
    this.#watches.set(ifindex, watches.add(watch));
  }

  #holderOf(address: string): number | undefined {
    for (const link of this.#links.values()) if (hasAddress(link, address)) return link.ifindex;
    return undefined;
  }
}

type Watch = { readonly address: string; readonly onLost: () => void };

function hasAddress(
  link: { readonly addresses: readonly { readonly cidr: string }[] } | undefined,
  address: string,
): boolean {
  return link?.addresses.some(({ cidr }) => cidr.slice(0, cidr.indexOf('/')) === address) ?? false;
}
