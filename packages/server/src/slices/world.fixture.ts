/** Tables for tests of slices, without a store; what hosts are to have, computed from nothing; and random changes. */
import {
  type CompilerTables,
  indexKeys,
  isGatewayPort,
  isRouterInterface,
  isSent,
  KINDS,
  type NodeKey,
  Reader,
  sourceKeysOf,
  splitKey,
  type TableChange,
  type TableName,
  type TableRows,
} from '@cable/compiler';
import { Table, type Turns } from '@cable/kit';
import { type AnyObject, BUILT_IN_RESOURCES } from '@cable/model';
import { indexesOf } from '../indexes.ts';
import { testHost, testLeg, testNetwork, testPort, testRouter, testRule, testSubnet, uuid } from './rows.fixture.ts';

export type World = {
  readonly tables: CompilerTables;
  put(type: TableChange['type'], row: { readonly id: string; readonly [attribute: string]: unknown }): TableChange;
  delete(type: TableChange['type'], id: string): TableChange | undefined;
};

/** Empty tables with the indexes that the server's have. */
export function createWorld(): World {
  const owned = new Map<string, Table<AnyObject, string>>();
  for (const resource of BUILT_IN_RESOURCES) owned.set(resource.name, new Table(resource.name, indexesOf(resource)));
  // Made of rows of protons, in no store.
  owned.set('vpn', new Table('vpn', { targets: (row) => row['targets'] as readonly string[] }));
  const port = BUILT_IN_RESOURCES.find((resource) => resource.name === 'port');
  if (port === undefined) throw new Error('no resource port');
  const legs = new Table<AnyObject, string>('router_interface', indexesOf(port));
  const gateways = new Table<AnyObject, string>('router_gateway', indexesOf(port));
  type Owned = { readonly device_owner: string };
  const derive = (id: string, row: AnyObject | undefined): void => {
    for (const [rows, keep] of [
      [legs, isRouterInterface],
      [gateways, isGatewayPort],
    ] as const) {
      if (row !== undefined && keep(row as unknown as Owned)) rows.put(id, row);
      else rows.delete(id);
    }
  };
  const table = (type: string): Table<AnyObject, string> => {
    const found = owned.get(type);
    if (found === undefined) throw new Error(`no table ${type}`);
    return found;
  };
  return {
    tables: {
      ...Object.fromEntries(owned),
      router_interface: legs,
      router_gateway: gateways,
    } as unknown as CompilerTables,
    put: (type, row) => {
      const before = table(type).put(row.id, row as AnyObject);
      if (type === 'port') derive(row.id, row as AnyObject);
      return { type, before, after: row } as unknown as TableChange;
    },
    delete: (type, id) => {
      const before = table(type).delete(id);
      if (type === 'port') derive(id, undefined);
      return before === undefined ? undefined : ({ type, before, after: undefined } as unknown as TableChange);
    },
  };
}

/** For stores in which every object can be compiled. */
export function failOnError(what: string, err: unknown): never {
  throw new Error(what, { cause: err });
}

/** Content of slices: header and items by `<slice key>` and `<slice key> <item key>`. */
export type Contents = Map<string, unknown>;

/** What the host is to have, from the tables alone; nothing when it is not registered. */
export function contentsOf(tables: CompilerTables, host: string): Contents {
  const contents: Contents = new Map();
  const seen = new Set<NodeKey>();
  const pending: NodeKey[] = tables.host.get(host) === undefined ? [] : [`host:${host}`];
  for (let key = pending.pop(); key !== undefined; key = pending.pop()) {
    if (seen.has(key)) continue;
    seen.add(key);
    for (const [item, value, refs] of sliceOf(tables, key)) {
      if (isSent(key)) contents.set(item === null ? key : `${key} ${item}`, value);
      pending.push(...refs);
    }
  }
  return contents;
}

function sliceOf(tables: CompilerTables, key: NodeKey): [string | null, unknown, readonly NodeKey[]][] {
  const { kind, id } = splitKey(key);
  const { header, items } = KINDS[kind];
  const reader = new Reader(tables);
  const head = header(reader, id);
  if (head === undefined) return [];
  const parts: [string | null, unknown, readonly NodeKey[]][] = [[null, head.value, head.refs]];
  const rows: TableRows[TableName][] = items === undefined ? [] : [...tables[items.table].values()];
  for (const row of rows) {
    const keys = indexKeys(items?.table ?? 'port', items?.index ?? '', row);
    if (!sourceKeysOf(KINDS[kind], id, head).some((source) => keys.includes(source))) continue;
    for (const item of items?.compute(reader, row, id) ?? []) parts.push([item.key, item.value, item.refs]);
  }
  return parts;
}

export const WORLD_HOSTS: readonly string[] = ['h1', 'h2', 'h3'];

type Edit = readonly [TableChange['type'], Parameters<World['put']>[1]];

const NETS = [testNetwork(1), testNetwork(2), testNetwork(3)] as const;

/** One random change of a small world, in which nothing guarantees that a reference has its referent. */
export function randomChange(world: World, random: () => number): TableChange | undefined {
  const pick = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)] as T;
  const net = pick(NETS);
  const [g1, g2] = [uuid(0x71), uuid(0x72)];
  const groups = [g1, g2].filter(() => random() < 0.5);
  const edits: readonly Edit[] = [
    ['network', { ...net, admin_state_up: random() < 0.8, mtu: pick([1450, 8950]) }],
    ['subnet', testSubnet(net, { cidr: pick(['10.0.0.0/16', '10.0.0.0/17']) })],
    ['router', testRouter(5 + Math.floor(random() * 2))],
    ['host', testHost(pick(WORLD_HOSTS), pick(['192.0.2.1', '192.0.2.2']))],
    ['port', testLeg(0x50 + Math.floor(random() * 3), pick([uuid(5), uuid(6)]), net)],
    ['security_group_rule', testRule(0x80 + Math.floor(random() * 3), pick([g1, g2]), pick([null, g1, g2]))],
    ...[1, 2, 3, 4].map((): Edit => {
      const host = pick(['', ...WORLD_HOSTS]);
      const more = { security_groups: groups, admin_state_up: random() < 0.8 };
      return ['port', testPort(0x10 + Math.floor(random() * 8), net, host, more)];
    }),
  ];
  const [type, row] = pick(edits);
  return random() < (type === 'host' ? 0.1 : 0.3) ? world.delete(type, row.id) : world.put(type, row);
}

/** A generator of numbers in [0, 1) that gives the same ones for the same seed. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** Turns that are always due, so that whatever may happen in between does. */
export function shortTurns(): Turns {
  return { due: () => true, next: () => new Promise(setImmediate) };
}
