/** Policy routes of routers: what they may match, where they may lead, and that none is left behind by an interface that it needs. */
import { protocolNumber } from '@cable/compiler';
import {
  type AnyObject,
  CableError,
  cidrContains,
  cidrsOverlap,
  formatCidr,
  type IpPrefix,
  type Port,
  parseIp,
  parseIpOrCidr,
  ROUTER_POLICIES_MAX,
  type Router,
  type RouterPolicy,
  type Subnet,
} from '@cable/model';
import type { Planning } from '../engine/context.ts';
import { type Broken, type Claim, type Contribution, contribute } from '../engine/module.ts';
import { notFound } from '../engine/read.ts';
import type { Look } from '../engine/view.ts';
import { permittedRow } from '../engine/write.ts';
import { interfacesOf } from './router.ts';
import { prefixOf } from './subnet-range.ts';

/** Protocols that have ports: TCP, UDP, DCCP, SCTP, UDP-Lite. */
const WITH_PORTS: ReadonlySet<number> = new Set([6, 17, 33, 132, 136]);

/** What comes or changes revises the router, as its interfaces do: so none passes the others' checks. */
export const routerPolicyModule: Contribution<AnyObject> = contribute<RouterPolicy>({
  derive: (planning, given) => {
    const router = ownerOf(planning, given.router_id ?? '');
    if (policiesOf(planning.plan, router.id).length >= ROUTER_POLICIES_MAX) {
      throw new CableError(
        'HTTPConflict',
        `Router ${router.id} has ${ROUTER_POLICIES_MAX} policy routes, which is the most.`,
      );
    }
    return { project_id: router.project_id, ...canonical(given) };
  },
  change: (_planning, _before, after) => canonical(after),
  check: (view, policy, before) => {
    const legs = view.parts('router', policy.router_id, (look) => legsOf(look, policy.router_id));
    // One of before that was refused may be changed in other ways.
    const isMoved = before?.next_hop !== policy.next_hop;
    const problem =
      shapeProblem(policy) ?? placeProblem(policy, legs) ?? (isMoved ? hopProblem(policy, legs) : undefined);
    if (problem !== undefined) throw invalid(problem);
  },
  changed: ({ plan }, _before, { router_id: routerId }) => plan.revise('router', routerId),
  claims: (policy) => [priorityClaim(policy)],
  *broken(look, policy): Iterable<Broken> {
    const legs = legsOf(look, policy.router_id);
    const problem = shapeProblem(policy) ?? placeProblem(policy, legs) ?? hopProblem(policy, legs);
    if (problem !== undefined) yield { rule: 'policy routes lead through their router', detail: problem };
    const project = look.get('router', policy.router_id)?.project_id;
    if (project === policy.project_id) return;
    yield { rule: 'a policy route is of its router’s project', detail: `${policy.project_id}, not ${project}` };
  },
});

/** Throws `RouterInterfaceInUseByPolicyRoute` when a policy route needs one of the subnets that a router's leg is to lose. */
export function refusePolicyThrough({ deps, plan }: Planning, router: Router, gone: Port['fixed_ips']): void {
  if (deps.resources.find('router_policy') === undefined) return;
  for (const { subnet_id: id } of gone) {
    const subnet = plan.get('subnet', id);
    const policy = policiesOf(plan, router.id).find(
      (one) => one.subnet_id === id || (subnet !== undefined && leadsInto(one, subnet)),
    );
    if (policy === undefined) continue;
    throw new CableError(
      'RouterInterfaceInUseByPolicyRoute',
      `Router interface for subnet ${id} on router ${router.id} cannot be deleted, as it is required by policy route ${policy.id}.`,
    );
  }
}

/** Throws `InvalidInput` when a policy route leads to one of the addresses that a router's leg is to take. */
export function refusePolicyAt({ deps, plan }: Planning, router: Router, added: Port['fixed_ips']): void {
  if (deps.resources.find('router_policy') === undefined) return;
  const policy = policiesOf(plan, router.id).find(({ next_hop: hop }) =>
    added.some(({ ip_address: address }) => address === hop),
  );
  if (policy === undefined) return;
  throw invalid(
    `fixed_ips has ${policy.next_hop}, which is next_hop of policy route ${policy.id} of router ${router.id}: choose another address, or change that route first`,
  );
}

function policiesOf(look: Pick<Look, 'by'>, routerId: string): readonly RouterPolicy[] {
  return look.by('router_policy', 'router_id', routerId);
}

/** An address of the router, in a subnet that it has an interface in. */
type Leg = { readonly subnet: Subnet; readonly address: string };

function legsOf(look: Look, routerId: string): readonly Leg[] {
  return interfacesOf(look, routerId)
    .flatMap((port) => port.fixed_ips)
    .flatMap(({ subnet_id: id, ip_address: address }) => {
      const subnet = look.get('subnet', id);
      return subnet === undefined ? [] : [{ subnet, address }];
    });
}

