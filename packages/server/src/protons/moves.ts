/** Bindings of a proton's port to several hosts: a machine moves with such ports as with Neutron's. */
import { type AnyObject, CableError, type Port, type PortOwner, type ResourceModel } from '@cable/model';
import type { Planning } from '../engine/context.ts';
import { planUpdate } from '../engine/write.ts';
import { standbyOf } from '../resources/port-bindings.ts';
import { vifOn } from '../resources/vif.ts';
import { type Binding, carried, unbound } from './binding.ts';
import { write } from './controllers.ts';
import { recordOf } from './port-view.ts';
import { ownersPort } from './vrouter/overlay.ts';
import { bookPlaces } from './vrouter/wires.ts';

/** A port, with its row among all ports. */
export type OwnPort = { readonly owner: PortOwner; readonly port: AnyObject; readonly resource: ResourceModel };

/** Plans the port with its bindings as the step has them; answers what Neutron's port would be. `mapped`: what the proton's port has of it. */
export function rebind(
  planning: Planning,
  { owner, port, resource }: OwnPort,
  step: (port: Port) => Partial<Port>,
  mapped: (changes: Partial<Port>) => Readonly<Record<string, unknown>>,
): Port {
  const own = ownersPort(owner);
  if (own === undefined || (owner.phase !== 'Unbound' && owner.status === null)) throw ofControllers(owner);
  const before = { ...own, 'binding:profile': recordOf(port['profile']) } as unknown as Port;
  const changes = step(before);
  const changed = { ...before, ...changes };
  const { inactive_bindings = [], standby_hosts = [], ...rest } = { ...changes, ...standbyOf(changed) };
  planUpdate(planning, resource, port, mapped(rest));
  const row = planning.plan.get('port_owner', owner.id) ?? owner;
  if (row.phase === 'Failed') throw refusedThere(row);
  write(planning, row, { ...bindingOn(planning, owner, changed), inactive_bindings, standby_hosts });
  const refusal = bookPlaces(planning, owner.id);
  if (refusal !== undefined) throw refusal;
  return { ...changed, inactive_bindings, standby_hosts };
}

/** On the host that it was prepared for its device is there, or comes: what is told of it says so. */
function bindingOn({ plan }: Planning, owner: PortOwner, port: Port): Partial<Binding> {
  const host = port['binding:host_id'] ?? '';
  if (host === owner.host_id) return {};
  const row = plan.need('host', host);
  if (row === undefined) return unbound(owner);
  const { 'binding:vif_type': type, 'binding:vif_details': details } = vifOn(row, port);
  return { ...carried(owner, type, details), status: owner.status };
}

function refusedThere({ id, host_id: host, reason }: PortOwner): CableError {
  return new CableError('HTTPConflict', `Port ${id} cannot come to host ${host}: ${reason ?? ''}.`, {
    detail: 'Choose another host.',
  });
}

function ofControllers({ id, proton }: PortOwner): CableError {
  return new CableError(
    'HTTPBadRequest',
    `Port ${id} is bound by controllers of the proton ${proton}, to one host at a time.`,
    {
      detail: 'Move the machine without it running, or by updates of binding:host_id.',
    },
  );
}
