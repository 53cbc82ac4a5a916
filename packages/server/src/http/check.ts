import type { FastifyInstance } from 'fastify';
import { checkStore } from '../engine/check.ts';
import type { EngineDeps } from '../engine/context.ts';

/** Adds `GET /cable/v1/check`: every broken promise of the store's content. The scope says who gets in. */
export function addCheckRoute(scope: FastifyInstance, deps: EngineDeps): void {
  scope.get('/cable/v1/check', () => checkStore(deps));
}
