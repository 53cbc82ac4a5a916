/** What a port's part in a trunk means for the port itself. */
import { type AnyObject, CableError, type Port, type Trunk } from '@cable/model';
import type { Planning } from '../engine/context.ts';
import { type Contribution, contribute } from '../engine/module.ts';
import type { Tables } from '../tables.ts';
import { ROUTER_INTERFACE } from './device-owners.ts';
import { memberClaim, placeSubPort, relyOnTrunk, trunkOf } from './trunk.ts';

/** A part of a trunk is not deleted, and no router's leg; a sub-port is where its parent is, and nobody moves it alone. */
export const trunkPortModule: Contribution<AnyObject> = contribute<Port>({
  change: (planning, before, after) => {
    if (!planning.isService && isMoved(before, after)) refuseMove(planning, before);
    return {};
  },
  changed: (planning, before, after) => {
    if (placeOf(before) !== placeOf(after)) moveSubPorts(planning, after);
  },
  check: (view, port, before) => {
    if (before === undefined || before.device_owner === port.device_owner) return;
    if (port.device_owner !== ROUTER_INTERFACE) return;
    const trunk = view.holder(memberClaim(port.id));
    if (trunk !== undefined) throw partOf(port.id, relyOnTrunk(view, port.id), trunk);
  },
  remove: ({ plan }, port) => {
    const trunk = trunkOf(plan, port.id);
    if (trunk !== undefined) throw partOf(port.id, trunk, trunk.id);
  },
  present: (tables, port) => detailsOf(tables, port),
  // Of a parent they are made of its sub-ports, too.
  madeOf: (tables, port) => (tables.of('trunk').by('port_id', port.id).length === 0 ? [] : undefined),
});

function hostOf(port: Port): string {
  return port['binding:host_id'] ?? '';
}

/** Where the port is, and where it may go. */
function placeOf(port: Port): string {
  return JSON.stringify([hostOf(port), port.inactive_bindings, port.standby_hosts]);
}

function isMoved(before: Port, after: Port): boolean {
  return hostOf(before) !== hostOf(after) || before.device_owner !== after.device_owner;
}

/** What a trunk makes of its sub-port only the trunk changes. */
function refuseMove({ plan }: Planning, port: Port): void {
  const trunk = relyOnTrunk(plan, port.id);
  if (trunk !== undefined && trunk.port_id !== port.id) throw partOf(port.id, trunk, trunk.id);
}

function moveSubPorts(planning: Planning, parent: Port): void {
  const trunk = relyOnTrunk(planning.plan, parent.id);
  if (trunk?.port_id !== parent.id) return;
  for (const { port_id } of trunk.sub_ports) {
    const port = planning.plan.get('port', port_id);
    if (port !== undefined) placeSubPort(planning, port, parent);
  }
}

function partOf(portId: string, trunk: Trunk | undefined, trunkId: string): CableError {
  return trunk?.port_id === portId
    ? new CableError('PortInUseAsTrunkParent', `Port ${portId} is currently a parent port for trunk ${trunkId}.`)
    : new CableError('PortInUseAsSubPort', `Port ${portId} is currently a subport for trunk ${trunkId}.`);
}

/** Of a parent only: Neutron's clients look whether the attribute is there. */
function detailsOf(tables: Tables, port: Port): Readonly<Record<string, unknown>> {
  const [trunk] = tables.of('trunk').by('port_id', port.id);
  if (trunk === undefined) return {};
  const subPorts = trunk.sub_ports.map((one) => ({
    ...one,
    mac_address: tables.of('port').get(one.port_id)?.mac_address ?? '',
  }));
  return { trunk_details: { trunk_id: trunk.id, sub_ports: subPorts } };
}
