/** What a plug-in is to have: what it owns, and what that refers to. */

import type { AnyObject } from '@cable/model';
import { RESOURCES, type ResourceName } from '@cable/plugin/contract';
import type { Tables } from '../tables.ts';
import { ownersOfGroup } from './vetting.ts';

type Looked = Pick<Tables, 'any' | 'has' | 'modRevision'>;

/** One object that a plug-in is to have, or has: by name of its resource and id. */
export type Ref = { readonly resource: ResourceName; readonly id: string };

/** True when the plug-in is to have the object. */
export function isWanted(tables: Looked, plugin: string, { resource, id }: Ref): boolean {
  if (!tables.has(resource)) return false;
  const row = tables.any(resource).get(id);
  if (row === undefined) return false;
  if (resource === 'floatingip') {
    return tables.any('network').get(String(row['floating_network_id']))?.['cable:backend'] === plugin;
  }
  if (resource === 'address_group') return groupsNaming(tables, 'remote_address_group_id', id).some(hasPorts);
  if (resource !== 'security_group') return row['cable:backend'] === plugin;
  return hasPorts(id) || groupsNaming(tables, 'remote_group_id', id).some(hasPorts);

  function hasPorts(groupId: string): boolean {
    return ownersOfGroup(lookAt(tables), groupId).includes(plugin);
  }
}

/** Groups with a rule that names the group, or group of addresses. */
function groupsNaming(tables: Looked, attribute: string, id: string): readonly string[] {
  const rules = tables.any('security_group_rule').by(attribute, id);
  return rules.map((rule) => String(rule['security_group_id']));
}

function lookAt(tables: Looked): Parameters<typeof ownersOfGroup>[0] {
  return { by: (type, index, key) => tables.any(type).by(index, key) as never };
}

/** All that the plug-in is to have, in the order in which it is told. */
export function wantedOf(tables: Looked, plugin: string): readonly Ref[] {
  const found = new Map<ResourceName, Set<string>>(RESOURCES.map((name) => [name, new Set()]));
  const add = (resource: ResourceName, id: unknown): void => {
    if (typeof id === 'string') found.get(resource)?.add(id);
  };
  const owned = (type: string): readonly AnyObject[] =>
    tables.has(type) ? tables.any(type).by('cable:backend', plugin) : [];
  for (const type of ['network', 'subnet', 'router', 'port'] as const) for (const { id } of owned(type)) add(type, id);
  const groups = new Set(owned('port').flatMap((port) => (port['security_groups'] ?? []) as readonly string[]));
  for (const id of groups) {
    add('security_group', id);
    for (const rule of tables.any('security_group_rule').by('security_group_id', id)) {
      add('security_group', rule['remote_group_id']);
      add('address_group', rule['remote_address_group_id']);
    }
  }
  if (tables.has('floatingip')) {
    for (const { id } of owned('network'))
      for (const one of tables.any('floatingip').by('floating_network_id', id)) add('floatingip', one.id);
  }
  return [...found].flatMap(([resource, ids]) => [...ids].map((id) => ({ resource, id })));
}

/** What of a change the plug-ins may have to be told: of objects, and of what becomes theirs, or ceases to be, by it. */
export function* touchedBy(
  tables: Looked,
  { type, id, before, after }: { readonly type: string; readonly id: string } & Change,
): Iterable<Ref> {
  if (type === 'security_group_rule') {
    for (const rule of [before, after]) {
      yield* refs('security_group', [rule?.['security_group_id'], rule?.['remote_group_id']]);
      yield* refs('address_group', [rule?.['remote_address_group_id']]);
    }
    return;
  }
  const resource = RESOURCES.find((name) => name === type);
  if (resource === undefined) return;
  yield { resource, id };
  if (resource !== 'port') return;
  for (const port of [before, after]) {
    for (const group of (port?.['security_groups'] ?? []) as readonly string[]) {
      yield { resource: 'security_group', id: group };
      for (const rule of tables.any('security_group_rule').by('security_group_id', group)) {
        yield* refs('security_group', [rule['remote_group_id']]);
        yield* refs('address_group', [rule['remote_address_group_id']]);
      }
    }
  }
}

type Change = { readonly before: AnyObject | undefined; readonly after: AnyObject | undefined };

function refs(resource: ResourceName, ids: readonly unknown[]): readonly Ref[] {
  return ids.flatMap((id) => (typeof id === 'string' ? [{ resource, id }] : []));
}

/** What the server has of the plug-in's objects of a resource, as `sync` is asked with. */
export function listedOf(
  tables: Looked,
  plugin: string,
  resource: ResourceName,
): readonly { readonly id: string; readonly revision: number }[] {
  return wantedOf(tables, plugin)
    .filter((one) => one.resource === resource)
    .map(({ id }) => ({ id, revision: tables.modRevision(resource, id) ?? 0 }));
}
