/** Kubernetes clusters, and what their controllers make: who else changes it is told where it is to be changed. */
import { type AnyObject, CableError, isClusterName, type KubernetesCluster } from '@cable/model';
import { transact } from '../engine/commit.ts';
import type { ActionHandler, Planning } from '../engine/context.ts';
import { type Contribution, contribute } from '../engine/module.ts';
import { CLUSTER, superseded } from '../engine/of-clusters.ts';
import { showOne } from '../engine/read.ts';
import { readerOf } from '../engine/reader.ts';
import { permittedRow } from '../engine/write.ts';
import { objectKey } from '../keys.ts';

/** A controller that comes with the epoch that is there already is the same one, whose answer was lost. */
const claim: ActionHandler = async (deps, name, body, asked) => {
  const resource = deps.resources.named(CLUSTER);
  const { uid, holder, epoch } = parse(body);
  const build = (planning: Planning): void => {
    const { plan } = planning;
    const act = (before: AnyObject) => ({ verb: 'action', before, action: 'claim' }) as const;
    const row = permittedRow(planning, resource, name, act) as unknown as KubernetesCluster;
    if (row.uid !== null && row.uid !== uid) throw isAnother(row, uid);
    if (row.epoch > epoch || (row.epoch === epoch && row.holder !== holder)) throw superseded(row);
    if (row.epoch < epoch || row.uid === null) plan.replace(CLUSTER, { ...row, uid, holder, epoch } as never);
  };
  await deps.lock.run([objectKey(CLUSTER, name)], asked, () => transact(deps, asked, build, { isUnfenced: true }));
  return showOne(deps, resource, name, readerOf(deps, asked.credentials));
};

function parse(body: Readonly<Record<string, unknown>>) {
  const { uid, holder, epoch } = body;
  for (const [field, value] of Object.entries({ uid, holder, epoch })) {
    if (value === undefined) throw new CableError('InvalidInput', `Invalid input for ${field}. Reason: it is missing.`);
  }
  return { uid: String(uid), holder: String(holder), epoch: Number(epoch) };
}

function isAnother({ id, uid: before }: Pick<KubernetesCluster, 'id' | 'uid'>, uid: string): CableError {
  return new CableError(
    'HTTPConflict',
    `${id} is another Kubernetes: its kube-system has the UID ${before}, not ${uid}.`,
    {
      detail: `Give the other one another name (cable kube --cluster). If this one was made anew: cable kubernetes cluster update ${id} --no-uid.`,
    },
  );
}

/** Clusters. */
export const kubernetesClusterModule: Contribution<AnyObject> = contribute<KubernetesCluster>({
  check: (_view, { id }) => {
    if (isClusterName(id)) return;
    const rule = 'at most 63 of a to z, 0 to 9 and "-", first and last none of "-"';
    throw new CableError('InvalidInput', `Invalid input for name. Reason: ${rule}.`);
  },
  actions: { claim },
});
