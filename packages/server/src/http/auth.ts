import { isUtf8 } from 'node:buffer';
import type { IncomingHttpHeaders } from 'node:http';
import { unfitForKey } from '@cable/api';
import { CableError } from '@cable/model';
import { controllerCaller, epochOf } from '../identity/controllers.ts';
import { type Credentials, credentialsOf } from '../policy/credentials.ts';
import { type AskedRequest, refuseForeign } from './local-request.ts';

/** Says who sent a request. Throws `HTTPUnauthorized`, `HTTPForbidden`, `HTTPBadRequest` or `ServiceUnavailable`. */
export type Authenticator = (request: AskedRequest) => Promise<AuthenticatedCaller>;

/** Who sent a request. */
export type AuthenticatedCaller = UserCaller | HostCaller;

/**
 * Somebody whom the rules are asked of; the same value for the same token, certificate or headers, since what the rules come to is kept with the credentials.
 * `projectGiven`: the request is of a project that it named; false: the default one stands in, or it is of none.
 */
export type UserCaller = {
  readonly kind: 'user';
  readonly credentials: Credentials;
  readonly projectGiven: boolean;
  /** True: by a certificate of his own, not by a token. */
  readonly byCertificate?: boolean;
};

/** The agent of a host, which may ask for what is that host's own, and nothing else. */
export type HostCaller = { readonly kind: 'host'; readonly host: string };

/** The project of requests that name none. */
const DEFAULT_PROJECT = 'default';

const CALLER_HEADERS = ['x-project-id', 'x-tenant-id', 'x-roles', 'cable-cluster', 'cable-epoch'] as const;

/** Callers that are remembered, so that what the rules come to for them is, too. */
const CALLERS_KEPT = 1000;

/** Of who names none: he may do everything. */
const ALL_ROLES: readonly string[] = ['admin', 'manager', 'member', 'reader', 'service'];

/** Roles that imply the next one, as Keystone has them. */
const IMPLYING: readonly string[] = ['admin', 'manager', 'member', 'reader'];

/** Further ones do not count. */
const MOST_ROLES = 64;

/** As long as `project_id` may be in a body. */
const PROJECT_BYTES = 255;

/**
 * Believes the headers X-Project-Id and X-Roles; without roles the caller is an admin, and with Cable-Cluster the controller of that cluster. Only for local listeners: it takes requests to this
 * machine alone, and none that a web page can make a browser send.
 */
export function noauth(): Authenticator {
  const callers = new Map<string, UserCaller>();
  return async (request) => {
    refuseForeign(request);
    const { headers } = request;
    const name = CALLER_HEADERS.map((header) => headerOf(headers, header) ?? '').join('\n');
    const known = callers.get(name);
    if (known !== undefined) return known;
    const project = projectOf(headers, 'x-project-id') ?? projectOf(headers, 'x-tenant-id');
    const cluster = headerOf(headers, 'cable-cluster');
    const caller: UserCaller =
      cluster === undefined ? plainCaller(project, headers) : controllerCaller(cluster, project, epochOf(headers));
    if (callers.size >= CALLERS_KEPT) callers.clear();
    callers.set(name, caller);
    return caller;
  };
}

function plainCaller(project: string | undefined, headers: IncomingHttpHeaders): UserCaller {
  const credentials = credentialsOf({ projectId: project ?? DEFAULT_PROJECT, roles: rolesOf(headers) });
  return { kind: 'user', credentials, projectGiven: project !== undefined };
}

/** Node reads the bytes of headers as Latin-1; here they are UTF-8, as in bodies. */
function projectOf(headers: IncomingHttpHeaders, name: string): string | undefined {
  const given = headerOf(headers, name);
  if (given === undefined) return undefined;
  const bytes = Buffer.from(given, 'latin1');
  const text = bytes.toString('utf8');
  if (bytes.length <= PROJECT_BYTES && isUtf8(bytes) && unfitForKey(text) === undefined) return text;
  throw new CableError(
    'HTTPBadRequest',
    `Invalid value for ${name}: give at most ${PROJECT_BYTES} bytes of UTF-8 without a control character.`,
  );
}

/** As Keystone gives them: who is an administrator is a manager, member and reader, too. */
function rolesOf(headers: IncomingHttpHeaders): readonly string[] {
  const given = headerOf(headers, 'x-roles');
  if (given === undefined) return ALL_ROLES;
  const named = given
    .split(',')
    .map((role) => role.trim())
    .filter((role) => role !== '')
    .slice(0, MOST_ROLES);
  const first = IMPLYING.findIndex((role) => named.some((one) => one.toLowerCase() === role));
  const implied = first < 0 ? [] : IMPLYING.slice(first + 1);
  return [...named, ...implied.filter((role) => !named.includes(role))];
}

function headerOf(headers: IncomingHttpHeaders, name: string): string | undefined {
  const value = headers[name];
  const text = Array.isArray(value) ? value[0] : value;
  return text === undefined || text === '' ? undefined : text;
}
