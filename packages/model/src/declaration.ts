/**
 * How a resource is declared: as data. Routes, validation, defaults, visibility, references, indexes, OpenAPI and CLI verbs
 * are all derived from values of these types, so a declaration read from a file at run time is as good as one in this package.
 */

/** The type of an attribute's value on the wire. `dict`: any JSON object; `any`: any JSON; `number`: any finite one; `base64`, `hostname`: checked text. */
export type AttributeType =
  | 'string'
  | 'boolean'
  | 'integer'
  | 'number'
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
  | 'dict'
  | 'any';

/** A reference to another resource. `restrict`: the target cannot be deleted meanwhile; `cascade`: deleting it deletes the holder. */
export type Reference = {
  readonly type: string;
  readonly onDelete: 'restrict' | 'cascade';
  /** A value that stands for no object of the type, but for something else. */
  readonly unless?: string;
};

/**
 * The error of a value that is refused: its code (`ERRORS`), and its text, in which `{value}` stands for the value. `label`: of the type that the error is about;
 * `NotFound` has one.
 */
export type BadValue = { readonly code: string; readonly message: string; readonly label?: string };

/** One attribute of a resource, or of an object in one. */
export type Attribute = {
  readonly type: AttributeType;
  /** One sentence for OpenAPI and the CLI. */
  readonly description?: string;
  /** Element of a `list`. */
  readonly items?: Attribute;
  /** Of a list of objects: properties of which no two items have the same value. */
  readonly distinct?: readonly string[];
  /**
   * Of a list of objects: why it is refused when two items are alike, in one of `distinct` or else in everything; `{value}` stands for what they have in common.
   * Absent: items that are alike in everything are taken.
   */
  readonly repeated?: string;
  /** A `cidr`: a route leads there, so it is in no loopback prefix. */
  readonly routable?: true;
  /** Attributes of an `object`; each may be absent unless `required`. */
  readonly properties?: Readonly<Record<string, Attribute>>;
  /** Of an `object`: what is given besides its properties is left out; absent: it is refused. */
  readonly besides?: 'ignored';
  /** When a client may give it; absent: never, the server sets it. */
  readonly write?: 'create' | 'update' | 'both';
  /** Creation without it is refused. */
  readonly required?: true;
  /** Of an attribute of an `object`: required unless another one has this value. */
  readonly requiredUnless?: { readonly attribute: string; readonly is: string };
  /** Value when the client gives none. */
  readonly default?: unknown;
  /** Name of the derivation that fills it when the client gives none; what it does is code in the server. */
  readonly derive?: string;
  readonly nullable?: true;
  /** Closed set of values. */
  readonly values?: readonly (string | number)[];
  /** Text: a whole number is taken as its digits, e.g. 6 for "6". */
  readonly orInteger?: true;
  /** A boolean, or a number: no text stands for it; of a closed set: as it is spelled; a list: null is not the default. Absent: `"true"` and `"5"` are taken, any case, and null for a list, as Neutron does. */
  readonly strict?: true;
  /** Of a `list`: items may be alike. Absent: two that are alike are refused. */
  readonly repeats?: true;
  /** Of a `timestamp`: shown without the Z that says UTC. Absent: with it. */
  readonly withoutZone?: true;
  /** A `cidr`: host bits that a client gives are cleared, and an address alone is a prefix of its own; absent: both are refused. An `ip-or-cidr`: those of a prefix are kept; absent: cleared. */
  readonly hostBits?: 'cleared' | 'kept';
  /** Of a `cidr` with `hostBits`: an address without a prefix length is refused. Absent: it is taken as a prefix of one address. */
  readonly needsLength?: true;
  /** Text: longest, in characters. List: most elements. */
  readonly maxLength?: number;
  readonly minLength?: number;
  /** Text: most bytes of UTF-8; for what becomes a part of keys in the store, which are of bounded length and have no control characters. */
  readonly maxBytes?: number;
  /** Integers only. */
  readonly minimum?: number;
  readonly maximum?: number;
  /** Absent: that of all attributes, `HTTPBadRequest`. */
  readonly badValue?: BadValue;
  readonly reference?: Reference;
  /** Who may give it; absent: anyone who may write the resource. */
  readonly writeBy?: 'admin';
  /** Who may change it later; absent: as `writeBy`. */
  readonly updateBy?: 'admin';
  /** The rule of who may give it is asked even when what is given is its default, as Neutron does of attributes for which it has none. Absent: then it is not. */
  readonly ruleOfDefault?: true;
  /** Who sees it; absent: anyone who sees the resource. */
  readonly seeBy?: 'admin';
  /** Lists can be filtered by it; absent: true. Never by a `dict` or an `object`. */
  readonly filter?: boolean;
  /**
   * Of a list of texts: lists are filtered as by Neutron's tags. `<name>=a,b` takes what has both, `<name>-any` what has one of them, `not-<name>` what lacks one,
   * `not-<name>-any` what has none.
   */
  readonly filterAs?: 'members';
  /** Lists can be sorted by it; absent: true. Never by a `list`, a `dict` or an `object`. */
  readonly sort?: boolean;
  /** Tables keep an index on it. References always have one. */
  readonly indexed?: true;
  /** Not stored: made from other tables when shown. */
  readonly computed?: true;
  /** Not stored and never shown: a client may give it when it creates or changes the object, and contributions look at it, e.g. `prefixlen` of a subnet. */
  readonly input?: true;
  /** Never shown: lists can be filtered by it, and no more. */
  readonly filterOnly?: true;
  /** Where it is shown: in lists, or of an object that is shown alone; absent: in both. */
  readonly shownIn?: 'list' | 'show';
  /** A client's null counts as if it had given none. */
  readonly nullAsAbsent?: true;
  /** Of a `list`: a client's null counts as an empty list. */
  readonly nullAsEmpty?: true;
  /** Of what is `nullable`: a client's empty text counts as null. */
  readonly emptyAsNull?: true;
  /** Texts that a client may know from elsewhere and that are refused, each with the reason and the remedy. */
  readonly refuses?: Readonly<Record<string, string>>;
  /** Not stored: shows the stored attribute of this name, and is accepted in its place. */
  readonly aliasOf?: string;
  /**
   * Not stored: true for a caller whose project, or `*`, is in the stored list of this name (`isGrantedTo`). Given, true and false stand for `*` in the list and for none:
   * what that comes to is code in the server.
   */
  readonly grantedBy?: string;
  /** Of a `filterOnly`: a reference. Lists are filtered by whether the attribute of the same name is true of what it leads to (`grantedBy` there). */
  readonly grantedThrough?: string;
  /** A value as it may be given or shown, for OpenAPI and the reference. */
  readonly example?: unknown;
  /** Name of its option at the command line, without dashes in front, where its own name cannot be one. Absent: made of the name. */
  readonly option?: string;
  /** What the value must be besides, as JSON Schema (2020-12), for OpenAPI; who checks it is a contribution in the server. Absent: what the other fields say. */
  readonly schema?: Readonly<Record<string, unknown>>;
  /** Alias of the extension that brings the attribute, set by `composeRegistry`; absent: core. */
  readonly extension?: string;
};

