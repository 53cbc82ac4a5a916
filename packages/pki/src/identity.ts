/** Whom a certificate is of: one URI among the alternative names of its subject. */

/** A host's agent, a server of the cloud, the controller of a Kubernetes cluster, or somebody who uses the API: with the roles in that project; `projectId` null: in none. */
export type Identity =
  | { readonly kind: 'host'; readonly name: string }
  | { readonly kind: 'server'; readonly name: string }
  | { readonly kind: 'cluster'; readonly name: string }
  | {
      readonly kind: 'user';
      readonly name: string;
      readonly projectId: string | null;
      readonly roles: readonly string[];
    };

const SCHEME = 'cable:';
const NAME = /^[A-Za-z0-9]([A-Za-z0-9._-]{0,253}[A-Za-z0-9])?$/;

/** Longest URI that is read. */
const MAX_URI = 4096;
const MAX_ROLES = 64;
const MAX_TEXT_BYTES = 255;

/**
 * `cable:host:node-1`, `cable:server:control-1`, `cable:cluster:prod`, `cable:user:alice?project=8f3a...&role=member&role=reader`. Throws `RangeError` that says what is wrong with
 * a name, a project or a role.
 */
export function formatIdentity(identity: Identity): string {
  if (!NAME.test(identity.name)) {
    throw new RangeError('a name has 1 to 255 letters, digits, ".", "-" and "_", first and last a letter or digit');
  }
  const base = `${SCHEME}${identity.kind}:${identity.name}`;
  if (identity.kind !== 'user') return base;
  const { projectId, roles } = identity;
  if (projectId !== null && !isFit(projectId))
    throw new RangeError('a project has 1 to 255 bytes, none a control character');
  if (roles.length > MAX_ROLES) throw new RangeError(`a user has at most ${MAX_ROLES} roles`);
  if (!roles.every(isFit)) throw new RangeError('a role has 1 to 255 bytes, none a control character');
  const parts = [
    ...(projectId === null ? [] : [`project=${encode(projectId)}`]),
    ...roles.map((role) => `role=${encode(role)}`),
  ];
  return parts.length === 0 ? base : `${base}?${parts.join('&')}`;
}

/** The identity that a URI says; undefined: none. Each has one way to be written. */
export function parseIdentity(uri: string): Identity | undefined {
  if (uri.length > MAX_URI) return undefined;
  const match = /^cable:(host|server|cluster|user):([^?]+)(?:\?(.+))?$/.exec(uri);
  if (match === null) return undefined;
  const [, kind, name = '', query] = match;
  const identity =
    kind === 'user' ? parseUser(name, query) : parseMachine(kind as 'host' | 'server' | 'cluster', name, query);
  return identity !== undefined && isWritten(identity, uri) ? identity : undefined;
}

/** The identity that a certificate says, by its alternative names as Node writes them; undefined: none, or more than one. */
export function identityOf(subjectAltName: string | undefined): Identity | undefined {
  const uris = urisOf(subjectAltName ?? '').filter((uri) => uri.toLowerCase().startsWith(SCHEME));
  const [only] = uris;
  return only === undefined || uris.length > 1 ? undefined : parseIdentity(only);
}

/** What it is called in logs: without project and roles. */
export function nameOfIdentity({ kind, name }: Identity): string {
  return `${SCHEME}${kind}:${name}`;
}

function parseMachine(
  kind: 'host' | 'server' | 'cluster',
  name: string,
  query: string | undefined,
): Identity | undefined {
  return query === undefined ? { kind, name } : undefined;
}

function parseUser(name: string, query: string | undefined): Identity | undefined {
  let projectId: string | null = null;
  const roles: string[] = [];
  for (const part of query?.split('&') ?? []) {
    const [key, text = ''] = part.split('=', 2);
    const value = decode(text);
    if (value === undefined) return undefined;
    if (key === 'project') projectId = value;
    else if (key === 'role') roles.push(value);
    else return undefined;
  }
  return { kind: 'user', name, projectId, roles };
}

function isWritten(identity: Identity, uri: string): boolean {
  try {
    return formatIdentity(identity) === uri;
  } catch {
    return false;
  }
}

function isFit(text: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is refused
  return text !== '' && Buffer.byteLength(text) <= MAX_TEXT_BYTES && !/[\u0000-\u001f\u007f]/.test(text);
}

function encode(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (one) => `%${one.charCodeAt(0).toString(16).toUpperCase()}`);
}

function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

/** URIs of a text such as `URI:cable:host:node-1, DNS:a`. Node writes a name in quotes, as JSON, in which there is a comma, a quote or anything odd. */
function urisOf(subjectAltName: string): readonly string[] {
  const entry = /([A-Za-z ]+):("(?:[^"\\]|\\.)*"|[^",]*)(?:, |$)/y;
  const uris: string[] = [];
  while (entry.lastIndex < subjectAltName.length) {
    const match = entry.exec(subjectAltName);
    // What is not understood may hide anything.
    if (match === null) return [];
    const [, type, value = ''] = match;
    if (type === 'URI') uris.push(value.startsWith('"') ? unquote(value) : value);
  }
  return uris;
}

function unquote(text: string): string {
  try {
    return String(JSON.parse(text));
  } catch {
    return text;
  }
}
