import {
  answeredRows,
  type Entry,
  groupEntries,
  mayBeDone,
  type Row,
  type TypeName,
  targetOf,
  textOf,
} from './history.ts';

/** The objects in the store, by type and id. */
export type Objects = ReadonlyMap<string, ReadonlyMap<string, Row>>;

/** An object of which a client was told that it was made. */
export type Known = { readonly type: TypeName; readonly id: string; readonly row: Row; readonly made: Entry };

/** From its endedAt on it may be, and not before its startedAt. */
type Span = Pick<Entry, 'startedAt' | 'endedAt'>;

/** The history, by object. */
export class Ledger {
  readonly entries: readonly Entry[];
  readonly known: ReadonlyMap<string, Known>;
  /** Whatever may have deleted it, by its id, or by that of a parent. */
  readonly #ends: ReadonlyMap<string, readonly Entry[]>;
  readonly #detaches: readonly Entry[];

  constructor(entries: readonly Entry[]) {
    this.entries = entries;
    this.known = knownOf(entries);
    const done = entries.filter(mayBeDone);
    this.#ends = groupEntries(
      done.filter(({ deed }) => deed.kind === 'delete'),
      targetOf,
    );
    this.#detaches = done.filter(({ deed }) => deed.kind === 'detach');
  }

  /** The requests that may have deleted an object: its own, those of what it cascades from, and detaches of a router's leg. */
  endsOf(type: string, id: string, row: Row): readonly Entry[] {
    return [
      ...this.#deletesOf(id),
      ...parentsOf(type, row).flatMap((parent) => this.#deletesOf(parent)),
      ...(type === 'port' ? this.#detaches.filter((entry) => mayDetach(entry, id)) : []),
    ];
  }

  #deletesOf(id: string): readonly Entry[] {
    return this.#ends.get(id) ?? [];
  }

  /** True when the object was there through the whole time, whatever the unknown answers were. */
  isThereThrough(id: string, { startedAt, endedAt }: Span): boolean {
    const known = this.known.get(id);
    if (known === undefined || known.made.endedAt > startedAt || isKeyed(known.made)) return false;
    return this.endsOf(known.type, id, known.row).every((end) => end.startedAt > endedAt);
  }
}

/** True for a create with an Idempotency-Key: its object may come again when it was deleted. */
export function isKeyed({ deed }: Entry): boolean {
  return deed.kind === 'create' && deed.key !== null;
}

/** What an answered create or attach made. */
function knownOf(entries: readonly Entry[]): ReadonlyMap<string, Known> {
  const known = new Map<string, Known>();
  for (const made of entries) {
    const { deed, outcome, body } = made;
    if (outcome !== 'done') continue;
    if (deed.kind === 'create') {
      for (const row of answeredRows(made)) {
        const id = textOf(row, 'id');
        if (!known.has(id)) known.set(id, { type: deed.type, id, row, made });
      }
    }
    if (deed.kind === 'attach' && deed.body.port_id === undefined) {
      const id = textOf(body, 'port_id');
      const row = { id, fixed_ips: [{ subnet_id: body?.['subnet_id'] }] };
      known.set(id, { type: 'port', id, row, made });
    }
  }
  return known;
}

function parentsOf(type: string, row: Row): readonly string[] {
  if (type === 'subnet') return [textOf(row, 'network_id')];
  // With its network goes one that leads nowhere.
  if (type === 'floatingip') return [textOf(row, 'floating_network_id')];
  if (type === 'security_group_rule') return [textOf(row, 'security_group_id'), textOf(row, 'remote_group_id')];
  return [];
}

/** A detach without an answer that named a subnet may have been of any leg: updates give ports other subnets before they become legs. */
function mayDetach({ deed, outcome, body }: Entry, id: string): boolean {
  if (deed.kind !== 'detach') return false;
  if (outcome === 'done') return textOf(body, 'port_id') === id;
  return deed.body.port_id === undefined || deed.body.port_id === id;
}
