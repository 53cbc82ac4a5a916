import { answeredRows, type Entry, nameOf, type Row, type TypeName, textOf } from './history.ts';
import type { Random } from './random.ts';

/** Of an answer for many, so many are used further: the pools stay small and hot. */
const KEPT_OF_MANY = 3;

/** What the clients have been told of and use further. It may be out of date: that is what they are for. */
export class World {
  readonly #rows = new Map<TypeName, Map<string, Row>>();
  #count = 0;
  readonly #prefix: string;

  /** `prefix`: begins each name. */
  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  /** A text that nothing else has. */
  newName(): string {
    this.#count += 1;
    return `${this.#prefix}-${this.#count}-`;
  }

  pick(type: TypeName, random: Random): Row | undefined {
    return random.pick(this.all(type));
  }

  all(type: TypeName): readonly Row[] {
    return [...(this.#rows.get(type)?.values() ?? [])];
  }

  /** Takes in what an answer tells. */
  learn(entry: Entry): void {
    const { deed, outcome, status } = entry;
    if ((deed.kind === 'delete' && outcome === 'done') || ('id' in deed && deed.kind !== 'attach' && status === 404)) {
      if (deed.kind !== 'detach') this.#rows.get(deed.type)?.delete(deed.id);
      return;
    }
    if (outcome !== 'done') return;
    if (deed.kind === 'create' || deed.kind === 'update') {
      for (const row of answeredRows(entry).slice(0, KEPT_OF_MANY)) this.#keep(deed.type, row);
    }
    if (deed.kind === 'attach') this.#keep('port', { id: textOf(entry.body, 'port_id'), name: nameOf('port', {}) });
  }

  #keep(type: TypeName, row: Row): void {
    const rows = this.#rows.get(type) ?? new Map<string, Row>();
    this.#rows.set(type, rows.set(textOf(row, 'id'), row));
  }
}
