import type { Caller } from '@cable/api';

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
  /** Further ones by name; rules reach into them with dots (`token.user.id`). */
  readonly others?: Readonly<Record<string, unknown>>;
};

/** The credentials of one that only a project and being an admin are known of. */
export function credentialsOf(caller: Pick<Caller, 'projectId' | 'isAdmin'>): Credentials {
  return {
    userId: null,
    projectId: caller.projectId,
    domainId: null,
    userDomainId: null,
    projectDomainId: null,
    systemScope: null,
    roles: caller.isAdmin ? ['admin', 'member', 'reader'] : ['member', 'reader'],
  };
}
