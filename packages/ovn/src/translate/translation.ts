/** The wanted rows of a world that changes. */
import { Dependents } from '@cable/kit';
import type { Objects, ResourceName } from './neutron.ts';
import { DROP_KEY } from './security-groups.ts';
import { rowsOf, unitsOf } from './units.ts';
import type { WantedRow } from './wanted-row.ts';
import { createTables, readsOf, type ThingName, type Things, WorldReader, type WorldTables } from './world.ts';

type Node = { readonly unit: string };

/** Owns the world; says which units are to be looked at again, and what rows each is to have. */
export class Translation {
  readonly tables: WorldTables = createTables();
  readonly #dependents = new Dependents<Node>();
  readonly #nodes = new Map<string, Node>([[DROP_KEY, { unit: DROP_KEY }]]);

  /** Units that are of something. */
  get units(): Iterable<string> {
    return this.#nodes.keys();
  }

  /** The object is so from now on. The units whose rows may be others now. */
  put<N extends ThingName>(name: N, id: string, thing: Things[N], revision = 0): readonly string[] {
    const table = this.tables[name];
    const before = table.get(id) as Things[N] | undefined;
    // The table of a name holds things of that name; the compiler does not see it through the name.
    (table as { put(id: string, thing: Things[N], revision: number): unknown }).put(id, thing, revision);
    for (const unit of unitsOf(name, id)) if (!this.#nodes.has(unit)) this.#nodes.set(unit, { unit });
    return this.#touched(name, id, [before, thing]);
  }

  /** The object is no more; deleting what is not there touches nothing. */
  delete(name: ThingName, id: string): readonly string[] {
    const before = this.tables[name].get(id);
    if (before === undefined) return [];
    this.tables[name].delete(id);
    return this.#touched(name, id, [before]);
  }

  get<R extends ResourceName>(resource: R, id: string): Objects[R] | undefined {
    return this.tables[resource].get(id) as Objects[R] | undefined;
  }

  /** The rows that the unit is to have now. `lacks`: what is missing, by which they are not all; undefined: they are. */
  rowsOf(unit: string): { readonly rows: readonly WantedRow[]; readonly lacks: string | undefined } {
    const read = new WorldReader(this.tables);
    const rows = rowsOf(unit, read);
    const node = this.#nodes.get(unit);
    const made = { rows, lacks: read.lacks[0] };
    if (node === undefined) return made;
    if (this.#isOfSomething(unit)) this.#dependents.set(node, read.reads);
    else {
      this.#dependents.delete(node);
      this.#nodes.delete(unit);
    }
    return made;
  }

  #isOfSomething(unit: string): boolean {
    const [kind = '', id = ''] = unit.split('/');
    if (unit === DROP_KEY) return true;
    return this.tables[kind === 'members' ? 'security_group' : (kind as ResourceName)].get(id) !== undefined;
  }

  #touched<N extends ThingName>(name: N, id: string, rows: readonly (Things[N] | undefined)[]): readonly string[] {
    const reads = rows.flatMap((row) => readsOf(name, id, row));
    const readers = reads.flatMap((read) => this.#dependents.of(read).map(({ unit }) => unit));
    return [...new Set([...unitsOf(name, id), ...readers])];
  }
}
