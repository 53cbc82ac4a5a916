import { ExpectedError } from '@cable/kit';

/** What a token is to be for. Names are of a domain, by its id or its name. */
export type Scope =
  | { readonly kind: 'project'; readonly id: string }
  | { readonly kind: 'project'; readonly name: string; readonly domain: DomainRef }
  | { readonly kind: 'domain'; readonly domain: DomainRef }
  | { readonly kind: 'system' };

/** A domain, by its id or its name. */
export type DomainRef = { readonly id: string } | { readonly name: string };

/** How somebody proves who he is. */
export type Auth =
  | { readonly kind: 'password'; readonly user: UserRef; readonly password: string }
  | {
      readonly kind: 'application credential';
      readonly credential: { readonly id: string } | { readonly name: string; readonly user: UserRef };
      readonly secret: string;
    }
  | { readonly kind: 'token'; readonly token: string };

export type UserRef = { readonly id: string } | { readonly name: string; readonly domain: DomainRef };

/** Where a Keystone is, and who asks it. */
export type Access = {
  /** Each ends in `/v3`; they are asked in this order, beginning with the one that answered last. */
  readonly urls: readonly string[];
  readonly auth: Auth;
  /** Null: as Keystone or the credential has it. */
  readonly scope: Scope | null;
  /** Certificates of authorities, PEM; null: those of the system. */
  readonly ca: string | null;
  /** False: whatever certificate a server shows is taken. */
  readonly verify: boolean;
  /** Whose endpoints of the catalog are meant; null: the first there is. */
  readonly region: string | null;
  readonly interface: 'public' | 'internal' | 'admin';
  /** Addresses of services that the catalog is not asked for, by type: `network`. */
  readonly endpoints: Readonly<Record<string, string>>;
};

/** What is said about Keystone cannot be used. The message says what to write. */
export class AccessError extends ExpectedError {
  override name = 'AccessError';
}

/** Words as clouds.yaml has them below `auth`, and as `OS_*` variables are called. */
export type AuthWords = Readonly<Partial<Record<AuthWord, string>>>;

export const AUTH_WORDS = [
  'auth_url',
  'username',
  'user_id',
  'password',
  'user_domain_name',
  'user_domain_id',
  'project_name',
  'project_id',
  'project_domain_name',
  'project_domain_id',
  'domain_name',
  'domain_id',
  'default_domain',
  'system_scope',
  'token',
  'application_credential_id',
  'application_credential_name',
  'application_credential_secret',
] as const;

export type AuthWord = (typeof AUTH_WORDS)[number];

/** Says what the words mean. `place`: where they stand, for messages. Throws `AccessError`. */
export function accessFromWords(
  words: AuthWords,
  urls: readonly string[],
  place: string,
): Pick<Access, 'urls' | 'auth' | 'scope'> {
  if (urls.length === 0) throw new AccessError(`${place} names no auth_url`);
  return {
    urls: urls.map((url) => versionedUrl(url, place)),
    auth: authOf(words, place),
    scope: scopeOf(words, place),
  };
}

function versionedUrl(text: string, place: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.username !== '' || url.search !== '') {
    throw new AccessError(`${place}: auth_url ${JSON.stringify(text)} is no address: write https://HOST:PORT/v3`);
  }
  const path = url.pathname.replace(/\/+$/, '');
  return `${url.origin}${path.endsWith('/v3') ? path : `${path.replace(/\/v2\.0$/, '')}/v3`}`;
}

function authOf(words: AuthWords, place: string): Auth {
  const { application_credential_id: id, application_credential_name: name, application_credential_secret } = words;
  if (id !== undefined || name !== undefined) {
    const secret = application_credential_secret;
    if (secret === undefined) throw new AccessError(`${place} names no application_credential_secret`);
    const credential = id === undefined ? { name: name ?? '', user: userOf(words, place) } : { id };
    return { kind: 'application credential', credential, secret };
  }
  const { token, password } = words;
  if (token !== undefined && password === undefined) return { kind: 'token', token };
  if (password === undefined) {
    throw new AccessError(`${place} names no password, and neither an application credential nor a token`);
  }
  return { kind: 'password', user: userOf(words, place), password };
}

function userOf(words: AuthWords, place: string): UserRef {
  const { user_id: id, username: name } = words;
  if (id !== undefined) return { id };
  if (name === undefined) throw new AccessError(`${place} names no username and no user_id`);
  return { name, domain: domainOf(words, 'user_domain') };
}

function domainOf(words: AuthWords, of: 'user_domain' | 'project_domain'): DomainRef {
  const [id, name] = [words[`${of}_id`], words[`${of}_name`]];
  if (id !== undefined) return { id };
  return name === undefined ? { id: words.default_domain ?? 'default' } : { name };
}

function scopeOf(words: AuthWords, place: string): Scope | null {
  const { system_scope: system, project_id: id, project_name: name, domain_id, domain_name } = words;
  if (system !== undefined) {
    if (system !== 'all') throw new AccessError(`${place}: system_scope is all, or is not there`);
    return { kind: 'system' };
  }
  if (id !== undefined) return { kind: 'project', id };
  if (name !== undefined) return { kind: 'project', name, domain: domainOf(words, 'project_domain') };
  if (domain_id !== undefined) return { kind: 'domain', domain: { id: domain_id } };
  return domain_name === undefined ? null : { kind: 'domain', domain: { name: domain_name } };
}