/** What can be done with a resource by the generic routes. */
export type Verb = 'list' | 'show' | 'create' | 'update' | 'delete';

/** An operation besides the verbs, on one object (`<collection>/{id}/<path>`) or on the collection (`<collection>/<path>`). */
export type ActionDeclaration = {
  /** Snake case, once a resource: names what does it in the server, and its permission rule. */
  readonly name: string;
  readonly description: string;
  /** Absent: `object`. */
  readonly on?: 'object' | 'collection';
  /** Absent: PUT. */
  readonly method?: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** Parts of the path behind the object or the collection, e.g. `tags/{tag}`; a part in braces is a parameter. Absent: the name. */
  readonly path?: string;
  /** Attributes of the request's body, each of which may be given whatever its `write`; absent: there is none. */
  readonly body?: Readonly<Record<string, Attribute>>;
  /** Key that the body is wrapped in; absent: it is bare, as in Neutron's router actions. */
  readonly bodyKey?: string;
  /** Attributes of the answer; absent: any object, or none when the status is 204. */
  readonly answer?: Readonly<Record<string, Attribute>>;
  /** Key that the answer is wrapped in; absent: it is bare. */
  readonly answerKey?: string;
  /** Status of success; absent: 200. */
  readonly status?: 200 | 201 | 202 | 204;
  /** Name of its permission rule, in which `{plural}` stands for that of the resource; several may have one. Absent: made of its name and the type. */
  readonly rule?: string;
  /** Error of a body that is refused, with Neutron's text of that; absent: `HTTPBadRequest`. */
  readonly badBody?: 'InvalidInput';
  /** Of `body`: what is given besides its attributes is left out; absent: it is refused. */
  readonly besides?: 'ignored';
  /** Without `body`: whatever a client sends is not looked at; absent: it must be nothing, or an empty object. */
  readonly anyBody?: true;
  /** True: it has no command of its own, options of others do it. */
  readonly noCommand?: true;
  /** Alias of the extension that brings it, set by `composeRegistry`; absent: core, or as its resource. */
  readonly extension?: string;
};

