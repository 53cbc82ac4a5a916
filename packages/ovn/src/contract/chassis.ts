/** The machines of OVN, as its Southbound database has them. */
import type { OvsdbListener } from '../ovsdb/ovsdb-client.ts';
import type { Replica, Row } from '../ovsdb/replica.ts';
import type { Translation } from '../translate/translation.ts';
import type { Chassis } from '../translate/world.ts';

/** The columns that are read. `other_config` has since OVN 20.12 what `external_ids` had. */
export const SOUTHBOUND_TABLES: Readonly<Record<string, readonly string[]>> = {
  Chassis: ['name', 'hostname', 'other_config', 'external_ids'],
};

/** What a port on a machine is plugged with. */
export type ChassisPlug = Chassis & { readonly datapathType: string; readonly bridge: string };

/** The listener of the Southbound's client. While that is away, what was known last counts: gateways stay where they are. */
export class ChassisBook implements OvsdbListener {
  readonly #translation: Translation;
  readonly #touch: (units: readonly string[]) => void;
  #plugs = new Map<string, ChassisPlug>();
  #replica: Replica | undefined;
  #isKnown = false;

  constructor(translation: Translation, touch: (units: readonly string[]) => void) {
    this.#translation = translation;
    this.#touch = touch;
  }

  /** The machines were told once. */
  get isKnown(): boolean {
    return this.#isKnown;
  }

  get size(): number {
    return this.#plugs.size;
  }

  /** The machine of this host name, or name; undefined: OVN knows none. */
  find(host: string): ChassisPlug | undefined {
    return this.#plugs.get(host) ?? [...this.#plugs.values()].find(({ hostname }) => hostname === host);
  }

  synced(replica: Replica): void {
    this.#replica = replica;
    this.#isKnown = true;
    this.#take(replica);
  }

  changed(): void {
    if (this.#replica !== undefined) this.#take(this.#replica);
  }

  lost(): void {
    this.#replica = undefined;
  }

  /** No lock is asked for: nothing is written. */
  locked(): void {}

  #take(replica: Replica): void {
    const before = this.#plugs;
    this.#plugs = new Map([...replica.rows('Chassis').values()].map(plugOf).map((one) => [one.name, one]));
    const gone = [...before.keys()].filter((name) => !this.#plugs.has(name));
    const changed = [...this.#plugs.values()].filter(
      (one) => JSON.stringify(before.get(one.name)) !== JSON.stringify(one),
    );
    this.#touch([
      ...gone.flatMap((name) => this.#translation.delete('chassis', name)),
      ...changed.flatMap((one) => this.#translation.put('chassis', one.name, one)),
    ]);
  }
}

function plugOf({ columns }: Row): ChassisPlug {
  const text = (name: string): string => (columns[name]?.kind === 'set' ? String(columns[name].atoms[0] ?? '') : '');
  const config = (key: string): string => {
    for (const name of ['other_config', 'external_ids']) {
      const map = columns[name];
      const value = map?.kind === 'map' ? map.entries.get(key) : undefined;
      if (value !== undefined) return String(value);
    }
    return '';
  };
  const mappings = config('ovn-bridge-mappings').split(',');
  return {
    name: text('name'),
    hostname: text('hostname'),
    physicalNetworks: mappings.flatMap((one) => (one.includes(':') ? [one.slice(0, one.lastIndexOf(':'))] : [])),
    isGateway: config('ovn-cms-options').split(',').includes('enable-chassis-as-gw'),
    datapathType: config('datapath-type') || 'system',
    bridge: 'br-int',
  };
}
