/** Addresses for Services of `type: LoadBalancer`: which of the operator's prefixes has which Service. What is given stands in the Services' status, and nowhere else. */
import { cidrContains, formatIp, type IpPrefix, parseCidr, parseIp } from '@cable/model';

/** What a Service says of its load balancer; `has`: addresses of its status. */
export type BalancerFacts = {
  /** It is to be one of ours: `type: LoadBalancer`, and no other class. */
  readonly isOurs: boolean;
  /** It is none, of whatever class. */
  readonly isNone: boolean;
  /** Wished for; empty: any. */
  readonly wish: string;
  readonly versions: readonly (4 | 6)[];
  readonly has: readonly string[];
};

export type Given = {
  readonly addresses: readonly string[];
  /** Why it lacks one, for who reads events; undefined: it lacks none. */
  readonly lack: string | undefined;
};

/** How many addresses of a prefix are looked at for a free one. */
const MOST_LOOKS = 1 << 16;

export class BalancerPool {
  readonly #prefixes: readonly IpPrefix[];
  /** Key of a Service, by address. */
  readonly #taken = new Map<string, string>();
  readonly #byKey = new Map<string, readonly string[]>();

  constructor(cidrs: readonly string[]) {
    this.#prefixes = cidrs.flatMap((one) => parseCidr(one) ?? []);
  }

  get isEmpty(): boolean {
    return this.#prefixes.length === 0;
  }

  has(address: string): boolean {
    const ip = parseIp(address);
    return ip !== undefined && this.#prefixes.some((one) => cidrContains(one, ip));
  }

  /** All that Services have already: before anything is given. */
  load(all: Iterable<readonly [key: string, facts: BalancerFacts]>): void {
    const sorted = [...all].sort(([a], [b]) => (a < b ? -1 : 1));
    for (const [key, { isOurs, has }] of sorted) {
      if (!isOurs) continue;
      this.#keep(
        key,
        has.filter((one) => this.has(one) && !this.#taken.has(one)),
      );
    }
  }

  /** What the Service is to have: what it wishes for; where it cannot have that, or wishes for none, what it has, if that is its own; without a wish else the first that is free. */
  give(key: string, { wish, versions, has }: BalancerFacts): Given {
    const lacks: string[] = [];
    const isFree = (one: string): boolean => this.has(one) && (this.#taken.get(one) ?? key) === key;
    const addresses = versions.flatMap((version) => {
      if (!this.#prefixes.some(({ base }) => base.version === version)) return [];
      const isOf = (one: string): boolean => parseIp(one)?.version === version;
      const own = [...(this.#byKey.get(key) ?? []), ...has].find((one) => isOf(one) && isFree(one));
      if (isOf(wish)) {
        if (isFree(wish)) return [wish];
        const why = this.has(wish) ? this.#whoHas(wish, key) : 'it is in no --load-balancer-cidr';
        lacks.push(`it cannot have ${wish}: ${why}`);
        return own === undefined ? [] : [own];
      }
      const address = own ?? this.#firstFree(version);
      if (address === undefined) lacks.push(`no address of IPv${version} is free in the --load-balancer-cidr`);
      return address === undefined ? [] : [address];
    });
    this.#keep(key, addresses);
    return { addresses, lack: lacks.length === 0 ? undefined : lacks.join('; ') };
  }

  /** Of other namespaces no names are told. */
  #whoHas(address: string, key: string): string {
    const holder = this.#taken.get(address) ?? '';
    const isOwn = holder.slice(0, holder.indexOf('/')) === key.slice(0, key.indexOf('/'));
    return isOwn ? `Service ${holder} has it` : 'a Service of another namespace has it';
  }

  release(key: string): void {
    this.#keep(key, []);
  }

  #keep(key: string, addresses: readonly string[]): void {
    for (const one of this.#byKey.get(key) ?? []) if (this.#taken.get(one) === key) this.#taken.delete(one);
    this.#byKey.delete(key);
    if (addresses.length === 0) return;
    this.#byKey.set(key, addresses);
    for (const one of addresses) this.#taken.set(one, key);
  }

  #firstFree(version: 4 | 6): string | undefined {
    for (const prefix of this.#prefixes) {
      if (prefix.base.version !== version) continue;
      const size = 1n << BigInt((version === 4 ? 32 : 128) - prefix.prefixLength);
      // Its first address is the network's, its last that of all, where it has more than two.
      const [first, last] = size > 2n ? [1n, size - 2n] : [0n, size - 1n];
      for (let at = first; at <= last && at < MOST_LOOKS; at++) {
        const address = formatIp({ version, value: prefix.base.value + at });
        if (!this.#taken.has(address)) return address;
      }
    }
    return undefined;
  }
}
