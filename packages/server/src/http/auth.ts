import type { IncomingHttpHeaders } from 'node:http';
import type { Caller } from '@cable/api';

/** Says who sent a request. Throws `HTTPUnauthorized`. Keystone's will be another one of these. */
export type Authenticator = (headers: IncomingHttpHeaders) => Promise<AuthenticatedCaller>;

/** `projectGiven`: the request named its project; false: the default one stands in. */
export type AuthenticatedCaller = Caller & { readonly projectGiven: boolean };

/** The project of requests that name none. */
const DEFAULT_PROJECT = 'default';

/** Believes the headers X-Project-Id and X-Roles; without roles the caller is an admin. Only for local listeners. */
export function noauth(): Authenticator {
  return (headers) => {
    const project = headerOf(headers, 'x-project-id') ?? headerOf(headers, 'x-tenant-id');
    const roles = headerOf(headers, 'x-roles');
    const isAdmin = roles === undefined || roles.split(',').some((role) => role.trim().toLowerCase() === 'admin');
    return Promise.resolve({ projectId: project ?? DEFAULT_PROJECT, isAdmin, projectGiven: project !== undefined });
  };
}

function headerOf(headers: IncomingHttpHeaders, name: string): string | undefined {
  const value = headers[name];
  const text = Array.isArray(value) ? value[0] : value;
  return text === undefined || text === '' ? undefined : text.slice(0, 255);
}
