/** `POST /v3/auth/tokens`. */
import type { Access, Auth, DomainRef, Scope, UserRef } from './access.ts';
import type { JsonClient } from './http-json.ts';
import { KeystoneError } from './keystone-error.ts';
import { parseToken, type TokenInfo } from './token-info.ts';

/** An endpoint of the catalog. */
export type CatalogEntry = {
  readonly type: string;
  readonly interface: string;
  readonly region: string | null;
  readonly url: string;
};

/** A token, what it is for, and where the services are. */
export type Login = { readonly token: string; readonly info: TokenInfo; readonly catalog: readonly CatalogEntry[] };

/** Logs in at one address of Keystone. Throws `KeystoneError`. */
export async function login(
  client: JsonClient,
  url: string,
  { auth, scope }: Pick<Access, 'auth' | 'scope'>,
  { timeoutMs, signal }: { readonly timeoutMs: number; readonly signal?: AbortSignal },
): Promise<Login> {
  const body = JSON.stringify({ auth: { identity: identityOf(auth), ...scopeOf(auth, scope) } });
  const asked = { method: 'POST', url: `${url}/auth/tokens`, body, timeoutMs };
  const answer = await client.send(signal === undefined ? asked : { ...asked, signal }).catch((cause: unknown) => {
    throw away(url, cause);
  });
  if (answer.status === 401) throw new KeystoneError('refused', `Keystone (${url}) does not take these credentials`);
  if (answer.status === 403) throw new KeystoneError('forbidden', `Keystone (${url}) gives no token for this scope`);
  const token = answer.headers['x-subject-token'];
  const info = answer.status === 201 ? parseToken(answer.body) : undefined;
  if (token === undefined || info === undefined) throw unexpected(url, 'a login', answer.status);
  return { token, info, catalog: catalogOf(answer.body) };
}

/** No answer came, or none that is one. */
export function away(url: string, cause: unknown): KeystoneError {
  const why =
    cause instanceof Error ? (cause.name === 'TimeoutError' ? 'it takes too long' : codeOf(cause)) : 'it failed';
  return new KeystoneError('away', `Keystone (${url}) does not answer: ${why}`, cause);
}

export function unexpected(url: string, asked: string, status: number): KeystoneError {
  return new KeystoneError('away', `Keystone (${url}) answers ${asked} with what it should not (status ${status})`);
}

function codeOf(err: Error): string {
  const { code } = err as { readonly code?: unknown };
  return typeof code === 'string' ? code : err.message.slice(0, 200);
}

/** The address of a service; undefined: the catalog has none. */
export function endpointOf(
  { catalog }: Pick<Login, 'catalog'>,
  type: string,
  access: Pick<Access, 'region' | 'interface' | 'endpoints'>,
): string | undefined {
  const fits = (one: CatalogEntry): boolean =>
    one.type === type && one.interface === access.interface && (access.region === null || one.region === access.region);
  return access.endpoints[type] ?? catalog.find(fits)?.url;
}

function identityOf(auth: Auth): object {
  switch (auth.kind) {
    case 'token':
      return { methods: ['token'], token: { id: auth.token } };
    case 'password':
      return { methods: ['password'], password: { user: { ...userOf(auth.user), password: auth.password } } };
    case 'application credential': {
      const { credential, secret } = auth;
      const named = 'id' in credential ? credential : { name: credential.name, user: userOf(credential.user) };
      return { methods: ['application_credential'], application_credential: { ...named, secret } };
    }
  }
}

function userOf(user: UserRef): object {
  return 'id' in user ? { id: user.id } : { name: user.name, domain: domainOf(user.domain) };
}

function domainOf(domain: DomainRef): object {
  return domain;
}

/** An application credential has its scope. */
function scopeOf(auth: Auth, scope: Scope | null): object {
  if (scope === null || auth.kind === 'application credential') return {};
  switch (scope.kind) {
    case 'system':
      return { scope: { system: { all: true } } };
    case 'domain':
      return { scope: { domain: domainOf(scope.domain) } };
    case 'project': {
      const project = 'id' in scope ? { id: scope.id } : { name: scope.name, domain: domainOf(scope.domain) };
      return { scope: { project } };
    }
  }
}

type Listed = { readonly type?: unknown; readonly endpoints?: unknown };
type Endpoint = { readonly interface?: unknown; readonly region?: unknown; readonly url?: unknown };

function catalogOf(body: string): readonly CatalogEntry[] {
  const { token } = JSON.parse(body) as { readonly token?: { readonly catalog?: unknown } };
  const services: readonly Listed[] = Array.isArray(token?.catalog) ? (token.catalog as readonly Listed[]) : [];
  return services.flatMap(({ type, endpoints }) =>
    (Array.isArray(endpoints) ? (endpoints as readonly Endpoint[]) : []).flatMap((one) => {
      if (typeof type !== 'string' || typeof one.url !== 'string' || typeof one.interface !== 'string') return [];
      const region = typeof one.region === 'string' ? one.region : null;
      return [{ type, interface: one.interface, region, url: one.url.replace(/\/+$/, '') }];
    }),
  );
}
