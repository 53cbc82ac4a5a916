/** `cable:cluster` and `cable:origin`: which cluster's controller has made an object, for what. */
import { deviceOn } from '@cable/compiler';
import { type AnyObject, CableError, type Port } from '@cable/model';
import type { Planning } from '../engine/context.ts';
import { type Contribution, contribute } from '../engine/module.ts';
import { clusterOf, noCluster } from '../engine/of-clusters.ts';

/** Of a type whose objects controllers make. */
export const originModule: Contribution<AnyObject> = {
  derive: (planning, given) => {
    const { 'cable:cluster': cluster = null, 'cable:origin': origin = null } = given;
    if ((cluster === null) !== (origin === null)) {
      const missing = cluster === null ? 'cable:cluster' : 'cable:origin';
      throw new CableError('InvalidInput', `Invalid input for ${missing}. Reason: give both or neither.`);
    }
    const { controller } = planning.asked.credentials;
    if (controller !== undefined && cluster !== null && cluster !== controller.cluster) {
      const detail = `The controller of ${controller.cluster} asks.`;
      throw new CableError('InvalidInput', `Invalid input for cable:cluster. Reason: it is another cluster.`, {
        detail,
      });
    }
    if (typeof cluster === 'string' && clusterOf(planning, cluster) === undefined) throw noCluster(cluster);
    return {};
  },
};

/** A controller binds ports of pods and nodes, to hosts of its cluster; what is plugged on a live host stays; nobody else's port is taken for one of these. */
export const portOfClusterModule: Contribution<AnyObject> = contribute<Port>({
  derive: (planning, given) => {
    checkBinding(planning, given, '');
    refuseLikeness(planning, given);
    return {};
  },
  change: (planning, before, after) => {
    checkBinding(planning, after, before['binding:host_id'] ?? '');
    if (LIKENESS.some((name) => after[name] !== before[name])) refuseLikeness(planning, after);
    for (const { host } of after.inactive_bindings)
      checkBinding(planning, { ...after, 'binding:host_id': host }, hostsOf(before).includes(host) ? host : '');
    refusePlugged(planning, before, after);
    refuseOtherOrigin(planning, before, after);
    return {};
  },
  remove: (planning, port) => refusePlugged(planning, port),
});

/** Of one that stays the cluster's: of a pod's port its controller changes the UID, and nobody anything else. */
function refuseOtherOrigin({ asked }: Planning, before: Port, after: Port): void {
  const [was, is] = [before['cable:origin'] ?? '', after['cable:origin'] ?? ''];
  if (was === is || before['cable:cluster'] !== after['cable:cluster']) return;
  const isOwn = asked.credentials.controller?.cluster === before['cable:cluster'];
  if (isOwn && POD_ORIGIN.test(was) && POD_ORIGIN.test(is) && placeIn(was) === placeIn(is)) return;
  const reason = 'of the port of a pod its cluster’s controller changes the UID, and nobody anything else';
  throw new CableError('InvalidInput', `Invalid input for cable:origin. Reason: ${reason}.`);
}

/** Namespace, name and UID. */
const POD_ORIGIN = /^Pod\/[^/]+\/[^/]+\/[^/]+$/;

function placeIn(origin: string): string {
  return origin.slice(0, origin.lastIndexOf('/'));
}

/** Of origins for which a port is a pod's or a node's. */
const MADE = /^(Pod|Node|VirtualMachine|VirtualMachineInstance)\//;

/** By which an agent knows what a port is. */
const LIKENESS = ['device_owner', 'device_id', 'binding:host_id'] as const;

/** A node's port is plugged in the host's own namespace, and a leg leads where pods and nodes are. */
const OF_CONTROLLERS: readonly string[] = ['kubernetes:node', 'kubernetes:leg'];

/** A pod's UID and an interface, as runtimes of Kubernetes say them: of a static pod the UID is a hash. Containers' IDs are longer. */
const POD_DEVICE = /^([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32}):/i;

/**
 * Whoever may change a port could make it a node's, or that of a pod of somebody else's, on a host that it is bound to already. Only what was made for a pod or a node is
 * taken for one; where no cluster is, what looks like a pod's is one of a runtime alone.
 */
function refuseLikeness({ plan }: Planning, port: Partial<Port>): void {
  const { device_owner: owner = '', device_id: device = '', 'cable:cluster': cluster = null } = port;
  const isNodes = OF_CONTROLLERS.includes(owner);
  if (!isNodes && !(owner === 'kubernetes:pod' && POD_DEVICE.test(device))) return;
  const host = port['binding:host_id'] ?? '';
  const ofHost = host === '' ? null : (plan.rely('host', host)?.cluster ?? null);
  const origin = port['cable:origin'] ?? '';
  const isMade = cluster !== null && MADE.test(origin) && (ofHost === null || cluster === ofHost);
  if (isMade || (!isNodes && ofHost === null)) return;
  const what = isNodes ? `device_owner. Reason: ${owner}` : 'device_id. Reason: a pod’s UID on a host of a cluster';
  throw new CableError(
    'InvalidInput',
    `Invalid input for ${what} is for ports that the cluster’s controller has made.`,
    {
      detail: 'Pods and nodes of Kubernetes get theirs from it: cable kube.',
    },
  );
}

/**
 * What is plugged on a live host is somebody's still, whatever the controller knows: it keeps its binding there, for that pod. `after` undefined: the port goes. A binding that is activated, or
 * prepared, leaves all of them where they are.
 */
function refusePlugged({ deps, asked }: Planning, before: Port, after?: Port): void {
  if (asked.credentials.controller === undefined || before['cable:cluster'] === null) return;
  const { tables } = deps;
  const kept = after === undefined ? [] : hostsOf(after);
  for (const host of hostsOf(before)) {
    if (after !== undefined && kept.includes(host) && deviceOn(before, host) === deviceOn(after, host)) continue;
    const isPlugged = tables.of('vif').get(`${host}/${before.id}`)?.state === 'up';
    if (!isPlugged || tables.of('alive').get(host) === undefined) continue;
    throw new CableError('PortStillPlugged', `Port ${before.id} is plugged on host ${host}.`, { fields: { host } });
  }
}

/** To which it is bound, active or not. */
function hostsOf(port: Port): readonly string[] {
  const host = port['binding:host_id'] ?? '';
  return [...(host === '' ? [] : [host]), ...port.inactive_bindings.map((one) => one.host)];
}

function checkBinding(planning: Planning, port: Partial<Port>, before: string): void {
  const { controller } = planning.asked.credentials;
  const host = port['binding:host_id'] ?? '';
  if (controller === undefined || host === '' || host === before) return;
  if (!(port.device_owner ?? '').startsWith('kubernetes:')) {
    const reason = 'a controller binds ports of pods and nodes (device_owner kubernetes:pod, kubernetes:node)';
    throw new CableError('InvalidInput', `Invalid input for binding:host_id. Reason: ${reason}.`);
  }
  const { cluster } = controller;
  if (planning.plan.rely('host', host)?.cluster === cluster) return;
  throw new CableError(
    'InvalidInput',
    `Invalid input for binding:host_id. Reason: ${host} is no host of cluster ${cluster}.`,
    {
      detail: `Start its agent with --cluster ${cluster}.`,
    },
  );
}
