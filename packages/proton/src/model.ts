/** What a proton's model file says, whichever format it has: what storage, REST, commands and generated texts are made of. */

/** JSON Schema 2020-12 without references: what a model may use of it is in `schema.ts`. `true` admits everything. */
export type JsonSchema = boolean | Readonly<Record<string, unknown>>;

export type ObjectKind = 'port' | 'interface' | 'service' | 'binding' | 'other';

export const ACTIONS = ['create', 'delete', 'get', 'list', 'update'] as const;

export type Action = (typeof ACTIONS)[number];

export type ProtonModel = {
  readonly fileVersion: '1.0' | '2.0';
  /** Segment of the path, such as `net-l3vpn`. */
  readonly name: string;
  /** As it is written in the file, a number too: `1.0` is served below `v1.0`. */
  readonly version: string;
  readonly description: string;
  readonly author?: { readonly name?: string; readonly url?: string; readonly email?: string };
  /** Whether it is to be served. Format 1.0 has no such key: true. */
  readonly served: boolean;
  /** Whether objects are to be stored in this version. Format 1.0: true. */
  readonly storage: boolean;
  /** Format 1.0: false. */
  readonly deprecated: boolean;
  /** What is to make packets of its objects, such as `vrouter-circuit`: a server that has none of the name does not install it. Absent: controllers bind its ports. */
  readonly backend?: string;
  /** API objects with what they extend merged into them, as the files have them, but parents before children. */
  readonly objects: readonly ProtonObject[];
  readonly conversions: readonly Conversion[];
};

export type ProtonObject = {
  /** Such as `VpnService`. */
  readonly name: string;
  /** Word of commands and policies: `api.name`. */
  readonly noun: string;
  /** Segment of the path. */
  readonly plural: string;
  /** By the base object that it extends, directly or not. */
  readonly kind: ObjectKind;
  /** `key` is the attribute that holds the parent's key. */
  readonly parent?: { readonly object: string; readonly key: string };
  /** Name of the attribute that is the key. */
  readonly primary: string;
  readonly attributes: readonly ProtonAttribute[];
  /** Rule of each action, in oslo.policy's language. */
  readonly policies: Readonly<Record<Action, string>>;
  /** Rules in CEL that hold for each object, and what is said where one does not. */
  readonly rules: readonly ProtonRule[];
  /** Attributes whose values together are those of one object of a project at most. */
  readonly unique: readonly (readonly string[])[];
  readonly indexes: readonly (readonly string[])[];
  /** Columns of a list; empty: whoever shows it chooses. */
  readonly printColumns: readonly string[];
  readonly description: string;
  readonly examples: readonly unknown[];
};

export type ProtonRule = { readonly rule: string; readonly message: string };

export type OnDelete = 'restrict' | 'cascade' | 'setNull';

export type ProtonAttribute = {
  readonly name: string;
  readonly description: string;
  /** Of a value that is not null. A reference has that of its target's key. */
  readonly schema: JsonSchema;
  /** The word that format 1.0 has for its type: `uuid`, `VpnService`. */
  readonly type10?: string;
  /** Whether a create must give it. */
  readonly required: boolean;
  /** Whether it may be null, which is what it is when nobody has set it. */
  readonly nullable: boolean;
  readonly default?: unknown;
  readonly ref?: { readonly object: string; readonly onDelete: OnDelete };
  /** Given at creation or never. */
  readonly immutable: boolean;
  /** Written by no request of a user: status. */
  readonly readOnly: boolean;
  /** Absent: several objects may have the same value. */
  readonly unique?: 'project' | 'global';
  readonly policies?: { readonly read?: string; readonly write?: string };
  /** A second name under which it is read and written. */
  readonly alias?: string;
  /** Hints for a form; whatever the file has. */
  readonly ui?: unknown;
  readonly example?: unknown;
};

/** How objects of the version `from` become those of the model's own, and back. */
export type Conversion = { readonly from: string; readonly objects: readonly ObjectConversion[] };

export type ObjectConversion = {
  /** Name in the model's own version. */
  readonly object: string;
  /** Name in the version `from`. Absent: the same. */
  readonly was?: string;
  /** In this order forwards; backwards the last one is undone first. */
  readonly steps: readonly ConversionStep[];
};

export type ConversionStep =
  | { readonly rename: { readonly from: string; readonly to: string } }
  /** The older version has no such attribute: objects of it get the value. */
  | { readonly default: { readonly attribute: string; readonly value: unknown } }
  /** The newer version has no such attribute; the older one shows the value, null if absent. */
  | { readonly drop: { readonly attribute: string; readonly value?: unknown } }
  /** A text of JSON becomes the value that it says. */
  | { readonly parse: { readonly from: string; readonly to: string } }
  /**
   * A text of parts becomes one list, or one attribute for each part, of which the last has what is left. Backwards a list that the older
   * attribute cannot hold is shown as the first member that it can.
   */
  | {
      readonly split: {
        readonly attribute: string;
        readonly into: string | readonly string[];
        readonly separator: string;
      };
    };

/** What is wrong with a model file, or to be thought of. Lines and columns count from 1. */
export type ModelProblem = {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly text: string;
  readonly remedy: string;
};

/** A file with its text; the name is only for what is said about it. */
export type ModelFile = { readonly name: string; readonly text: string };
