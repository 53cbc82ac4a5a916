/** Callers of tokens. */
import type { TokenInfo } from '@cable/keystone';
import type { UserCaller } from '../http/auth.ts';

/** Who asks with a token; `service`: the service that passes the user's request on, null: nobody does. */
export function callerOfToken(user: TokenInfo, service: TokenInfo | null): UserCaller {
  const { project, domain } = user;
  return {
    kind: 'user',
    projectGiven: project !== null,
    credentials: {
      userId: user.user.id,
      projectId: project?.id ?? null,
      domainId: domain?.id ?? null,
      userDomainId: user.user.domainId,
      projectDomainId: project?.domainId ?? null,
      systemScope: user.isSystem ? 'all' : null,
      roles: user.roles,
      others: { ...namesOf(user), ...(service === null ? NO_SERVICE : serviceOf(service)) },
    },
  };
}

/** As they are called in the credentials that oslo and Neutron give to rules. */
function namesOf({ user, project, domain, isAdminProject }: TokenInfo): Readonly<Record<string, unknown>> {
  return {
    user_name: user.name,
    project_name: project?.name ?? null,
    tenant_name: project?.name ?? null,
    domain_name: domain?.name ?? null,
    is_admin_project: isAdminProject,
  };
}

const NO_SERVICE = { service_roles: [] } as const;

function serviceOf({ user, project, roles }: TokenInfo): Readonly<Record<string, unknown>> {
  return {
    service_user_id: user.id,
    service_user_domain_id: user.domainId,
    service_project_id: project?.id ?? null,
    service_project_domain_id: project?.domainId ?? null,
    service_roles: roles,
  };
}
