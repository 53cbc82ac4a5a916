/** Keeps the rows of ports among all ports (`port_owner`) with the ports of protons, and begins their bindings. */
import { type AnyObject, CableError, isMulticastMac, type Port, type PortOwner, parseMac } from '@cable/model';
import type { DeclaredObject, ProtonAttribute } from '@cable/proton';
import { complete } from '../engine/complete.ts';
import type { Asked, Planning } from '../engine/context.ts';
import type { Contribution, Given } from '../engine/module.ts';
import { planUpdate } from '../engine/write.ts';
import { objectKey } from '../keys.ts';
import { vifOn } from '../resources/vif.ts';
import { type Binding, boundBy, carried, failed, pending, unbound } from './binding.ts';
import { controllersFor } from './controllers.ts';
import { type FixedIp, fixedIp, networkIdOf, recordOf, statusOf } from './port-view.ts';
import { leaveNetwork, PROTON_NETWORK, projectNetwork } from './vrouter/networks.ts';
import { inTheWay, invalid } from './vrouter/refusals.ts';

export const PORT_OWNER = 'port_owner';

type Part = Pick<Contribution<AnyObject>, 'created' | 'change' | 'changed' | 'removed' | 'lockKeys'>;

/** Of the type of a proton's ports. `isCarried`: it has a back end on the vrouter. */
export function ofPorts(proton: string, own: DeclaredObject, isCarried: boolean): Part {
  const writeBack = (binding: Binding): Readonly<Record<string, unknown>> => shownBinding(own, binding);
  return {
    created: (planning, port) => {
      const { plan, deps } = planning;
      if (isCarried) refuseOddMac(port);
      if (plan.rely('port', port.id) !== undefined) throw isNeutrons(port.id);
      const start = {
        ...{ id: port.id, proton, type: own.type, project_id: port['project_id'] },
        network_id: networkIdOf(proton, String(port['project_id'])),
        ...spec(port),
        ...(isCarried ? { proton_network_id: projectNetwork(planning, proton, String(port['project_id'])) } : {}),
      };
      const row = complete(deps.resources.named(PORT_OWNER), start as Given<AnyObject>) as unknown as PortOwner;
      const binding = row.host_id === '' ? undefined : begun(planning, row, port);
      plan.create(PORT_OWNER, { ...row, ...binding } as unknown as AnyObject);
      if (binding !== undefined) planUpdate(inside(planning), deps.resources.named(own.type), port, writeBack(binding));
    },
    change: (planning, _before, after, given) => {
      const { plan } = planning;
      const row = plan.get(PORT_OWNER, after.id) as unknown as PortOwner | undefined;
      if (row === undefined || planning.isService) return {};
      const next = { ...row, ...spec(after), ...noneAside(row, after) };
      const binding = transition(planning, row, { after: next, port: after, given, type: own.type });
      if (binding === undefined) return {};
      plan.replace(PORT_OWNER, { ...next, ...binding } as unknown as AnyObject);
      return writeBack(binding);
    },
    changed: ({ plan }, _before, after) => {
      const row = plan.get(PORT_OWNER, after.id) as unknown as PortOwner | undefined;
      if (row === undefined) return;
      const next = { ...row, ...spec(after) };
      if (isCarried && next.mac_address !== row.mac_address) {
        refuseOddMac(after);
        if (row.phase !== 'Unbound')
          throw inTheWay('mac_address', `port ${row.id} is bound to a host`, 'Unbind it first.');
      }
      if (JSON.stringify(next) !== JSON.stringify(row)) plan.replace(PORT_OWNER, next as unknown as AnyObject);
    },
    removed: ({ plan }, port) => {
      const row = plan.get(PORT_OWNER, port.id);
      if (row === undefined) return;
      plan.delete(PORT_OWNER, port.id);
      for (const wire of plan.by('pseudowire', 'at_port_id', port.id)) plan.delete('pseudowire', wire.id);
      if (row.proton_network_id !== null) leaveNetwork({ plan }, row.proton_network_id);
    },
    ...(isCarried
      ? { lockKeys: ({ project_id: project }) => [objectKey(PROTON_NETWORK, networkIdOf(proton, String(project)))] }
      : {}),
  };
}

function refuseOddMac(port: AnyObject): void {
  const mac = parseMac(String(port['mac_address']).toLowerCase());
  if (mac === undefined || isMulticastMac(mac) || mac === '00:00:00:00:00:00')
    throw invalid('mac_address', 'it is no address of one station');
}

/** Writes of the binding itself begin none. */
function inside(planning: Planning): Planning {
  return { ...planning, isService: true };
}