/** What a nested resource is part of. Its collection is `<the parent's>/{id}/<path>`; an object is found only under its own parent. */
export type ParentDeclaration = {
  /** Type of the parent, which is not nested itself. */
  readonly type: string;
  /** The attribute, shown or hidden, that refers to the parent: a create sets it from the path. */
  readonly attribute: string;
};

/**
 * A further form in which the objects of a type are served, beside the declared one, which is that of the store: another version of its API, or the
 * same objects in another API's words. A form of a nested resource is below the parent's form of the same name if there is one, else on its own; that of one which is not
 * nested may be below another (`under`).
 */
export type FormDeclaration = {
  /** Once a resource, e.g. `v2` or `native`; with the type it names the form in OpenAPI: `thing.v2`. */
  readonly form: string;
  readonly prefix: string;
  /** Each absent: as declared. */
  readonly path?: string;
  readonly name?: string;
  readonly plural?: string;
  readonly verbs?: readonly Verb[];
  /** Attributes that have another name here: served name -> declared name. */
  readonly renames?: Readonly<Record<string, string>>;
  /** Declared names of attributes that are not served here. */
  readonly omits?: readonly string[];
  /** Declared names of the only attributes that are served here, besides the key; absent: all that are not omitted. */
  readonly serves?: readonly string[];
  /** Second names that attributes have here, each shown and taken beside the first: second name -> declared name. */
  readonly also?: Readonly<Record<string, string>>;
  /** Names of the actions that are served here; absent: all. */
  readonly actions?: readonly string[];
  /** Statuses of success that differ from those of other resources, by verb. */
  readonly statuses?: Readonly<Partial<Record<Verb, 200 | 201 | 202 | 204>>>;
  /** What a create through this form gives an attribute that it does not name; by served name, or by declared name of an omitted one. */
  readonly defaults?: Readonly<Record<string, unknown>>;
  /** True: OpenAPI says that clients should leave it. */
  readonly deprecated?: true;
  /**
   * The attributes of this form, in place of the declared ones: what they have to do with those is code in the server (`Contribution.codecs`). The key has its declared name. Absent:
   * they are the declared ones, as the fields above have it.
   */
  readonly attributes?: Readonly<Record<string, Attribute>>;
  /** What this form is part of: the type, the attribute that refers to it, and the form in whose path it stands. Absent: as declared. */
  readonly under?: ParentDeclaration & { readonly form?: string };
};

