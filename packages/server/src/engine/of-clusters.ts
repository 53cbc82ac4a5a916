/** What controllers of Kubernetes clusters have made, and what they write. */
import { type AnyObject, CableError, HANDED_OVER, type KubernetesCluster, type ResourceModel } from '@cable/model';
import type { Planning } from './context.ts';

/** Type of the clusters. */
export const CLUSTER = 'kubernetes_cluster';

/**
 * Refuses a client's change of what a controller has made. Throws `ManagedByKubernetes`, which says what it is of. Once the cluster is deleted here what it had is
 * everybody's to change who may.
 */
export function refuseOfCluster(planning: Planning, resource: ResourceModel, row: AnyObject): void {
  const cluster = ownerOf(planning, row);
  if (cluster === undefined || planning.asked.credentials.controller?.cluster === cluster) return;
  throw managedBy(cluster, resource, row);
}

/** The cluster whose controller alone changes an object; undefined: none has it, or what had it is deleted here. */
export function ownerOf(planning: Planning, row: AnyObject): string | undefined {
  const cluster = row['cable:cluster'];
  return typeof cluster === 'string' && clusterOf(planning, cluster) !== undefined ? cluster : undefined;
}

/** What is said of an object that a controller has, and what to do about it where that can be handed over. */
export function managedBy(cluster: string, { label }: ResourceModel, row: AnyObject): CableError {
  const origin = String(row['cable:origin']);
  const [kind = '', ...place] = origin.split('/');
  const of = place.length >= 2 ? `${kind} ${place.slice(0, 2).join('/')}` : `${kind} ${place.join('/')}`;
  const [namespace, name] = place;
  const command = (verb: string, more: string): string =>
    `kubectl ${verb} -n ${namespace} ${kind.toLowerCase()} ${name}${more}`;
  const detail = Object.hasOwn(HANDED_OVER, kind)
    ? `It is changed there: ${command('edit', '')}. To have it here: ${command('annotate', ' cable.io/deletion-policy=retain')}, then ${command('delete', '')}; or, by an administrator, cable kubernetes cluster release ${cluster} --origin ${origin}.`
    : undefined;
  return new CableError('ManagedByKubernetes', `${label} ${row.id} is of ${of} in Kubernetes cluster ${cluster}.`, {
    fields: { cluster, origin },
    ...(detail === undefined ? {} : { detail }),
  });
}

/**
 * The same of what is part of another object: rules of a group or a QoS policy, policies and peerings of a router, forwardings of a floating IP, subnets of a
 * network. `row` may be one that is to be made.
 */
export function refusePartOfCluster(planning: Planning, resource: ResourceModel, row: AnyObject): void {
  const { deps, plan } = planning;
  const whole = resource.parent ?? PART_OF[resource.type];
  if (whole === undefined || deps.resources.find(whole.type) === undefined) return;
  const id = row[whole.attribute];
  const parent = typeof id === 'string' ? plan.get(whole.type, id) : undefined;
  if (parent !== undefined) refuseOfCluster(planning, deps.resources.named(whole.type), parent as AnyObject);
}

/** Parts with collections of their own. */
const PART_OF: Readonly<Record<string, { readonly type: string; readonly attribute: string }>> = {
  security_group_rule: { type: 'security_group', attribute: 'security_group_id' },
  router_egress: { type: 'router', attribute: 'router_id' },
  subnet: { type: 'network', attribute: 'network_id' },
};

/** Of a `Port` of Kubernetes others say where it is plugged: it was made for one of their machines. */
export function isPlugging(row: AnyObject, changes: object): boolean {
  return String(row['cable:origin']).startsWith('Port/') && Object.keys(changes).every((name) => PLUGGING.test(name));
}

/** Of the networks that a cluster itself has pods in, with no custom resource, administrators say by which nodes, and with which addresses, what is there leaves. */
export function isWayOut(row: AnyObject, changes: object): boolean {
  return WITH_WAYS_OUT.test(String(row['cable:origin'])) && Object.keys(changes).every((name) => WAYS_OUT.has(name));
}

const WITH_WAYS_OUT = /^Subnet\/pods-ipv[46]$/;

const WAYS_OUT: ReadonlySet<string> = new Set(['cable:nat_outgoing', 'cable:gateway_nodes']);

const PLUGGING = /^(binding:\w+|device_id|device_owner)$/;

/** Refuses what a controller writes that another one has taken the place of. Throws `ControllerSuperseded`. */
export function holdToController(planning: Planning): void {
  const { controller } = planning.asked.credentials;
  if (controller === undefined) return;
  const row = clusterOf(planning, controller.cluster);
  if (row === undefined) throw noCluster(controller.cluster);
  if (controller.epoch === row.epoch) return;
  throw superseded(row);
}

/** A cluster, on which the transaction rests then. */
export function clusterOf({ deps, plan }: Planning, name: string): KubernetesCluster | undefined {
  if (deps.resources.find(CLUSTER) === undefined) return undefined;
  return plan.rely(CLUSTER, name) as unknown as KubernetesCluster | undefined;
}

/** What is said of one that nobody has made. */
export function noCluster(name: string): CableError {
  return new CableError(
    'InvalidInput',
    `Invalid input for cable:cluster. Reason: there is no Kubernetes cluster ${name}.`,
    {
      detail: `An administrator makes it: cable kubernetes cluster create ${name}.`,
    },
  );
}

/** What a controller is told that does not write, or no more. */
export function superseded({ id, holder, epoch }: Pick<KubernetesCluster, 'id' | 'holder' | 'epoch'>): CableError {
  const who = epoch === 0 ? 'nobody has claimed it yet' : `${holder} writes for it, with epoch ${epoch}`;
  return new CableError('ControllerSuperseded', `Nothing is written for cluster ${id}: ${who}.`);
}
