import { CableError } from '@cable/model';
import type { FastifyInstance } from 'fastify';
import { checkInvariants } from '../invariants.ts';
import type { ServiceDeps } from '../services/context.ts';
import type { Authenticator } from './auth.ts';

/** Adds `GET /cable/v1/check`: every broken promise of the store's content, for an admin. */
export function addCheckRoute(app: FastifyInstance, deps: ServiceDeps, authenticate: Authenticator): void {
  app.get('/cable/v1/check', async (request) => {
    const { isAdmin } = await authenticate(request.headers);
    if (!isAdmin) throw new CableError('PolicyNotAuthorized', 'rule:check is disallowed by policy');
    const { revision } = deps.tables;
    return { revision, violations: checkInvariants(deps.tables, deps.resources) };
  });
}
