/** `--auth keystone`: who asks is whom Keystone gave the token. */
import { KeystoneError } from '@cable/keystone';
import { CableError } from '@cable/model';
import type { Authenticator, UserCaller } from '../http/auth.ts';
import type { AskedRequest } from '../http/local-request.ts';
import { clientAddress, countedAs, type ProxyTrust } from '../limits/client-address.ts';
import { allowsAccess } from './access-rules.ts';
import { BoundedMap } from './bounded-map.ts';
import { TooManyTokensError } from './question-turns.ts';
import type { KnownToken, TokenBook } from './token-book.ts';
import { callerOfToken } from './token-callers.ts';

export type KeystoneAuthenticatorOptions = {
  readonly book: Pick<TokenBook, 'find'>;
  /** Where clients are sent to log in. */
  readonly uri: string;
  /** Who has one of these roles in `X-Service-Token` is a service that passes a user's request on. */
  readonly serviceRoles: readonly string[];
  /** Proxies that are believed for whom they ask: turns to ask Keystone go round between addresses. */
  readonly proxies: ProxyTrust;
};

/** Callers that are kept, so that what the rules come to for them is, too. */
const CALLERS_KEPT = 20_000;

/** A path that says which versions of the API there are, and that clients ask for before they have a token. */
const OPEN_PATHS: ReadonlySet<string> = new Set(['', '/']);

const NOBODY: UserCaller = {
  kind: 'user',
  projectGiven: false,
  credentials: {
    ...{ userId: null, projectId: null, domainId: null, userDomainId: null, projectDomainId: null },
    systemScope: null,
    roles: [],
  },
};

/**
 * Believes `X-Auth-Token`, and beside it `X-Service-Token`; whatever else a request says of its user (`X-Roles`, `X-Project-Id`) is not looked at. Throws
 * `HTTPUnauthorized`, and `ServiceUnavailable` while Keystone does not say.
 */
export function keystoneAuthenticator({
  book,
  uri,
  serviceRoles,
  proxies,
}: KeystoneAuthenticatorOptions): Authenticator {
  const callers = new BoundedMap<{
    readonly user: KnownToken;
    readonly service: KnownToken | null;
    caller: UserCaller;
  }>(CALLERS_KEPT);
  const callerOf = (user: KnownToken, service: KnownToken | null): UserCaller => {
    const name = service === null ? user.hash : `${user.hash} ${service.hash}`;
    const kept = callers.get(name);
    if (kept !== undefined && kept.user === user && kept.service === service) return kept.caller;
    const caller = callerOfToken(user.info, service?.info ?? null);
    callers.set(name, { user, service, caller });
    return caller;
  };
  const find = async (request: AskedRequest, token: string, isVouched: boolean): Promise<KnownToken | null> => {
    try {
      return await book.find(token, isVouched, () => addressOf(request, proxies));
    } catch (err) {
      throw unavailable(err);
    }
  };
  return async (request) => {
    const token = headerOf(request, 'x-auth-token') ?? headerOf(request, 'x-storage-token');
    if (token === undefined) {
      if (OPEN_PATHS.has(pathOf(request))) return NOBODY;
      throw unauthorized(uri);
    }
    const serviceToken = headerOf(request, 'x-service-token');
    const service = serviceToken === undefined ? null : await find(request, serviceToken, false);
    if (serviceToken !== undefined && service === null) throw unauthorized(uri);
    const isVouched = service?.info.roles.some((role) => serviceRoles.includes(role)) === true;
    const user = await find(request, token, isVouched);
    if (user === null) throw unauthorized(uri);
    const { accessRules } = user.info;
    const isAllowed =
      accessRules === null || isVouched || allowsAccess(accessRules, request.method ?? '', pathOf(request));
    if (!isAllowed) throw unauthorized(uri);
    return callerOf(user, isVouched ? service : null);
  };
}

function unauthorized(uri: string): CableError {
  return new CableError('HTTPUnauthorized', 'The request you have made requires authentication.', {
    fields: { authenticate: `Keystone uri="${uri}"` },
  });
}

function unavailable(cause: unknown): unknown {
  if (cause instanceof TooManyTokensError) {
    return new CableError('ServiceUnavailable', 'More tokens come than Keystone is asked for at once.', {
      detail: 'Nothing was done: send it again after a second.',
    });
  }
  if (!(cause instanceof KeystoneError)) return cause;
  return new CableError('ServiceUnavailable', 'Keystone does not say whether the token is good.', {
    detail: 'Nothing was done: send it again after a second. Tokens that were used before go on.',
  });
}

/** Who has none (a Unix socket) shares one with all others who have none. */
function addressOf(request: AskedRequest, proxies: ProxyTrust): string {
  const address = clientAddress(request, proxies);
  return address === undefined ? '' : countedAs(address);
}

function headerOf({ headers }: AskedRequest, name: string): string | undefined {
  const value = headers[name];
  return typeof value === 'string' && value !== '' ? value : undefined;
}

function pathOf({ url = '' }: AskedRequest): string {
  return url.split(/[?#]/, 1)[0] ?? '';
}
