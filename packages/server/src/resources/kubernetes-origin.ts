/** `cable:cluster` and `cable:origin`: which cluster's controller has made an object, for what. */
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

/** A controller binds ports of pods and nodes, to hosts of its cluster; what is plugged on a live host stays. */
export const portOfClusterModule: Contribution<AnyObject> = contribute<Port>({
  derive: (planning, given) => {
    checkBinding(planning, given, '');
    return {};
  },
  change: (planning, before, after) => {
    checkBinding(planning, after, before['binding:host_id'] ?? '');
    const isMoved = after['binding:host_id'] !== before['binding:host_id'] || after.device_id !== before.device_id;
    if (isMoved) refusePlugged(planning, before);
    return {};
  },
  remove: refusePlugged,
});

/** What is plugged on a live host is somebody's still, whatever the controller knows. */
function refusePlugged({ deps, asked }: Planning, port: Port): void {
  const host = port['binding:host_id'] ?? '';
  if (asked.credentials.controller === undefined || port['cable:cluster'] === null) return;
  const { tables } = deps;
  if (tables.of('vif').get(`${host}/${port.id}`)?.state !== 'up' || tables.of('alive').get(host) === undefined) return;
  throw new CableError('PortStillPlugged', `Port ${port.id} is plugged on host ${host}.`, { fields: { host } });
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
