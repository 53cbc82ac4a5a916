/** Scopes of Services: where those of a cluster are in force. What routers are in, and what scopes they have, never overlaps. */
import {
  type AnyObject,
  CableError,
  cidrContains,
  cidrsOverlap,
  type IpPrefix,
  parseHostName,
  parseIp,
  type ServiceScope,
  type Subnet,
} from '@cable/model';
import type { Planning } from '../engine/context.ts';
import { type Broken, type Contribution, contribute } from '../engine/module.ts';
import type { Look, View } from '../engine/view.ts';
import { attachedSubnets, interfacesOf, subnetsOf } from './router.ts';
import { prefixOf } from './subnet-range.ts';

/** What comes, changes or goes revises its routers, as their interfaces do: so none passes the others' checks. */
export const serviceScopeModule: Contribution<AnyObject> = contribute<ServiceScope>({
  check: (view, scope, before) => {
    if (scope.cidrs.length === 0) throw invalid('cidrs is empty: give the prefix that ClusterIPs are in');
    if (before !== undefined) refuseLost(view, before, scope);
    if (scope.cluster_domain !== '' && parseHostName(scope.cluster_domain) === undefined) {
      throw invalid(`cluster_domain ${scope.cluster_domain} is no domain: give one such as cluster.local`);
    }
    if (new Set(scope.router_ids).size < scope.router_ids.length) throw invalid('router_ids names a router twice');
    for (const id of scope.router_ids) {
      const [problem] = view.parts('router', id, (look) => problemsAt(look, scope, id));
      if (problem !== undefined) throw invalid(problem);
    }
  },
  created: (planning, scope) => revise(planning, scope.router_ids),
  changed: (planning, before, after) => revise(planning, [...before.router_ids, ...after.router_ids]),
  removed: (planning, scope) => revise(planning, scope.router_ids),
  *broken(look, scope): Iterable<Broken> {
    for (const id of scope.router_ids)
      for (const detail of problemsAt(look, scope, id)) {
        yield { rule: 'prefixes of Services overlap nothing else at their routers', detail };
      }
  },
});

/** Throws when a subnet that the router is to be in overlaps a prefix of Services that are in force behind it. Whoever plans that revises the router. */
export function refuseServicesAt({ deps, plan }: Planning, routerId: string, subnets: readonly Subnet[]): void {
  if (deps.resources.find('service_scope') === undefined) return;
  const scopes = plan.parts('router', routerId, (look) => look.by('service_scope', 'router_ids', routerId));
  for (const subnet of subnets)
    for (const scope of scopes) {
      const cidr = scope.cidrs.find((one) => cidrsOverlap(prefixOf(one), prefixOf(subnet.cidr)));
      if (cidr === undefined) continue;
      throw new CableError(
        'BadRequest',
        `Bad router request: Cidr ${subnet.cidr} of subnet ${subnet.id} overlaps with ${cidr} of service scope ${scope.id}, whose Services are reached behind the router.`,
      );
    }
}

/** A subnet that one of the routers of the scope has an interface in and that has the address; undefined: none. */
export function subnetWith(view: View, scope: ServiceScope, address: string): Subnet | undefined {
  const ip = parseIp(address);
  if (ip === undefined) return undefined;
  for (const id of scope.router_ids) {
    const attached = view.parts('router', id, (look) => subnetsOf(look, interfacesOf(look, id)));
    const found = attached.find(({ cidr }) => cidrContains(prefixOf(cidr), ip));
    if (found !== undefined) return found;
  }
  return undefined;
}

/** The first prefix of each version of IP, which stays. */
function firstCidrs(cidrs: readonly string[]): readonly string[] {
  const versionOf = (cidr: string): number => prefixOf(cidr).base.version;
  return cidrs.filter((cidr, n) => cidrs.findIndex((one) => versionOf(one) === versionOf(cidr)) === n);
}

/** What an update of the scope may take away: others than the first ones, where no Service has an address. Whoever plans a Service at such an address revises the scope. */
function refuseLost(view: View, before: ServiceScope, { id, cidrs }: ServiceScope): void {
  if (before.cidrs.every((one, n) => cidrs[n] === one)) return;
  const firsts = firstCidrs(cidrs);
  const lost = firstCidrs(before.cidrs).find((one) => !firsts.includes(one));
  if (lost !== undefined) {
    throw invalid(`cidrs lacks ${lost} as the first of its version of IP: leave it there, and put others behind it`);
  }
  for (const service of view.parts('service_scope', id, (look) => look.by('service', 'scope_id', id))) {
    const address = service.cluster_ips.find((one) => !isIn(cidrs, one));
    if (address === undefined) continue;
    const gone = before.cidrs.find((one) => isIn([one], address));
    throw invalid(`cidrs lacks ${gone}, in which Service ${service.id} has ${address}: delete the Service first`);
  }
}

/** True for an address of a prefix that can be taken away. */
export function isLosable({ cidrs }: ServiceScope, address: string): boolean {
  return !isIn(firstCidrs(cidrs), address);
}

function isIn(cidrs: readonly string[], address: string): boolean {
  const ip = parseIp(address);
  return ip !== undefined && cidrs.some((one) => cidrContains(prefixOf(one), ip));
}

function problemsAt(look: Look, scope: ServiceScope, routerId: string): readonly string[] {
  const taken: (readonly [IpPrefix, string])[] = [
    ...attachedSubnets(look, routerId).map(
      ({ id, cidr }) => [prefixOf(cidr), `${cidr} of subnet ${id} of router ${routerId}`] as const,
    ),
    ...look
      .by('service_scope', 'router_ids', routerId)
      .filter(({ id }) => id !== scope.id)
      .flatMap(({ id, cidrs }) => cidrs.map((cidr) => [prefixOf(cidr), `${cidr} of service scope ${id}`] as const)),
  ];
  return scope.cidrs.flatMap((cidr) => {
    const other = taken.find(([prefix]) => cidrsOverlap(prefix, prefixOf(cidr)));
    return other === undefined ? [] : [`cidrs has ${cidr}, which overlaps ${other[1]}: give another prefix`];
  });
}

function revise({ plan }: Planning, routerIds: readonly string[]): void {
  for (const id of new Set(routerIds)) plan.revise('router', id);
}

function invalid(reason: string): CableError {
  return new CableError('InvalidInput', `Invalid input for operation: ${reason}.`);
}
