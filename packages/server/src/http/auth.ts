import { isUtf8 } from 'node:buffer';
import type { IncomingHttpHeaders } from 'node:http';
import type { Caller } from '@cable/api';
import { CableError } from '@cable/model';
import { type AskedRequest, refuseForeign } from './local-request.ts';

/** Says who sent a request. Throws `HTTPUnauthorized`, `HTTPForbidden` or `HTTPBadRequest`. Keystone's will be another one of these. */
export type Authenticator = (request: AskedRequest) => Promise<AuthenticatedCaller>;

/** `projectGiven`: the request named its project; false: the default one stands in. */
export type AuthenticatedCaller = Caller & { readonly projectGiven: boolean };

/** The project of requests that name none. */
const DEFAULT_PROJECT = 'default';

/** As long as `project_id` may be in a body. */
const PROJECT_BYTES = 255;

/**
 * Believes the headers X-Project-Id and X-Roles; without roles the caller is an admin. Only for local listeners: it takes requests to this
 * machine alone, and none that a web page can make a browser send.
 */
export function noauth(): Authenticator {
  return async (request) => {
    refuseForeign(request);
    const { headers } = request;
    const project = projectOf(headers, 'x-project-id') ?? projectOf(headers, 'x-tenant-id');
    const roles = headerOf(headers, 'x-roles');
    const isAdmin = roles === undefined || roles.split(',').some((role) => role.trim().toLowerCase() === 'admin');
    return { projectId: project ?? DEFAULT_PROJECT, isAdmin, projectGiven: project !== undefined };
  };
}

/** Node reads the bytes of headers as Latin-1; here they are UTF-8, as in bodies. */
function projectOf(headers: IncomingHttpHeaders, name: string): string | undefined {
  const given = headerOf(headers, name);
  if (given === undefined) return undefined;
  const bytes = Buffer.from(given, 'latin1');
  if (bytes.length > PROJECT_BYTES || !isUtf8(bytes)) {
    throw new CableError('HTTPBadRequest', `Invalid value for ${name}: give at most ${PROJECT_BYTES} bytes of UTF-8.`);
  }
  return bytes.toString('utf8');
}

function headerOf(headers: IncomingHttpHeaders, name: string): string | undefined {
  const value = headers[name];
  const text = Array.isArray(value) ? value[0] : value;
  return text === undefined || text === '' ? undefined : text;
}
