/** What the server has told of objects: the newest of each counts, however often and late it is told. */
import { type Objects, parseObject, RESOURCES, type ResourceName } from '../translate/neutron.ts';
import type { Translation } from '../translate/translation.ts';

/** One object as a server lists it. */
export type Listed = { readonly id: string; readonly revision: number };

/** What a listing is compared with: what is to be sent (`missing`, `stale`), and what is to be deleted. */
export type Difference = {
  readonly missing: readonly string[];
  readonly stale: readonly string[];
  readonly unknown: readonly string[];
};

/** Deleted objects whose late updates are still known to be late. */
const GONE_MAX = 100_000;

/** Where what is told comes in. */
export class Intake {
  readonly #translation: Translation;
  readonly #touch: (units: readonly string[]) => void;
  /** Of each resource that was compared, what is still to come. */
  readonly #expected = new Map<ResourceName, Map<string, number>>();
  readonly #gone = new Map<string, number>();
  /** Objects of which the server has an older revision: its store was put back, and what it tells next counts. */
  readonly #doubted = new Set<string>();
  #isComplete = false;

  constructor(translation: Translation, touch: (units: readonly string[]) => void) {
    this.#translation = translation;
    this.#touch = touch;
  }

  /** All was compared once, and has come: what is in the database alone may go. Never false again. */
  get isComplete(): boolean {
    return this.#isComplete;
  }

  /** Resources that were not compared yet, and how many objects are still to come. */
  get lacks(): { readonly resources: readonly ResourceName[]; readonly objects: number } {
    const resources = RESOURCES.filter((one) => !this.#expected.has(one));
    return { resources, objects: [...this.#expected.values()].reduce((sum, { size }) => sum + size, 0) };
  }

  /** How many of each there are. */
  get used(): Readonly<Record<ResourceName, number>> {
    return Object.fromEntries(RESOURCES.map((one) => [one, this.#translation.tables[one].size])) as Record<
      ResourceName,
      number
    >;
  }

  get<R extends ResourceName>(resource: R, id: string): Objects[R] | undefined {
    return this.#translation.get(resource, id);
  }

  /** The object is so. Why it cannot be read; undefined: it was taken, or is older than what is known. */
  put(resource: ResourceName, object: unknown, revision: number): string | undefined {
    const parsed = parseObject(resource, object);
    if (!parsed.ok) return parsed.reason;
    const value = { ...parsed.value, revision };
    const key = `${resource}/${value.id}`;
    const known = this.#translation.get(resource, value.id)?.revision;
    const gone = this.#gone.get(key);
    const isLate = known === undefined ? gone !== undefined && gone >= revision : known > revision;
    if (!isLate || this.#doubted.has(key)) {
      this.#gone.delete(key);
      this.#doubted.delete(key);
      this.#touch(this.#translation.put(resource, value.id, value, revision));
    }
    this.#came(resource, value.id, revision);
    return undefined;
  }

  /** The object is gone. `revision`: of its last state; absent: whatever is known of it. */
  delete(resource: ResourceName, id: string, revision: number | undefined): void {
    const known = this.#translation.get(resource, id)?.revision;
    const isDoubted = this.#doubted.delete(`${resource}/${id}`);
    if (revision !== undefined && known !== undefined && known > revision && !isDoubted) return;
    this.#remember(`${resource}/${id}`, revision ?? known ?? -1);
    this.#touch(this.#translation.delete(resource, id));
    this.#came(resource, id, Number.POSITIVE_INFINITY);
  }

  /** Compares what the server has with what is here. */
  compare(resource: ResourceName, listed: readonly Listed[]): Difference {
    const here = this.#translation.tables[resource];
    const revisionOf = (id: string): number | undefined => this.#translation.get(resource, id)?.revision;
    const ids = new Set(listed.map(({ id }) => id));
    const missing = listed.filter(({ id }) => revisionOf(id) === undefined);
    const stale = listed.filter(({ id, revision }) => (revisionOf(id) ?? revision) !== revision);
    for (const { id, revision } of stale) if ((revisionOf(id) ?? 0) > revision) this.#doubted.add(`${resource}/${id}`);
    this.#expected.set(resource, new Map([...missing, ...stale].map(({ id, revision }) => [id, revision])));
    this.#look();
    return {
      missing: missing.map(({ id }) => id),
      stale: stale.map(({ id }) => id),
      unknown: [...here.ids()].filter((id) => !ids.has(id)),
    };
  }

  #came(resource: ResourceName, id: string, revision: number): void {
    const expected = this.#expected.get(resource);
    if ((expected?.get(id) ?? Number.POSITIVE_INFINITY) > revision) return;
    expected?.delete(id);
    this.#look();
  }

  #look(): void {
    if (this.#isComplete) return;
    const { resources, objects } = this.lacks;
    if (resources.length > 0 || objects > 0) return;
    this.#isComplete = true;
    this.#touch([]);
  }

  #remember(key: string, revision: number): void {
    this.#gone.delete(key);
    this.#gone.set(key, revision);
    const [oldest] = this.#gone.keys();
    if (this.#gone.size > GONE_MAX && oldest !== undefined) this.#gone.delete(oldest);
  }
}
