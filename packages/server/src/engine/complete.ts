import type { AnyObject, ResourceModel } from '@cable/model';
import { hiddenOf } from './hidden.ts';

/** The object with every stored attribute, in the declared order: null where nobody gave one. Hidden ones come last. */
export function complete(
  resource: Pick<ResourceModel, 'storedAttributes'>,
  given: Readonly<Record<string, unknown>> & { readonly id: string },
): AnyObject {
  // A copy of an object that has all names is written over faster than one is made name by name.
  const { blank, names } = defaultsOf(resource.storedAttributes);
  const object: Record<string, unknown> = { ...blank };
  object['id'] = given.id;
  for (const name of names) {
    const value = given[name];
    if (value !== undefined && value !== null) object[name] = value;
  }
  for (const name of hiddenOf(given)) object[name] = given[name];
  return object as AnyObject;
}

type Attributes = ResourceModel['storedAttributes'];

type Defaults = { readonly blank: Readonly<Record<string, unknown>>; readonly names: readonly string[] };

const defaults = new WeakMap<Attributes, Defaults>();

function defaultsOf(attributes: Attributes): Defaults {
  const known = defaults.get(attributes);
  if (known !== undefined) return known;
  const values = Object.entries(attributes).map(([name, one]) => [name, one.default ?? null]);
  const made = { blank: Object.fromEntries([['id', ''], ...values]), names: Object.keys(attributes) };
  defaults.set(attributes, made);
  return made;
}
