/** Floating IPs: an address outside, which a port of their own holds in the external network, and the port inside that it leads to. */
import {
  type AnyObject,
  CableError,
  type FloatingIp,
  type Network,
  type Port,
  parseIp,
  type Router,
} from '@cable/model';
import { asService, type EngineDeps, type Planning } from '../engine/context.ts';
import { type Broken, type Claim, type Contribution, contribute, type Given } from '../engine/module.ts';
import { isAdmin, rowsOf } from '../engine/permission.ts';
import { notFound } from '../engine/read.ts';
import { NO_PROJECT } from '../engine/slots.ts';
import type { Look } from '../engine/view.ts';
import { planCreate, planDelete, planUpdate } from '../engine/write.ts';
import { objectKey } from '../keys.ts';
import type { Tables } from '../tables.ts';
import { FLOATING_IP, isServiceOwner } from './device-owners.ts';
import { externalNetwork } from './external-network.ts';
import { gatewayPortOf } from './router.ts';
import { noneServes, servedSubnets } from './subnet-service-types.ts';

type FixedIp = Port['fixed_ips'][number];

/** An address outside, and the port that has it. */
type Taken = FixedIp & { readonly portId: string };

/** Where a floating IP leads. */
type Association = Pick<FloatingIp, 'port_id' | 'fixed_ip_address' | 'router_id'>;

/** What an association is made for. */
type Floating = Pick<FloatingIp, 'id' | 'project_id' | 'floating_network_id' | 'floating_ip_address'>;

const NOWHERE: Association = { port_id: null, fixed_ip_address: null, router_id: null };

/** Floating IPs: their address, and where they lead. Each revises the port and the router that it leads through. */
export const floatingIpModule: Contribution<AnyObject> = contribute<FloatingIp>({
  derive: (planning, given) => {
    const { port_id: portId = null, fixed_ip_address: fixedIp = null } = given;
    const outside = takeAddress(planning, given);
    const floating = { ...given, ...outside, floating_network_id: given.floating_network_id ?? '' };
    return { ...outside, ...associate(planning, floating, portId, fixedIp) };
  },
  // As in Neutron, where an association was once all that a floating IP had.
  blank: { port_id: null },
  change: (planning, before, after) => {
    const isSamePort = after.port_id === before.port_id;
    if (isSamePort && after.fixed_ip_address === before.fixed_ip_address) return {};
    // An address that was not given anew is that of the port before.
    const wanted = isSamePort || after.fixed_ip_address !== before.fixed_ip_address ? after.fixed_ip_address : null;
    return associate(planning, before, after.port_id, wanted);
  },
  lockKeys: ({ port_id: portId }, look) => routerKeys(look, portId),
  // Nothing but the floating IP refers to the port, which goes with it.
  remove: ({ plan }, { floating_port_id: portId }) => plan.delete('port', portId),
  claims: (floating) => (floating.port_id === null ? [] : [fixedClaim(floating)]),
  broken: brokenFloatingIp,
  present: (tables, floating) => ({ status: statusOf(tables, floating), port_details: detailsOf(tables, floating) }),
});

/** Networks: floating IPs that lead nowhere go with the network that they are of, as in Neutron. */
export const networkFloatingIpsModule: Contribution<AnyObject> = contribute<Network>({
  remove: (planning, { id }) => {
    const { deps, plan } = planning;
    const resource = deps.resources.find('floatingip');
    for (const floating of resource === undefined ? [] : plan.by('floatingip', 'floating_network_id', id)) {
      const isIdle = floating.port_id === null && floating.router_id === null;
      if (resource !== undefined && isIdle) planDelete(planning, resource, floating);
    }
  },
});

/** Ports: what leads to one, or to an address of it, leads nowhere when that is gone. */
export const portFloatingIpsModule: Contribution<AnyObject> = contribute<Port>({
  change: (planning, before, after) => {
    if (after.fixed_ips === before.fixed_ips) return {};
    const has = (address: string | null): boolean => after.fixed_ips.some((fixed) => fixed.ip_address === address);
    release(planning, before.id, ({ fixed_ip_address: address }) => !has(address));
    return {};
  },
  remove: (planning, port) => release(planning, port.id, () => true),
  broken: brokenPortOutside,
});

/** Floating IPs that lead through the router: each revises it. None where they are not loaded. */
export function floatingIpsOf(
  { resources }: Pick<EngineDeps, 'resources'>,
  look: Pick<Look, 'by'>,
  routerId: string,
): readonly FloatingIp[] {
  return resources.find('floatingip') === undefined ? [] : look.by('floatingip', 'router_id', routerId);
}

