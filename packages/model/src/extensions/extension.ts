import type { ActionDeclaration, Attribute, FormDeclaration, Resource, ShownPart, StoredPart } from '../declaration.ts';

/**
 * What an extension brings, as data. Its alias is listed by `/v2.0/extensions` while it is loaded, and without it there is no trace of what it brings. So
 * name in it only what works.
 */
export type ExtensionDeclaration = {
  /** Neutron's where Neutron has the extension: clients branch on it. */
  readonly alias: string;
  readonly name: string;
  readonly description: string;
  /** When it last changed, RFC 3339. */
  readonly updated: string;
  /** Aliases of extensions that must be loaded too. */
  readonly requires?: readonly string[];
  /** Attributes that it adds, by type; under `*` those that it adds to every standard resource, under `*tagged` to every one that can be tagged. */
  readonly attributes?: Readonly<Record<string, Readonly<Record<string, Attribute>>>>;
  /** What it changes in attributes that core or another extension has, by type: each field given takes the place of what was there. */
  readonly changes?: Readonly<Record<string, Readonly<Record<string, Partial<Attribute>>>>>;
  readonly resources?: readonly Resource[];
  /** Columns that it adds to those which a type names, by type. */
  readonly columns?: Readonly<Record<string, readonly string[]>>;
  /** Actions that it adds, by type, or under `*tagged`. */
  readonly actions?: Readonly<Record<string, readonly ActionDeclaration[]>>;
  /** Further forms in which it serves types of core and of others, by type. */
  readonly forms?: Readonly<Record<string, readonly FormDeclaration[]>>;
};

/** What the extensions of a module (`typeof import(...)`, each export one, `as const`) add to the stored objects of a type. */
export type StoredBy<Extensions, Type extends string> = All<
  { [K in keyof Extensions]: StoredOf<AddedBy<Extensions[K], Type>> }[keyof Extensions]
>;

/** What they add to the shown objects of a type. */
export type ShownBy<Extensions, Type extends string> = All<
  { [K in keyof Extensions]: ShownOf<AddedBy<Extensions[K], Type>> }[keyof Extensions]
>;

/** Never: it adds nothing. */
type AddedBy<E, Type extends string> = E extends { readonly attributes: infer A }
  ? Type extends keyof A
    ? A[Type]
    : never
  : never;

type StoredOf<A> = [A] extends [never] ? never : StoredPart<A>;
type ShownOf<A> = [A] extends [never] ? never : ShownPart<A>;

/** The intersection of a union's members. */
type All<U> = (U extends unknown ? (one: U) => void : never) extends (all: infer I) => void ? I : never;
