/** For whom a request of the plug-in is done: for whom its context says, if whoever sent it may say so. */
import { CableError } from '@cable/model';
import type { EngineDeps } from '../engine/context.ts';
import { isAdmin } from '../engine/permission.ts';
import type { UserCaller } from '../http/auth.ts';
import { credentialsOf, NOBODYS_PROJECT } from '../policy/credentials.ts';
import { type PluginContext, withoutDashes } from './envelope.ts';

/** Callers that are remembered, so that what the rules come to for them is, too. */
const CALLERS_KEPT = 1000;

const ADMIN = 'admin';

/** Role of OpenStack's services. */
const SERVICE = 'service';

/** Whom a context means, to a sender who may be believed or not. Throws `PolicyNotAuthorized`. */
export type CallerOf = (sender: UserCaller, context: PluginContext) => UserCaller;

/**
 * Believes the context of a sender who is an administrator, by the rules, or a service of Keystone's. A certificate with the role `service` is an agent's for
 * its pods, as a rule, and may not speak for all. Any other speaks for himself: his project must be that of the context,
 * and what he may is what his own roles say.
 */
export function createCallers(deps: Pick<EngineDeps, 'permission'>): CallerOf {
  const known = new Map<string, UserCaller>();
  return (sender, context) => {
    const { credentials } = sender;
    const isService = sender.byCertificate !== true && credentials.roles.some((role) => role.toLowerCase() === SERVICE);
    if (!isService && !isAdmin(deps, credentials)) {
      const { projectId } = credentials;
      if (projectId === null || withoutDashes(projectId) !== context.projectId) throw notTheirs();
      return sender;
    }
    const name = JSON.stringify([context.userId, context.projectId, context.isAdmin, context.roles]);
    const caller = known.get(name) ?? believed(context);
    if (known.size >= CALLERS_KEPT) known.clear();
    known.set(name, caller);
    return caller;
  };
}

/** neutron-server has asked its own rules what the user may, and whether he is an administrator: the role alone makes none. */
function believed({ userId, projectId, isAdmin: isGivenAsAdmin, roles: given }: PluginContext): UserCaller {
  const others = given.filter((role) => role.toLowerCase() !== ADMIN);
  const roles = [...new Set([...(isGivenAsAdmin ? [ADMIN, 'manager'] : []), ...others, 'member', 'reader'])];
  const credentials = credentialsOf({ projectId: projectId ?? NOBODYS_PROJECT, roles });
  return {
    kind: 'user',
    credentials: { ...credentials, userId, isAdmin: isGivenAsAdmin },
    projectGiven: projectId !== null,
  };
}

function notTheirs(): CableError {
  return new CableError('PolicyNotAuthorized', 'The context is of another project than the token of the request.', {
    detail: 'Give the service user of neutron-server the role service, or admin.',
  });
}
