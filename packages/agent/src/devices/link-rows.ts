/** Rows of the observed table, as a value that events change: no system call, no waiting. */
import type { AddressEvent, LinkAddress } from '../net/address.ts';
import type { IngressFilter } from '../net/filter.ts';
import type { Link, LinkEvent } from '../net/link.ts';

/** A device with what is on it. A change makes a new value. */
export type ObservedLink = Link & {
  readonly addresses: readonly LinkAddress[];
  /** Program in our filter on what the device receives; undefined: none. */
  readonly programId: number | undefined;
};

/** Which devices are not as they were. */
export type LinkChanges = {
  readonly ifindexes: ReadonlySet<number>;
  /** Names that they have or had. */
  readonly names: ReadonlySet<string>;
  /** Of these, names that are another device's now, or nobody's any more. */
  readonly moved: ReadonlySet<string>;
};

/** What the kernel told, in the order in which it happened. */
export type RowEvent =
  | ({ readonly kind: 'link' } & LinkEvent)
  | ({ readonly kind: 'address' } & AddressEvent)
  | ({ readonly kind: 'filter' } & IngressFilter);

/** Devices by ifindex, and by name. */
export class LinkRows {
  readonly #rows = new Map<number, ObservedLink>();
  readonly #ifindexes = new Map<string, number>();

  get size(): number {
    return this.#rows.size;
  }

  get(ifindex: number): ObservedLink | undefined {
    return this.#rows.get(ifindex);
  }

  byName(name: string): ObservedLink | undefined {
    const ifindex = this.#ifindexes.get(name);
    return ifindex === undefined ? undefined : this.#rows.get(ifindex);
  }

  values(): Iterable<ObservedLink> {
    return this.#rows.values();
  }

  /** Takes an event; one about what is on an unknown device is passed over. */
  apply(event: RowEvent): void {
    switch (event.kind) {
      case 'link':
        if (event.gone) this.remove(event.link.ifindex);
        else this.#putLink(event.link);
        break;
      case 'address':
        this.#putAddress(event);
        break;
      case 'filter':
        this.#change(event.ifindex, { programId: event.programId });
        break;
    }
  }

  put(row: ObservedLink): void {
    this.#forgetName(row.ifindex);
    this.#rows.set(row.ifindex, row);
    this.#ifindexes.set(row.name, row.ifindex);
  }

  remove(ifindex: number): void {
    this.#forgetName(ifindex);
    this.#rows.delete(ifindex);
  }

  /** Unless another device has it now. */
  #forgetName(ifindex: number): void {
    const name = this.#rows.get(ifindex)?.name;
    if (name !== undefined && this.#ifindexes.get(name) === ifindex) this.#ifindexes.delete(name);
  }

  #putLink(link: Link): void {
    const old = this.#rows.get(link.ifindex);
    this.put({ ...link, addresses: old?.addresses ?? [], programId: old?.programId });
  }

  /** A group of multicast is no address that anybody has. */
  #putAddress({ address, gone }: AddressEvent): void {
    if (address.cidr.startsWith('ff')) return;
    const others = this.#rows.get(address.ifindex)?.addresses.filter((one) => one.cidr !== address.cidr) ?? [];
    this.#change(address.ifindex, { addresses: gone ? others : [...others, address] });
  }

  #change(ifindex: number, change: Partial<Pick<ObservedLink, 'addresses' | 'programId'>>): void {
    const old = this.#rows.get(ifindex);
    if (old !== undefined) this.#rows.set(ifindex, { ...old, ...change });
  }
}

/** True when nothing that is observed differs. */
export function sameRow(a: ObservedLink | undefined, b: ObservedLink | undefined): boolean {
  if (a === b) return true;
  if (a === undefined || b === undefined) return false;
  const keys = Object.keys(a) as (keyof ObservedLink)[];
  return keys.every((key) => key === 'addresses' || a[key] === b[key]) && sameAddresses(a.addresses, b.addresses);
}

function sameAddresses(a: readonly LinkAddress[], b: readonly LinkAddress[]): boolean {
  return a.length === b.length && a.every(({ cidr }) => b.some((one) => one.cidr === cidr));
}
