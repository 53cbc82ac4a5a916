/** Port forwardings: parts of a floating IP that leads nowhere itself, each to an address of a port behind the router that leads to the first of them. */
import {
  type AnyObject,
  CableError,
  type FloatingIp,
  type Port,
  type PortForwarding,
  parseIp,
  type Router,
} from '@cable/model';
import { asService, type Planning } from '../engine/context.ts';
import { type Broken, type Contribution, contribute } from '../engine/module.ts';
import { notFound } from '../engine/read.ts';
import type { Look, View } from '../engine/view.ts';
import { permittedRow, planDelete, planUpdate } from '../engine/write.ts';
import { isServiceOwner } from './device-owners.ts';
import { findRouterBetween, innerPort, interfaceInUse, routerKeys } from './floating-ip.ts';
import {
  badForwarding,
  changedPorts,
  forwardedProtocol,
  givenPorts,
  overlap,
  portsProblem,
  storedRange,
} from './forwarded-ports.ts';
import { hasVip } from './has-vip.ts';
import { inOrder } from './in-order.ts';
import { gatewayPortOf, interfacesOf } from './router.ts';

type FixedIp = Port['fixed_ips'][number];

/** Where a port forwarding leads. */
type Target = Pick<PortForwarding, 'internal_port_id' | 'internal_ip_address' | 'router_id'>;

/** Most port forwardings of a floating IP, and most that lead to a port. Fewer than a tombstone begins with: each that goes is looked at. */
const MOST = 500;

/** Port forwardings. Each revises its floating IP, the port and the router that it leads through. */
export const portForwardingModule: Contribution<AnyObject> = contribute<PortForwarding>({
  derive: (planning, given) => {
    const floating = ownerOf(planning, given.floatingip_id ?? '');
    return {
      project_id: floating.project_id,
      protocol: forwardedProtocol(given.protocol ?? ''),
      ...givenPorts(given),
      ...targetOf(planning, floating, given, given.internal_ip_address),
    };
  },
  change: (planning, before, after) => {
    const isSamePort = after.internal_port_id === before.internal_port_id;
    const isSameAddress = after.internal_ip_address === before.internal_ip_address;
    // An address that was not given anew is that of the port before.
    const wanted = isSamePort || !isSameAddress ? after.internal_ip_address : undefined;
    const floating = planning.plan.get('floatingip', before.floatingip_id);
    return {
      protocol: after.protocol === before.protocol ? before.protocol : forwardedProtocol(after.protocol),
      ...changedPorts(before, after),
      ...(floating === undefined || (isSamePort && isSameAddress) ? {} : targetOf(planning, floating, after, wanted)),
    };
  },
  check: checkForwarding,
  lockKeys: ({ internal_port_id: portId }, look) => routerKeys(look, portId),
  created: (planning, forwarding) => leadThrough(planning, forwarding.floatingip_id, forwarding.router_id),
  changed: (planning, _before, forwarding) => {
    leadThrough(planning, forwarding.floatingip_id, forwarding.router_id);
    planning.plan.revise('floatingip', forwarding.floatingip_id);
    planning.plan.revise('port', forwarding.internal_port_id);
  },
  removed: ({ plan, ...planning }, { floatingip_id: id }) => {
    if (forwardingsOf(plan, id).length === 0) leadThrough({ plan, ...planning }, id, null);
  },
  broken: brokenForwarding,
});

/** Floating IPs: one that has port forwardings leads nowhere itself, and stays as long as it has them. */
export const floatingIpForwardingsModule: Contribution<AnyObject> = contribute<FloatingIp>({
  derive: ({ plan }, { port_id: portId }) => {
    refuseForwardedPort(plan, portId ?? null);
    return {};
  },
  change: ({ plan }, before, after) => {
    if (after.port_id === before.port_id || after.port_id === null) return {};
    refuseInUse(plan, before);
    refuseForwardedPort(plan, after.port_id);
    return {};
  },
  remove: ({ plan }, floating) => refuseInUse(plan, floating),
  broken: function* (look, floating) {
    const { id, port_id: portId, router_id: routerId } = floating;
    if (portId !== null || routerId === null || forwardingsOf(look, id).length > 0) return;
    yield { rule: 'a floating IP without port and port forwardings leads through no router', detail: routerId };
  },
  present: (tables, { id }) => ({
    port_forwardings: inOrder(tables.of('port_forwarding').by('floatingip_id', id)).map(shownWithFloating),
  }),
});

