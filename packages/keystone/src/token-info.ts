/** What Keystone says of a token: the answer of `GET /v3/auth/tokens`, read with care. */

/** What a restricted application credential may ask for. */
export type AccessRule = { readonly service: string; readonly method: string; readonly path: string };

type Named = { readonly id: string; readonly name: string };

export type TokenInfo = {
  readonly user: Named & { readonly domainId: string | null; readonly domainName: string | null };
  /** The project that it is for; null: it is for a domain, the system, or nothing. */
  readonly project: (Named & { readonly domainId: string | null; readonly domainName: string | null }) | null;
  readonly domain: Named | null;
  readonly isSystem: boolean;
  readonly roles: readonly string[];
  /** Absent in the answer: true, as all projects were before there was one of administrators. */
  readonly isAdminProject: boolean;
  /** Milliseconds of Keystone's clock. */
  readonly issuedAtMs: number;
  readonly expiresAtMs: number;
  /** Its own, and that of the one that it was made of. */
  readonly auditIds: readonly string[];
  /** Null: it may ask for everything. */
  readonly accessRules: readonly AccessRule[] | null;
};

type Fields = Readonly<Record<string, unknown>>;

/** Undefined: it is no such answer. */
export function parseToken(body: string): TokenInfo | undefined {
  const token = fieldsOf(fieldsOf(parsed(body))?.['token']);
  const user = namedOf(token?.['user']);
  const expiresAtMs = timeOf(token?.['expires_at']);
  const issuedAtMs = timeOf(token?.['issued_at']);
  if (token === undefined || user === undefined || expiresAtMs === undefined || issuedAtMs === undefined)
    return undefined;
  const { project, domain, system, roles = [], audit_ids: auditIds = [] } = token;
  const [ownProject, ownDomain] = [namedOf(project), namedOf(domain)];
  // A scope that is not understood is not taken for none.
  if ((isThere(project) && ownProject === undefined) || (isThere(domain) && ownDomain === undefined)) return undefined;
  if (!Array.isArray(roles) || !Array.isArray(auditIds)) return undefined;
  const names = roles.map((role: unknown) => fieldsOf(role)?.['name']);
  if (!names.every((name) => typeof name === 'string')) return undefined;
  const accessRules = rulesOf(token['application_credential']);
  if (accessRules === undefined) return undefined;
  return {
    user: { ...user, ...domainOf(token['user']) },
    project: ownProject === undefined ? null : { ...ownProject, ...domainOf(project) },
    domain: ownDomain ?? null,
    isSystem: fieldsOf(system)?.['all'] === true,
    roles: names,
    isAdminProject: token['is_admin_project'] !== false,
    ...{ issuedAtMs, expiresAtMs, accessRules },
    auditIds: auditIds.filter((one) => typeof one === 'string'),
  };
}

/** Null: everything; undefined: it is restricted in a way that is not understood. */
function rulesOf(credential: unknown): readonly AccessRule[] | null | undefined {
  const rules = fieldsOf(credential)?.['access_rules'];
  if (!isThere(rules)) return null;
  if (!Array.isArray(rules)) return undefined;
  const found: AccessRule[] = [];
  for (const rule of rules) {
    const { service, method, path } = fieldsOf(rule) ?? {};
    if (typeof service !== 'string' || typeof method !== 'string' || typeof path !== 'string') return undefined;
    found.push({ service, method, path });
  }
  return found;
}

function domainOf(of: unknown): { readonly domainId: string | null; readonly domainName: string | null } {
  const { id, name } = fieldsOf(fieldsOf(of)?.['domain']) ?? {};
  return { domainId: typeof id === 'string' ? id : null, domainName: typeof name === 'string' ? name : null };
}

function namedOf(given: unknown): Named | undefined {
  const { id, name } = fieldsOf(given) ?? {};
  if (typeof id !== 'string' || id === '') return undefined;
  return { id, name: typeof name === 'string' ? name : id };
}

function timeOf(given: unknown): number | undefined {
  const time = typeof given === 'string' ? Date.parse(given) : Number.NaN;
  return Number.isFinite(time) ? time : undefined;
}

function isThere(value: unknown): boolean {
  return value !== undefined && value !== null;
}

function fieldsOf(given: unknown): Fields | undefined {
  return typeof given === 'object' && given !== null && !Array.isArray(given) ? (given as Fields) : undefined;
}

function parsed(body: string): unknown {
  try {
    return JSON.parse(body) as unknown;
  } catch {
    return undefined;
  }
}
