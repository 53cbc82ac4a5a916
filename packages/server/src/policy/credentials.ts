import { textOf } from './expression.ts';

/** Who asks, with what Keystone says of it. In rules the names are oslo's: `user_id`, `project_id` (also `tenant_id`), … */
export type Credentials = {
  readonly userId: string | null;
  /** Null: the token is of a domain, or of the whole system. */
  readonly projectId: string | null;
  /** The domain that the token is of; null: it is of a project or of the system. */
  readonly domainId: string | null;
  readonly userDomainId: string | null;
  readonly projectDomainId: string | null;
  /** `all`: the token is of the whole system. */
  readonly systemScope: string | null;
  readonly roles: readonly string[];
  /** True: `is_admin` whatever the roles. Absent: as the rule `context_is_admin` says. */
  readonly isAdmin?: boolean;
  /** The controller of a Kubernetes cluster asks, as one of its projects; absent: somebody else. */
  readonly controller?: Controller;
  /** Further ones by name; rules reach into them with dots (`token.user.id`). */
  readonly others?: Readonly<Record<string, unknown>>;
};

/** `epoch`: that with which it has claimed the cluster; null: it does not say. */
export type Controller = { readonly cluster: string; readonly epoch: number | null };

/** Stands for the project of a caller who is of none, where rules ask for one: a text that no project can have. */
export const NOBODYS_PROJECT = '\u0000';

/** The credentials of a caller of whom a project and roles are known; without roles they are those of an administrator or of a member. */
export function credentialsOf(caller: {
  readonly projectId: string;
  readonly isAdmin?: boolean;
  readonly roles?: readonly string[];
}): Credentials {
  return {
    userId: null,
    projectId: caller.projectId,
    domainId: null,
    userDomainId: null,
    projectDomainId: null,
    systemScope: null,
    roles: caller.roles ?? (caller.isAdmin ? ['admin', 'manager', 'member', 'reader'] : ['member', 'reader']),
  };
}

/** Credentials that say which caller it is, by the names that rules use. */
const INDIVIDUAL: Readonly<Record<string, 'userId' | 'projectId' | 'domainId' | 'userDomainId' | 'projectDomainId'>> = {
  user_id: 'userId',
  project_id: 'projectId',
  tenant_id: 'projectId',
  domain_id: 'domainId',
  user_domain_id: 'userDomainId',
  project_domain_id: 'projectDomainId',
};

/** The property that a rule's name for a credential stands for; undefined: it is none of ours. */
export function individualOf(path: readonly string[]): (typeof INDIVIDUAL)[string] | undefined {
  const [head = ''] = path;
  return path.length === 1 && Object.hasOwn(INDIVIDUAL, head) ? INDIVIDUAL[head] : undefined;
}

/** The texts that a credential has for rules: several where its path leads through lists. None where there is nothing. */
export function textsOfCredential(
  credentials: Credentials,
  path: readonly string[],
  besideConstant: boolean,
): readonly string[] {
  const individual = individualOf(path);
  if (individual !== undefined) return credentialTexts(credentials[individual], [], besideConstant);
  const [head = '', ...rest] = path;
  const { others = {} } = credentials;
  return Object.hasOwn(others, head) ? credentialTexts(others[head], rest, besideConstant) : [];
}

/**
 * The texts at a path within a value. What is null is `None` beside a constant; it never equals an attribute that is null too, for then one
 * without a project would own everything that has none.
 */
export function credentialTexts(value: unknown, path: readonly string[], besideConstant: boolean): readonly string[] {
  if (Array.isArray(value)) return value.flatMap((one) => credentialTexts(one, path, besideConstant));
  const [head, ...rest] = path;
  if (head === undefined) {
    const text = value === null && !besideConstant ? undefined : textOf(value);
    return text === undefined ? [] : [text];
  }
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, head)) return [];
  return credentialTexts((value as Readonly<Record<string, unknown>>)[head], rest, besideConstant);
}
