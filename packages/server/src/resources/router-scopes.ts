/** Routers and address scopes: nothing is routed between two scopes, so a router's legs of one version of IP are of one. */
import { type AnyObject, CableError, type Port, type Router, type Subnet } from '@cable/model';
import { type Broken, type Contribution, contribute, type Mark } from '../engine/module.ts';
import type { Look } from '../engine/view.ts';
import { ROUTER_GATEWAY, ROUTER_INTERFACE } from './device-owners.ts';
import { gatewayPortOf, interfacesOf, subnetsOf } from './router.ts';

/** Kind of the mark on a pool that a router is in one of its subnets: its scope stays. */
export const ROUTED = 'routed';

/** Routers: a gateway leads where the scopes allow it to. */
export const routerScopesModule: Contribution<AnyObject> = contribute<Router>({
  check: (view, router, before) => {
    if (before?.external_gateway_info === router.external_gateway_info) return;
    const problem = view
      .parts('router', router.id, (look) => [scopeProblem(look, router, [])])
      .find((one) => one !== undefined);
    if (problem !== undefined) throw badRouter(problem);
  },
  *broken(look, router): Iterable<Broken> {
    const problem = scopeProblem(look, router, []);
    if (problem !== undefined) yield { rule: 'a router routes within one address scope', detail: problem };
  },
});

/** Ports of routers: the pools of their subnets keep their scopes. */
export const portScopesModule: Contribution<AnyObject> = contribute<Port>({
  marks: (look, port) => (isRouters(port) ? marksOf(look, port) : []),
});

/** Whether a router is in one of the subnets. */
export function isRouted(look: Pick<Look, 'by'>, subnets: readonly Pick<Subnet, 'id'>[]): boolean {
  return subnets.some(({ id }) => routersPorts(look, id).length > 0);
}

/** Ports of routers in the subnet. */
export function routersPorts(look: Pick<Look, 'by'>, subnetId: string): readonly Port[] {
  return look.by('port', 'fixed_ips.subnet_id', subnetId).filter(isRouters);
}

/** Throws when the subnets that the router is to be in besides are of other scopes than those that it is in. */
export function refuseOtherScopes(look: Look, router: Router, added: readonly Subnet[]): void {
  const problem = scopeProblem(look, router, added);
  if (problem !== undefined) throw badRouter(problem);
}

/** The scope of a subnet; null: none. */
export function scopeOfSubnet(look: Pick<Look, 'get'>, { subnetpool_id: id = null }: Subnet): string | null {
  return id === null ? null : (look.get('subnetpool', id)?.address_scope_id ?? null);
}

/** What forbids the legs and the gateway that the router has, and the legs that it is to have; undefined: nothing. */
function scopeProblem(look: Look, router: Router, added: readonly Subnet[]): string | undefined {
  const inside = [...subnetsOf(look, interfacesOf(look, router.id)), ...added];
  const port = gatewayPortOf(look, router.id);
  const outside = port === undefined ? [] : subnetsOf(look, [port]);
  const hasSnat = router.external_gateway_info?.enable_snat ?? true;
  for (const version of [4, 6] as const) {
    const legs = inside.filter((one) => one.ip_version === version);
    const [first] = legs;
    if (first === undefined) continue;
    const scope = scopeOfSubnet(look, first);
    const other = legs.find((one) => scopeOfSubnet(look, one) !== scope);
    if (other !== undefined) {
      return (
        `Subnet ${other.id} is of ${scopeText(scopeOfSubnet(look, other))}, and subnet ${first.id} of ${scopeText(scope)}: ` +
        'a router routes within one address scope'
      );
    }
    // Addresses of IPv4 are translated between scopes, those of IPv6 never are.
    const way = outside.find((one) => one.ip_version === version && scopeOfSubnet(look, one) !== scope);
    if (way === undefined || (version === 4 && hasSnat)) continue;
    return (
      `Subnet ${way.id} of the external network is of ${scopeText(scopeOfSubnet(look, way))}, and subnet ${first.id} of ${scopeText(scope)}: ` +
      (version === 4 ? 'without enable_snat nothing passes between them' : 'IPv6 is not translated between them')
    );
  }
  return undefined;
}

function scopeText(scope: string | null): string {
  return scope === null ? 'no address scope' : `address scope ${scope}`;
}

function isRouters({ device_owner: owner }: Port): boolean {
  return owner === ROUTER_INTERFACE || owner === ROUTER_GATEWAY;
}

/** Where pools are not loaded no subnet has one. */
function marksOf(look: Look, { fixed_ips: fixedIps }: Port): readonly Mark[] {
  const pools = new Set(fixedIps.map(({ subnet_id: id }) => look.get('subnet', id)?.subnetpool_id ?? null));
  return [...pools].flatMap((id) =>
    id === null ? [] : [{ kind: ROUTED, of: { type: 'subnetpool', id }, about: 'port' }],
  );
}

function badRouter(reason: string): CableError {
  return new CableError('BadRequest', `Bad router request: ${reason}.`);
}
