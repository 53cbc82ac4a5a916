import { type Attribute, type Resource, type ResourceModel, STANDARD_ATTRIBUTES } from './declaration.ts';
import { checkDeclaration, DeclarationError } from './declaration-checks.ts';

/** What a declaration cannot know of itself. */
export type DefineContext = {
  /** The model that `parent` names; needed by a nested resource. */
  readonly parent?: ResourceModel;
  /** Aliases of the extensions that are loaded: of the standard attributes those of others are hidden. Absent: all are. */
  readonly loaded?: ReadonlySet<string>;
};

/**
 * The model of a declaration. Throws `DeclarationError`, which names resource, attribute and what to do, when the declaration contradicts itself
 * or is not well formed: that is a bug, or a bad file.
 */
export function defineResource(resource: Resource, { parent, loaded }: DefineContext = {}): ResourceModel {
  checkDeclaration(resource, resource.standard ? standardOf(resource) : {});
  const key = resource.key ?? 'id';
  const standard = resource.standard ? standardAttributes(resource, loaded) : NO_STANDARD;
  const attributes = { ...standard.before, ...resource.attributes, ...standard.after };
  const hidden = { ...standard.hidden, ...resource.hidden };
  return {
    ...resource,
    type: resource.type ?? resource.name,
    key,
    attributes,
    ...(resource.columns === undefined ? {} : { columns: resource.columns.filter((name) => name in attributes) }),
    collection: collectionOf(resource, parent),
    storedAttributes: { ...storedOf(attributes), ...hidden },
    standardised: true,
  };
}

type Attributes = Readonly<Record<string, Attribute>>;
type StandardAttributes = { readonly before: Attributes; readonly after: Attributes; readonly hidden: Attributes };

const NO_STANDARD: StandardAttributes = { before: {}, after: {}, hidden: {} };

/** The standard attributes that a resource has, shown or not. */
function standardOf({ standardShown }: Resource): Attributes {
  const { description, ...rest } = STANDARD_ATTRIBUTES;
  return standardShown === undefined || standardShown.includes('description') ? { ...rest, description } : rest;
}

/** Those of which no loaded extension is are kept all the same: ownership and revisions rest on them. */
function standardAttributes(resource: Resource, loaded: ReadonlySet<string> | undefined): StandardAttributes {
  const { key = 'id', givenId, mayBeUnowned, standardShown } = resource;
  const { id, tenant_id, project_id } = STANDARD_ATTRIBUTES;
  const { id: _id, tenant_id: _tenant, project_id: _project, ...rest } = standardOf(resource);
  const least = mayBeUnowned === true ? { minLength: 0 } : {};
  const isShown = ([name, attribute]: readonly [string, Attribute]): boolean =>
    standardShown === undefined
      ? loaded === undefined || attribute.extension === undefined || loaded.has(attribute.extension)
      : standardShown.includes(name) || (name === 'id' && key === 'id');
  const before = Object.entries<Attribute>({
    ...(key === 'id' ? { id: givenId === true ? { ...id, write: 'create' } : id } : {}),
    tenant_id: { ...tenant_id, ...least },
    project_id: { ...project_id, ...least },
  });
  const after = Object.entries<Attribute>(rest).map(([name, one]): [string, Attribute] => {
    return [name, resource.timesWithoutZone === true && one.type === 'timestamp' ? { ...one, withoutZone: true } : one];
  });
  return {
    before: Object.fromEntries(before.filter(isShown)),
    after: Object.fromEntries(after.filter(isShown)),
    hidden: storedOf(Object.fromEntries([...before, ...after].filter((one) => !isShown(one)))),
  };
}

function storedOf(attributes: Attributes): Attributes {
  return Object.fromEntries(
    Object.entries(attributes).filter(
      ([, { computed, input, aliasOf, grantedBy, grantedThrough }]) =>
        !computed && !input && aliasOf === undefined && grantedBy === undefined && grantedThrough === undefined,
    ),
  );
}

function collectionOf({ name, prefix, path, parent: declared }: Resource, parent: ResourceModel | undefined): string {
  if (declared === undefined) return `${prefix}/${path}`;
  if (parent === undefined) {
    throw new DeclarationError(name, `its parent ${declared.type} is not there`, 'Load the parent with it.');
  }
  return `${parent.collection}/{${parent.name}_id}/${path}`;
}
