/** Egress addresses of routers: by which address of its router a port leaves (docs/design/snat.md). */
import {
  type AnyObject,
  CableError,
  formatLabelSelector,
  type Port,
  parseIp,
  parseLabelSelector,
  parseLabels,
  ROUTER_EGRESSES_MAX,
  type Router,
  type RouterEgress,
  selects,
} from '@cable/model';
import { asService, type Planning } from '../engine/context.ts';
import { type Broken, type Contribution, contribute } from '../engine/module.ts';
import { notFound } from '../engine/read.ts';
import type { Look } from '../engine/view.ts';
import { permittedRow, planUpdate } from '../engine/write.ts';
import { gatewayPortOf } from './router.ts';

/** What comes, changes or goes revises the router, as its gateway's changes do: so none passes the others' checks. */
export const routerEgressModule: Contribution<AnyObject> = contribute<RouterEgress>({
  derive: (planning, given) => {
    const router = ownerOf(planning, given.router_id ?? '');
    if (egressesOf(planning.plan, router.id).length >= ROUTER_EGRESSES_MAX) {
      throw new CableError(
        'HTTPConflict',
        `Router ${router.id} has ${ROUTER_EGRESSES_MAX} egress addresses, which is the most.`,
      );
    }
    const info = router.external_gateway_info ?? null;
    if (info === null) throw conflict(`Router ${router.id} has no gateway: give it external_gateway_info first.`);
    if (!info.enable_snat) {
      throw conflict(
        `Router ${router.id} translates nothing (enable_snat is false), so nothing leaves by its addresses.`,
      );
    }
    const own = given.external_addresses?.length === 0 ? anotherAddress(planning, router, info) : null;
    return {
      project_id: router.project_id,
      own_address: own,
      ...(own === null ? {} : { external_addresses: [own] }),
      ...canonical(given),
    };
  },
  change: (_planning, _before, after) => canonical(after),
  check: (view, egress) => {
    const addresses = view.parts('router', egress.router_id, (look) => addressesOf(look, egress.router_id));
    const problem = shapeProblem(egress) ?? placeProblem(egress, addresses);
    if (problem !== undefined) throw invalid(problem);
  },
  changed: ({ plan }, _before, { router_id: routerId }) => plan.revise('router', routerId),
  removed: (planning, { router_id: routerId, own_address: own }) => {
    const router = planning.plan.get('router', routerId);
    const info = router?.external_gateway_info ?? null;
    // With the router, or its gateway, all addresses go.
    if (router === undefined || info === null) return;
    const heir = own === null ? undefined : egressesOf(planning.plan, routerId).find((one) => names(one, own));
    if (heir !== undefined) {
      planning.plan.replace('router_egress', { ...heir, own_address: own });
      planning.plan.revise('router', routerId);
      return;
    }
    const left = info.external_fixed_ips.filter((fixed) => fixed.ip_address !== own);
    if (left.length === info.external_fixed_ips.length || left.length === 0) planning.plan.revise('router', routerId);
    else giveAddresses(planning, router, info, left);
  },
  *broken(look, egress): Iterable<Broken> {
    const problem = shapeProblem(egress) ?? placeProblem(egress, addressesOf(look, egress.router_id));
    if (problem !== undefined) yield { rule: 'egress addresses are their router’s', detail: problem };
    const project = look.get('router', egress.router_id)?.project_id;
    if (project === egress.project_id) return;
    yield { rule: 'an egress is of its router’s project', detail: `${egress.project_id}, not ${project}` };
  },
});

/** Throws `HTTPConflict` where a router would lose an address, of these that it is to have, by which some of its ports leave. */
export function refuseWithEgresses({ deps, plan }: Planning, routerId: string, addresses: readonly string[]): void {
  if (deps.resources.find('router_egress') === undefined) return;
  for (const { id, external_addresses: named } of egressesOf(plan, routerId)) {
    const lost = named.find((address) => !addresses.includes(address ?? ''));
    if (lost === undefined) continue;
    throw conflict(`Router ${routerId} cannot lose external address ${lost}, which egress ${id} names.`);
  }
}

/** In the order in which ports are matched: of equal ones the older first. */
export function inMatchingOrder(egresses: Iterable<RouterEgress>): readonly RouterEgress[] {
  const age = ({ created_at: at, id }: RouterEgress): string => `${at} ${id}`;
  return [...egresses].sort((a, b) => b.priority - a.priority || (age(a) < age(b) ? -1 : 1));
}

/** The egress under which a port is, of some in matching order; undefined: none. */
export function egressFor(egresses: readonly RouterEgress[], port: Port): RouterEgress | undefined {
  return egresses.find((one) => matches(one, port));
}

