import { type AnyObject, CableError } from '@cable/model';
import { SLOT } from './hidden.ts';
import type { Claim, ClaimName } from './module.ts';

/** One of the places that a project's limit for a type gives, from 0 on. */
export function slotName(projectId: string, type: string, slot: number): ClaimName {
  return { kind: 'slot', value: `${projectId}/${type}/${slot}` };
}

/** What an object has that takes a slot; undefined: it takes none. */
export function slotClaim(type: string, object: AnyObject): Claim | undefined {
  const slot = object[SLOT];
  if (typeof slot !== 'number') return undefined;
  return {
    ...slotName(String(object['project_id']), type, slot),
    // Who takes one has asked the slot book; the store says the rest.
    holder: () => undefined,
    taken: () => overQuota(type),
  };
}

/** Neutron's refusal. */
export function overQuota(type: string): CableError {
  return new CableError('OverQuota', `Quota exceeded for resources: ['${type}'].`, { fields: { resources: [type] } });
}