/** As Neutron shows it with its floating IP; ranges only where single ports do not say it all. */
function shownWithFloating(one: PortForwarding): Readonly<Record<string, unknown>> {
  const isRange = one.external_port === null || one.internal_port === null;
  return {
    id: one.id,
    protocol: one.protocol,
    external_port: one.external_port,
    internal_port_id: one.internal_port_id,
    internal_ip_address: one.internal_ip_address,
    internal_port: one.internal_port,
    ...(isRange ? { external_port_range: one.external_port_range, internal_port_range: one.internal_port_range } : {}),
  };
}

/** Ports: what leads to an address that a port loses goes with it. */
export const portForwardingsToModule: Contribution<AnyObject> = contribute<Port>({
  change: (planning, before, after) => {
    if (after.fixed_ips === before.fixed_ips) return {};
    const resource = planning.deps.resources.find('port_forwarding');
    for (const one of resource === undefined ? [] : forwardingsTo(planning.plan, before.id)) {
      const isGone = after.fixed_ips.every(({ ip_address: address }) => address !== one.internal_ip_address);
      if (resource !== undefined && isGone) planDelete(planning, resource, one);
    }
    return {};
  },
});

/** Throws `VIPInUse` when ports of a floating IP lead to a port that is to have a virtual address. Each that comes revises the port. */
export function refuseForwardedTo({ deps, plan }: Planning, portId: string): void {
  const [first] = deps.resources.find('port_forwarding') === undefined ? [] : forwardingsTo(plan, portId);
  if (first === undefined) return;
  throw new CableError(
    'VIPInUse',
    `Port ${portId} cannot have a virtual address: ports of a floating IP lead (${first.id}) to it.`,
  );
}

/** Throws `RouterInterfaceInUseByFloatingIP` when a port forwarding needs one of the addresses that a router's leg is to lose. */
export function refuseForwardedThrough({ deps, plan }: Planning, routerId: string, gone: readonly FixedIp[]): void {
  if (deps.resources.find('port_forwarding') === undefined) return;
  for (const { internal_port_id: portId, internal_ip_address: address } of plan.by(
    'port_forwarding',
    'router_id',
    routerId,
  )) {
    const fixed = plan.get('port', portId)?.fixed_ips.find((one) => one.ip_address === address);
    const lost = gone.find((one) => one.subnet_id === fixed?.subnet_id);
    if (lost !== undefined) throw interfaceInUse(routerId, lost.subnet_id);
  }
}

function forwardingsOf(look: Pick<Look, 'by'>, floatingIpId: string): readonly PortForwarding[] {
  return look.by('port_forwarding', 'floatingip_id', floatingIpId);
}

function forwardingsTo(look: Pick<Look, 'by'>, portId: string): readonly PortForwarding[] {
  return look.by('port_forwarding', 'internal_port_id', portId);
}

/** The floating IP, which the caller may change, and which leads nowhere itself. */
function ownerOf(planning: Planning, id: string): FloatingIp {
  const resource = planning.deps.resources.named('floatingip');
  permittedRow(planning, resource, id, (before) => ({ verb: 'update', before, changes: {} }));
  const floating = planning.plan.get('floatingip', id);
  if (floating === undefined) throw notFound(resource, id);
  if (floating.port_id === null) return floating;
  throw new CableError(
    'FloatingIPPortAlreadyAssociated',
    `Cannot add a port forwarding to floating IP ${floating.floating_ip_address} (${id}): it is associated with port ${floating.port_id}.`,
    { detail: 'Disassociate the floating IP first, or take another one for port forwardings.' },
  );
}

