/** Bindings of a port to several hosts, one of them active: how a machine moves while it runs. */
import { deviceOn } from '@cable/compiler';
import { type AnyObject, CableError, type Port } from '@cable/model';
import { isMadeUp } from '../engine/arbiter.ts';
import { transact } from '../engine/commit.ts';
import type { ActionHandler, Asked, EngineDeps, Planning } from '../engine/context.ts';
import { type Broken, type Contribution, contribute } from '../engine/module.ts';
import { isPlugging, refuseOfCluster } from '../engine/of-clusters.ts';
import { permitRead } from '../engine/permission.ts';
import { currentRow, notFound } from '../engine/read.ts';
import { readerOf } from '../engine/reader.ts';
import { vetted } from '../engine/vet.ts';
import type { Look } from '../engine/view.ts';
import { permittedRow, planUpdate } from '../engine/write.ts';
import { renamedFrom } from '../hosts/renaming.ts';
import { objectKey } from '../keys.ts';
import { ROUTER_GATEWAY, TRUNK_SUBPORT } from './device-owners.ts';
import { waitForFlows } from './flows-here.ts';
import { standbysAfterMove } from './gateway-hosts.ts';
import { takesAnything } from './host.ts';
import { isOnWireOf, vifOf } from './vif.ts';

/** A binding that is not the active one. `was_active`: the port was there, and packets for it may still come. */
export type InactiveBinding = Port['inactive_bindings'][number];

type Binding = Pick<InactiveBinding, 'host' | 'vnic_type' | 'profile'>;
type GivenBinding = Partial<Omit<Binding, 'profile'>> & { readonly profile?: Binding['profile'] | null };

export const portBindingsModule: Contribution<AnyObject> = contribute<Port>({
  derive: (planning, given) => {
    if (given.device_owner === ROUTER_GATEWAY) return {};
    const host = given['binding:host_id'] ?? '';
    const { 'binding:profile': profile = {}, inactive_bindings = [] } = given;
    const placed = { 'binding:host_id': host, 'binding:profile': profile, inactive_bindings };
    return { ...standbyOf(placed), binding_failed: isRefused(planning, host) };
  },
  change: (planning, before, after) => {
    if (after.device_owner === ROUTER_GATEWAY) {
      return hostOf(before) === hostOf(after) ? {} : { standby_hosts: standbysAfterMove(before, hostOf(after)) };
    }
    const failed = hasFailed(planning, before, after);
    const same = hostOf(before) === hostOf(after) && before.inactive_bindings === after.inactive_bindings;
    if (same && before['binding:profile'] === after['binding:profile']) return failed;
    return { ...standbyOf(after), ...failed };
  },
  broken: brokenBindings,
  actions: {
    create_port_binding: onPort('create_port_binding', (planning, port, host, given) => {
      if (!isMachines(port)) throw unsupported('create_port_binding', port);
      if (hostOf(port) === '') throw unbound(port);
      if (bindingOf(port, host) !== undefined) throw exists(port, host);
      if (isRefused(planning, host)) {
        throw refused(port, host, `The agent of host ${host} is set down (admin_state_up of /v2.0/agents).`);
      }
      refuseUnable(planning, port, host);
      refuseProfile(planning, given.profile);
      const added = { host, vnic_type: given.vnic_type ?? port['binding:vnic_type'], profile: given.profile ?? {} };
      return { inactive_bindings: [...port.inactive_bindings, { ...added, was_active: false }] };
    }),
    update_port_binding: onPort('update_port_binding', (_planning, port, host, given) => {
      const binding = { ...found(port, host), ...given };
      if (host === hostOf(port)) {
        return { 'binding:vnic_type': binding.vnic_type, 'binding:profile': binding.profile };
      }
      return {
        inactive_bindings: port.inactive_bindings.map((one) => (one.host === host ? { ...one, ...given } : one)),
      };
    }),
    activate_port_binding: async (deps, id, body, asked, parameters, resource) => {
      const port = await shownPort(deps, id, asked, 'activate_port_binding');
      const { host = '' } = parameters;
      const binding = port.inactive_bindings.find((one) => one.host === host);
      if (binding?.was_active === false) await waitForFlows(deps.tables, { port, host, signal: asked.signal });
      return activate(deps, id, body, asked, parameters, resource);
    },
    delete_port_binding: onPort('delete_port_binding', (_planning, port, host) => {
      found(port, host);
      if (host === hostOf(port)) return { 'binding:host_id': '', inactive_bindings: [] };
      return { inactive_bindings: port.inactive_bindings.filter((one) => one.host !== host) };
    }),
    get_port_bindings: async (deps, id, _body, asked) => {
      const port = await shownPort(deps, id, asked, 'get_port_bindings');
      return { bindings: hostsOf(port).map((host) => shown(deps, port, host)) };
    },
    get_port_binding: async (deps, id, _body, asked, { host = '' }) => {
      const port = await shownPort(deps, id, asked, 'get_port_binding');
      found(port, host);
      return shown(deps, port, host);
    },
  },
});

