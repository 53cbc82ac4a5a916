import type { AnyObject } from '@cable/model';
import { claimKey, claimUnderKey, markKey, objectKey, referenceKey } from '../keys.ts';
import { type Claim, type ClaimName, contributionsOf, type ModuleTable } from './module.ts';
import type { ResourceRegistry } from './registry.ts';
import type { Look } from './view.ts';

/** A key that an object has besides its own. */
export type ObjectKey = {
  readonly kind: 'claim' | 'reference' | 'mark';
  readonly value: string;
  /** Key of the object that it is about; undefined: none. */
  readonly target?: { readonly type: string; readonly id: string };
  /** What the target must be when the key is written. */
  readonly how: 'any' | 'exists' | 'unchanged';
};

/** Makes the keys of objects: pure functions of an object, and of what cannot change in what it refers to. */
export type KeyMaker = {
  keysOf(type: string, object: AnyObject, look: Look): ReadonlyMap<string, ObjectKey>;
  claimsOf(type: string, object: AnyObject): readonly Claim[];
};

/** The keys of every type. */
export function createKeyMaker(resources: ResourceRegistry, modules: ModuleTable): KeyMaker {
  const claimsOf = (type: string, object: AnyObject): readonly Claim[] =>
    contributionsOf(modules, type).flatMap((one) => one.claims?.(object) ?? []);
  const keysOf = (type: string, object: AnyObject, look: Look): ReadonlyMap<string, ObjectKey> => {
    const keys = new Map<string, ObjectKey>();
    // A claim that stands under what it refers to is its reference too.
    const claimed = new Set<string>();
    for (const claim of claimsOf(type, object)) {
      const target = claim.under;
      if (target !== undefined) claimed.add(objectKey(target.type, target.id));
      const how = target === undefined ? 'any' : 'exists';
      keys.set(keyOfClaim(claim), {
        kind: 'claim',
        value: object.id,
        how,
        ...(target === undefined ? {} : { target }),
      });
    }
    const extra = contributionsOf(modules, type).flatMap((one) => one.references?.(object) ?? []);
    const model = resources.named(type);
    for (const { type: of, id, onDelete, mayBeAbsent } of [...resources.heldBy(model, object), ...extra]) {
      if (onDelete === 'cascade' || claimed.has(objectKey(of, id))) continue;
      const target = { type: of, id };
      const how = mayBeAbsent === true ? 'any' : 'exists';
      keys.set(referenceKey(of, id, type, object.id), { kind: 'reference', value: '', target, how });
    }
    for (const mark of contributionsOf(modules, type).flatMap((one) => one.marks?.(look, object) ?? [])) {
      const key = markKey(mark.kind, mark.of.id, mark.about, object.id);
      keys.set(key, { kind: 'mark', value: '', target: mark.of, how: 'unchanged' });
    }
    return keys;
  };
  return { keysOf, claimsOf };
}

/** The store's key of a claim. */
export function keyOfClaim({ kind, value, under }: ClaimName): string {
  return under === undefined ? claimKey(kind, value) : claimUnderKey(under.type, under.id, kind, value);
}