function targetOf(
  planning: Planning,
  floating: FloatingIp,
  { id, internal_port_id: portId = '' }: Partial<PortForwarding>,
  wanted: string | undefined,
): Target {
  const port = innerPort(planning, floating, portId);
  if (hasVip(port)) {
    throw badForwarding(
      `port ${portId} has the virtual address of a load balancer: give that a floating IP of its own`,
    );
  }
  const fixed = innerAddress(port, wanted);
  const router = routerTo(planning, floating, port, fixed);
  const target = { internal_port_id: port.id, internal_ip_address: fixed.ip_address, router_id: router.id };
  // The only one of its floating IP may take it to another router.
  const isAlone = forwardingsOf(planning.plan, floating.id).every((one) => one.id === id);
  if (isAlone || floating.router_id === router.id) return target;
  throw badForwarding(
    `the floating IP ${floating.id} leads through router ${floating.router_id}, which does not reach port ${port.id}`,
  );
}

/** Throws `BadRequest`, as Neutron does for a port forwarding where it says 404 for a floating IP. */
function routerTo(
  planning: Planning,
  { id, floating_network_id: networkId }: FloatingIp,
  port: Port,
  fixed: FixedIp,
): Router {
  const router = findRouterBetween(planning, port, fixed, networkId);
  if (router !== undefined) return router;
  throw badForwarding(
    `External network ${networkId} is not reachable from subnet ${fixed.subnet_id}. ` +
      `Cannot set Port forwarding for port ${port.id} with Floating IP ${id}`,
  );
}

function innerAddress(port: Port, wanted: string | undefined): FixedIp {
  const fit = port.fixed_ips.filter(({ ip_address: address }) => parseIp(address)?.version === 4);
  const found = fit.find(({ ip_address: address }) => address === (wanted ?? address));
  if (found !== undefined) return found;
  const has = port.fixed_ips.map((one) => `{'subnet_id': '${one.subnet_id}', 'ip_address': '${one.ip_address}'}`);
  if (wanted === undefined) throw badForwarding(`port ${port.id} has no IPv4 address, but [${has.join(', ')}]`);
  throw badForwarding(
    `Requested internal IP address ${wanted} is not suitable for internal neutron port ${port.id}, ` +
      `as its fixed_ips are [${has.join(', ')}]`,
  );
}

/** The floating IP leads through the router as long as it has port forwardings. */
function leadThrough(planning: Planning, floatingIpId: string, routerId: string | null): void {
  const { deps, plan } = planning;
  const floating = plan.get('floatingip', floatingIpId);
  if (floating === undefined || plan.deletes('floatingip', floatingIpId) || floating.router_id === routerId) return;
  planUpdate(asService(planning), deps.resources.named('floatingip'), floating, { router_id: routerId });
}

function checkForwarding(view: View, forwarding: PortForwarding): void {
  const problem = portsProblem(forwarding);
  if (problem !== undefined) throw badForwarding(problem);
  const { id, floatingip_id: floatingIpId, internal_port_id: portId } = forwarding;
  const isOther = (one: PortForwarding): boolean => one.id !== id;
  // Each revises its floating IP and its port: these are all.
  const beside = view.parts('floatingip', floatingIpId, (look) => forwardingsOf(look, floatingIpId).filter(isOther));
  const others = view.parts('port', portId, (look) => forwardingsTo(look, portId).filter(isOther));
  if (beside.length >= MOST) throw tooMany(`floating IP ${floatingIpId}`);
  if (others.length >= MOST) throw tooMany(`port ${portId}`);
  for (const one of beside) if (isSameOutside(one, forwarding)) throw collision('external_port_range', one, forwarding);
  for (const one of others) if (isSameInside(one, forwarding)) throw collision('internal_port_range', one, forwarding);
  const [own] = view.parts('port', portId, (look) => look.by('floatingip', 'port_id', portId));
  if (own === undefined) return;
  throw new CableError(
    'PortHasBindingFloatingIP',
    `Cannot create port forwarding to port ${portId} using fixed IP ${forwarding.internal_ip_address}, ` +
      `as that port already has a binding floating IP ${own.floating_ip_address} (${own.id}).`,
  );
}

