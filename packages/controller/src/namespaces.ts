/** Which project a namespace is: its own, or the one that an administrator of Cable gave it. */
import type { KubeObject } from '@cable/kube';
import { namespaceProject } from '@cable/model';
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
