import type { AnyObject, ResourceModel } from '@cable/model';
import { hiddenOf } from './hidden.ts';

/** The object with every stored attribute, in the declared order: null where nobody gave one. Hidden ones come last. */
export function complete(
  resource: Pick<ResourceModel, 'storedAttributes'>,
  given: Readonly<Record<string, unknown>> & { readonly id: string },
): AnyObject {
  const object: Record<string, unknown> = { id: given.id };
  for (const [name, value] of defaultsOf(resource.storedAttributes)) object[name] = given[name] ?? value;
  for (const name of hiddenOf(given)) object[name] = given[name];
  return object as AnyObject;
}

type Attributes = ResourceModel['storedAttributes'];

const defaults = new WeakMap<Attributes, readonly (readonly [string, unknown])[]>();

function defaultsOf(attributes: Attributes): readonly (readonly [string, unknown])[] {
  const known = defaults.get(attributes);
  if (known !== undefined) return known;
  const made = Object.entries(attributes).map(([name, one]) => [name, one.default ?? null] as const);
  defaults.set(attributes, made);
  return made;
}