const activate = onPort('activate_port_binding', (planning, port, host) => {
  const changed = activated(port, host);
  refuseUnable(planning, port, host);
  return changed;
});

/**
 * Bindings to the host that carries the port are not inactive; without such a host there are none. Hosts that program the port besides: those, and the one that
 * Nova says in the profile that it will go to.
 */
export function standbyOf(
  port: Pick<Port, 'binding:host_id' | 'binding:profile' | 'inactive_bindings'>,
): Partial<Port> {
  const host = port['binding:host_id'] ?? '';
  const inactive = host === '' ? [] : port.inactive_bindings.filter((one) => one.host !== host);
  const target = port['binding:profile']?.['migrating_to'];
  const hosts = inactive.map((one) => one.host);
  if (host !== '' && typeof target === 'string' && target !== '' && target !== host) hosts.push(target);
  return { inactive_bindings: inactive, standby_hosts: [...new Set(hosts)] };
}

/** The host's agent is set down: it takes no ports. That it is up is compared. */
function isRefused({ plan }: Planning, host: string): boolean {
  const row = host === '' ? undefined : plan.rely('host', host);
  return row !== undefined && !takesAnything(row);
}

/** A host that comes is asked, or one that was asked in vain before. One that was prepared has been asked then, and one that is renamed has the port. */
function hasFailed(planning: Planning, before: Port, after: Port): Partial<Port> {
  const [from, to] = [hostOf(before), hostOf(after)];
  if (from === to ? !before.binding_failed : to === '') return from === to ? {} : { binding_failed: false };
  const row = planning.plan.get('host', to);
  if (from !== to && row !== undefined && renamedFrom(row) === from) return {};
  if (from !== to && before.inactive_bindings.some((one) => one.host === to)) return { binding_failed: false };
  return { binding_failed: isRefused(planning, to) };
}

/** Where a gateway may go is the matter of who moves it. */
function* brokenBindings(_look: Look, port: Port): Iterable<Broken> {
  if (port.device_owner === ROUTER_GATEWAY) return;
  const hosts = hostsOf(port);
  if (new Set(hosts).size < hosts.length || (hostOf(port) === '' && hosts.length > 0)) {
    yield {
      rule: 'a port has one binding a host, and inactive ones beside an active one',
      detail: `it is bound to [${hostOf(port)}], inactive to [${port.inactive_bindings.map((one) => one.host).join(', ')}]`,
    };
  }
  const { standby_hosts: expected = [] } = standbyOf(port);
  if (String(expected) === String(port.standby_hosts)) return;
  yield {
    rule: 'the hosts that a port may be at program it',
    detail: `those are [${expected.join(', ')}], and [${port.standby_hosts.join(', ')}] do`,
  };
}

/** The active binding and the named one change places, in one step. */
function activated(port: Port, host: string): Partial<Port> {
  const { vnic_type: vnicType, profile } = found(port, host);
  const last = hostOf(port);
  const [deviceId, { device_id: _, ...kept }] = [deviceOn(port, host), profile];
  if (host === last) {
    throw new CableError('PortBindingAlreadyActive', `Binding for port ${port.id} on host ${host} is already active.`);
  }
  const isOther = deviceId !== port.device_id;
  const ofLast = { ...port['binding:profile'], ...(isOther ? { device_id: port.device_id } : {}) };
  const left = { host: last, vnic_type: port['binding:vnic_type'], profile: ofLast };
  const others = port.inactive_bindings.filter((one) => one.host !== host);
  return {
    'binding:host_id': host,
    'binding:vnic_type': vnicType,
    'binding:profile': isOther ? kept : profile,
    ...(isOther ? { device_id: deviceId } : {}),
    inactive_bindings: last === '' ? others : [...others, { ...left, was_active: true }],
  };
}

function hostOf(port: Port): string {
  return port['binding:host_id'] ?? '';
}

/** Of all bindings, the active one first. */
function hostsOf(port: Port): readonly string[] {
  const active = hostOf(port);
  return [...(active === '' ? [] : [active]), ...port.inactive_bindings.map((one) => one.host)];
}

function bindingOf(port: Port, host: string): Binding | undefined {
  if (host !== '' && host === hostOf(port)) {
    return { host, vnic_type: port['binding:vnic_type'], profile: port['binding:profile'] ?? {} };
  }
  return port.inactive_bindings.find((one) => one.host === host);
}

function found(port: Port, host: string): Binding {
  const binding = bindingOf(port, host);
  if (binding !== undefined) return binding;
  const message = `Binding for port ${port.id} for host ${host.slice(0, 300)} could not be found.`;
  throw new CableError('PortBindingNotFound', message);
}

function exists(port: Port, host: string): CableError {
  return new CableError('PortBindingAlreadyExists', `Binding for port ${port.id} on host ${host} already exists.`);
}

function refused(port: Port, host: string, detail: string): CableError {
  const message = `Binding for port ${port.id} on host ${host.slice(0, 300)} could not be created or updated.`;
  return new CableError('PortBindingError', message, { detail });
}

/**
 * Throws unless the host can carry the port: by this answer Nova knows, before it moves a machine, that it has nowhere to go. A plug-in's port is on hosts that it knows: that
 * is asked (`bind`) before anything is written.
 */
