import { indexRead, type ReadKey, rowRead } from '@cable/kit';
import type { CompilerTables, IndexName, TableName, TableRows } from './compiler-tables.ts';

/** Reads the tables for one computation and notes what it read, so that a change of any of it is known to concern the computation. */
export class Reader {
  readonly #tables: CompilerTables;
  #reads = new Set<ReadKey>();

  constructor(tables: CompilerTables) {
    this.#tables = tables;
  }

  get<T extends TableName>(table: T, id: string): TableRows[T] | undefined {
    this.#reads.add(rowRead(table, id));
    return this.#tables[table].get(id);
  }

  by<T extends TableName>(table: T, index: IndexName<T>, key: string): readonly TableRows[T][] {
    this.#reads.add(indexRead(table, index, key));
    return this.#tables[table].by(index, key);
  }

  /** What has been read since this was last asked. */
  takeReads(): ReadonlySet<ReadKey> {
    if (this.#reads.size === 0) return NOTHING;
    const reads = this.#reads;
    this.#reads = new Set();
    return reads;
  }
}

const NOTHING: ReadonlySet<ReadKey> = new Set();