/** Addresses of `all`, those of the router, by which the port leaves: of the first egress (they are in matching order) that matches, else those that none names. */
export function addressesFor(egresses: readonly RouterEgress[], port: Port, all: readonly string[]): readonly string[] {
  const egress = egressFor(egresses, port);
  if (egress !== undefined) return all.filter((address) => egress.external_addresses.includes(address));
  return all.filter((address) => !egresses.some((one) => one.external_addresses.includes(address)));
}

function names({ external_addresses: addresses }: RouterEgress, address: string): boolean {
  return addresses.some((one) => one === address);
}

function egressesOf(look: Pick<Look, 'by'>, routerId: string): readonly RouterEgress[] {
  return look.by('router_egress', 'router_id', routerId);
}

function matches({ subnet_ids: subnets, namespaces, pods }: RouterEgress, port: Port): boolean {
  const { 'cable:namespace': namespace = null, 'cable:labels': labels = [], fixed_ips: fixed } = port;
  if (subnets.length > 0 && !fixed.some(({ subnet_id: id }) => subnets.includes(id))) return false;
  if (namespaces.length > 0 && (namespace === null || !namespaces.includes(namespace))) return false;
  if (pods === null) return true;
  const selector = parseLabelSelector(pods);
  return namespace !== null && selector !== undefined && selects(selector, parseLabels(labels as readonly string[]));
}

type Gateway = NonNullable<Router['external_gateway_info']>;

/** One more of the external network, in the subnet of the first that the router has. */
function anotherAddress(planning: Planning, router: Router, info: Gateway): string {
  const first = info.external_fixed_ips.find(({ ip_address: address }) => isIpv4(address));
  if (first === undefined) throw conflict(`The gateway of router ${router.id} has no IPv4 address.`);
  const wanted = [...info.external_fixed_ips, { subnet_id: first.subnet_id }];
  const before = new Set(info.external_fixed_ips.map((fixed) => fixed.ip_address));
  const added = giveAddresses(planning, router, info, wanted).find((address) => !before.has(address));
  if (added === undefined) throw conflict(`Router ${router.id} got no other address.`);
  return added;
}

/** Whoever asks may not choose a gateway's addresses; these follow from what he may. Answers those that the router has then. */
function giveAddresses(
  planning: Planning,
  router: Router,
  { network_id, enable_snat }: Gateway,
  addresses: readonly { readonly subnet_id: string; readonly ip_address?: string }[],
): readonly string[] {
  const change = { external_gateway_info: { network_id, enable_snat, external_fixed_ips: addresses } };
  planUpdate(asService(planning), planning.deps.resources.named('router'), router, change);
  return addressesOf(planning.plan, router.id);
}

function addressesOf(look: Look, routerId: string): readonly string[] {
  const port = gatewayPortOf(look, routerId);
  return (port?.fixed_ips ?? []).map((fixed) => fixed.ip_address);
}

/** The router, which the caller may change. */
function ownerOf(planning: Planning, id: string): Router {
  const resource = planning.deps.resources.named('router');
  permittedRow(planning, resource, id, (before) => ({ verb: 'update', before, changes: {} }));
  const router = planning.plan.get('router', id);
  if (router === undefined) throw notFound(resource, id);
  return router;
}

function canonical({ pods }: Partial<RouterEgress>): Partial<RouterEgress> {
  const selector = typeof pods === 'string' ? parseLabelSelector(pods) : undefined;
  return selector === undefined ? {} : { pods: formatLabelSelector(selector) };
}

/** What is wrong whatever the router has; undefined: nothing. */
function shapeProblem({ pods, external_addresses: addresses }: RouterEgress): string | undefined {
  if (pods !== null && parseLabelSelector(pods) === undefined) {
    return `pods is ${JSON.stringify(pods)}, which is no selector: give one as app=web,tier in (a,b),!old`;
  }
  const six = addresses.find((address) => !isIpv4(address ?? ''));
  return six === undefined ? undefined : `external_addresses has ${six}: IPv6 is not translated, give IPv4 addresses`;
}

/** What is wrong with the router's addresses; undefined: nothing. */
function placeProblem({ external_addresses: named }: RouterEgress, addresses: readonly string[]): string | undefined {
  const foreign = named.find((address) => !addresses.includes(address ?? ''));
  if (foreign === undefined) return undefined;
  return `external_addresses has ${foreign}, which the router's gateway has not: name one of external_fixed_ips, or none to get another`;
}

function isIpv4(address: string): boolean {
  return parseIp(address)?.version === 4;
}

function invalid(reason: string): CableError {
  return new CableError('InvalidInput', `Invalid input for operation: ${reason}.`);
}

function conflict(text: string): CableError {
  return new CableError('HTTPConflict', text);
}
