import type { AnyObject } from '@cable/model';
import { claimKey, claimUnderKey, markKey, objectKey, referenceKey, typeKey } from '../keys.ts';
import type { Claim, ClaimName, Modules } from './module.ts';
import type { LoadedResources, ResourceRegistry } from './registry.ts';
import { slotClaim } from './slot-claim.ts';
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
  /** Claims by their keys; the same value for the same object. */
  claimsOf(type: string, object: AnyObject): ReadonlyMap<string, Claim>;
  /** The key that must be there when an object of the type is made; undefined: none. */
  typeKeyOf(type: string): string | undefined;
};

/** The keys of every type, by what is loaded when they are asked for. */
export function createKeyMaker(resources: Pick<ResourceRegistry, 'current'>, modules: Pick<Modules, 'of'>): KeyMaker {
  let made = new WeakMap<AnyObject, ReadonlyMap<string, Claim>>();
  let madeBy: LoadedResources | undefined;
  const claimsOf = (type: string, object: AnyObject): ReadonlyMap<string, Claim> => {
    if (madeBy !== resources.current) made = new WeakMap();
    madeBy = resources.current;
    const known = made.get(object);
    if (known !== undefined) return known;
    const claims = new Map<string, Claim>();
    for (const { claims: of } of modules.of(type))
      for (const claim of of?.(object) ?? []) claims.set(keyOfClaim(claim), claim);
    const slot = slotClaim(type, object);
    if (slot !== undefined) claims.set(keyOfClaim(slot), slot);
    made.set(object, claims);
    return claims;
  };
  const keysOf = (type: string, object: AnyObject, look: Look): ReadonlyMap<string, ObjectKey> => {
    const keys = new Map<string, ObjectKey>();
    // A claim that stands under what it refers to is its reference too.
    const claimed = new Set<string>();
    for (const [key, claim] of claimsOf(type, object)) {
      const target = claim.under;
      if (target !== undefined) claimed.add(objectKey(target.type, target.id));
      const how = target === undefined ? 'any' : 'exists';
      keys.set(key, {
        kind: 'claim',
        value: object.id,
        how,
        ...(target === undefined ? {} : { target }),
      });
    }
    const extra = modules.of(type).flatMap((one) => one.references?.(object) ?? []);
    const { current } = resources;
    const held = current.heldBy(current.named(type), object);
    for (const { type: of, id, onDelete, mayBeAbsent } of [...held, ...extra]) {
      if (onDelete === 'cascade' || claimed.has(objectKey(of, id))) continue;
      const target = { type: of, id };
      const how = mayBeAbsent === true ? 'any' : 'exists';
      keys.set(referenceKey(of, id, type, object.id), { kind: 'reference', value: '', target, how });
    }
    for (const { target } of keys.values()) if (target !== undefined) refuseLeaf(current, type, target.type);
    for (const mark of modules.of(type).flatMap((one) => one.marks?.(look, object) ?? [])) {
      const key = markKey(mark.kind, mark.of.id, mark.about, object.id);
      keys.set(key, { kind: 'mark', value: '', target: mark.of, how: 'unchanged' });
    }
    return keys;
  };
  const typeKeyOf = (type: string): string | undefined =>
    resources.current.keyedTypes.has(type) ? typeKey(type) : undefined;
  return { keysOf, claimsOf, typeKeyOf };
}

/** A part that goes unseen with its whole must have nobody who would have to be asked. */
function refuseLeaf(resources: LoadedResources, holder: string, target: string): void {
  if (!resources.isLeaf(target)) return;
  throw new Error(`${holder} refers to ${target} without a declared reference: declare it`);
}

/** The store's key of a claim. */
export function keyOfClaim({ kind, value, under }: ClaimName): string {
  return under === undefined ? claimKey(kind, value) : claimUnderKey(under.type, under.id, kind, value);
}
