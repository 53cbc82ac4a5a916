import { answeredPolicy, answeredRows, type Deed, type Entry, type Row, type TypeName, textOf } from './history.ts';
import type { Random } from './random.ts';

/** Of an answer for many, so many are used further: the pools stay small and hot. */
const KEPT_OF_MANY = 3;
/** So many of a type, the newest, are asked for. */
const HOT = 12;

/** A tag that an object was given. */
export type Tag = Extract<Deed, { readonly kind: 'tag' | 'untag' }>;

/** An RBAC policy by which an object was shared. */
export type Grant = { readonly type: TypeName; readonly id: string; readonly policyId: string };

/** What the clients have been told of and use further. It may be out of date: that is what they are for. */
export class World {
  readonly #rows = new Map<TypeName, Map<string, Row>>();
  /** Answers to attaches: `id` is the router's. */
  readonly #legs = new Map<string, Row>();
  readonly #tags: Tag[] = [];
  readonly #grants: Grant[] = [];
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
    return random.pick(this.hot(type));
  }

  hot(type: TypeName): readonly Row[] {
    return [...(this.#rows.get(type)?.values() ?? [])].slice(-HOT);
  }

  pickLeg(random: Random): Row | undefined {
    return random.pick([...this.#legs.values()].slice(-HOT));
  }

  /** One of those that were given last, which may be gone. */
  pickTag(random: Random): Tag | undefined {
    return random.pick(this.#tags.slice(-HOT));
  }

  /** The same of RBAC policies. */
  pickGrant(random: Random): Grant | undefined {
    return random.pick(this.#grants.slice(-HOT));
  }

  /** Takes in what an answer tells. */
  learn(entry: Entry): void {
    const { deed, outcome, status } = entry;
    if (deed.kind === 'tag' && outcome === 'done') this.#tags.push(deed);
    if (deed.kind === 'grant' && outcome === 'done') {
      this.#grants.push({ type: deed.type, id: deed.id, policyId: textOf(answeredPolicy(entry), 'id') });
    }
    // What is not found may be the tag, or the policy.
    if (deed.kind === 'untag' || deed.kind === 'regrant' || deed.kind === 'revoke') return;
    if ((deed.kind === 'delete' && outcome === 'done') || ('id' in deed && deed.kind !== 'attach' && status === 404)) {
      if (deed.kind !== 'detach') this.#rows.get(deed.type)?.delete(deed.id);
      return;
    }
    if (outcome !== 'done') return;
    if (deed.kind === 'create' || deed.kind === 'update') {
      for (const row of answeredRows(entry).slice(0, KEPT_OF_MANY)) this.#keep(deed.type, row);
    }
    if (deed.kind === 'detach') this.#legs.delete(textOf(entry.body, 'port_id'));
    if (deed.kind === 'attach' && entry.body !== undefined) this.#legs.set(textOf(entry.body, 'port_id'), entry.body);
  }

  #keep(type: TypeName, row: Row): void {
    const rows = this.#rows.get(type) ?? new Map<string, Row>();
    this.#rows.set(type, rows.set(textOf(row, 'id'), row));
  }
}
