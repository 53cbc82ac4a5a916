import type { HostStatusReport } from '@cable/model';
import type { FastifyInstance, FastifyReply } from 'fastify';
import type { HostPlane } from './host-plane.ts';
import { parseHostName, parseRegistration, parseSince, parseStatusReport } from './parse.ts';

type HostRoute = { Params: { host: string }; Querystring: { since?: string } };

/** Of agents of protocol 1: the others report by their streams. */
export const REPORT_ROUTE = '/cable/v1/hosts/:host/status';

/** The plane, as far as requests go. */
export type RoutedPlane = Pick<HostPlane, 'register' | 'report' | 'watchV1' | 'status'>;

/** Adds the agents' routes and `GET /cable/v1/status`. Errors are thrown as `CableError`. */
export function addHostRoutes(app: FastifyInstance, plane: RoutedPlane): void {
  app.put<HostRoute>('/cable/v1/hosts/:host', async (request, reply) => {
    const welcome = await plane.register(parseHostName(request.params.host), parseRegistration(request.body));
    return welcome.protocol === 1 ? reply.code(204).send() : reply.code(200).send(welcome);
  });
  app.post<HostRoute>(REPORT_ROUTE, async (request, reply) => {
    const report: HostStatusReport = parseStatusReport(request.body);
    await plane.report(parseHostName(request.params.host), report);
    return reply.code(204).send();
  });
  app.get<HostRoute>('/cable/v1/hosts/:host/watch', async (request, reply) => {
    const since = parseSince(request.query.since);
    await plane.watchV1(parseHostName(request.params.host), since, () => openStream(reply));
    return reply;
  });
  app.get('/cable/v1/status', () => plane.status());
}

function openStream(reply: FastifyReply): FastifyReply['raw'] {
  reply.hijack();
  reply.raw.writeHead(200, { 'content-type': 'application/x-ndjson', 'cache-control': 'no-store' });
  return reply.raw;
}