/** What whoever binds says of it. */
function spec(
  port: AnyObject,
): Pick<PortOwner, 'host_id' | 'device_id' | 'device_owner' | 'mac_address' | 'name' | 'admin_state_up' | 'vnic_type'> {
  const text = (name: string): string => (typeof port[name] === 'string' ? port[name] : '');
  return {
    ...{ host_id: text('host_id'), device_id: text('device_id'), device_owner: text('device_owner') },
    ...{ mac_address: text('mac_address').toLowerCase(), name: text('name') },
    ...{ admin_state_up: port['admin_state_up'] !== false, vnic_type: text('vnic_type') || 'normal' },
  };
}

/** Whoever is moved without being prepared for it is nowhere else. */
function noneAside(row: PortOwner, after: AnyObject): Partial<PortOwner> {
  return after['host_id'] === row.host_id ? {} : { inactive_bindings: [], standby_hosts: [] };
}

type Step = {
  readonly type: string;
  /** The row, with what is said of the host now. */
  readonly after: PortOwner;
  readonly port: AnyObject;
  readonly given: Readonly<Record<string, unknown>>;
};

/** What becomes of the binding; undefined: nothing. A change that does not name the host leaves it as it is. */
function transition(planning: Planning, row: PortOwner, { type, after, port, given }: Step): Binding | undefined {
  if (after.host_id === '') return row.phase === 'Unbound' ? undefined : unbound(row);
  const isMoved = after.host_id !== row.host_id;
  const isPlugged = isVif(given['vif_type']);
  if (isPlugged && (isMoved || row.phase !== 'Bound' || given['vif_type'] !== row.vif_type)) {
    return begun(planning, after, given);
  }
  const isAgain = given['host_id'] !== undefined && (row.phase === 'Failed' || row.phase === 'Unbound');
  return isMoved || (isAgain && mayBind(planning, type, port)) ? begun(planning, after, {}) : undefined;
}

/** A host that is named again is a new try: by whom may name one, not by who sends back what he was shown. */
function mayBind({ deps, plan, asked }: Planning, type: string, port: AnyObject): boolean {
  const row = (of: string, id: string) => plan.get(of, id) as AnyObject | undefined;
  return deps.permission.policy
    .for(asked.credentials)
    .allows(`update_${type}:host_id`, { type, object: port, row } as never);
}

/** True: somebody says how a port is plugged. */
function isVif(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && value !== 'binding_failed';
}

const begunBy = new WeakSet<Asked>();

/** True: the request has begun a binding, for which it is to wait. */
export function hasBegun(asked: Asked): boolean {
  return begunBy.has(asked);
}

/** `given`: what whoever binds says himself of how it is plugged. */
function begun(planning: Planning, row: PortOwner, given: Readonly<Record<string, unknown>>): Binding {
  const { deps, asked } = planning;
  const { vif_type: vif, vif_details: details } = given;
  if (isVif(vif)) return boundBy(row, vif, recordOf(details));
  const own = row.proton_network_id === null ? undefined : boundHere(planning, row);
  if (own !== undefined) return own;
  const next = pending(row, deps.now());
  begunBy.add(asked);
  if (controllersFor(deps, row).length > 0) return next;
  const nobody = `no controller of ${row.proton} is registered for the host ${row.host_id}`;
  return failed(
    { ...row, ...next },
    row.proton_network_id === null ? nobody : `no agent has registered as the host ${row.host_id}, and ${nobody}`,
  );
}

/** As Neutron's ports are bound, where the host runs the vrouter; undefined: it does not. */
function boundHere({ plan }: Planning, row: PortOwner): Binding | undefined {
  const host = plan.need('host', row.host_id);
  if (host === undefined) return undefined;
  const { 'binding:vif_type': type, 'binding:vif_details': details } = vifOn(host, {
    ...{ id: row.id, device_owner: row.device_owner },
    'binding:vnic_type': row.vnic_type as Port['binding:vnic_type'],
  });
  return carried(row, type, details);
}

/** What the port itself shows of a binding, as far as its model has it. */
export function shownBinding(
  { object }: Pick<DeclaredObject, 'object'>,
  { phase, status, vif_type, vif_details }: Pick<Binding, 'phase' | 'status' | 'vif_type' | 'vif_details'>,
): Readonly<Record<string, unknown>> {
  const find = (name: string): ProtonAttribute | undefined => object.attributes.find((one) => one.name === name);
  const details = find('vif_details');
  return {
    ...(find('vif_type') === undefined ? {} : { vif_type: vif_type ?? null }),
    ...(details === undefined ? {} : { vif_details: detailsFor(details, vif_details) }),
    ...(find('status') === undefined ? {} : { status: statusOf({ phase, status }) }),
  };
}

