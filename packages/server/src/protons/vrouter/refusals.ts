/** What back ends say to requests that they refuse. */
import { CableError } from '@cable/model';
import type { Planning } from '../../engine/context.ts';

/** 400, of one attribute. */
export function invalid(attribute: string, reason: string): CableError {
  return new CableError('HTTPBadRequest', `Invalid input for ${attribute}. Reason: ${reason}.`, {
    fields: { attribute },
  });
}

/** 409, of one attribute. */
export function inTheWay(attribute: string, reason: string, remedy: string): CableError {
  return new CableError('HTTPConflict', `Invalid input for ${attribute}. Reason: ${reason}.`, {
    detail: remedy,
    fields: { attribute },
  });
}

/** 409, of what is there. */
export function conflict(what: string, remedy: string): CableError {
  return new CableError('HTTPConflict', `${what}.`, { detail: remedy });
}

/** Throws `PolicyNotAuthorized` unless an administrator asks, whatever the model's policies say. */
export function requireAdmin({ deps, asked }: Planning, what: string): void {
  if (deps.permission.policy.for(asked.credentials).isAdmin) return;
  throw new CableError('PolicyNotAuthorized', `Only an administrator may ${what}: it says whom VPNs meet.`);
}
