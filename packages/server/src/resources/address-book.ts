import { type IpAddress, parseIp } from '@cable/model';
import type { Tables } from '../tables.ts';

/** An address in a map. Small numbers take no memory of their own, big ones do; a subnet has addresses of one family. */
type AddressKey = number | bigint;

/** Both ends are in it. */
export type AddressRange = { readonly first: bigint; readonly last: bigint };

/** The addresses taken in each subnet, kept from the port table, so that an allocation looks at few of them. */
export class AddressBook {
  readonly #used = new Map<string, Map<AddressKey, string>>();
  readonly #cursors = new Map<string, bigint>();

  /** Follows the tables; make it before they start. */
  follow(tables: Pick<Tables, 'onChange'>): void {
    tables.onChange((_revision, changes) => {
      const ports = changes.filter((change) => change.type === 'port');
      // An address may go from one port to another in one batch: first what is freed, then what is taken.
      for (const { id, before } of ports) this.#forEachAddress(before, (subnet, ip) => this.#remove(subnet, ip, id));
      for (const { id, after } of ports) this.#forEachAddress(after, (subnet, ip) => this.#add(subnet, ip, id));
    });
  }

  /** ID of the port that has the address; undefined: free. */
  holder(subnetId: string, ip: IpAddress): string | undefined {
    return this.#used.get(subnetId)?.get(keyOf(ip));
  }

  /** The same of an address as it is stored. */
  holderOf(subnetId: string, address: string): string | undefined {
    const ip = parseIp(address);
    return ip === undefined ? undefined : this.holder(subnetId, ip);
  }

  usedCount(subnetId: string): number {
    return this.#used.get(subnetId)?.size ?? 0;
  }

  /** How many addresses of the subnet that some port has lie in the ranges, which do not overlap. Looks at all that are taken. */
  usedWithin(subnetId: string, ranges: readonly AddressRange[]): number {
    let count = 0;
    for (const key of this.#used.get(subnetId)?.keys() ?? []) {
      const value = typeof key === 'bigint' ? key : BigInt(key >>> 0);
      if (ranges.some(({ first, last }) => first <= value && value <= last)) count += 1;
    }
    return count;
  }

  /** Where the next search starts: after the last allocated address, so that one just freed is not used again at once. */
  cursor(subnetId: string): bigint | undefined {
    return this.#cursors.get(subnetId);
  }

  setCursor(subnetId: string, value: bigint): void {
    this.#cursors.set(subnetId, value);
  }

  #add(subnetId: string, ip: AddressKey, portId: string): void {
    const used = this.#used.get(subnetId) ?? new Map<AddressKey, string>();
    this.#used.set(subnetId, used);
    used.set(ip, portId);
  }

  #remove(subnetId: string, ip: AddressKey, portId: string): void {
    const used = this.#used.get(subnetId);
    if (used?.get(ip) !== portId) return;
    used.delete(ip);
    if (used.size > 0) return;
    this.#used.delete(subnetId);
    this.#cursors.delete(subnetId);
  }

  #forEachAddress(
    port: Readonly<Record<string, unknown>> | undefined,
    call: (subnet: string, ip: AddressKey) => void,
  ): void {
    const fixedIps = port?.['fixed_ips'];
    if (!Array.isArray(fixedIps)) return;
    for (const fixed of fixedIps as readonly Readonly<Record<string, unknown>>[]) {
      const ip = parseIp(String(fixed['ip_address']));
      if (ip !== undefined) call(String(fixed['subnet_id']), keyOf(ip));
    }
  }
}

function keyOf(ip: IpAddress): AddressKey {
  return ip.version === 4 ? Number(ip.value) | 0 : ip.value;
}
