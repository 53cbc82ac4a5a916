/** Which project a namespace is: its own, or the one that an administrator of Cable gave it. */
import type { KubeObject } from '@cable/kube';
import { clusterProjects, namespaceProject } from '@cable/model';
import { type CableAccess, isGone } from './cable-access.ts';
import { labelTexts } from './policy-facts.ts';

/** `labels`: each as key=value. */
export type NamespaceFacts = { readonly uid: string; readonly labels: readonly string[] };

export function namespaceFacts({ metadata }: KubeObject): NamespaceFacts {
  return { uid: metadata.uid ?? '', labels: labelTexts(metadata.labels) };
}

/** As `namespace_projects` of the cluster says: by UID, since a namespace that is made anew under its name is another one. */
export type GivenProjects = ReadonlyMap<string, string>;

/** The project; undefined: the namespace is not known yet. */
export function projectOf(
  cluster: string,
  namespaces: { get(key: string): NamespaceFacts | undefined },
  given: GivenProjects,
  namespace: string,
): string | undefined {
  const known = namespaces.get(namespace);
  return known === undefined ? undefined : (given.get(known.uid) ?? namespaceProject(cluster, namespace));
}

/** True of a project that was a namespace's own, which is gone; never of one that an administrator gave a namespace. */
export function isOfGone(
  cluster: string,
  namespaces: { get(key: string): NamespaceFacts | undefined },
  given: GivenProjects,
  project: string,
): boolean {
  const own = namespaceProject(cluster, '');
  if (!project.startsWith(own) || project === own || project === clusterProjects(cluster)) return false;
  return namespaces.get(project.slice(own.length)) === undefined && ![...given.values()].includes(project);
}

/** Deletes what Cable has made by itself for projects of namespaces that are gone. A server of before cannot. */
export async function sweepProjects({ own }: Pick<CableAccess, 'own'>, cluster: string): Promise<void> {
  await own.action('kubernetes_cluster', cluster, 'sweep_projects', {}).catch((err: unknown) => {
    if (!isGone(err)) throw err;
  });
}