/** Throws `RouterInterfaceInUseByFloatingIP` when a floating IP needs one of the addresses that a router's leg is to lose. */
export function refuseFloatingThrough({ deps, plan }: Planning, routerId: string, gone: readonly FixedIp[]): void {
  const all = floatingIpsOf(deps, plan, routerId);
  for (const { subnet_id: subnetId } of gone) {
    const isThrough = ({ port_id: portId, fixed_ip_address: address }: FloatingIp): boolean =>
      fixedIpOf(plan.get('port', portId ?? ''), address)?.subnet_id === subnetId;
    if (!all.some(isThrough)) continue;
    throw interfaceInUse(routerId, subnetId);
  }
}

/** Why a router's leg stays. */
export function interfaceInUse(routerId: string, subnetId: string): CableError {
  return new CableError(
    'RouterInterfaceInUseByFloatingIP',
    `Router interface for subnet ${subnetId} on router ${routerId} cannot be deleted, ` +
      'as it is required by one or more floating IPs.',
  );
}

/** Keys of the routers that something outside may lead through to a port: each that comes revises its router, and on one server they wait for one another. */
export function routerKeys(look: Look, portId: string | null | undefined): readonly string[] {
  const port = look.get('port', portId ?? '');
  if (port === undefined) return [];
  const routers = look.by('router_interface', 'network_id', port.network_id).map((leg) => leg.device_id);
  return [...new Set(routers)].map((id) => objectKey('router', id));
}

/** The router by which a port's address reaches the external network, as its legs and its gateway say; undefined: there is none. */
export function findRouterBetween(
  { deps, plan }: Planning,
  port: Port,
  fixed: FixedIp,
  networkId: string,
): Router | undefined {
  const gateway = plan.get('subnet', fixed.subnet_id)?.gateway_ip;
  const legs = deps.tables
    .of('router_interface')
    .by('network_id', port.network_id)
    .flatMap((leg) => plan.get('port', leg.id) ?? [])
    .filter((leg) => leg.fixed_ips.some((one) => one.subnet_id === fixed.subnet_id));
  const isGateway = (leg: Port): boolean => leg.fixed_ips.some((one) => one.ip_address === gateway);
  // Answers of the port go to its gateway.
  for (const leg of [...legs.filter(isGateway), ...legs.filter((one) => !isGateway(one))]) {
    const router = plan.get('router', leg.device_id);
    if (router?.external_gateway_info?.network_id === networkId) return router;
  }
  return undefined;
}

/** The same. Throws `ExternalGatewayForFloatingIPNotFound`. */
function routerBetween(planning: Planning, port: Port, fixed: FixedIp, networkId: string): Router {
  const router = findRouterBetween(planning, port, fixed, networkId);
  if (router !== undefined) return router;
  throw new CableError(
    'ExternalGatewayForFloatingIPNotFound',
    `External network ${networkId} is not reachable from subnet ${fixed.subnet_id}.  ` +
      `Therefore, cannot associate Port ${port.id} with a Floating IP.`,
  );
}

/** The address of the port that is meant: the one named, or its only one of IPv4. Throws `BadRequest`. */
export function chooseFixedIp(port: Port, wanted: string | null): FixedIp {
  if (wanted !== null) {
    if (parseIp(wanted)?.version !== 4) throw badRequest(`Cannot use ${wanted}, which is not an IPv4 address`);
    const found = fixedIpOf(port, wanted);
    if (found === undefined) throw badRequest(`Port ${port.id} does not have fixed ip ${wanted}`);
    return found;
  }
  const [only, second] = port.fixed_ips.filter(({ ip_address: address }) => parseIp(address)?.version === 4);
  if (only === undefined)
    throw badRequest(`Cannot add floating IP to port ${port.id} that has no fixed IPv4 addresses`);
  if (second === undefined) return only;
  throw badRequest(
    `Port ${port.id} has multiple fixed IPv4 addresses.  Must provide a specific IPv4 address when assigning a floating IP`,
  );
}

/** The port that something outside is to lead to. Throws `BadRequest` for another project's, and for one of a router or a floating IP. */
export function innerPort(
  { deps, plan, asked }: Planning,
  floating: Pick<Floating, 'id' | 'project_id'>,
  id: string,
): Port {
  const port = plan.get('port', id);
  if (port === undefined) throw new CableError('NotFound', `Port ${id} could not be found.`, { label: 'Port' });
  if (port.project_id !== floating.project_id && !isAdmin(deps, asked.credentials)) {
    throw badRequest(
      `Port ${id} is associated with a different tenant than Floating IP ${floating.id} and therefore cannot be bound`,
    );
  }
  if (isServiceOwner(port.device_owner)) throw badRequest(`Port ${id} is one of ${port.device_owner}`);
  return port;
}

