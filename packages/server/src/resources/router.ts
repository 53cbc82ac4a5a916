import { type AnyObject, CableError, cidrContains, type Port, parseCidr, parseIp, type Router } from '@cable/model';
import { defineHooks, type ResourceHooks } from '../engine/module.ts';
import type { Tables } from '../tables.ts';
import { prefixOf } from './subnet.ts';

/** Routers: extra routes lead into attached subnets; no delete while there are interfaces. */
export const routerHooks: ResourceHooks<AnyObject> = defineHooks<Router>({
  update: ({ tables }, before, after) => {
    if (after.routes !== before.routes) checkRoutes(tables, after);
    return {};
  },
  delete: ({ tables, plan }, router) => {
    if (interfacesOf(tables, router.id).length > 0) {
      throw new CableError('InUse', `Router ${router.id} still has ports`, {
        label: 'Router',
        detail: 'Detach its interfaces first, with remove_router_interface.',
      });
    }
    plan.requireUnreferenced('router', router.id, 'port');
  },
});

/** The router's interfaces. */
export function interfacesOf(tables: Tables, routerId: string): readonly Port[] {
  return tables.of('router_interface').by('device_id', routerId);
}

function checkRoutes(tables: Tables, router: Router): void {
  const subnets = interfacesOf(tables, router.id)
    .flatMap((port) => port.fixed_ips)
    .flatMap((fixed) => tables.of('subnet').get(fixed.subnet_id) ?? []);
  const seen = new Set<string>();
  for (const { destination, nexthop } of router.routes) {
    const [prefix, hop] = [parseCidr(destination), parseIp(nexthop)];
    if (prefix === undefined || hop === undefined || prefix.base.version !== hop.version) {
      throw invalidRoutes(router, `${destination} via ${nexthop} mixes versions of IP`);
    }
    if (!subnets.some((subnet) => cidrContains(prefixOf(subnet.cidr), hop))) {
      throw invalidRoutes(router, `the nexthop ${nexthop} is not connected with router`);
    }
    if (seen.has(`${destination} ${nexthop}`)) throw invalidRoutes(router, 'routes contain duplicates');
    seen.add(`${destination} ${nexthop}`);
  }
}

function invalidRoutes(router: Router, reason: string): CableError {
  return new CableError('InvalidRoutes', `Invalid format for routes: ${JSON.stringify(router.routes)}, ${reason}`);
}
