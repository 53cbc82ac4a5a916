import {
  type AnyObject,
  CableError,
  cidrContains,
  cidrsOverlap,
  type Port,
  parseCidr,
  parseIp,
  type Router,
  type Subnet,
} from '@cable/model';
import { type Broken, type Contribution, contribute } from '../engine/module.ts';
import type { Look, View } from '../engine/view.ts';
import { ROUTER_GATEWAY, ROUTER_INTERFACE } from './device-owners.ts';
import { prefixOf } from './subnet-range.ts';

/** Routers: extra routes lead into attached subnets; no delete while there are interfaces. */
export const routerModule: Contribution<AnyObject> = contribute<Router>({
  check: (view, router, before) => {
    const isSame = router.routes === before?.routes && router.external_gateway_info === before.external_gateway_info;
    if (!isSame) checkRoutes(view, router);
  },
  remove: ({ plan }, router) => {
    const legs = interfacesOf(plan, router.id);
    if (legs.length === 0) return;
    const ids = legs.map(({ id }) => id).join(', ');
    throw new CableError('InUse', `Router ${router.id} has ports still attached: ${ids}`, {
      label: 'Router',
      detail: 'Detach its interfaces first, with remove_router_interface.',
    });
  },
  broken: brokenRouter,
});

/** The router's interfaces. Each revises the router when it comes, changes or goes. */
export function interfacesOf(look: Look, routerId: string): readonly Port[] {
  return look.by('port', 'device_id', routerId).filter((port) => port.device_owner === ROUTER_INTERFACE);
}

/** The router's port in an external network; undefined: it has no gateway. The router is written when it comes, changes or goes. */
export function gatewayPortOf(look: Look, routerId: string): Port | undefined {
  return look.by('port', 'device_id', routerId).find((port) => port.device_owner === ROUTER_GATEWAY);
}

/** Subnets that the router is in: by its interfaces, and by its gateway. */
export function attachedSubnets(look: Look, routerId: string): readonly Subnet[] {
  return subnetsOf(look, portsOf(look, routerId));
}

function portsOf(look: Look, routerId: string): readonly Port[] {
  const gateway = gatewayPortOf(look, routerId);
  return [...interfacesOf(look, routerId), ...(gateway === undefined ? [] : [gateway])];
}

/** Subnets that the router has interfaces in, each once. */
export function subnetsOf(look: Look, legs: readonly Port[]): readonly Subnet[] {
  const ids = new Set(legs.flatMap((port) => port.fixed_ips.map((fixed) => fixed.subnet_id)));
  return [...ids].flatMap((id) => look.get('subnet', id) ?? []);
}

function* brokenRouter(look: Look, router: Router): Iterable<Broken> {
  const subnets = attachedSubnets(look, router.id);
  for (const { nexthop } of router.routes) {
    if (isConnected(subnets, nexthop)) continue;
    yield { rule: 'routes lead into attached subnets', detail: `the nexthop ${nexthop} is not connected with router` };
  }
  for (const [at, subnet] of subnets.entries()) {
    const other = subnets.slice(at + 1).find((one) => cidrsOverlap(prefixOf(one.cidr), prefixOf(subnet.cidr)));
    if (other === undefined) continue;
    yield { rule: 'legs of a router do not overlap', detail: `${subnet.cidr} and ${other.cidr}` };
  }
}

function isConnected(subnets: readonly Subnet[], nexthop: string): boolean {
  const hop = parseIp(nexthop);
  return hop !== undefined && subnets.some((subnet) => cidrContains(prefixOf(subnet.cidr), hop));
}

function checkRoutes(view: View, router: Router): void {
  if (router.routes.length === 0) return;
  const subnets = view.parts('router', router.id, (look) => attachedSubnets(look, router.id));
  const ports = view.parts('router', router.id, (look) => portsOf(look, router.id));
  const own = new Set(ports.flatMap((port) => port.fixed_ips.map((fixed) => fixed.ip_address)));
  const seen = new Set<string>();
  for (const { destination, nexthop } of router.routes) {
    const [prefix, hop] = [parseCidr(destination), parseIp(nexthop)];
    if (prefix === undefined || hop === undefined || prefix.base.version !== hop.version) {
      throw invalidRoutes(router, `${destination} via ${nexthop} mixes versions of IP`);
    }
    if (!isConnected(subnets, nexthop)) {
      throw invalidRoutes(router, 'the nexthop is not connected with router', nexthop);
    }
    if (own.has(nexthop)) throw invalidRoutes(router, 'the nexthop is used by router', nexthop);
    if (seen.has(`${destination} ${nexthop}`)) throw duplicateRoute({ destination, nexthop });
    seen.add(`${destination} ${nexthop}`);
  }
}

type Route = Router['routes'][number];

/** The error for routes that cannot be, in Neutron's words. `nexthop`: of the one that cannot. */
export function invalidRoutes({ routes }: Router, reason: string, nexthop?: string): CableError {
  const text = `Invalid format for routes: [${routes.map(routeText).join(', ')}], ${reason}`;
  const where = nexthop === undefined ? {} : { detail: `The next hop is ${nexthop}.`, fields: { nexthop } };
  return new CableError('InvalidRoutes', text, where);
}

function duplicateRoute(route: Route): CableError {
  return new CableError(
    'HTTPBadRequest',
    `Invalid input for routes. Reason: Duplicate hostroute '${routeText(route)}'.`,
    {
      fields: { attribute: 'routes' },
    },
  );
}

/** As Neutron writes it. */
function routeText({ destination, nexthop }: Route): string {
  return `{'destination': '${destination}', 'nexthop': '${nexthop}'}`;
}