function associate(planning: Planning, floating: Floating, portId: string | null, wanted: string | null): Association {
  if (portId === null) {
    if (wanted !== null) throw badRequest('fixed_ip_address cannot be specified without a port_id');
    return NOWHERE;
  }
  const port = innerPort(planning, floating, portId);
  const fixed = chooseFixedIp(port, wanted);
  const router = routerBetween(planning, port, fixed, floating.floating_network_id);
  return { port_id: port.id, fixed_ip_address: fixed.ip_address, router_id: router.id };
}

/** Makes the port outside, which has the address. */
function takeAddress(
  planning: Planning,
  given: Given<FloatingIp>,
): Pick<FloatingIp, 'subnet_id' | 'floating_ip_address' | 'floating_port_id'> {
  const { deps, plan } = planning;
  const id = given.floating_network_id ?? '';
  externalNetwork(planning, id, () => badRequest(`Network ${id} is not a valid external network`));
  const { floating_ip_address: address, subnet_id: subnetId } = given;
  if (subnetId !== undefined) refuseUnseen(planning, id, subnetId);
  const subnets = plan.parts('network', id, (look) => look.by('subnet', 'network_id', id));
  const fit = subnets.filter((one) => one.ip_version === 4);
  if (fit.length === 0) throw badRequest(`Network ${id} does not contain any IPv4 subnet`);
  const named = subnets.filter((one) => one.id === subnetId);
  const served = servedSubnets(named.length === 0 ? fit : named, FLOATING_IP);
  if (served.length === 0) throw noneServes(id, FLOATING_IP);
  const make = (fixedIp: Partial<FixedIp>): Taken => {
    const port = planCreate(asService(planning), deps.resources.named('port'), {
      id: deps.newId(),
      project_id: NO_PROJECT,
      network_id: id,
      fixed_ips: [fixedIp],
      device_id: given.id,
      device_owner: FLOATING_IP,
      status: 'N/A',
      port_security_enabled: false,
      security_groups: [],
    }) as unknown as Port;
    const [fixed] = port.fixed_ips;
    if (fixed === undefined) throw new Error(`port ${port.id} was made without an address`);
    if (parseIp(fixed.ip_address)?.version !== 4) throw exhausted(id);
    return { ...fixed, portId: port.id };
  };
  const taken =
    address === undefined && subnetId === undefined
      ? firstFree(
          id,
          served.map((one) => one.id),
          (one) => make({ subnet_id: one }),
        )
      : make({
          ...(subnetId === undefined ? {} : { subnet_id: subnetId }),
          ...(address === undefined ? {} : { ip_address: address }),
        });
  return { subnet_id: taken.subnet_id, floating_ip_address: taken.ip_address, floating_port_id: taken.portId };
}

/** Whether there is a subnet elsewhere that the caller does not see is not said. */
function refuseUnseen({ deps, plan, asked }: Planning, networkId: string, id: string): void {
  const subnet = plan.get('subnet', id);
  const view = deps.permission.policy.for(asked.credentials);
  const isSeen =
    subnet !== undefined &&
    (subnet.network_id === networkId ||
      view.allows('get_subnet', { type: 'subnet', object: subnet, row: rowsOf(plan) }));
  if (!isSeen) throw notFound(deps.resources.named('subnet'), id);
}

function firstFree(networkId: string, subnetIds: readonly string[], make: (subnetId: string) => Taken): Taken {
  for (const subnetId of subnetIds) {
    try {
      return make(subnetId);
    } catch (err) {
      if (!(err instanceof CableError) || err.code !== 'IpAddressGenerationFailure') throw err;
    }
  }
  throw exhausted(networkId);
}

function exhausted(networkId: string): CableError {
  return new CableError(
    'ExternalIpAddressExhausted',
    `Unable to find any IP address on external network ${networkId}.`,
  );
}

/** Each floating IP that leads to a port revises it, so these are all. */
function release(planning: Planning, portId: string, isGone: (floating: FloatingIp) => boolean): void {
  const { deps, plan } = planning;
  const resource = deps.resources.find('floatingip');
  if (resource === undefined) return;
  for (const floating of plan.by('floatingip', 'port_id', portId)) {
    if (isGone(floating))
      planUpdate(asService(planning), resource, floating, { port_id: null, fixed_ip_address: null });
  }
}