function refuseUnable({ plan }: Planning, port: Port, host: string): void {
  if ((port['cable:backend'] ?? null) !== null) return;
  const row = plan.rely('host', host);
  if (row === undefined) {
    throw refused(port, host, 'No agent of a host of that name has registered: look at /v2.0/agents.');
  }
  const network = plan.get('network', port.network_id);
  if (isOnWireOf(row, network)) return;
  const wire = network?.['provider:physical_network'];
  throw refused(
    port,
    host,
    `Host ${host} has no interface on the physical network ${wire}: see its --bridge-mappings.`,
  );
}

/** Where it is its router says, or its trunk's parent. */
function isPlacedByOthers({ device_owner: owner }: Port): boolean {
  return owner.startsWith('network:router_') || owner === TRUNK_SUBPORT;
}

/** A port of a machine that may move while it runs: Nova's, or one of a virtual machine in a pod. */
function isMachines(port: Port): boolean {
  if (port.device_owner.startsWith('compute:')) return true;
  return port['cable:cluster'] !== null && POD_OWNERS.includes(port.device_owner);
}

const POD_OWNERS: readonly string[] = ['kubernetes:pod', 'kubernetes:leg'];

/** A controller says by it which pod is there, and nothing of devices. */
function refuseProfile({ asked }: Planning, profile: Binding['profile'] = {}): void {
  const other = Object.keys(profile).find((name) => name !== 'device_id');
  if (asked.credentials.controller === undefined || other === undefined) return;
  const reason = 'a controller says device_id, the UID of the pod on that host and its interface, and nothing else';
  throw new CableError('InvalidInput', `Invalid input for profile. Reason: ${reason}.`, { detail: `It has ${other}.` });
}

function unsupported(action: string, { id, device_owner: owner }: Port): CableError {
  return new CableError(
    'UnsupportedPortDeviceOwner',
    `Operation ${action} is not supported for device_owner ${owner} on port ${id}.`,
  );
}

function unbound({ id }: Port): CableError {
  return new CableError('HTTPBadRequest', `Port ${id} is bound to no host, which a binding to another one is beside.`, {
    detail: 'Give the port its host by binding:host_id.',
  });
}

function shown({ tables }: Pick<EngineDeps, 'tables'>, port: Port, host: string): Readonly<Record<string, unknown>> {
  const { vnic_type, profile } = found(port, host);
  // Of a port that others bind it is what they have said.
  const isSaid = isMadeUp(port as unknown as AnyObject) && host === hostOf(port);
  const { 'binding:vif_type': vif_type, 'binding:vif_details': vif_details } = isSaid
    ? (port as unknown as AnyObject)
    : vifOf(tables, port, host);
  return { host, vif_type, vif_details, vnic_type, profile, status: host === hostOf(port) ? 'ACTIVE' : 'INACTIVE' };
}

async function shownPort(deps: EngineDeps, id: string, { credentials }: Asked, action: string): Promise<Port> {
  const reader = readerOf(deps, credentials);
  const row = await currentRow(deps, deps.resources.named('port'), id, reader);
  permitRead(deps, { credentials, row: reader.row }, { type: 'port', action, before: row });
  return row as unknown as Port;
}

/** Null is an empty profile. */
function withProfile({ profile, ...others }: GivenBinding): Partial<Binding> {
  return profile === undefined ? others : { ...others, profile: profile ?? {} };
}

/** An action that changes the port's bindings. What it answers is the binding to the host that it names in path or body. */
function onPort(
  action: string,
  step: (planning: Planning, port: Port, host: string, given: Partial<Binding>) => Partial<Port>,
): ActionHandler {
  return async (deps, id, body, asked, parameters) => {
    const { host: named, ...asGiven } = body as GivenBinding;
    const given = withProfile(asGiven);
    const host = parameters['host'] ?? named ?? '';
    const resource = deps.resources.named('port');
    const build = async (planning: Planning): Promise<AnyObject> => {
      if (planning.plan.get('port', id) === undefined) {
        const other = deps.arbiter?.current?.rebind(planning, id, (port) => step(planning, port, host, given));
        if (other !== undefined) return other as unknown as AnyObject;
      }
      permittedRow(planning, resource, id, (before) => ({ verb: 'action', before, action }));
      const port = planning.plan.get('port', id);
      if (port === undefined) throw notFound(resource, id);
      if (isPlacedByOthers(port)) throw unsupported(action, port);
      if (!isPlugging(port as AnyObject, { 'binding:host_id': host }))
        refuseOfCluster(planning, resource, port as AnyObject);
      const planned = planUpdate(planning, resource, port as AnyObject, step(planning, port, host, given));
      // What it answers is what a plug-in of the port says of how it is plugged there.
      return vetted(planning, 'port', planned, port as AnyObject);
    };
    const written = await deps.lock.run([objectKey('port', id)], asked, () =>
      transact(deps, asked, build, { isService: true }),
    );
    const port = written as unknown as Port;
    return bindingOf(port, host) === undefined ? undefined : shown(deps, port, host);
  };
}
