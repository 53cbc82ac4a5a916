/** Tables for tests of slices, without a store. */
import { type CompilerTables, isRouterInterface, type TableChange } from '@cable/compiler';
import { Table } from '@cable/kit';
import { type AnyObject, BUILT_IN_RESOURCES } from '@cable/model';
import { indexesOf } from '../indexes.ts';

export type World = {
  readonly tables: CompilerTables;
  put(type: TableChange['type'], row: { readonly id: string; readonly [attribute: string]: unknown }): TableChange;
  delete(type: TableChange['type'], id: string): TableChange | undefined;
};

/** Empty tables with the indexes that the server's have. */
export function createWorld(): World {
  const owned = new Map<string, Table<AnyObject, string>>();
  for (const resource of BUILT_IN_RESOURCES) owned.set(resource.name, new Table(resource.name, indexesOf(resource)));
  const port = BUILT_IN_RESOURCES.find((resource) => resource.name === 'port');
  if (port === undefined) throw new Error('no resource port');
  const legs = new Table<AnyObject, string>('router_interface', indexesOf(port));
  const table = (type: string): Table<AnyObject, string> => {
    const found = owned.get(type);
    if (found === undefined) throw new Error(`no table ${type}`);
    return found;
  };
  return {
    tables: { ...Object.fromEntries(owned), router_interface: legs } as unknown as CompilerTables,
    put: (type, row) => {
      const before = table(type).put(row.id, row as AnyObject);
      if (type === 'port') {
        if (isRouterInterface(row as unknown as { device_owner: string })) legs.put(row.id, row as AnyObject);
        else legs.delete(row.id);
      }
      return { type, before, after: row } as unknown as TableChange;
    },
    delete: (type, id) => {
      const before = table(type).delete(id);
      if (type === 'port') legs.delete(id);
      return before === undefined ? undefined : ({ type, before, after: undefined } as unknown as TableChange);
    },
  };
}

/** For caches in which every object can be compiled. */
export function failOnError(what: string, err: unknown): never {
  throw new Error(what, { cause: err });
}
