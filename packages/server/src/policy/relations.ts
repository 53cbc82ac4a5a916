import type { AnyObject, ResourceModel } from '@cable/model';

/** Where an object says which object of another type it is part of: the reference attribute, and the type that it leads to. */
export type Relation = { readonly attribute: string; readonly type: string };

/**
 * Relations by the words that rules use for them: the type's name, its plural, and `ext_parent` for the one in whose path the object is, or else that a delete
 * cascades from.
 */
export type Relations = ReadonlyMap<string, Relation>;

/** A stored object by type and id, as the asker sees it (the tables', or a plan's); undefined: none. */
export type RowOf = (type: string, id: string) => AnyObject | undefined;

/** Of two references to one type the one declared first counts; lists of references are none. */
export function relationsOf(model: ResourceModel, models: ReadonlyMap<string, ResourceModel>): Relations {
  const relations = new Map<string, Relation>();
  for (const [attribute, { reference }] of Object.entries(model.storedAttributes)) {
    if (reference === undefined) continue;
    const names = [reference.type, models.get(reference.type)?.plural ?? reference.type];
    const isParent =
      model.parent === undefined ? reference.onDelete === 'cascade' : model.parent.attribute === attribute;
    if (isParent) names.push('ext_parent');
    for (const name of names) if (!relations.has(name)) relations.set(name, { attribute, type: reference.type });
  }
  return relations;
}
