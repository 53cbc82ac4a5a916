/**
 * `adopt` and `release` of clusters: an object goes from Neutron's door to Kubernetes, and back. Each is one transaction, so that whoever dies in it has left all of an
 * object with one owner.
 */
import { type AnyObject, CableError, HANDED_OVER, type ResourceModel } from '@cable/model';
import { transact } from '../engine/commit.ts';
import type { ActionHandler, EngineDeps, Planning } from '../engine/context.ts';
import type { Contribution } from '../engine/module.ts';
import { CLUSTER, managedBy, ownerOf } from '../engine/of-clusters.ts';
import { notFound } from '../engine/read.ts';
import { permittedRow, planUpdate } from '../engine/write.ts';
import { objectKey } from '../keys.ts';

/** The actions of clusters. */
export const handingOverModule: Contribution<AnyObject> = { actions: { adopt, release } };

/** As the namespace's project, which may change the object: nobody's else is taken. */
async function adopt(...[deps, cluster, body, asked]: Parameters<ActionHandler>): Promise<void> {
  const [id, origin] = [given(body, 'object_id'), given(body, 'origin')];
  const types = typesOf(deps, origin);
  const build = (planning: Planning): void => {
    permitted(planning, cluster, 'adopt');
    const resource = types.find(({ type }) => planning.plan.get(type, id) !== undefined) ?? types[0];
    if (resource === undefined) throw new Error(`no type of ${origin}`);
    const row = permittedRow(planning, resource, id, (before) => ({ verb: 'update', before, changes: {} }));
    if (row['project_id'] !== asked.credentials.projectId) throw notFound(resource, id);
    const mark = { 'cable:cluster': cluster, 'cable:origin': origin };
    for (const [of, one] of [[resource, row] as const, ...partsOf(planning, resource, row)]) {
      if (isOf(one, mark)) continue;
      refuseOwned(planning, of, one);
      refuseOthers(of, one, row);
      refuseUsed(one);
      planUpdate(planning, of, one, mark);
    }
  };
  await deps.lock.run([objectKey(CLUSTER, cluster)], asked, () => transact(deps, asked, build));
}

async function release(...[deps, cluster, body, asked]: Parameters<ActionHandler>): Promise<void> {
  const origin = given(body, 'origin');
  const types = [...typesOf(deps, origin), ...PARTS.flatMap((type) => deps.resources.find(type) ?? [])];
  const build = (planning: Planning): void => {
    permitted(planning, cluster, 'release');
    for (const resource of types)
      for (const row of planning.plan.by(resource.type, 'cable:origin', origin) as readonly AnyObject[])
        if (row['cable:cluster'] === cluster) planUpdate(planning, resource, row, { 'cable:cluster': null });
  };
  await deps.lock.run([objectKey(CLUSTER, cluster)], asked, () => transact(deps, asked, build));
}

function given(body: Readonly<Record<string, unknown>>, field: string): string {
  const value = body[field];
  if (typeof value === 'string') return value;
  throw new CableError('InvalidInput', `Invalid input for ${field}. Reason: it is missing.`);
}

/** Types that custom resources of the origin's kind have. Throws `InvalidInput` for what is handed over to nobody, such as a pod's port. */
function typesOf({ resources }: EngineDeps, origin: string): readonly ResourceModel[] {
  const [kind = '', ...place] = origin.split('/');
  const types = Object.hasOwn(HANDED_OVER, kind) ? HANDED_OVER[kind as keyof typeof HANDED_OVER] : [];
  if (types.length > 0 && place.length === 3 && place.every((one) => one !== ''))
    return types.map((type) => resources.named(type));
  const form = `KIND/NAMESPACE/NAME/UID, with one of ${Object.keys(HANDED_OVER).join(', ')} as kind`;
  throw new CableError('InvalidInput', `Invalid input for origin. Reason: ${origin} is not of the form ${form}.`);
}

function permitted(planning: Planning, cluster: string, action: string): void {
  const resource = planning.deps.resources.named(CLUSTER);
  permittedRow(planning, resource, cluster, (before) => ({ verb: 'action', before, action }));
}

/** Types of what goes with another object. */
const PARTS = ['subnet', 'tap_service'] as const;

/** What goes with it, as custom resources have it. */
function partsOf(
  { deps, plan }: Planning,
  { type }: ResourceModel,
  row: AnyObject,
): readonly (readonly [ResourceModel, AnyObject])[] {
  if (type === 'network') {
    const subnets = plan.by('subnet', 'network_id', row.id) as readonly AnyObject[];
    return subnets.map((one) => [deps.resources.named('subnet'), one]);
  }
  const serviceId = type === 'tap_flow' ? String(row['tap_service_id']) : '';
  const service = plan.get('tap_service', serviceId) as AnyObject | undefined;
  if (service === undefined) return [];
  const flows = plan.by('tap_flow', 'tap_service_id', service.id);
  if (flows.length === 1) return [[deps.resources.named('tap_service'), service]];
  throw new CableError('HTTPConflict', `Tap service ${service.id} has ${flows.length} flows, and a Mirror has one.`, {
    detail: 'Delete the others, or give each a service of its own.',
  });
}

function isOf(row: AnyObject, mark: Readonly<Record<string, string>>): boolean {
  return Object.entries(mark).every(([name, value]) => row[name] === value);
}

function refuseOwned(planning: Planning, resource: ResourceModel, row: AnyObject): void {
  const cluster = ownerOf(planning, row);
  if (cluster !== undefined) throw managedBy(cluster, resource, row);
}

/** As a subnet that an administrator has made in somebody's network for another project. */
function refuseOthers({ label }: ResourceModel, part: AnyObject, whole: AnyObject): void {
  if (part['project_id'] === whole['project_id']) return;
  throw new CableError('HTTPConflict', `${label} ${part.id}, which goes with it, is of another project.`);
}

/** Who plugged a port deletes it as he made it: Nova does, with its machine. */
function refuseUsed(row: AnyObject): void {
  const [device, owner] = [row['device_id'] ?? '', row['device_owner'] ?? ''];
  if (device === '' && owner === '') return;
  throw new CableError(
    'PortInUse',
    `Unable to complete operation on port ${row.id} for network ${row['network_id']}. Port already has an attached device ${device}.`,
  );
}