function isSameOutside(a: PortForwarding, b: PortForwarding): boolean {
  return a.protocol === b.protocol && overlap(storedRange(a.external_port_range), storedRange(b.external_port_range));
}

/** What comes to one port inside by two ways could not be told apart. */
function isSameInside(a: PortForwarding, b: PortForwarding): boolean {
  return (
    a.protocol === b.protocol &&
    a.internal_ip_address === b.internal_ip_address &&
    overlap(storedRange(a.internal_port_range), storedRange(b.internal_port_range))
  );
}

function refuseInUse(look: Pick<Look, 'by'>, { id }: FloatingIp): void {
  if (forwardingsOf(look, id).length === 0) return;
  throw new CableError('FipInUseByPortForwarding', `Floating IP ${id} in use by Port Forwarding resources.`);
}

function refuseForwardedPort(look: Pick<Look, 'by'>, portId: string | null): void {
  if (portId === null || forwardingsTo(look, portId).length === 0) return;
  throw new CableError(
    'PortHasPortForwarding',
    `Cannot associate floating IP to port ${portId} because it already has a Port Forwarding binding.`,
  );
}

function tooMany(what: string): CableError {
  return new CableError('HTTPConflict', `The ${what} has ${MOST} port forwardings, which is the most.`);
}

function collision(
  side: 'external_port_range' | 'internal_port_range',
  other: PortForwarding,
  forwarding: PortForwarding,
): CableError {
  return badForwarding(
    `There is a port collision with the ${side}. The following ranges collides: ${other[side]} and ${forwarding[side]}`,
  );
}

function* brokenForwarding(look: Look, forwarding: PortForwarding): Iterable<Broken> {
  const { floatingip_id: floatingIpId, internal_port_id: portId, router_id: routerId } = forwarding;
  const floating = look.get('floatingip', floatingIpId);
  if (floating === undefined) return;
  if (floating.port_id !== null || floating.router_id !== routerId) {
    yield {
      rule: 'a floating IP with port forwardings leads through their router, and to no port itself',
      detail: `${floatingIpId} leads to port ${floating.port_id} through router ${floating.router_id}, and not through ${routerId}`,
    };
  }
  const inner = look.get('port', portId);
  if (inner !== undefined && (isServiceOwner(inner.device_owner) || hasVip(inner))) {
    yield { rule: 'a port forwarding leads to a machine', detail: `port ${portId} is one of ${inner.device_owner}` };
  }
  const fixed = inner?.fixed_ips.find((one) => one.ip_address === forwarding.internal_ip_address);
  const isThrough = interfacesOf(look, routerId).some((leg) =>
    leg.fixed_ips.some((one) => one.subnet_id === fixed?.subnet_id),
  );
  if (fixed === undefined || !isThrough || gatewayPortOf(look, routerId)?.network_id !== floating.floating_network_id) {
    yield {
      rule: 'a port forwarding leads to an address of its port, through a router with a gateway in its network',
      detail: `to ${forwarding.internal_ip_address} of port ${portId} through router ${routerId}`,
    };
  }
  const problem = portsProblem(forwarding);
  if (problem !== undefined) yield { rule: 'ports are forwarded to as many, or to one', detail: problem };
  const isLater = (one: PortForwarding): boolean => one.id > forwarding.id;
  const same = [
    ...forwardingsOf(look, floatingIpId).filter((one) => isLater(one) && isSameOutside(one, forwarding)),
    ...forwardingsTo(look, portId).filter((one) => isLater(one) && isSameInside(one, forwarding)),
  ];
  for (const { id } of same) {
    yield { rule: 'a port is forwarded once, and to one place', detail: `${id} has ports of it, too` };
  }
  if (look.by('floatingip', 'port_id', portId).length > 0) {
    yield { rule: 'a port to which others are forwarded has no floating IP', detail: `port ${portId}` };
  }
}
