import type { AnyObject, Port } from '@cable/model';
import type { Planning } from '../engine/context.ts';
import { GATEWAY } from '../engine/hidden.ts';
import { servicePort } from './device-owners.ts';
import { invalidRoutes } from './router.ts';
import { refusePolicyAt } from './router-policy.ts';

/**
 * A router's leg takes other addresses, in the subnets that it has: as Neutron's router does when its port is changed. Whoever made routes by the leg relies on the
 * router, which is revised. Throws `ServicePortInUse` for other subnets, and `InvalidRoutes` or `InvalidInput` where a route or a policy route leads to the new address.
 */
export function moveLeg(planning: Planning, leg: Port, fixedIps: Port['fixed_ips']): void {
  const { plan } = planning;
  const had = new Set(leg.fixed_ips.map((fixed) => fixed.ip_address));
  const added = fixedIps.filter((fixed) => !had.has(fixed.ip_address));
  if (added.length === 0 && fixedIps.length === leg.fixed_ips.length) return;
  if (subnetsOf(fixedIps) !== subnetsOf(leg.fixed_ips)) throw servicePort(leg, 'changed');
  const router = plan.get('router', leg.device_id);
  if (router === undefined) throw servicePort(leg, 'changed');
  plan.revise('router', router.id);
  const hop = router.routes.find(({ nexthop }) => added.some((fixed) => fixed.ip_address === nexthop))?.nexthop;
  if (hop !== undefined) throw invalidRoutes(router, 'the nexthop is used by router', hop);
  refusePolicyAt(planning, router, added);
}

/** Whether a leg is at the gateway of each of its subnets follows its addresses, whoever changes them. */
export function followGateway({ plan }: Planning, leg: Port, fixedIps: Port['fixed_ips']): Partial<AnyObject> {
  if (JSON.stringify(fixedIps) === JSON.stringify(leg.fixed_ips)) return {};
  const isThere = fixedIps.every((fixed) => plan.rely('subnet', fixed.subnet_id)?.gateway_ip === fixed.ip_address);
  return { [GATEWAY]: isThere || undefined };
}

/** One address of each. */
function subnetsOf(fixedIps: Port['fixed_ips']): string {
  return fixedIps
    .map((fixed) => fixed.subnet_id)
    .sort()
    .join();
}
