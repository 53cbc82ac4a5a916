/** Who realises an object is written with it, in its transaction, and stays (docs/design/plugins.md). Without plug-ins all of this looks at one empty table. */
import {
  type AnyObject,
  CableError,
  type Network,
  type Plugin,
  type Port,
  type Router,
  type Subnet,
} from '@cable/model';
import type { EngineDeps, Planning } from '../engine/context.ts';
import { type Contribution, contribute, type Given } from '../engine/module.ts';
import type { View } from '../engine/view.ts';
import { zonesOfHosts } from '../resources/availability-zone.ts';
import { ROUTER_GATEWAY, ROUTER_INTERFACE, TRUNK_SUBPORT } from '../resources/device-owners.ts';
import { backendSlotClaims, takeBackendSlots } from './backend-slots.ts';
import { backendOf, registeredBackends, VROUTER } from './backends.ts';
import { type Placed, type Placement, place } from './dispatch.ts';
import { vetByBackend } from './vetting.ts';

/** Networks: where they are placed, and of which type they are. Goes before what chooses numbers. */
export const networkBackendModule: Contribution<AnyObject> = contribute<Network>({
  derive: (planning, given) => {
    const networkType = given['provider:network_type'] ?? null;
    const placed = placedBy(planning, {
      ...{ resource: 'network', flavor: given['flavor:network'] ?? null, networkType },
      ...{ project: given.project_id, zones: given.availability_zone_hints ?? [] },
    });
    if (placed === undefined) return {};
    const type = placed.networkType as Network['provider:network_type'];
    const kind = { 'flavor:network': placed.flavor, 'provider:network_type': type };
    return { ...kind, ...ownedBy(planning, 'network', given, pluginNameOf(placed)) };
  },
  check: (_view, network, before) => refuseOwn(network, before),
  claims: (network) => backendSlotClaims('network', network),
  vet: (planning, network, before) => vetByBackend(planning, 'network', network, before),
});

/** Routers: where they are placed, and that they lead to nobody else's networks. */
export const routerBackendModule: Contribution<AnyObject> = contribute<Router>({
  derive: (planning, given) => {
    const placed = placedBy(planning, {
      ...{ resource: 'router', flavor: given['flavor:router'] ?? null, networkType: null },
      ...{ project: given.project_id, zones: given.availability_zone_hints ?? [] },
    });
    if (placed === undefined) return {};
    return { 'flavor:router': placed.flavor, ...ownedBy(planning, 'router', given, pluginNameOf(placed)) };
  },
  check: (view, router, before) => {
    refuseOwn(router, before);
    const outside = router.external_gateway_info?.network_id;
    if (outside === undefined || outside === before?.external_gateway_info?.network_id) return;
    const network = (view as unknown as Looked).get('network', outside);
    if (network !== undefined) refuseCrossing(view, router, network, 'the gateway');
  },
  claims: (router) => backendSlotClaims('router', router),
  vet: (planning, router, before) => vetByBackend(planning, 'router', router, before),
});

/** Subnets are their network's. */
export const subnetBackendModule: Contribution<AnyObject> = contribute<Subnet>({
  derive: (planning, given) => inherited(planning, 'subnet', given, given.network_id),
  check: (_view, subnet, before) => refuseOwn(subnet, before),
  claims: (subnet) => backendSlotClaims('subnet', subnet),
  vet: (planning, subnet, before) => vetByBackend(planning, 'subnet', subnet, before),
});

/** Ports are their network's; a router's are in networks of its back end. */
export const portBackendModule: Contribution<AnyObject> = contribute<Port>({
  derive: (planning, given) => inherited(planning, 'port', given, given.network_id),
  check: (view, port, before) => {
    refuseOwn(port, before);
    const owner = backendName(port as unknown as AnyObject);
    if (owner !== null && port.device_owner === TRUNK_SUBPORT && before?.device_owner !== TRUNK_SUBPORT)
      throw hasNone('sub_ports', `port ${port.id}`, owner, 'trunks');
    const isLeg = port.device_owner === ROUTER_INTERFACE || port.device_owner === ROUTER_GATEWAY;
    if (!isLeg || (before?.device_id === port.device_id && before.device_owner === port.device_owner)) return;
    const router = (view as unknown as Looked).get('router', port.device_id);
    if (router !== undefined) refuseCrossing(view, router, port, 'an interface');
  },
  claims: (port) => backendSlotClaims('port', port),
  vet: (planning, port, before) => vetByBackend(planning, 'port', port, before),
});

