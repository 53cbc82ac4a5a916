/** `auto-allocated-topology`: a project's network, which is made when it is first asked for: all of it in one transaction. */
import { type AnyObject, CableError, type Network, type Port, type Router } from '@cable/model';
import { transact } from '../engine/commit.ts';
import { type ActionHandler, type Asked, asService, type EngineDeps, type Planning } from '../engine/context.ts';
import { type Claim, type Contribution, contribute } from '../engine/module.ts';
import { isAdmin } from '../engine/permission.ts';
import type { Look } from '../engine/view.ts';
import { planCreate, planDelete } from '../engine/write.ts';
import { objectKey } from '../keys.ts';
import { refusal } from '../policy/authorize.ts';
import { interfacesOf } from './router.ts';
import { attachSubnet, detachPort } from './router-interfaces.ts';
import { seenDefault } from './subnet-allocation.ts';

const TYPE = 'auto_allocated_topology';
const DRY_RUN = 'dry-run';

/** Networks: one that leads outside is the default. */
export const defaultExternalModule: Contribution<AnyObject> = contribute<Network>({
  claims: (network) => (network.is_default === true && network['router:external'] ? [DEFAULT] : []),
});

/** The topologies of projects. */
export const autoAllocatedTopologyModule: Contribution<AnyObject> = {
  actions: { get_topology: getTopology, delete_topology: deleteTopology },
};

const DEFAULT: Claim = {
  kind: 'default_external',
  value: 'network',
  holder: (look) => defaultExternal(look)?.id,
  taken: (holder) =>
    new CableError('DefaultExternalNetworkExists', `A default external network already exists: ${holder}.`),
};

function defaultExternal(look: Pick<Look, 'by'>): Network | undefined {
  return look.by('network', 'is_default', 'true').find((network) => network['router:external']);
}

function getTopology(...[deps, , , asked, parameters]: Parameters<ActionHandler>): Promise<unknown> {
  const project = projectOf(deps, asked, parameters['project']);
  permit(deps, asked, 'get', project);
  const fields = asked.values?.('fields') ?? [];
  if (fields.length > 0 && !fields.includes(DRY_RUN))
    throw new CableError('BadRequest', 'Bad auto_allocate request: Unrecognized field.');
  const build = (planning: Planning): string =>
    fields.length > 0 ? dryRun(planning) : String((known(planning, project) ?? make(planning, project))['network_id']);
  return deps.lock.run([objectKey(TYPE, project)], asked, async () => {
    const id = await transact(deps, asked, build, { isService: true });
    return { id, tenant_id: project, project_id: project };
  });
}

function deleteTopology(...[deps, , , asked, parameters]: Parameters<ActionHandler>): Promise<unknown> {
  const project = projectOf(deps, asked, parameters['project']);
  permit(deps, asked, 'delete', project);
  const build = (planning: Planning): void => {
    const topology = known(planning, project);
    if (topology !== undefined) remove(planning, topology);
  };
  return deps.lock.run([objectKey(TYPE, project)], asked, () => transact(deps, asked, build, { isService: true }));
}

/** What clients say who name no project. */
const OWN_PROJECT = 'None';

function projectOf(deps: EngineDeps, { credentials }: Asked, named = OWN_PROJECT): string {
  const project = named === OWN_PROJECT ? credentials.projectId : named;
  if (project === null)
    throw new CableError('HTTPBadRequest', 'Invalid input for project_id. Reason: the project is not known.');
  if (project !== credentials.projectId && !isAdmin(deps, credentials))
    throw new CableError('NotAuthorized', 'Not authorized.');
  return project;
}

function permit(
  { permission, tables }: EngineDeps,
  { credentials }: Asked,
  verb: 'get' | 'delete',
  project: string,
): void {
  const rule = `${verb}_${TYPE}`;
  const target = {
    type: TYPE,
    object: { id: project, project_id: project },
    row: (type: string, id: string) => tables.any(type).get(id),
  };
  if (!permission.policy.for(credentials).allows(rule, target)) throw refusal([rule]);
}

/** What the project has; a second request compares that it is still so. */
function known({ plan }: Planning, project: string): AnyObject | undefined {
  return plan.rely(TYPE, project);
}

function dryRun(planning: Planning): string {
  if (defaultExternal(planning.plan) === undefined) throw failure('No default router:external network');
  if (poolsOf(planning).length === 0) throw failure('No default subnetpools defined');
  return 'dry-run=pass';
}

function poolsOf(planning: Planning): readonly { readonly id: string; readonly ip_version: 4 | 6 }[] {
  return [4, 6].flatMap((version) => seenDefault(planning, version) ?? []);
}

function make(planning: Planning, project: string): AnyObject {
  const { deps, plan } = planning;
  const outside = defaultExternal(plan);
  if (outside === undefined) throw failure('No default router:external network');
  const create = (type: string, attributes: object): AnyObject =>
    planCreate(asService(planning), deps.resources.named(type), {
      id: deps.newId(),
      project_id: project,
      ...attributes,
    });
  const subnets = attempt('Unable to provide tenant private network', () => {
    const network = create('network', { name: 'auto_allocated_network' });
    const pools = poolsOf(planning);
    if (pools.length === 0) throw failure('Unable to provide tenant private network');
    return pools.map(({ id, ip_version: version }) =>
      create('subnet', {
        name: `auto_allocated_subnet_v${version}`,
        network_id: network.id,
        ip_version: version,
        subnetpool_id: id,
      }),
    );
  });
  const router = attempt('Unable to provide external connectivity', () => {
    const made = create('router', { name: 'auto_allocated_router', external_gateway_info: { network_id: outside.id } });
    for (const { id } of subnets) attachSubnet(planning, made as unknown as Router, id);
    return made;
  });
  const topology = { id: project, network_id: subnets[0]?.['network_id'], router_id: router.id };
  return planCreate(planning, deps.resources.named(TYPE), { ...topology, project_id: project });
}

/** What a request that was not made by the client is refused for says nothing to him. */
function attempt<T>(reason: string, act: () => T): T {
  try {
    return act();
  } catch (err) {
    const isMissing =
      err instanceof CableError && (err.status === 400 || err.status === 404 || err.code === 'SubnetAllocationError');
    throw isMissing ? failure(reason, err) : err;
  }
}

function remove(planning: Planning, { id, network_id: networkId, router_id: routerId }: AnyObject): void {
  const { deps, plan } = planning;
  const router = plan.get('router', String(routerId));
  if (router !== undefined) {
    for (const leg of interfacesOf(plan, router.id)) detachPort(planning, router, leg as Port);
    planDelete(asService(planning), deps.resources.named('router'), router);
  }
  const network = plan.get('network', String(networkId));
  if (network !== undefined) planDelete(asService(planning), deps.resources.named('network'), network);
  else plan.delete(TYPE, id);
}

function failure(reason: string, cause?: CableError): CableError {
  return new CableError('AutoAllocationFailure', `Deployment error: ${reason}.`, {
    ...(cause === undefined ? {} : { cause, detail: cause.message }),
  });
}
