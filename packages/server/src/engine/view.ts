import type { AnyObject } from '@cable/model';
import type { TableTypes } from '../rows.ts';
import type { Claim } from './module.ts';

/** The row of a built-in type, or any object. */
export type RowOf<T extends string> = T extends keyof TableTypes ? TableTypes[T] : AnyObject;

/**
 * What is there: the tables, with what a plan has written over them. Nothing rests on what is looked at here: what a rule needs is looked at by the view.
 */
export type Look = {
  get<T extends string>(type: T, id: string): RowOf<T> | undefined;
  /** Rows under a key of an index, in no particular order. */
  by<T extends string>(type: T, index: string, key: string): readonly RowOf<T>[];
  /** The rows beside the place that this one has or would have in an order of the type's table, without itself; one on a side at least, where there are any. */
  beside<T extends string>(type: T, order: string, row: RowOf<T>): readonly RowOf<T>[];
  /** Id of the port that has the address in the tables, whatever a plan has written; undefined: none. */
  addressHolder(subnetId: string, address: string): string | undefined;
};

/** The same, for rules: the transaction commits only if what was looked at is still so. */
export type View = {
  /** The object, which must then be there still, in whatever state. */
  need<T extends string>(type: T, id: string): RowOf<T> | undefined;
  /** The object, which must then be as it is now; undefined: it must still be absent. */
  rely<T extends string>(type: T, id: string): RowOf<T> | undefined;
  /** Rows whose every write revises the object (its parts, a router's legs): the object must be as it is now, so they are all there are. */
  parts<T>(type: string, id: string, find: (look: Look) => readonly T[]): readonly T[];
  /** Id of who has what the claim is about, who must have it still; undefined: nobody, and so it must be. */
  holder(claim: Claim): string | undefined;
  /** True when the object has no mark of the kind, and so it must be. `found`: the tables show one. `about`: which marks; absent: any. */
  unmarked(kind: string, id: string, found: (look: Look) => boolean, about?: MarksAbout): boolean;
};

/** Marks about one thing alone, or about any `but` some. */
export type MarksAbout = { readonly only?: string; readonly but?: undefined } | { readonly but: readonly string[] };