/** Groups and their rules are of all back ends that have ports in the group. */
export const groupBackendModule: Contribution<AnyObject> = contribute<AnyObject>({
  vet: (planning, group, before) => vetByBackend(planning, 'security_group', group, before),
});
export const ruleBackendModule: Contribution<AnyObject> = contribute<AnyObject>({
  vet: (planning, rule, before) => vetByBackend(planning, 'security_group_rule', rule, before),
});
export const floatingIpBackendModule: Contribution<AnyObject> = contribute<AnyObject>({
  vet: (planning, floatingIp, before) => vetByBackend(planning, 'floatingip', floatingIp, before),
});

/** Of types that the vrouter alone realises: what they are about must be its own. `attributes`: references, each with its type. */
export function vrouterOnlyModule(
  label: string,
  attributes: Readonly<Record<string, 'port' | 'network' | 'router'>>,
): Contribution<AnyObject> {
  return {
    check: (view, object, before) => {
      if (before !== undefined) return;
      for (const [attribute, type] of Object.entries(attributes)) {
        const id = object[attribute];
        const owner = typeof id === 'string' ? backendName((view as unknown as Looked).get(type, id)) : null;
        if (owner === null) continue;
        throw hasNone(attribute, `${type} ${id}`, owner, label);
      }
    },
  };
}

/** What the vrouter, its agent and its keepers alone do: attributes that say something of it, each with the value that says nothing besides those that are empty. */
const VROUTERS_OWN: Readonly<Record<string, string | null>> = {
  ...{ 'cable:flow_export': null, 'cable:private': null, 'cable:allow_subnets': null, 'cable:gateway_nodes': null },
  ...{ 'cable:snat': 'shared', 'cable:node_egress': null, 'cable:named_ports': null },
  ...{ 'cable:user_data': null, 'cable:vendor_data': null, 'cable:public_keys': null },
};

/** Who is told that his subnet is private believes it. */
function refuseOwn(object: object, before: object | undefined): void {
  const row = object as Readonly<Record<string, unknown>>;
  const owner = backendName(row);
  if (owner === null) return;
  const old = before as typeof row | undefined;
  for (const [name, nothing] of Object.entries(VROUTERS_OWN)) {
    const value = row[name];
    const isEmpty = Array.isArray(value) ? value.length === 0 : !value || value === nothing;
    if (isEmpty || (old !== undefined && JSON.stringify(old[name]) === JSON.stringify(value))) continue;
    const message = `${name}: the object is realised by the plug-in ${owner}, which does not do this: leave it out.`;
    throw new CableError('BackendRefused', message, { fields: { attribute: name, plugin: owner } });
  }
}

function hasNone(attribute: string, what: string, owner: string, label: string): CableError {
  const message = `${attribute}: ${what} is realised by the plug-in ${owner}, which has no ${label}.`;
  return new CableError('BackendRefused', message, { fields: { attribute, plugin: owner } });
}

/** What never changes needs no compare. */
type Looked = { get(type: string, id: string): AnyObject | undefined };

/** Name of the plug-in that owns the object; null: the vrouter does. */
export function backendName(object: Readonly<Record<string, unknown>> | undefined): string | null {
  const name = object?.['cable:backend'];
  return typeof name === 'string' ? name : null;
}

/** Undefined: there is nothing to choose. Throws why it cannot be placed. */
function placedBy(planning: Planning, wanted: Placement): Placed | undefined {
  const { deps } = planning;
  if (deps.resources.find('plugin') === undefined) return undefined;
  const isPlain = wanted.flavor === null && (wanted.networkType === null || PLAIN.has(wanted.networkType));
  if (isPlain && deps.tables.of('plugin').size === 0 && deps.tables.of('dispatch_default').size === 0)
    return { ...PLACED_HERE, networkType: wanted.networkType ?? 'vxlan' };
  const placed = placeBy(deps, wanted);
  if (placed.refusal === null) return placed;
  throw refusalOf(wanted, placed);
}

