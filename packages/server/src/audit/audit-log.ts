/** One line of JSON for each write: who, from where, what, and what came of it. No value of a request or of an object is in it, so no secret. */
import type { Op } from '@cable/store';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { isOfPlugin } from '../contrail/exceptions.ts';
import { doorOf } from '../doors.ts';
import { REPORT_ROUTE } from '../hosts/routes.ts';
import { askedOf } from '../http/asked.ts';
import { requestIdOf } from '../http/request-id.ts';
import { kindOfBody } from '../http/request-kind.ts';
import { NOBODYS_PROJECT } from '../policy/credentials.ts';
import { nameShown } from '../tls/certificates.ts';
import type { AuditFile } from './audit-file.ts';
import { changedBy, type Note, noteOf, openNote } from './written.ts';

export type AuditLog = {
  /** Puts it behind every route that is added from now on. Who has not been let in has no line. */
  follow(app: FastifyInstance): void;
  /** A host has told something that was written. */
  told(host: string, ops: readonly Op[]): void;
  readonly file: Pick<AuditFile, 'lost' | 'waitingBytes'>;
};

const READS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);

/** As the services of OpenStack name requests that come of one another. */
const REQUEST_ID = /^req-[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/;

/** Nothing was begun for it, and who asks for too much must not fill the disk. */
const TOO_MANY = 429;

export function createAuditLog(file: Pick<AuditFile, 'add' | 'lost' | 'waitingBytes'>, now: () => Date): AuditLog {
  return {
    file,
    told: (host, ops) => {
      const changed = changedBy(ops);
      if (changed.length > 0) file.add(JSON.stringify({ time: now().toISOString(), event: 'report', host, changed }));
    },
    follow: (app) => {
      app.addHook('onRequest', (request, reply, next) => {
        // The socket of a client that has left says no address any more.
        if (!READS.has(request.method)) {
          const note = noteFor(request, requestIdOf(reply));
          openNote(request, note);
        }
        next();
      });
      app.addHook('onResponse', (request, reply, next) => {
        const note = noteOf(request);
        if (note !== undefined && isWrite(request) && !isUnknown(request, reply.statusCode))
          file.add(JSON.stringify(lineOf(request, note, reply.statusCode, now())));
        next();
      });
    },
  };
}

function noteFor({ raw: { socket }, headers }: FastifyRequest, requestId: string): Note {
  const sent = headers['x-openstack-request-id'];
  return {
    address: socket.remoteAddress ?? null,
    shown: doorOf(socket) === 'tls' ? (nameShown(socket) ?? null) : null,
    requestId,
    changed: [],
    ...(typeof sent === 'string' && REQUEST_ID.test(sent) ? { askedAs: sent } : {}),
  };
}

/** Refused for asking too much, or as nobody (a join without a good token): strangers do not fill the log. */
function isUnknown(request: FastifyRequest, status: number): boolean {
  const { caller } = askedOf(request);
  if (status === TOO_MANY) return true;
  if (status < 400 || caller.kind === 'host') return false;
  const { userId, projectId, roles } = caller.credentials;
  return userId === null && projectId === null && roles.length === 0;
}

/** Of the plug-in's requests the body says what they are; most reports of hosts have nothing written, and `told` knows. */
function isWrite({ url, body, routeOptions }: FastifyRequest): boolean {
  if (routeOptions.url === REPORT_ROUTE) return false;
  return !isOfPlugin(url) || kindOfBody(body) === 'write';
}

function lineOf(request: FastifyRequest, note: Note, status: number, time: Date): object {
  const { method, url } = request;
  const { address, shown, requestId, askedAs, changed } = note;
  const [path = ''] = url.split('?', 1);
  return {
    time: time.toISOString(),
    request_id: requestId,
    ...(askedAs === undefined ? {} : { global_request_id: askedAs }),
    ...whoOf(request, note),
    certificate: shown,
    address,
    method,
    path,
    status,
    changed,
  };
}

/** The user is null where nobody says who he is: on loopback and Unix sockets, and where a host joins. `sent_by`: who has said that it is his request. */
function whoOf(request: FastifyRequest, note: Note): object {
  const { caller } = askedOf(request);
  if (caller.kind === 'host') return { host: caller.host };
  const { userId, projectId } = note.credentials ?? caller.credentials;
  const who = { user: userId, project: projectId === NOBODYS_PROJECT ? null : projectId };
  if (note.credentials === undefined || note.credentials === caller.credentials) return who;
  return { ...who, sent_by: { user: caller.credentials.userId, project: caller.credentials.projectId } };
}
