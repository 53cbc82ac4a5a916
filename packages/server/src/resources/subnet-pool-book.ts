import { type AnyObject, parseCidr, type SubnetPool } from '@cable/model';
import type { Tables } from '../tables.ts';
import { PrefixSet } from './prefix-set.ts';
import { prefixOf } from './subnet-range.ts';

/** What of each subnet pool is free in the tables, so that an allocation looks at no other subnets. Made when it is first asked for. */
export class SubnetPoolBook {
  readonly #free = new Map<string, PrefixSet>();

  /** Follows the tables; make it before they start. */
  follow(tables: Pick<Tables, 'onChange'>): void {
    tables.onChange((_revision, changes) => {
      if (this.#free.size === 0) return;
      for (const { type, id, before, after } of changes) {
        if (type === 'subnetpool' && before?.['prefixes'] !== after?.['prefixes']) this.#free.delete(id);
      }
      const subnets = changes.filter(
        (change) => change.type === 'subnet' && placeOf(change.before) !== placeOf(change.after),
      );
      // A prefix may go from one subnet to another in one batch: first what is freed, then what is taken.
      for (const { before } of subnets) this.#change(before, (free, cidr) => free.with(prefixOf(cidr)));
      for (const { after } of subnets) this.#change(after, (free, cidr) => free.without(prefixOf(cidr)));
    });
  }

  /** What is free of the pool, of which `subnets` gives those that the tables have. */
  free({ id, prefixes }: SubnetPool, subnets: () => readonly AnyObject[]): PrefixSet {
    const known = this.#free.get(id);
    if (known !== undefined) return known;
    let free = PrefixSet.of(prefixes.map(prefixOf));
    for (const { cidr } of subnets()) free = free.without(prefixOf(String(cidr)));
    this.#free.set(id, free);
    return free;
  }

  #change(subnet: AnyObject | undefined, change: (free: PrefixSet, cidr: string) => PrefixSet): void {
    const pool = subnet?.['subnetpool_id'];
    const free = typeof pool === 'string' ? this.#free.get(pool) : undefined;
    const cidr = String(subnet?.['cidr']);
    if (typeof pool !== 'string' || free === undefined || parseCidr(cidr) === undefined) return;
    this.#free.set(pool, change(free, cidr));
  }
}

/** What of a subnet matters here. */
function placeOf(subnet: AnyObject | undefined): string {
  return `${String(subnet?.['subnetpool_id'])} ${String(subnet?.['cidr'])}`;
}