/** In format 1.0 they are JSON text of bounded length; what does not fit is seen by way of Neutron alone. */
function detailsFor({ schema, type10 }: ProtonAttribute, details: Readonly<Record<string, unknown>>): unknown {
  if (type10 === undefined) return details;
  const most = typeof schema === 'object' && typeof schema['maxLength'] === 'number' ? schema['maxLength'] : 128;
  const text = JSON.stringify(details);
  return text.length <= most ? text : '{}';
}

function isNeutrons(id: string): CableError {
  return new CableError('HTTPConflict', `There is a port of Neutron with the id ${id}.`, {
    detail: 'Give it another id, or none.',
  });
}

/** Of the type of a proton's bindings: the addresses that they give ports. */
export function ofBindings(proton: string, own: DeclaredObject, declared: readonly DeclaredObject[]): Part {
  const link = linkOf(own, declared);
  if (link === undefined) return {};
  const refresh = (planning: Planning, binding: AnyObject): void => refreshAddresses(planning, proton, link, binding);
  return {
    created: refresh,
    changed: (planning, before, after) => {
      refresh(planning, after);
      if (before[link.toInterface] !== after[link.toInterface]) refresh(planning, before);
    },
    removed: refresh,
  };
}

/** Of the type of a proton's interfaces: one that goes to another port takes its addresses along. */
export function ofInterfaces(proton: string, own: DeclaredObject, declared: readonly DeclaredObject[]): Part {
  const links = declared.flatMap((one) => linkOf(one, declared) ?? []).filter((one) => one.interface === own.type);
  const [link] = links;
  if (link === undefined) return {};
  const refresh = (planning: Planning, one: AnyObject): void => refreshPort(planning, proton, link, one[link.toPort]);
  return {
    changed: (planning, before, after) => {
      if (before[link.toPort] === after[link.toPort]) return;
      refresh(planning, before);
      refresh(planning, after);
    },
    removed: refresh,
  };
}

/** How a binding leads to its port. */
type Link = {
  readonly binding: string;
  readonly toInterface: string;
  readonly interface: string;
  readonly toPort: string;
};

function linkOf(own: DeclaredObject, declared: readonly DeclaredObject[]): Link | undefined {
  for (const { name, ref } of own.object.attributes) {
    const target = declared.find(({ object }) => object.name === ref?.object && object.kind === 'interface');
    const key = target?.object.parent?.key;
    if (target === undefined || key === undefined) continue;
    return { binding: own.type, toInterface: name, interface: target.type, toPort: key };
  }
  return undefined;
}

function refreshAddresses({ plan }: Planning, proton: string, link: Link, binding: AnyObject): void {
  const own = plan.get(link.interface, String(binding[link.toInterface])) as AnyObject | undefined;
  refreshPort({ plan }, proton, link, own?.[link.toPort]);
}

function refreshPort({ plan }: Pick<Planning, 'plan'>, proton: string, link: Link, portId: unknown): void {
  const row =
    typeof portId === 'string' ? (plan.get(PORT_OWNER, portId) as unknown as PortOwner | undefined) : undefined;
  if (row === undefined) return;
  const interfaces = plan.by(link.interface, link.toPort, row.id) as unknown as readonly AnyObject[];
  const bindings = interfaces.flatMap(
    ({ id }) => plan.by(link.binding, link.toInterface, id) as unknown as readonly AnyObject[],
  );
  const fixed_ips = bindings.flatMap((one) => addressesOf(proton, row.project_id, one));
  if (JSON.stringify(fixed_ips) === JSON.stringify(row.fixed_ips)) return;
  plan.replace(PORT_OWNER, { ...row, fixed_ips } as unknown as AnyObject);
}

/** Format 1.0 has one address, with the length of its prefix; 2.0 has a list. */
function addressesOf(proton: string, projectId: string, binding: AnyObject): readonly FixedIp[] {
  const { addresses, ipaddress, subnet_prefix: prefix, gateway } = binding;
  const all = Array.isArray(addresses) ? addresses : [ipaddress];
  const given = all.filter((one): one is string => typeof one === 'string' && one !== '');
  const length = typeof prefix === 'number' ? prefix : null;
  const router = typeof gateway === 'string' && gateway !== '' ? gateway : null;
  return given.flatMap((one) => fixedIp({ proton, projectId }, one, one.includes(':') ? null : length, router) ?? []);
}
