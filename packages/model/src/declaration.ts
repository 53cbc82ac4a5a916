/**
 * How a resource is declared: as data. Routes, validation, defaults, visibility, references, indexes, OpenAPI and CLI verbs
 * are all derived from values of these types, so a declaration read from a file at run time is as good as one in this package.
 */

/** The type of an attribute's value on the wire. `dict`: any JSON object; `base64`, `hostname`: checked text. */
export type AttributeType =
  | 'string'
  | 'boolean'
  | 'integer'
  | 'uuid'
  | 'ip'
  | 'cidr'
  | 'ip-or-cidr'
  | 'mac'
  | 'hostname'
  | 'base64'
  | 'timestamp'
  | 'list'
  | 'object'
  | 'dict';

/** A reference to another resource. `restrict`: the target cannot be deleted meanwhile; `cascade`: deleting it deletes the holder. */
export type Reference = { readonly type: string; readonly onDelete: 'restrict' | 'cascade' };

/** One attribute of a resource, or of an object in one. */
export type Attribute = {
  readonly type: AttributeType;
  /** One sentence for OpenAPI and the CLI. */
  readonly description?: string;
  /** Element of a `list`. */
  readonly items?: Attribute;
  /** Attributes of an `object`; each may be absent unless `required`. */
  readonly properties?: Readonly<Record<string, Attribute>>;
  /** When a client may give it; absent: never, the server sets it. */
  readonly write?: 'create' | 'update' | 'both';
  /** Creation without it is refused. */
  readonly required?: true;
  /** Value when the client gives none. */
  readonly default?: unknown;
  /** Name of the derivation that fills it when the client gives none; what it does is code in the server. */
  readonly derive?: string;
  readonly nullable?: true;
  /** Closed set of values. */
  readonly values?: readonly (string | number)[];
  /** Text: a whole number is taken as its digits, e.g. 6 for "6". */
  readonly orInteger?: true;
  /** Text: longest, in characters. List: most elements. */
  readonly maxLength?: number;
  readonly minLength?: number;
  /** Text: most bytes of UTF-8; for what becomes a part of keys in the store, which are of bounded length. */
  readonly maxBytes?: number;
  /** Integers only. */
  readonly minimum?: number;
  readonly maximum?: number;
  readonly reference?: Reference;
  /** Who may give it; absent: anyone who may write the resource. */
  readonly writeBy?: 'admin';
  /** Who may change it later; absent: as `writeBy`. */
  readonly updateBy?: 'admin';
  /** Who sees it; absent: anyone who sees the resource. */
  readonly seeBy?: 'admin';
  /** Lists can be filtered by it; absent: true, except for `dict` and `object`. */
  readonly filter?: false;
  /** Lists can be sorted by it; absent: true for scalars. */
  readonly sort?: false;
  /** Tables keep an index on it. References always have one. */
  readonly indexed?: true;
  /** Not stored: made from other tables when shown. */
  readonly computed?: true;
  /** Not stored: shows the other attribute, and is accepted in its place. */
  readonly aliasOf?: string;
  /** Neutron extension alias that brings the attribute; absent: core. */
  readonly extension?: string;
};

/** What can be done with a resource by the generic routes. */
export type Verb = 'list' | 'show' | 'create' | 'update' | 'delete';

/** An operation on one object besides the verbs: `PUT <prefix>/<path>/{id}/<name>`. */
export type ActionDeclaration = {
  readonly name: string;
  readonly description: string;
  readonly extension?: string;
  /** Body of the request: bare (Neutron's router actions), not wrapped in the resource's name. */
  readonly body: Readonly<Record<string, Attribute>>;
};

/** A resource, declared once. */
export type Resource = {
  /** Snake case; the body's key for one object, and the store's type name. */
  readonly name: string;
  /** The body's key for many. */
  readonly plural: string;
  /** Word in error types, e.g. `SecurityGroup` for `SecurityGroupNotFound`. */
  readonly label: string;
  /** e.g. `/v2.0`. */
  readonly prefix: string;
  /** Last part of the collection's URL, e.g. `security-groups`. */
  readonly path: string;
  readonly description: string;
  readonly verbs: readonly Verb[];
  /** True: has Neutron's standard attributes (`STANDARD_ATTRIBUTES`) and belongs to a project. */
  readonly standard: boolean;
  /** False: no objects of its own in the store; a hook in the server makes them. */
  readonly stored: boolean;
  /** True: only admins see or change it. */
  readonly adminOnly?: true;
  /** A boolean attribute that makes an object visible to every project. */
  readonly sharedBy?: string;
  /** A reference whose target's visibility also shows this object, e.g. `network_id` of a subnet. */
  readonly visibleThrough?: string;
  /** A reference whose target's owner may also see and delete this object, e.g. `network_id` of a port. */
  readonly ownedThrough?: string;
  /** Neutron extension that brings the resource; absent: core. */
  readonly extension?: string;
  /** Further extension aliases whose whole behaviour this declaration has. */
  readonly extensions?: readonly string[];
  readonly actions?: readonly ActionDeclaration[];
  readonly attributes: Readonly<Record<string, Attribute>>;
};

/** A resource with its standard attributes filled in: what every consumer works with. */
export type ResourceModel = Resource & { readonly standardised: true };

