import type { AnyObject, Attribute, Reference, ResourceModel } from '@cable/model';

/** An attribute of `holder` that refers to a type; `index` is the name of the table index on it. */
export type Holder = {
  readonly holder: ResourceModel;
  readonly index: string;
  readonly onDelete: Reference['onDelete'];
};

/** One reference that an object holds. `attribute`: where it stands, for messages. */
export type HeldReference = {
  readonly attribute: string;
  readonly type: string;
  readonly id: string;
  readonly onDelete: Reference['onDelete'];
  /** True: the object may be made after what refers to it, e.g. the host that a port is bound to. */
  readonly mayBeAbsent?: true;
};

/** The declared resources by name, and who refers to whom. */
export class ResourceIndex {
  readonly all: readonly ResourceModel[];
  readonly #byName: ReadonlyMap<string, ResourceModel>;
  readonly #holders = new Map<string, Holder[]>();

  constructor(resources: readonly ResourceModel[]) {
    this.all = resources;
    this.#byName = new Map(resources.map((one) => [one.name, one]));
    for (const holder of resources) {
      for (const [name, attribute] of Object.entries(holder.attributes)) {
        for (const [index, reference] of referencesOf(name, attribute)) {
          const known = this.#holders.get(reference.type) ?? [];
          known.push({ holder, index, onDelete: reference.onDelete });
          this.#holders.set(reference.type, known);
        }
      }
    }
  }

  /** Throws for an unknown name. */
  named(name: string): ResourceModel {
    const found = this.#byName.get(name);
    if (found === undefined) throw new Error(`no resource ${name}`);
    return found;
  }

  /** Who may refer to objects of the type. */
  holdersOf(type: string): readonly Holder[] {
    return this.#holders.get(type) ?? [];
  }

  /** The references in an object, each target once a reference kind. */
  heldBy(resource: ResourceModel, object: Readonly<Record<string, unknown>>): readonly HeldReference[] {
    const held = new Map<string, HeldReference>();
    const add = (attribute: string, reference: Reference | undefined, id: unknown): void => {
      if (reference === undefined || typeof id !== 'string') return;
      const { type, onDelete } = reference;
      held.set(`${onDelete}/${type}/${id}`, { attribute, type, id, onDelete });
    };
    for (const [name, attribute] of Object.entries(resource.attributes)) {
      const value = object[name];
      add(name, attribute.reference, value);
      for (const element of Array.isArray(value) ? value : []) {
        add(name, attribute.items?.reference, element);
        for (const [property, inner] of Object.entries(attribute.items?.properties ?? {})) {
          add(name, inner.reference, (element as AnyObject)[property]);
        }
      }
    }
    return [...held.values()];
  }
}

function referencesOf(name: string, attribute: Attribute): readonly (readonly [string, Reference])[] {
  const found: (readonly [string, Reference])[] = [];
  if (attribute.reference !== undefined) found.push([name, attribute.reference]);
  if (attribute.items?.reference !== undefined) found.push([name, attribute.items.reference]);
  for (const [property, inner] of Object.entries(attribute.items?.properties ?? {})) {
    if (inner.reference !== undefined) found.push([`${name}.${property}`, inner.reference]);
  }
  return found;
}
