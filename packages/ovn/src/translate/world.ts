/** What is to be realised, as it was told last, and who reads what of it. */
import { indexRead, type ReadKey, rowRead, Table } from '@cable/kit';
import type { Network, Objects, ResourceName } from './neutron.ts';

/** A machine that OVN knows (its Southbound database says which). */
export type Chassis = {
  readonly name: string;
  readonly hostname: string;
  /** Physical networks that it reaches (`ovn-bridge-mappings`). */
  readonly physicalNetworks: readonly string[];
  /** It is said to be a gateway (`enable-chassis-as-gw`). */
  readonly isGateway: boolean;
};

/** Whether the machine reaches the network by a link of its own; an overlay every machine reaches. */
export function reaches({ physicalNetworks }: Chassis, { physicalNetwork }: Network): boolean {
  return physicalNetwork === null || physicalNetworks.includes(physicalNetwork);
}

/** All that rows are made of. */
export type Things = Objects & { readonly chassis: Chassis };
export type ThingName = keyof Things;

type IndexNames = {
  readonly network: never;
  readonly subnet: never;
  readonly port: 'device' | 'group';
  readonly router: never;
  readonly security_group: never;
  readonly address_group: never;
  readonly floatingip: never;
  readonly chassis: 'all';
};

/** Tables, by what is in them. */
export type WorldTables = { readonly [N in ThingName]: Table<Things[N], IndexNames[N]> };

export function createTables(): WorldTables {
  return {
    network: new Table('network', {}),
    subnet: new Table('subnet', {}),
    port: new Table('port', { device: (port) => [port.deviceId], group: (port) => port.groups }),
    router: new Table('router', {}),
    security_group: new Table('security_group', {}),
    address_group: new Table('address_group', {}),
    floatingip: new Table('floatingip', {}),
    chassis: new Table('chassis', { all: () => [''] }),
  };
}

/** What was read when a row changed: to be asked before and after the change, because a row may leave an index. */
export function readsOf<N extends ThingName>(name: N, id: string, row: Things[N] | undefined): readonly ReadKey[] {
  const own = rowRead(name, id);
  if (row === undefined) return [own];
  if (name === 'chassis') return [own, indexRead(name, 'all', '')];
  if (name !== 'port') return [own];
  const { deviceId, groups } = row as Things['port'];
  return [own, indexRead('port', 'device', deviceId), ...groups.map((group) => indexRead('port', 'group', group))];
}

/** Reads, and remembers what was read. */
export class WorldReader {
  readonly reads: Set<ReadKey> = new Set();
  /** What is missing, by which the rows are not all that they are to be. */
  readonly lacks: string[] = [];
  readonly #tables: WorldTables;

  constructor(tables: WorldTables) {
    this.#tables = tables;
  }

  get<N extends ResourceName>(name: N, id: string): Objects[N] | undefined {
    this.reads.add(rowRead(name, id));
    return this.#tables[name].get(id) as Objects[N] | undefined;
  }

  /** What an object cannot be realised without. */
  need<N extends ResourceName>(name: N, id: string): Objects[N] | undefined {
    const found = this.get(name, id);
    if (found === undefined) this.lacks.push(`${name} ${id} was not told`);
    return found;
  }

  /** In the order of their ids. */
  portsOf(index: 'device' | 'group', key: string): readonly Objects['port'][] {
    this.reads.add(indexRead('port', index, key));
    return [...this.#tables.port.by(index, key)].sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  /** The machine of this host name, or name. */
  chassisOf(host: string): Chassis | undefined {
    return this.chassis().find(({ name, hostname }) => name === host || hostname === host);
  }

  chassis(): readonly Chassis[] {
    this.reads.add(indexRead('chassis', 'all', ''));
    return this.#tables.chassis.by('all', '');
  }
}