/** The router, which the caller may change. */
function ownerOf(planning: Planning, id: string): Router {
  const resource = planning.deps.resources.named('router');
  permittedRow(planning, resource, id, (before) => ({ verb: 'update', before, changes: {} }));
  const router = planning.plan.get('router', id);
  if (router === undefined) throw notFound(resource, id);
  return router;
}

function canonical(given: Partial<RouterPolicy>): Partial<RouterPolicy> {
  return {
    protocol: given.protocol?.toLowerCase() ?? null,
    source_ip_prefix: canonicalPrefix(given.source_ip_prefix),
    destination_ip_prefix: canonicalPrefix(given.destination_ip_prefix),
  };
}

function canonicalPrefix(text: string | null | undefined): string | null {
  const prefix = prefixIn(text ?? null);
  return prefix === undefined ? null : formatCidr(prefix);
}

function prefixIn(text: string | null): IpPrefix | undefined {
  return text === null ? undefined : parseIpOrCidr(text);
}

/** What is wrong whatever the router has; undefined: nothing. */
function shapeProblem(policy: RouterPolicy): string | undefined {
  const { action, next_hop: hop, protocol } = policy;
  if (action === 'reroute' && hop === null) return 'action reroute needs next_hop: give the address to send to';
  if (action !== 'reroute' && hop !== null) return `next_hop is of action reroute alone: leave it out with ${action}`;
  const versions = new Set(
    [
      prefixIn(policy.source_ip_prefix)?.base,
      prefixIn(policy.destination_ip_prefix)?.base,
      hop && parseIp(hop),
    ].flatMap((one) => (one ? [one.version] : [])),
  );
  if (versions.size > 1) return 'source_ip_prefix, destination_ip_prefix and next_hop are of both versions of IP';
  const number = protocolNumber(protocol, versions.has(6) ? 'IPv6' : 'IPv4');
  if (number === undefined) {
    return `protocol ${protocol} is not known: give a name as IANA has it, or a number from 0 to 255`;
  }
  return (
    rangeProblem('port_range', policy.port_range_min, policy.port_range_max, number) ??
    rangeProblem('source_port_range', policy.source_port_range_min, policy.source_port_range_max, number)
  );
}

function rangeProblem(
  name: string,
  min: number | null,
  max: number | null,
  protocol: number | null,
): string | undefined {
  if (min === null && max === null) return undefined;
  if (min === null || max === null) return `${name}_min and ${name}_max go together: give both`;
  if (min > max) return `${name}_min ${min} is above ${name}_max ${max}`;
  if (protocol !== null && WITH_PORTS.has(protocol)) return undefined;
  return `${name}_min needs a protocol with ports: tcp, udp, sctp, dccp or udplite`;
}

/** What is wrong with the next hop itself; undefined: nothing. */
function hopProblem({ next_hop: hop }: RouterPolicy, legs: readonly Leg[]): string | undefined {
  if (!legs.some(({ address }) => address === hop)) return undefined;
  return `next_hop ${hop} is the router's own address: give that of another`;
}

/** What is wrong with the router's subnets; undefined: nothing. */
function placeProblem(policy: RouterPolicy, legs: readonly Leg[]): string | undefined {
  const { next_hop: hop, subnet_id: subnetId, source_ip_prefix: source } = policy;
  if (hop !== null && !legs.some(({ subnet }) => leadsInto(policy, subnet))) {
    return `next_hop ${hop} is in no subnet of an interface of the router: attach its subnet first`;
  }
  if (subnetId === null) return undefined;
  const subnet = legs.find((leg) => leg.subnet.id === subnetId)?.subnet;
  if (subnet === undefined) return `the router has no interface in subnet_id ${subnetId}: attach it first`;
  const [from, to] = [prefixIn(source), prefixIn(policy.destination_ip_prefix)];
  const version = from?.base.version ?? to?.base.version ?? (hop === null ? undefined : parseIp(hop)?.version);
  if (version !== undefined && version !== subnet.ip_version) {
    return `subnet_id ${subnetId} is of IPv${subnet.ip_version}, and the rest of IPv${version}`;
  }
  if (from === undefined || cidrsOverlap(from, prefixOf(subnet.cidr))) return undefined;
  return `source_ip_prefix ${source} is not in ${subnet.cidr} of subnet_id ${subnetId}: it would never match`;
}

function leadsInto({ next_hop: text }: RouterPolicy, { cidr }: Subnet): boolean {
  const hop = text === null ? undefined : parseIp(text);
  return hop !== undefined && cidrContains(prefixOf(cidr), hop);
}

function priorityClaim({ router_id: routerId, priority }: RouterPolicy): Claim {
  return {
    kind: 'policy_priority',
    value: `${routerId}/${priority}`,
    holder: (look) => policiesOf(look, routerId).find((one) => one.priority === priority)?.id,
    taken: (holder) =>
      new CableError('HTTPConflict', `Policy route ${holder} of router ${routerId} has priority ${priority} already.`),
  };
}

function invalid(reason: string): CableError {
  return new CableError('InvalidInput', `Invalid input for operation: ${reason}.`);
}
