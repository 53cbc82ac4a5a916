import { randomUUID } from 'node:crypto';
import type { FastifyInstance, FastifyReply } from 'fastify';

const HEADER = 'x-openstack-request-id';

/** Every answer names its request, as those of all services of OpenStack do: clients show the name with an error, and the audit log has it. */
export function nameRequests(app: FastifyInstance): void {
  app.addHook('onRequest', (_request, reply, next) => {
    reply.header(HEADER, `req-${randomUUID()}`);
    next();
  });
}

/** The name of the request that this answers. */
export function requestIdOf(reply: FastifyReply): string {
  return String(reply.getHeader(HEADER));
}
