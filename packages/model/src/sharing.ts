/** What objects say of whom they are shared with: the lists that RBAC policies make. */
import type { ResourceModel } from './declaration.ts';
import { clusterProjects, isClusterName } from './resources/kubernetes-cluster.ts';

/** In a list: every project. */
export const EVERY_PROJECT = '*';

/** Lists that make an object visible, by the action of the policies that they are made of. */
export const GRANT_LISTS = {
  access_as_shared: 'shared_with',
  access_as_external: 'external_to',
} as const;

/** What a policy allows. */
export type GrantAction = keyof typeof GRANT_LISTS;

/** A list of `GRANT_LISTS`. */
export type GrantList = (typeof GRANT_LISTS)[GrantAction];

/** What a list may have that grants something to a project: every one, itself, and all of the cluster that it is a namespace of. `projectId` null: the caller has none. */
export function grantsTo(projectId: string | null): readonly string[] {
  if (projectId === null) return [EVERY_PROJECT];
  const dot = projectId.indexOf('.');
  const cluster = projectId.slice(0, Math.max(0, dot));
  return [EVERY_PROJECT, projectId, ...(isClusterName(cluster) ? [clusterProjects(cluster)] : [])];
}

/** True when the list has the project, all of its cluster, or every one. `projectId` null: the caller has none. */
export function isGrantedTo(list: unknown, projectId: string | null): boolean {
  if (!Array.isArray(list) || list.length === 0) return false;
  return grantsTo(projectId).some((one) => list.includes(one));
}

/** True for what stands for many projects in a list. */
export function isGrantToMany(target: string): boolean {
  return target === EVERY_PROJECT || target.endsWith('.*');
}

/** True for a type whose objects are shared by RBAC policies. */
export function isShareable({ storedAttributes }: Pick<ResourceModel, 'storedAttributes'>): boolean {
  return storedAttributes['shared_with'] !== undefined;
}

/** The stored list that says to whom an attribute is true; undefined: it is an attribute like others. `shared` of a shareable type need not be declared. */
export function grantListOf(
  { attributes, storedAttributes }: Pick<ResourceModel, 'attributes' | 'storedAttributes'>,
  name: string,
): string | undefined {
  const declared = Object.hasOwn(attributes, name) ? attributes[name]?.grantedBy : undefined;
  return declared ?? (name === 'shared' && storedAttributes['shared_with'] !== undefined ? 'shared_with' : undefined);
}

const granted = new WeakMap<object, readonly (readonly [string, string])[]>();

/** Attributes that are true to some and not to others, each with its list; found once. */
export function grantedAttributes({
  attributes,
}: Pick<ResourceModel, 'attributes'>): readonly (readonly [string, string])[] {
  const known = granted.get(attributes);
  if (known !== undefined) return known;
  const found = Object.entries(attributes).flatMap(([name, { grantedBy }]) =>
    grantedBy === undefined ? [] : [[name, grantedBy] as const],
  );
  granted.set(attributes, found);
  return found;
}
