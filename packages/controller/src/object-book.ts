import type { AnyObject } from '@cable/model';

/** What Cable has of a type, as it was last asked and as it was changed since, by the key of the object that each was made for. */
export class ObjectBook {
  readonly #keyOf: (object: AnyObject) => string;
  readonly #byKey = new Map<string, AnyObject>();

  constructor(keyOf: (object: AnyObject) => string) {
    this.#keyOf = keyOf;
  }

  /** Forgets all, and takes these. */
  take(objects: readonly AnyObject[]): void {
    this.#byKey.clear();
    for (const object of objects) this.keep(object);
  }

  keep(object: AnyObject): void {
    this.#byKey.set(this.#keyOf(object), object);
  }

  get(key: string): AnyObject | undefined {
    return this.#byKey.get(key);
  }

  forget(key: string): void {
    this.#byKey.delete(key);
  }

  keys(): Iterable<string> {
    return this.#byKey.keys();
  }
}