/** A resource, declared once. */
export type Resource = {
  /** Snake case, once in the registry: the type in the store, in references and in permission rules. Absent: the name. */
  readonly type?: string;
  /** Snake case; the body's key for one object. Two APIs may each have a `port`. */
  readonly name: string;
  /** The body's key for many. */
  readonly plural: string;
  /** Word in error types, e.g. `SecurityGroup` for `SecurityGroupNotFound`. */
  readonly label: string;
  /** What is said of an object that is not there; `{id}` stands for its id. Absent: the label in words, e.g. `Security group {id} could not be found.` */
  readonly notFound?: string;
  /** e.g. `/v2.0`. */
  readonly prefix: string;
  /** URL of the collection behind the prefix, or behind its parent, e.g. `security-groups`, `qos/policies`. */
  readonly path: string;
  readonly description: string;
  readonly verbs: readonly Verb[];
  /**
   * The attribute that identifies an object, in paths and references; absent: `id`. Any other is given by the client or, a `uuid` left out, made; it stays as it is,
   * has no control character, at most 1024 bytes and, unless `implied`, no slash, and is stored under `id` as well.
   */
  readonly key?: string;
  /**
   * True: who creates an object may give its `id`, as one that is made of what the object stands for. A create with the id of one that is there is refused (`HTTPConflict`), so
   * that one which is sent again makes nothing twice. Only with the key `id`.
   */
  readonly givenId?: true;
  readonly parent?: ParentDeclaration;
  /** True: has Neutron's standard attributes (`STANDARD_ATTRIBUTES`) and belongs to a project. */
  readonly standard: boolean;
  /** Of the standard attributes those that are shown; the others are kept all the same, but for `description`, which is there only if it is named. Absent: all are shown. */
  readonly standardShown?: readonly string[];
  /** True: its times are shown without the Z that says UTC. */
  readonly timesWithoutZone?: true;
  /** True: one object stands in bodies as it is, not wrapped in its name; lists are wrapped. Absent: wrapped, as in Neutron. */
  readonly bare?: true;
  /** False: no objects of its own in the store; a hook in the server makes them. */
  readonly stored: boolean;
  /** True: only admins see or change it. */
  readonly adminOnly?: true;
  /** Who may see one object alone; absent: whom the rule `get_<type>` lets see it. Lists are as that rule has it. */
  readonly showBy?: 'admin';
  /**
   * True: there is one for each key at any time. One that nobody has given anything has no row, or one without values: a hook fills in what is shown of it, and
   * lists leave it out. An update makes the row; a delete takes back what was given of what its form serves. It has a `key` of its own and no verb `create`.
   */
  readonly implied?: true;
  /** True: its objects can be tagged: it has what extensions bring under `*tagged`. */
  readonly tagged?: true;
  /** A boolean attribute that makes an object visible to every project, or to those to which it is granted. */
  readonly sharedBy?: string;
  /** True: who sees it only because it is shared with its project, and updates it, is told that it is not there, as by Neutron; absent, or where all projects see it: that he may not. */
  readonly updateHidesShared?: true;
  /**
   * What a page behind an object is that the caller does not see: `refused`, as Neutron does for this type, or `nothing`, as of those whose pages Neutron cuts itself (there also
   * behind one that the filters leave out); absent: the first page. Below other paths than Neutron's it is refused for every type.
   */
  readonly missingMarker?: 'refused' | 'nothing';
  /** True: one that the server makes for another object counts, and is not refused for the quota, as in Neutron; absent: it is. */
  readonly madeBeyondQuota?: true;
  /** True: the server makes some that are of no project, whose `project_id` is `""`; no client gives that. Absent: each is of one. */
  readonly mayBeUnowned?: true;
  /** A reference whose target's visibility also shows this object, e.g. `network_id` of a subnet. */
  readonly visibleThrough?: string;
  /** A reference whose target's owner may also see and delete this object, e.g. `network_id` of a port. */
  readonly ownedThrough?: string;
  /** Alias of the extension that brings the resource, set by `composeRegistry`; absent: core. */
  readonly extension?: string;
  readonly actions?: readonly ActionDeclaration[];
  readonly attributes: Readonly<Record<string, Attribute>>;
  /** Stored attributes that no request names and no answer shows. */
  readonly hidden?: Readonly<Record<string, Attribute>>;
  readonly forms?: readonly FormDeclaration[];
  /** Columns of a table when none are asked for; absent: the first plain attributes. */
  readonly columns?: readonly string[];
  /** Words of its commands, e.g. `network agent`; absent: those of its type. */
  readonly command?: string;
};

/** A declared resource, checked, its standard attributes filled in: what every consumer works with. */
export type ResourceModel = Resource & {
  readonly type: string;
  readonly key: string;
  /** Path of the collection; below a parent `{<parent's name>_id}` stands for the parent. */
  readonly collection: string;
  /** What is in the store of an object: attributes that are neither computed, granted, an input nor an alias, and the hidden ones. */
  readonly storedAttributes: Readonly<Record<string, Attribute>>;
  /** Name of a form (`formsOf`); absent: the declared one. */
  readonly form?: string;
  /** Of a form: values of omitted attributes, by declared name, in objects that are created through it. */
  readonly fixed?: Readonly<Record<string, unknown>>;
  /** Of a form: statuses of success that differ. */
  readonly statuses?: FormDeclaration['statuses'];
  readonly deprecated?: true;
  readonly standardised: true;
};

