import type { Caller } from '@cable/api';
import type { AnyObject, CableError } from '@cable/model';
import type { Tables } from '../tables.ts';
import type { ServiceDeps, WriteContext } from './context.ts';
import type { HeldReference } from './registry.ts';

/** A new object before its derived attributes are there. */
export type Given<T> = Partial<T> & { readonly id: string; readonly project_id: string };

/** What is not declarative about a type. Every hook is optional; each may throw `CableError` to refuse. */
export type ResourceHooks<T> = {
  /** Before a create is planned; may write (the default security group). Also before a list, with `listing`. */
  prepare?(deps: ServiceDeps, caller: Caller, projectId: string, listing: boolean): Promise<void>;
  /** Keys to wait for one another on, besides those of cascading references. */
  lockKeys?(given: Given<T>): readonly string[];
  /** The derived attributes, and corrections of given ones. Claims go into the plan. */
  create?(context: WriteContext, given: Given<T>): Partial<T>;
  /** After the object is in the plan: further objects. */
  created?(context: WriteContext, object: T): void;
  /** Corrections of the changed object. */
  update?(context: WriteContext, before: T, after: T): Partial<T>;
  delete?(context: WriteContext, object: T): void;
  /** References besides the declared ones. */
  references?(object: T): readonly HeldReference[];
  /** The error when a delete is refused because an object of `holderType` refers to it. */
  inUse?(object: T, holderType: string): CableError;
  /** Computed attributes. */
  present?(tables: Tables, object: T): Readonly<Record<string, unknown>>;
  /** All objects of a type that is not stored. */
  rows?(tables: Tables): readonly AnyObject[];
};

/** Hooks by resource name. */
export type HookTable = Readonly<Record<string, ResourceHooks<AnyObject>>>;

/** Forgets the type of the objects: the caller puts the hooks under the name of the resource they were written for. */
export function defineHooks<T extends { readonly id: string }>(hooks: ResourceHooks<T>): ResourceHooks<AnyObject> {
  return hooks as unknown as ResourceHooks<AnyObject>;
}
