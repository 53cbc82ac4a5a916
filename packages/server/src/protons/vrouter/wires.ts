/** What back ends have in common that make pseudowires: how these are written, and how a binding is refused. */
import { knowsPseudowires } from '@cable/compiler';
import { type AnyObject, CableError, type PortOwner, type StoredPseudowire } from '@cable/model';
import type { DeclaredObject } from '@cable/proton';
import { complete } from '../../engine/complete.ts';
import type { Planning } from '../../engine/context.ts';
import type { Given } from '../../engine/module.ts';
import type { Look } from '../../engine/view.ts';
import { bookLines, placesOf, refusalOfLines } from '../../resources/minimum-bandwidth.ts';
import { allocateVni } from '../../resources/network-segment.ts';
import { failed } from '../binding.ts';
import { PORT_OWNER, shownBinding } from '../owners.ts';
import type { BackendPart } from './backends.ts';

export const PSEUDOWIRE = 'pseudowire';

/** A wire as it is to be; its VNI stays, or is chosen. */
export type Wire = Partial<StoredPseudowire> & Pick<StoredPseudowire, 'id' | 'name' | 'port_ids'>;

/** Writes the wires of a line or a classifier: those that are there stay as far as they are wanted. */
export function writeWires(
  planning: Planning,
  { proton, object }: { readonly proton: string; readonly object: AnyObject },
  wanted: readonly Wire[],
): void {
  const { plan, deps } = planning;
  const own = { proton, object_id: object.id, project_id: String(object['project_id']) };
  const left = new Map(plan.by(PSEUDOWIRE, 'object_id', object.id).map((row) => [row.id, row]));
  for (const wire of wanted) {
    const before = left.get(wire.id);
    left.delete(wire.id);
    const given: Given<AnyObject> = { ...wire, ...own, vni: before?.vni ?? allocateVni(planning) };
    const row = complete(deps.resources.named(PSEUDOWIRE), given);
    if (before === undefined) plan.create(PSEUDOWIRE, row);
    else if (JSON.stringify(before) !== JSON.stringify(row)) plan.replace(PSEUDOWIRE, row);
  }
  for (const id of left.keys()) plan.delete(PSEUDOWIRE, id);
}

/** Writes the port anew, or its row among all ports: of two who give it wires, or move it, one is planned anew. */
export function touchPort({ plan }: Pick<Planning, 'plan'>, id: string): void {
  const owner = plan.get(PORT_OWNER, id);
  if (owner === undefined) plan.revise('port', id);
  else plan.replace(PORT_OWNER, { ...owner } as unknown as AnyObject);
}

/**
 * Books what the lines at a port are guaranteed where it is, or is prepared; answers why that cannot be: a host has no room, or knows of no wires. Rests on the ports at the other
 * ends, and on the wires.
 */
export function bookPlaces(planning: Planning, portId: string): CableError | undefined {
  const { plan } = planning;
  const wires = plan.by(PSEUDOWIRE, 'port_ids', portId);
  if (wires.length === 0) return undefined;
  const own = placesOf(plan.rely(PORT_OWNER, portId));
  for (const host of own) {
    const reason = unableHost(plan, host);
    if (reason !== undefined) return new CableError('HTTPConflict', `Port ${portId} cannot be there: ${reason}.`);
  }
  const lines = wires.filter(({ guaranteed_kbps }) => guaranteed_kbps !== null);
  for (const { id } of lines) plan.rely(PSEUDOWIRE, id);
  const hosts = lines.flatMap(({ port_ids }) => port_ids.flatMap((id) => placesOf(plan.rely(PORT_OWNER, id))));
  const refusal = refusalOfLines(planning, hosts);
  if (refusal === undefined) bookLines(planning, hosts);
  return refusal;
}

/** Why the host can have no end of a wire; undefined: it can. */
export function unableHost(look: Pick<Look, 'get'>, host: string): string | undefined {
  if (knowsPseudowires(look.get('host', host))) return undefined;
  return `host ${host} knows of no pseudowires: its agent is too old`;
}

/**
 * Of ports: a binding to the vrouter of a host fails if there is a reason against it, which is what `reasonOf` answers. It is asked of ports that come to a host; the plan has the
 * port there.
 */
export function refusingBindings(
  own: DeclaredObject,
  reasonOf: (planning: Planning, owner: PortOwner) => string | undefined,
): NonNullable<BackendPart['change']> {
  return (planning, _before, after) => {
    const { plan } = planning;
    const owner = plan.get(PORT_OWNER, after.id) as unknown as PortOwner | undefined;
    if (owner === undefined || owner.status === null) return {};
    const was = plan.relyBefore(PORT_OWNER, owner.id) as unknown as PortOwner | undefined;
    if (was?.host_id === owner.host_id && was.status !== null) return {};
    const reason = reasonOf(planning, owner);
    if (reason === undefined) return {};
    const next = { ...owner, ...failed(owner, reason), status: null };
    plan.replace(PORT_OWNER, next as unknown as AnyObject);
    return shownBinding(own, next);
  };
}
