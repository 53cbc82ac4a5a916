import type { FastifyInstance } from 'fastify';
import { checkInvariants } from '../engine/check.ts';
import type { ServiceDeps } from '../engine/context.ts';

/** Adds `GET /cable/v1/check`: every broken promise of the store's content. The scope lets admins alone in. */
export function addCheckRoute(scope: FastifyInstance, deps: Pick<ServiceDeps, 'tables' | 'resources'>): void {
  scope.get('/cable/v1/check', () => {
    const { revision } = deps.tables;
    return { revision, violations: checkInvariants(deps.tables, deps.resources) };
  });
}
