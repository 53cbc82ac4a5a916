/** Peerings of routers: one side each, made by the owner of its router; nothing is told of the other but what both agreed on. */
import { otherSide, type PeeringReader, takenBy } from '@cable/compiler';
import {
  type AnyObject,
  CableError,
  PEERING_PREFIXES_MAX,
  type Port,
  ROUTER_PEERINGS_MAX,
  type Router,
  type RouterPeering,
} from '@cable/model';
import type { Planning } from '../engine/context.ts';
import { type Broken, type Claim, type Contribution, contribute } from '../engine/module.ts';
import { notFound } from '../engine/read.ts';
import type { Look } from '../engine/view.ts';
import { permittedRow } from '../engine/write.ts';
import { compilerTables } from '../slices/compiled-view.ts';
import type { Tables } from '../tables.ts';
import { interfacesOf } from './router.ts';

/** What comes or changes revises the router, as its interfaces do: so none passes the others' checks. */
export const routerPeeringModule: Contribution<AnyObject> = contribute<RouterPeering>({
  derive: (planning, given) => {
    const router = ownerOf(planning, given.router_id ?? '');
    if (peeringsOf(planning.plan, router.id).length >= ROUTER_PEERINGS_MAX) {
      throw new CableError(
        'HTTPConflict',
        `Router ${router.id} has ${ROUTER_PEERINGS_MAX} peerings, which is the most.`,
      );
    }
    return { project_id: router.project_id };
  },
  check: (view, peering) => {
    const legs = view.parts('router', peering.router_id, (look) => interfacesOf(look, peering.router_id));
    const problem = shapeProblem(peering) ?? placeProblem(peering, legs);
    if (problem !== undefined) throw invalid(problem);
  },
  changed: ({ plan }, _before, { router_id: routerId }) => plan.revise('router', routerId),
  claims: (peering) => [peerClaim(peering)],
  *broken(look, peering): Iterable<Broken> {
    const problem = shapeProblem(peering) ?? placeProblem(peering, interfacesOf(look, peering.router_id));
    if (problem !== undefined) yield { rule: 'a peering lets through what its router is in', detail: problem };
    const project = look.get('router', peering.router_id)?.project_id;
    if (project === peering.project_id) return;
    yield { rule: 'a peering is of its router’s project', detail: `${peering.project_id}, not ${project}` };
  },
  present: (tables, peering) => {
    const reader = peeringReader(tables);
    const waitsFor = waitsForOf(reader, peering);
    const taken = waitsFor === '' ? takenBy(reader, peering) : [];
    return {
      status: waitsFor === '' ? 'ACTIVE' : 'DOWN',
      waits_for: waitsFor,
      peer_prefixes: taken.map(({ subnet }) => subnet.cidr),
    };
  },
});

/** Throws `RouterInterfaceInUseByPeering` when a peering lets through one of the subnets that a router's leg is to lose. */
export function refusePeeringThrough({ deps, plan }: Planning, router: Router, gone: Port['fixed_ips']): void {
  if (deps.resources.find('router_peering') === undefined) return;
  for (const { subnet_id: id } of gone) {
    const peering = peeringsOf(plan, router.id).find((one) => one.subnet_ids.includes(id));
    if (peering === undefined) continue;
    throw new CableError(
      'RouterInterfaceInUseByPeering',
      `Router interface for subnet ${id} on router ${router.id} cannot be deleted, as peering ${peering.id} lets it through.`,
    );
  }
}

/** The tables as what finds out what of peerings is in force. */
export function peeringReader(tables: Pick<Tables, 'of' | 'any'>): PeeringReader {
  const compiled = compilerTables(tables);
  return {
    get: (table, id) => compiled[table].get(id),
    by: (table, index, key) => compiled[table].by(index, key),
  };
}

/** What a peering that is down waits for; empty: it is active. Of the other side nothing is told but that it is not there, or not up. */
export function waitsForOf(reader: PeeringReader, peering: RouterPeering): string {
  const { router_id: here, peer_router_id: there } = peering;
  if (reader.get('router', here)?.admin_state_up === false) return `admin_state_up of router ${here}: it is false`;
  if (otherSide(reader, peering) !== undefined) return '';
  return `the other side: a peering of router ${there} with router ${here}, which the owner of that router makes, and that router up`;
}

function peeringsOf(look: Pick<Look, 'by'>, routerId: string): readonly RouterPeering[] {
  return look.by('router_peering', 'router_id', routerId);
}

/** The router, which the caller may change. */
function ownerOf(planning: Planning, id: string): Router {
  const resource = planning.deps.resources.named('router');
  permittedRow(planning, resource, id, (before) => ({ verb: 'update', before, changes: {} }));
  const router = planning.plan.get('router', id);
  if (router === undefined) throw notFound(resource, id);
  return router;
}

/** What is wrong whatever the router has; undefined: nothing. */
function shapeProblem(peering: RouterPeering): string | undefined {
  if (peering.peer_router_id === peering.router_id) return 'peer_router_id is the router itself: give another one';
  for (const name of ['subnet_ids', 'accepted_prefixes'] as const) {
    if (peering[name].length > PEERING_PREFIXES_MAX) return `${name} has more than ${PEERING_PREFIXES_MAX} entries`;
  }
  return undefined;
}

/** What is wrong with the router's interfaces; undefined: nothing. */
function placeProblem({ subnet_ids: subnets }: RouterPeering, legs: readonly Port[]): string | undefined {
  const attached = new Set(legs.flatMap((port) => port.fixed_ips.map((fixed) => fixed.subnet_id)));
  const missing = subnets.find((id) => !attached.has(id));
  return missing === undefined ? undefined : `the router has no interface in ${missing} of subnet_ids: attach it first`;
}

function peerClaim({ router_id: routerId, peer_router_id: peerId }: RouterPeering): Claim {
  return {
    kind: 'peering',
    value: `${routerId}/${peerId}`,
    holder: (look) => peeringsOf(look, routerId).find((one) => one.peer_router_id === peerId)?.id,
    taken: (holder) =>
      new CableError('HTTPConflict', `Peering ${holder} of router ${routerId} is with router ${peerId} already.`),
  };
}

function invalid(reason: string): CableError {
  return new CableError('InvalidInput', `Invalid input for operation: ${reason}.`);
}