/** Attributes of every project-owned resource, in Neutron's words. */
export const STANDARD_ATTRIBUTES = {
  id: { type: 'uuid', description: 'The ID of the object.' },
  tenant_id: {
    type: 'string',
    aliasOf: 'project_id',
    write: 'create',
    maxLength: 255,
    maxBytes: 255,
    description: 'The project.',
  },
  project_id: {
    type: 'string',
    write: 'create',
    derive: 'project',
    maxLength: 255,
    maxBytes: 255,
    indexed: true,
    extension: 'project-id',
    description: 'The project that owns the object.',
  },
  description: {
    type: 'string',
    write: 'both',
    default: '',
    maxLength: 255,
    extension: 'standard-attr-description',
    description: 'A text for people.',
  },
  created_at: { type: 'timestamp', extension: 'standard-attr-timestamp', description: 'Time of creation (UTC).' },
  updated_at: {
    type: 'timestamp',
    extension: 'standard-attr-timestamp',
    description: 'Time of the last change (UTC).',
  },
  revision_number: {
    type: 'integer',
    extension: 'standard-attr-revisions',
    description: 'Rises with every change of the object.',
  },
} as const;

/** The declaration with its standard attributes. Throws when the declaration contradicts itself: that is a bug, or a bad file. */
export function defineResource(resource: Resource): ResourceModel {
  const attributes = resource.standard ? withStandard(resource.attributes) : resource.attributes;
  const problem = findProblem(resource, attributes);
  if (problem !== undefined) throw new Error(`resource ${resource.name}: ${problem}`);
  return { ...resource, attributes, standardised: true };
}

function withStandard(own: Readonly<Record<string, Attribute>>): Readonly<Record<string, Attribute>> {
  const { id, tenant_id, project_id, ...rest } = STANDARD_ATTRIBUTES;
  return { id, tenant_id, project_id, ...own, ...rest };
}

function findProblem(resource: Resource, attributes: Readonly<Record<string, Attribute>>): string | undefined {
  if (!/^[a-z][a-z0-9_]*$/.test(resource.name)) return 'name is not snake case';
  if (!/^\/[a-z0-9./_-]*$/.test(resource.prefix)) return 'prefix is not a path';
  if (!/^[a-z0-9-]+$/.test(resource.path)) return 'path is not one part of a URL';
  if (attributes['id'] === undefined) return 'there is no attribute id';
  for (const [name, attribute] of Object.entries(attributes)) {
    const problem = attributeProblem(attribute, attributes);
    if (problem !== undefined) return `attribute ${name}: ${problem}`;
  }
  for (const name of [resource.sharedBy, resource.visibleThrough, resource.ownedThrough]) {
    if (name !== undefined && attributes[name] === undefined) return `there is no attribute ${name}`;
  }
  return undefined;
}

function attributeProblem(a: Attribute, all: Readonly<Record<string, Attribute>>): string | undefined {
  if ((a.type === 'list') !== (a.items !== undefined)) return 'list and items go together';
  if ((a.type === 'object') !== (a.properties !== undefined)) return 'object and properties go together';
  if (a.required && (a.default !== undefined || a.derive !== undefined)) return 'required has no default';
  if (a.required && a.write === undefined) return 'required but nobody may write it';
  if (a.aliasOf !== undefined && all[a.aliasOf] === undefined) return `aliasOf names no attribute: ${a.aliasOf}`;
  if (a.default === null && a.nullable !== true) return 'default null but not nullable';
  for (const inner of [a.items, ...Object.values(a.properties ?? {})]) {
    const problem = inner === undefined ? undefined : innerProblem(inner);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

function innerProblem(a: Attribute): string | undefined {
  if ((a.type === 'list') !== (a.items !== undefined)) return 'inner list and items go together';
  if ((a.type === 'object') !== (a.properties !== undefined)) return 'inner object and properties go together';
  return undefined;
}

type ValueOf<A> = A extends { readonly nullable: true } ? BareValueOf<A> | null : BareValueOf<A>;

type BareValueOf<A> = A extends { readonly values: readonly (infer V)[] }
  ? V
  : A extends { readonly items: infer I }
    ? readonly ValueOf<I>[]
    : A extends { readonly properties: infer P }
      ? { readonly [K in keyof P]: ValueOf<P[K]> }
      : A extends { readonly type: 'boolean' }
        ? boolean
        : A extends { readonly type: 'integer' }
          ? number
          : A extends { readonly type: 'dict' }
            ? Readonly<Record<string, unknown>>
            : string;

type IsStored<A> = A extends { readonly computed: true } | { readonly aliasOf: string } ? false : true;

type StoredPart<T> = { readonly [K in keyof T as IsStored<T[K]> extends true ? K : never]: ValueOf<T[K]> };

type ShownPart<T> = { readonly [K in keyof T]: ValueOf<T[K]> };

/** The stored object of a declaration (given `as const`): every attribute that is neither computed nor an alias. */
export type ResourceObject<R extends { readonly standard: boolean; readonly attributes: object }> =
  R['standard'] extends true
    ? StoredPart<R['attributes']> & StoredPart<typeof STANDARD_ATTRIBUTES>
    : StoredPart<R['attributes']>;

/** The object of a declaration as the API shows it to an admin. */
export type ResourceView<R extends { readonly standard: boolean; readonly attributes: object }> =
  R['standard'] extends true
    ? ShownPart<R['attributes']> & ShownPart<typeof STANDARD_ATTRIBUTES>
    : ShownPart<R['attributes']>;

/** A stored object of any type. */
export type AnyObject = { readonly id: string } & { readonly [attribute: string]: unknown };
