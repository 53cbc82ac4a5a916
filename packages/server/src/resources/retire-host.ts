/** `retire_host` of a Kubernetes cluster: a host goes with its node, so that the node’s address is free, and whoever has its disk is nobody. */
import { type AnyObject, CableError, type Host } from '@cable/model';
import { transact } from '../engine/commit.ts';
import type { ActionHandler, Planning } from '../engine/context.ts';
import type { Contribution } from '../engine/module.ts';
import { CLUSTER } from '../engine/of-clusters.ts';
import { notFound } from '../engine/read.ts';
import { permittedRow, planDelete } from '../engine/write.ts';
import { objectKey } from '../keys.ts';
import { certificateKey, planRetire } from '../pki/host-certificates.ts';

const retireHost: ActionHandler = async (deps, cluster, body, asked) => {
  const resource = deps.resources.named('host');
  const id = body['host'];
  if (typeof id !== 'string') throw new CableError('InvalidInput', 'Invalid input for host: give its name.');
  const build = (planning: Planning): void => {
    const { plan } = planning;
    const act = (before: AnyObject) => ({ verb: 'action', before, action: 'retire_host' }) as const;
    permittedRow(planning, deps.resources.named(CLUSTER), cluster, act);
    const row = plan.rely('host', id) as Host | undefined;
    if (row === undefined || (row.cluster ?? null) !== cluster) throw notFound(resource, id);
    const before = plan.rely('host_certificate', id);
    planDelete(planning, resource, row as unknown as AnyObject);
    planRetire(plan, id, before);
  };
  await deps.lock.run([objectKey('host', id), certificateKey(id)], asked, () => transact(deps, asked, build));
  deps.sweeper.deleted('host', id);
  return undefined;
};

export const retireHostModule: Contribution<AnyObject> = { actions: { retire_host: retireHost } };
