/**
 * `sweep_projects` of a Kubernetes cluster: what Cable has made by itself for the project of a namespace goes when the namespace is gone. That is the default security group, while it is as it
 * was made and there is nothing else of the project.
 */
import { type AnyObject, type KubernetesCluster, namespaceProject, type SecurityGroup } from '@cable/model';
import { transact } from '../engine/commit.ts';
import type { ActionHandler, EngineDeps, Planning } from '../engine/context.ts';
import type { Contribution } from '../engine/module.ts';
import { CLUSTER } from '../engine/of-clusters.ts';
import { lookAt } from '../engine/plan.ts';
import type { Look } from '../engine/view.ts';
import { permittedRow, planDelete } from '../engine/write.ts';
import { objectKey } from '../keys.ts';
import { DEFAULT_GROUP_NAME } from './default-group.ts';

const GROUP = 'security_group';

/** `revision_number` of an object that nobody has changed since it was made. */
const UNCHANGED = 1;

/** One transaction each: one that is used meanwhile keeps no other. */
const sweepProjects: ActionHandler = async (deps, cluster, _body, asked) => {
  const permitted = (planning: Planning): void => {
    permittedRow(planning, deps.resources.named(CLUSTER), cluster, (before) => ({
      ...{ verb: 'action', before, action: 'sweep_projects' },
    }));
  };
  await transact(deps, asked, permitted);
  for (const { id } of leftOver(deps, cluster)) {
    const build = (planning: Planning): void => {
      permitted(planning);
      const group = planning.plan.get(GROUP, id);
      if (group !== undefined && isLeftOver(deps, planning.plan, cluster, group))
        planDelete(planning, deps.resources.named(GROUP), group as never);
    };
    await deps.lock.run([objectKey(GROUP, id)], asked, () => transact(deps, asked, build, { isService: true }));
    deps.sweeper.deleted(GROUP, id);
  }
  return undefined;
};

function leftOver(deps: EngineDeps, cluster: string): readonly SecurityGroup[] {
  const look = lookAt(deps);
  return [...deps.tables.of(GROUP).values()].filter((group) => isLeftOver(deps, look, cluster, group));
}

/** The default group of a project of the cluster, as it was made, of a namespace that is gone. */
function isLeftOver(deps: EngineDeps, look: Look, cluster: string, group: SecurityGroup): boolean {
  const { name, project_id: project, revision_number: revision } = group;
  const prefix = namespaceProject(cluster, '');
  if (name !== DEFAULT_GROUP_NAME || revision !== UNCHANGED) return false;
  if (!project.startsWith(prefix) || project === prefix) return false;
  const namespace = `${cluster}/${project.slice(prefix.length)}`;
  return (
    look.by('kubernetes_namespace', 'name', namespace).length === 0 &&
    !isGiven(deps, project) &&
    isAlone(deps, look, group)
  );
}

/** An administrator has given it to a namespace. */
function isGiven({ tables }: EngineDeps, project: string): boolean {
  const clusters = [...tables.any(CLUSTER).values()] as unknown as readonly KubernetesCluster[];
  return clusters.some((one) => one.namespace_projects.some(({ project_id: given }) => given === project));
}

/** There is nothing of the project but the group and its rules. */
function isAlone({ resources }: EngineDeps, look: Look, { id, project_id: project }: SecurityGroup): boolean {
  return resources.all.every(({ type, stored, attributes }) => {
    if (!stored || attributes['project_id'] === undefined) return true;
    return look.by(type, 'project_id', project).every((row) => row.id === id || ruleOf(type, row) === id);
  });
}

function ruleOf(type: string, row: { readonly id: string }): unknown {
  return type === 'security_group_rule' ? (row as { security_group_id?: unknown }).security_group_id : undefined;
}

export const sweepProjectsModule: Contribution<AnyObject> = { actions: { sweep_projects: sweepProjects } };
