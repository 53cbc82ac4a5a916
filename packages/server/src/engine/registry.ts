import { type Route, routesOf } from '@cable/api';
import type { AnyObject, Attribute, Reference, Registry, ResourceModel } from '@cable/model';

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

/** What is loaded at one moment, by type, and who refers to whom. Immutable. */
export class LoadedResources {
  readonly registry: Registry;
  /** The routes of all models and their forms. */
  readonly routes: readonly Route[];
  readonly #byType: ReadonlyMap<string, ResourceModel>;
  readonly #holders = new Map<string, Holder[]>();

  /** Throws `DeclarationError` when two would answer the same request. */
  constructor(registry: Registry) {
    this.registry = registry;
    this.routes = routesOf(registry.models);
    this.#byType = new Map(registry.models.map((one) => [one.type, one]));
    for (const holder of registry.models) {
      for (const [name, attribute] of Object.entries(holder.storedAttributes)) {
        for (const [index, reference] of referencesOf(name, attribute)) {
          const known = this.#holders.get(reference.type) ?? [];
          known.push({ holder, index, onDelete: reference.onDelete });
          this.#holders.set(reference.type, known);
        }
      }
    }
  }

  get all(): readonly ResourceModel[] {
    return this.registry.models;
  }

  /** The model that is stored. Throws for an unknown type. */
  named(type: string): ResourceModel {
    const found = this.#byType.get(type);
    if (found === undefined) throw new Error(`no resource ${type}`);
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
    for (const [name, attribute] of Object.entries(resource.storedAttributes)) {
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

/** Told of what is loaded now and what was before. Must not throw. */
export type RegistryListener = (now: LoadedResources, before: LoadedResources) => void;

/**
 * The resources that are loaded now: one owner, replaced as a whole at run time. Whoever needs one state for the whole of its work takes `current` once; the
 * other methods ask the state of the moment.
 */
export class ResourceRegistry {
  #current: LoadedResources;
  readonly #listeners = new Set<RegistryListener>();

  /** Throws `DeclarationError`. */
  constructor(registry: Registry) {
    this.#current = new LoadedResources(registry);
  }

  get current(): LoadedResources {
    return this.#current;
  }

  /** One model of each type. */
  get all(): readonly ResourceModel[] {
    return this.#current.all;
  }

  /** The model that is stored. Throws for an unknown type. */
  named(type: string): ResourceModel {
    return this.#current.named(type);
  }

  /** Who may refer to objects of the type. */
  holdersOf(type: string): readonly Holder[] {
    return this.#current.holdersOf(type);
  }

  /** The references in an object, each target once a reference kind. */
  heldBy(resource: ResourceModel, object: Readonly<Record<string, unknown>>): readonly HeldReference[] {
    return this.#current.heldBy(resource, object);
  }

  /** From now on this is loaded. Throws `DeclarationError` for what cannot be; then everything is as it was. */
  replace(registry: Registry): void {
    const before = this.#current;
    this.#current = new LoadedResources(registry);
    for (const listener of [...this.#listeners]) listener(this.#current, before);
  }

  /** Calls the listener after each replacement; returns how to stop that. */
  onChange(listener: RegistryListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
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