/** Attributes of every project-owned resource, in Neutron's words. */
export const STANDARD_ATTRIBUTES = {
  id: { type: 'uuid', example: '7d3f5b21-0a9c-4e8d-b6f7-1c2d3e4f5a6b', description: 'The ID of the object.' },
  tenant_id: {
    type: 'string',
    aliasOf: 'project_id',
    write: 'create',
    minLength: 1,
    maxLength: 255,
    example: 'f0e1d2c3b4a5968778695a4b3c2d1e0f',
    maxBytes: 255,
    description: 'The project.',
  },
  project_id: {
    type: 'string',
    write: 'create',
    derive: 'project',
    minLength: 1,
    maxLength: 255,
    maxBytes: 255,
    indexed: true,
    extension: 'project-id',
    example: 'f0e1d2c3b4a5968778695a4b3c2d1e0f',
    description: 'The project that owns the object.',
  },
  description: {
    type: 'string',
    write: 'both',
    default: '',
    maxLength: 255,
    extension: 'standard-attr-description',
    example: 'of the web shop',
    description: 'A text for people.',
  },
  created_at: {
    type: 'timestamp',
    extension: 'standard-attr-timestamp',
    example: '2026-11-26T12:00:00Z',
    description: 'Time of creation (UTC).',
  },
  updated_at: {
    type: 'timestamp',
    extension: 'standard-attr-timestamp',
    example: '2026-11-26T12:00:00Z',
    description: 'Time of the last change (UTC).',
  },
  revision_number: {
    type: 'integer',
    extension: 'standard-attr-revisions',
    example: 1,
    description: 'Rises with every change of the object.',
  },
} as const;

type ValueOf<A> = A extends { readonly nullable: true } ? BareValueOf<A> | null : BareValueOf<A>;

type BareValueOf<A> = A extends { readonly values: readonly (infer V)[] }
  ? V
  : A extends { readonly items: infer I }
    ? readonly ValueOf<I>[]
    : A extends { readonly properties: infer P }
      ? { readonly [K in keyof P]: ValueOf<P[K]> }
      : A extends { readonly type: 'boolean' }
        ? boolean
        : A extends { readonly type: 'integer' | 'number' }
          ? number
          : A extends { readonly type: 'dict' }
            ? Readonly<Record<string, unknown>>
            : A extends { readonly type: 'any' }
              ? unknown
              : string;

type IsStored<A> = A extends
  | { readonly computed: true }
  | { readonly aliasOf: string }
  | { readonly input: true }
  | { readonly grantedBy: string }
  | { readonly grantedThrough: string }
  ? false
  : true;

/** The stored attributes among those of a literal. */
export type StoredPart<T> = { readonly [K in keyof T as IsStored<T[K]> extends true ? K : never]: ValueOf<T[K]> };

/** All attributes of a literal, as shown to an admin. */
export type ShownPart<T> = {
  readonly [K in keyof T as T[K] extends { readonly input: true } | { readonly filterOnly: true } ? never : K]: ValueOf<
    T[K]
  >;
};

/** The stored object of a declaration (given `as const`): every attribute that is neither computed, an input nor an alias, and the hidden ones. */
export type ResourceObject<R extends { readonly standard: boolean; readonly attributes: object }> =
  (R['standard'] extends true
    ? StoredPart<R['attributes']> & StoredPart<typeof STANDARD_ATTRIBUTES>
    : StoredPart<R['attributes']>) &
    (R extends { readonly hidden: infer H } ? StoredPart<H> : unknown) &
    (R extends { readonly key: string } ? { readonly id: string } : unknown);

/** The object of a declaration as the API shows it to an admin. */
export type ResourceView<R extends { readonly standard: boolean; readonly attributes: object }> =
  R['standard'] extends true
    ? ShownPart<R['attributes']> & ShownPart<typeof STANDARD_ATTRIBUTES>
    : ShownPart<R['attributes']>;

/** A stored object of any type. */
export type AnyObject = { readonly id: string } & { readonly [attribute: string]: unknown };
