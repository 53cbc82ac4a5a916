/** Which plug-ins have to be asked about an object before it is written. What asks them is loaded when there is one. */
import type { AnyObject } from '@cable/model';
import type { Planning } from '../engine/context.ts';
import type { Look } from '../engine/view.ts';

type Asked = 'network' | 'subnet' | 'port' | 'router' | 'floatingip' | 'security_group' | 'security_group_rule';

/** The object when its plug-ins take it, as they plug it. Throws `BackendRefused`, `BackendConflict` with the plug-in's reason, and `BackendUnavailable`. */
export async function vetByBackend<T extends object>(
  planning: Planning,
  type: Asked,
  object: T,
  before: T | undefined,
): Promise<T> {
  const { deps, plan } = planning;
  if (!deps.tables.has('plugin') || deps.tables.of('plugin').size === 0) return object;
  const row = object as unknown as AnyObject;
  const owners = ownersOf(plan, type, row);
  if (owners.length === 0) return object;
  const { askOwners } = await import('./ask-owners.ts');
  const asked = await askOwners(planning, { type, owners, object: row, before: before as AnyObject | undefined });
  return asked as unknown as T;
}

/** Names of the plug-ins that realise the object. */
export function ownersOf(look: Pick<Look, 'get' | 'by'>, type: Asked, object: AnyObject): readonly string[] {
  if (type === 'floatingip')
    return ownOf(look.get('network', String(object['floating_network_id'])) as AnyObject | undefined);
  if (type === 'security_group') return ownersOfGroup(look, object.id);
  if (type === 'security_group_rule') return ownersOfGroup(look, String(object['security_group_id']));
  return ownOf(object);
}

function ownOf(object: AnyObject | undefined): readonly string[] {
  const name = object?.['cable:backend'];
  return typeof name === 'string' ? [name] : [];
}

/** Those with ports in the group. */
export function ownersOfGroup(look: Pick<Look, 'by'>, groupId: string): readonly string[] {
  const ports = look.by('port', 'security_groups', groupId) as unknown as readonly AnyObject[];
  return [...new Set(ports.flatMap(ownOf))];
}