const PLAIN: ReadonlySet<string> = new Set(['vxlan', 'vlan', 'flat']);

const PLACED_HERE: Placed = {
  ...{ backend: null, refusal: null, by: '', ruleId: null, flavor: null },
  ...{ networkType: null, candidates: [], rules: [] },
};

/** Where it would be placed now. */
export function placeBy({ tables }: Pick<EngineDeps, 'tables'>, wanted: Placement): Placed {
  return place(
    {
      hostZones: wanted.zones.length === 0 ? new Set() : zonesOfHosts(tables),
      plugins: [...tables.of('plugin').values()],
      rules: [...tables.of('dispatch_rule').values()],
      defaultOf: (project) => tables.of('dispatch_default').get(project),
    },
    wanted,
  );
}

function refusalOf({ resource, networkType }: Placement, { refusal, by, flavor }: Placed): CableError {
  const { kind, reason } = refusal ?? { kind: 'cannot', reason: '' };
  const attribute = `flavor:${resource}`;
  if (kind === 'unknown-flavor') {
    return new CableError('UnknownFlavor', `Invalid input for ${attribute}. Reason: ${reason}.`, {
      fields: { flavor },
    });
  }
  if (kind === 'away') return new CableError('BackendUnavailable', `The ${resource} cannot be placed: ${reason}.`);
  if (flavor === null && by === 'no rule and no default' && networkType !== null) {
    return new CableError(
      'InvalidInput',
      `Invalid input for operation: network_type value '${networkType}' not supported.`,
      { detail: reason },
    );
  }
  return new CableError('BackendRefused', `The ${resource} cannot be placed: ${reason}.`, {
    detail: 'cable dispatch rule explain says which back ends could.',
  });
}

function pluginNameOf({ backend }: Placed): string | null {
  return backend === null || backend.name === VROUTER ? null : backend.name;
}

/** What a new object has as a plug-in's. Nothing that is new becomes one of a plug-in that is being changed. */
function ownedBy(
  planning: Planning,
  type: string,
  given: Given<AnyObject>,
  name: string | null,
): { readonly 'cable:backend': string | null } {
  const plugin = name === null ? undefined : planning.plan.rely('plugin', name);
  if (plugin === undefined) return { 'cable:backend': null };
  const owned = { ...given, 'cable:backend': plugin.name };
  return { 'cable:backend': plugin.name, ...takeBackendSlots(planning, type, owned, plugin) };
}

function inherited(
  planning: Planning,
  type: string,
  given: Given<AnyObject>,
  networkId: string | undefined,
): { readonly 'cable:backend'?: string | null } {
  if (networkId === undefined) return {};
  const owner = backendName(planning.plan.get('network', networkId));
  return owner === null ? {} : ownedBy(planning, type, given, owner);
}

/** A router and its networks are of one back end, unless one of them says that it joins others (feature `composite`). */
function refuseCrossing(view: View, router: Pick<Router, 'id'>, other: object, what: string): void {
  const [of, to] = [router, other].map((one) => backendName(one as AnyObject)) as [string | null, string | null];
  if (of === to) return;
  const joins = [of, to].some((name) => {
    const plugin: Plugin | undefined = name === null ? undefined : view.need('plugin', name);
    return plugin !== undefined && backendOf(plugin)?.capabilities.features['composite'] === true;
  });
  if (joins) return;
  throw new CableError(
    'CrossesBackends',
    `Router ${router.id} is realised by ${of ?? VROUTER}, and the network of ${what} by ${to ?? VROUTER}: neither of them joins the other’s.`,
    { fields: { router_id: router.id } },
  );
}

/** Back ends that have passed their probe, and the built-in one. */
export function backendsOf({ tables }: Pick<EngineDeps, 'tables'>): ReturnType<typeof registeredBackends> {
  return registeredBackends(tables.of('plugin').values());
}
