import { type Route, routesOf } from '@cable/api';
import type { AnyObject, Attribute, Reference, Registry, ResourceModel } from '@cable/model';
import { NotLoadedError } from '../not-loaded.ts';

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

/** A proton as it is loaded. `digest`: of its row. */
export type LoadedProton = { readonly name: string; readonly digest: string };

/** What is loaded at one moment, by type, and who refers to whom. Immutable. */
export class LoadedResources {
  readonly registry: Registry;
  /** Stored types of extensions that are loaded at run time: their keys say on the store that they are. */
  readonly keyedTypes: ReadonlySet<string>;
  /** By type of a proton. */
  readonly #protons: ReadonlyMap<string, LoadedProton>;
  /** The routes of all models and their forms. */
  readonly routes: readonly Route[];
  readonly #byType: ReadonlyMap<string, ResourceModel>;
  readonly #holders = new Map<string, Holder[]>();
  readonly #leaves: ReadonlySet<string>;
  readonly #places = new WeakMap<ResourceModel, readonly ReferencePlace[]>();

  /** Throws `DeclarationError` when two would answer the same request. */
  constructor(
    registry: Registry,
    keyedTypes: ReadonlySet<string> = NO_TYPES,
    protons: ReadonlyMap<string, LoadedProton> = NO_PROTONS,
  ) {
    this.registry = registry;
    this.keyedTypes = keyedTypes;
    this.#protons = protons;
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
    this.#leaves = new Set(registry.models.filter((one) => this.#isPlainPart(one)).map(({ type }) => type));
  }

  get all(): readonly ResourceModel[] {
    return this.registry.models;
  }

  /** The proton that the type came by; undefined: none. */
  protonOf(type: string): LoadedProton | undefined {
    return this.#protons.get(type);
  }

  /** Digests of the protons that are loaded, by name. */
  get protons(): ReadonlyMap<string, string> {
    return new Map([...this.#protons.values()].map(({ name, digest }) => [name, digest]));
  }

  /** Types that came by a proton, parents before their parts. */
  typesOf(proton: string): readonly string[] {
    return [...this.#protons].flatMap(([type, { name }]) => (name === proton ? [type] : []));
  }

  /** Types that came by protons. */
  get protonTypes(): ReadonlySet<string> {
    return new Set(this.#protons.keys());
  }

  has(type: string): boolean {
    return this.#byType.has(type);
  }

  /** The model that is stored. Throws `NotLoadedError` for an unknown type. */
  named(type: string): ResourceModel {
    const found = this.#byType.get(type);
    if (found === undefined) throw new NotLoadedError(`the type ${type}`);
    return found;
  }

  /** The same; undefined: it is not loaded. */
  find(type: string): ResourceModel | undefined {
    return this.#byType.get(type);
  }

  /** Who may refer to objects of the type. */
  holdersOf(type: string): readonly Holder[] {
    return this.#holders.get(type) ?? [];
  }

  /** True for parts of others to which nothing refers: thousands of them can go with their whole as one. */
  isLeaf(type: string): boolean {
    return this.#leaves.has(type);
  }

  #isPlainPart({ type, stored, storedAttributes }: ResourceModel): boolean {
    if (!stored || this.holdersOf(type).length > 0) return false;
    const places = Object.entries(storedAttributes).flatMap(([name, attribute]) => placesOf(name, attribute));
    const wholes = places.filter(({ reference }) => reference.onDelete === 'cascade');
    return wholes.length > 0 && wholes.every(({ isList }) => !isList);
  }

  /** The references in an object, each target once a reference kind. */
  heldBy(resource: ResourceModel, object: Readonly<Record<string, unknown>>): readonly HeldReference[] {
    const held: HeldReference[] = [];
    const ids = new Set<string>();
    const add = (attribute: string, { type, onDelete, unless }: Reference, id: unknown): void => {
      if (typeof id !== 'string' || id === unless) return;
      const isSame = (one: HeldReference): boolean => one.id === id && one.type === type && one.onDelete === onDelete;
      if (ids.has(id) && held.some(isSame)) return;
      ids.add(id);
      held.push({ attribute, type, id, onDelete });
    };
    for (const { name, property, isList, reference } of this.#placesOf(resource)) {
      const value = object[name];
      if (!isList) add(name, reference, property === null ? value : propertyOf(value, property));
      else if (Array.isArray(value)) {
        for (const element of value)
          add(name, reference, property === null ? element : (element as AnyObject)[property]);
      }
    }
    return held;
  }

  /** Where objects of a model refer to others, found once. */
  #placesOf(resource: ResourceModel): readonly ReferencePlace[] {
    const known = this.#places.get(resource);
    if (known !== undefined) return known;
    const places = Object.entries(resource.storedAttributes).flatMap(([name, attribute]) => placesOf(name, attribute));
    this.#places.set(resource, places);
    return places;
  }
}

const NO_TYPES: ReadonlySet<string> = new Set();
const NO_PROTONS: ReadonlyMap<string, LoadedProton> = new Map();

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
  constructor(loaded: LoadedResources) {
    this.#current = loaded;
  }

  get current(): LoadedResources {
    return this.#current;
  }

  /** One model of each type. */
  get all(): readonly ResourceModel[] {
    return this.#current.all;
  }

  /** The model that is stored. Throws `NotLoadedError` for an unknown type. */
  named(type: string): ResourceModel {
    return this.#current.named(type);
  }

  /** The same; undefined: it is not loaded. */
  find(type: string): ResourceModel | undefined {
    return this.#current.find(type);
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
    this.take(new LoadedResources(registry));
  }

  /** The same of what has been put together already. */
  take(loaded: LoadedResources): void {
    const before = this.#current;
    this.#current = loaded;
    for (const listener of [...this.#listeners]) listener(this.#current, before);
  }

  /** Calls the listener after each replacement; returns how to stop that. */
  onChange(listener: RegistryListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}

function propertyOf(value: unknown, property: string): unknown {
  return typeof value === 'object' && value !== null ? (value as AnyObject)[property] : undefined;
}

/** Where a reference stands: an attribute, a property of one, each element of a list, or a property of each. */
type ReferencePlace = {
  readonly name: string;
  readonly property: string | null;
  readonly isList: boolean;
  readonly reference: Reference;
};

function placesOf(name: string, { reference, items, properties }: Attribute): readonly ReferencePlace[] {
  const places: ReferencePlace[] = [];
  if (reference !== undefined) places.push({ name, property: null, isList: false, reference });
  if (items?.reference !== undefined) places.push({ name, property: null, isList: true, reference: items.reference });
  for (const [isList, inners] of [[false, properties] as const, [true, items?.properties] as const]) {
    for (const [property, inner] of Object.entries(inners ?? {})) {
      if (inner.reference !== undefined) places.push({ name, property, isList, reference: inner.reference });
    }
  }
  return places;
}

/** The same with the names of the table's indexes. */
function referencesOf(name: string, attribute: Attribute): readonly (readonly [string, Reference])[] {
  return placesOf(name, attribute).map(({ property, reference }) => [
    property === null ? name : `${name}.${property}`,
    reference,
  ]);
}
