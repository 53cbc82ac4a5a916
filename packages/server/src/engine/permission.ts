/** Who may do what is asked here, when the object that it is about is known. The rules are in `policy/defaults/`. */
import type { Logger } from '@cable/kit';
import type { AnyObject, ResourceModel } from '@cable/model';
import { authorize, type Deed, refusal } from '../policy/authorize.ts';
import type { Credentials } from '../policy/credentials.ts';
import { createPolicy, type Policy, type Target } from '../policy/policy.ts';
import type { PolicySource } from '../policy/policy-source.ts';
import type { RowOf } from '../policy/relations.ts';
import type { RuleDefault } from '../policy/rules.ts';
import type { Planning } from './context.ts';
import { notFound } from './read.ts';
import type { Reader } from './reader.ts';
import type { ResourceRegistry } from './registry.ts';
import type { Look } from './view.ts';

/** The rules in force for the types that are loaded now. */
export type Permission = { readonly policy: Policy };

/** The rules in force, of which the operator's can be replaced. */
export type OpenPermission = Permission & {
  /** Takes other rules of the operator's. Throws `PolicyError`, or `PolicyFileError` with the place; then those of before are in force. */
  take(overrides: PolicySource['overrides']): void;
};

/** Follows the registry, with which the rules are replaced. Throws `PolicyError`. `source`: what is in force when this returns. */
export function createPermission(
  resources: Pick<ResourceRegistry, 'all' | 'onChange'>,
  modules: { readonly rules: readonly RuleDefault[] },
  source: PolicySource,
  log: Logger,
): OpenPermission {
  const load = (overrides: PolicySource['overrides']): Policy => {
    const policy = createPolicy({ ...source.options(overrides), rules: modules.rules, models: resources.all });
    for (const warning of policy.warnings) log.warn({ warning }, 'policy');
    return policy;
  };
  const permission = {
    policy: load(source.overrides),
    take: (overrides: PolicySource['overrides']) => {
      try {
        permission.policy = load(overrides);
      } catch (err) {
        throw source.explain(err, overrides);
      }
      source.overrides = overrides;
    },
  };
  resources.onChange(() => {
    permission.policy = load(source.overrides);
  });
  return permission;
}

/** Throws `NotFound` for what the caller may not know of, and `PolicyNotAuthorized`, which names the rules. `id`: of the object, for the message. */
export function permit({ deps, plan, asked }: Planning, resource: ResourceModel, id: string, deed: Deed): void {
  const { type } = resource;
  const request = { credentials: asked.credentials, type, row: rowsOf(plan), deed };
  const decision = authorize(deps.permission.policy, request);
  if (decision.kind === 'hidden') throw notFound(resource, id);
  if (decision.kind === 'refused') throw refusal(decision.rules);
}

/** The same for an action that changes nothing, of an object that the caller sees. Throws `PolicyNotAuthorized`. */
export function permitRead(
  { permission }: { readonly permission: Permission },
  { credentials, row }: { readonly credentials: Credentials; readonly row: RowOf },
  { type, action, before }: { readonly type: string; readonly action: string; readonly before: AnyObject },
): void {
  const decision = authorize(permission.policy, { credentials, type, row, deed: { verb: 'action', before, action } });
  if (decision.kind !== 'allowed') throw refusal(decision.kind === 'refused' ? decision.rules : [action]);
}

/**
 * Throws `PolicyNotAuthorized` for a caller who may not even create such an object below a parent of his own project: whether the one that he named is there
 * does not matter then.
 */
export function refuseBelowAny(
  { view }: Reader,
  { type }: ResourceModel,
  place: { readonly [attribute: string]: string },
): void {
  const own = { project_id: view.credentials.projectId ?? '' };
  const target = { type, object: { ...own, ...place }, row: (_type: string, id: string) => ({ ...own, id }) };
  const rule = `create_${type}`;
  if (!view.allows(rule, target)) throw refusal([rule]);
}

/** True: the rule `context_is_admin` says so, or the credentials themselves. */
export function isAdmin({ permission }: { readonly permission: Permission }, credentials: Credentials): boolean {
  return permission.policy.for(credentials).isAdmin;
}

/** Rules of which one is enough to create for another project. */
const PROJECT_RULES = ['context_can_set_project_id', 'service_api', 'context_is_advsvc'] as const;

/** True: the caller may create for projects that are not his own. */
export function mayNameProject({ permission }: { readonly permission: Permission }, credentials: Credentials): boolean {
  const view = permission.policy.for(credentials);
  return view.isAdmin || PROJECT_RULES.some((rule) => view.allows(rule, OF_NOTHING));
}

/** The rule about what is of no object: status, check, the agents' routes. */
const API_RULE = 'admin_api';

/** Throws `PolicyNotAuthorized` for a caller whom the rule `admin_api` does not let in. */
export function permitApi({ permission }: { readonly permission: Permission }, credentials: Credentials): void {
  if (permission.policy.for(credentials).allows(API_RULE, OF_NOTHING)) return;
  throw refusal([API_RULE]);
}

const OF_NOTHING: Target = { type: '', object: {}, row: () => undefined };

/** Looks for what a rule refers to. */
export function rowsOf(look: Pick<Look, 'get'>): RowOf {
  return (type, id) => look.get(type, id) as ReturnType<RowOf>;
}
