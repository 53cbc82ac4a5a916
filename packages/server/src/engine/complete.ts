import type { AnyObject, ResourceModel } from '@cable/model';
import { hiddenOf } from './hidden.ts';

/** The object with every stored attribute, in the declared order: null where nobody gave one. Hidden ones come last. */
export function complete(
  resource: Pick<ResourceModel, 'storedAttributes'>,
  given: Readonly<Record<string, unknown>> & { readonly id: string },
): AnyObject {
  const object: Record<string, unknown> = { id: given.id };
  for (const [name, attribute] of Object.entries(resource.storedAttributes)) {
    object[name] = given[name] ?? attribute.default ?? null;
  }
  for (const name of hiddenOf(given)) object[name] = given[name];
  return object as AnyObject;
}