/** An address of a port has one floating IP of an external network. */
function fixedClaim({
  port_id: portId,
  fixed_ip_address: fixedIp,
  floating_network_id: networkId,
  ...floating
}: FloatingIp): Claim {
  const isSame = (other: FloatingIp): boolean =>
    other.fixed_ip_address === fixedIp && other.floating_network_id === networkId;
  return {
    kind: 'floating',
    value: `${fixedIp}/${networkId}`,
    under: { type: 'port', id: portId ?? '' },
    holder: (look) => look.by('floatingip', 'port_id', portId ?? '').find(isSame)?.id,
    taken: () =>
      new CableError(
        'FloatingIPPortAlreadyAssociated',
        `Cannot associate floating IP ${floating.floating_ip_address} (${floating.id}) with port ${portId} using fixed IP ${fixedIp}, ` +
          `as that fixed IP already has a floating IP on external network ${networkId}.`,
      ),
  };
}

function fixedIpOf(port: Port | undefined, address: string | null): FixedIp | undefined {
  return port?.fixed_ips.find((fixed) => fixed.ip_address === address);
}

/** A port that no host carries, e.g. of an address that machines share, is reached by others. */
function statusOf(tables: Tables, { port_id: portId, router_id: routerId }: FloatingIp): FloatingIpStatus {
  if (routerId === null) return 'DOWN';
  const port = portId === null ? undefined : tables.of('port').get(portId);
  return port === undefined || port['binding:host_id'] === '' || port.status === 'ACTIVE' ? 'ACTIVE' : 'DOWN';
}

type FloatingIpStatus = 'ACTIVE' | 'DOWN';

function detailsOf(tables: Tables, { port_id: portId }: FloatingIp): Readonly<Record<string, unknown>> | null {
  const port = portId === null ? undefined : tables.of('port').get(portId);
  if (port === undefined) return null;
  const { name, network_id, mac_address, admin_state_up, status, device_id, device_owner } = port;
  return { name, network_id, mac_address, admin_state_up, status, device_id, device_owner };
}

function* brokenFloatingIp(look: Look, floating: FloatingIp): Iterable<Broken> {
  const { floating_network_id: networkId, floating_ip_address: outside, subnet_id: subnetId } = floating;
  const own = look.get('port', floating.floating_port_id);
  const isOwn = own?.device_owner === FLOATING_IP && own.device_id === floating.id && own.network_id === networkId;
  if (!isOwn || fixedIpOf(own, outside)?.subnet_id !== subnetId) {
    yield {
      rule: 'a floating IP has a port outside, with its address',
      detail: `port ${floating.floating_port_id} does not have ${outside} of subnet ${subnetId}`,
    };
  }
  const { port_id: portId, fixed_ip_address: fixedIp, router_id: routerId } = floating;
  const rule = 'a floating IP leads to an address of a port, through a router with a gateway in its network';
  if (portId === null) {
    // It has a router as long as it has port forwardings, which look for themselves.
    if (fixedIp !== null) yield { rule, detail: `${outside} leads to no port, with the address ${fixedIp}` };
    return;
  }
  const inner = look.get('port', portId);
  if (inner !== undefined && isServiceOwner(inner.device_owner)) {
    yield {
      rule: 'a floating IP leads to a machine, or to a load balancer',
      detail: `port ${portId} is one of ${inner.device_owner}`,
    };
  }
  const fixed = fixedIpOf(inner, fixedIp);
  const router = look.get('router', routerId ?? '');
  const isBetween =
    fixed !== undefined &&
    router !== undefined &&
    gatewayPortOf(look, router.id)?.network_id === networkId &&
    look
      .by('port', 'device_id', router.id)
      .some((leg) => leg.device_owner === 'network:router_interface' && hasSubnet(leg, fixed.subnet_id));
  if (isBetween) return;
  yield { rule, detail: `${outside} leads to ${fixedIp} of port ${portId} through router ${routerId}` };
}

function* brokenPortOutside(look: Look, port: Port): Iterable<Broken> {
  if (port.device_owner !== FLOATING_IP || look.get('floatingip', port.device_id)?.floating_port_id === port.id) return;
  yield {
    rule: 'a port outside is a floating IP’s',
    detail: `there is no floating IP ${port.device_id} with this port`,
  };
}

function hasSubnet(port: Port, subnetId: string): boolean {
  return port.fixed_ips.some((fixed) => fixed.subnet_id === subnetId);
}

function badRequest(reason: string): CableError {
  return new CableError('BadRequest', `Bad floatingip request: ${reason}.`);
}
