/** Services of a scope: no two have one address. */
import {
  type AnyObject,
  CableError,
  cidrContains,
  parseHostName,
  parseIp,
  type Service,
  type ServiceScope,
} from '@cable/model';
import type { Planning } from '../engine/context.ts';
import { type Broken, type Claim, type Contribution, contribute } from '../engine/module.ts';
import type { View } from '../engine/view.ts';
import { isLosable, subnetWith } from './service-scope.ts';
import { prefixOf } from './subnet-range.ts';

/** A Service's addresses are of its scope, which keeps their prefixes; its external ones are of nothing else behind the scope's routers. */
export const serviceModule: Contribution<AnyObject> = contribute<Service>({
  derive: (_planning, { ports = [] }) => ({ ports: ports.map(complete) }),
  change: (_planning, _before, after) => ({ ports: after.ports.map(complete) }),
  check: (view, service, before) => {
    const problem = shapeProblem(service);
    if (problem !== undefined) throw invalid(problem);
    const isKept = (['cluster_ips', 'external_ips', 'load_balancer_ips'] as const).every((name) =>
      isSame(before?.[name], service[name]),
    );
    if (isKept) return;
    const scope = view.need('service_scope', service.scope_id);
    const place =
      scope === undefined ? undefined : (clusterProblem(scope, service) ?? outerProblem(view, scope, service));
    if (place !== undefined) throw invalid(place);
  },
  created: reviseScope,
  changed: (planning, before, after) => {
    if (!isSame(before.cluster_ips, after.cluster_ips)) reviseScope(planning, after);
  },
  claims: (service) => [
    ...service.cluster_ips.map((address) => addressClaim(service, address)),
    ...outerAddresses(service).flatMap((address) =>
      service.ports.map(({ protocol, port }) => portClaim(service, `${address}/${protocol}/${port}`)),
    ),
    ...nodePlaces(service).map((place) => nodePortClaim(service, place)),
  ],
  *broken(look, service): Iterable<Broken> {
    const scope = look.get('service_scope', service.scope_id);
    const detail = shapeProblem(service) ?? (scope === undefined ? undefined : clusterProblem(scope, service));
    if (detail !== undefined) yield { rule: 'ClusterIPs are in the prefixes of their scope', detail };
  },
});

/** So that the scope does not lose the prefix meanwhile. */
function reviseScope({ plan }: Planning, { scope_id: id, cluster_ips: addresses }: Service): void {
  const scope = plan.get('service_scope', id);
  if (scope !== undefined && addresses.some((one) => isLosable(scope, one))) plan.revise('service_scope', id);
}

/** A port of a Service with what it has where nothing is said. */
function complete<T extends Service['ports'][number]>(port: T): T {
  return { ...named(port), node_port: port.node_port ?? null };
}

/** A port with the name that one without a name has. */
export function named<T extends object>(port: T): { readonly name: string } & T {
  return { name: '', ...port };
}

/** Each node has an entry for each of them. */
const MOST_RANGES = 2048;

/** What is wrong whatever else there is; undefined: nothing. */
function shapeProblem({
  cluster_ips: ips,
  external_ips: outer,
  external_name: name,
  load_balancer_ips: balanced,
  announced_ips: announced = [],
  load_balancer_source_ranges: ranges,
  ports,
}: Service): string | undefined {
  if (name !== '' && parseHostName(name) === undefined)
    return `external_name ${name} is no host name: give one such as db.example.org`;
  if (name !== '' && ips.length > 0)
    return 'external_name stands for the Service, which has cluster_ips too: give one of both';
  if (ips.length === 0 && outer.length > 0)
    return 'external_ips lead to a Service that has a ClusterIP: give cluster_ips, or none of them';
  if (ips.length === 0 && balanced.length > 0)
    return 'load_balancer_ips lead to a Service that has a ClusterIP: give cluster_ips, or none of them';
  const versions = ips.map((ip) => parseIp(ip)?.version);
  if (new Set(versions).size < ips.length) return 'cluster_ips has two of one version of IP: give one of each at most';
  if (new Set(outer).size < outer.length) return 'external_ips has an address twice';
  if (ports.length === 0 && ips.length > 0) return 'ports is empty: give what the Service serves';
  if (new Set(balanced).size < balanced.length) return 'load_balancer_ips has an address twice';
  const stray = announced.find((one) => !outer.includes(one) && !balanced.includes(one));
  if (stray !== undefined)
    return `announced_ips has ${stray}, which is none of load_balancer_ips and external_ips: give it there too, or leave it out`;
  if (new Set(announced).size < announced.length) return 'announced_ips has an address twice';
  if (ports.length * ranges.length * balanced.length > MOST_RANGES)
    return `load_balancer_source_ranges times ports and load_balancer_ips is more than ${MOST_RANGES}: give wider prefixes, or fewer ports`;
  const places = ports.map(({ protocol, port }) => `${protocol} ${port}`);
  const twice = places.find((place, at) => places.indexOf(place) < at);
  if (twice !== undefined) return `ports has ${twice} twice: give each protocol and port once`;
  const nodes = nodePlaces({ ports });
  const shared = nodes.find((place, at) => nodes.indexOf(place) < at);
  return shared === undefined ? undefined : `ports has node_port ${shared} twice: give each protocol and port once`;
}

/** `<protocol>/<port>` of each node port. */
function nodePlaces({ ports }: Pick<Service, 'ports'>): readonly string[] {
  return ports.flatMap(({ protocol, node_port: port }) =>
    port === null || port === undefined ? [] : [`${protocol}/${port}`],
  );
}

function clusterProblem({ id, cidrs }: ServiceScope, { cluster_ips: ips }: Service): string | undefined {
  for (const text of ips) {
    const ip = parseIp(text);
    if (ip === undefined || cidrs.some((cidr) => cidrContains(prefixOf(cidr), ip))) continue;
    return `cluster_ips has ${text}, which is in none of the cidrs of service scope ${id} (${cidrs.join(', ')}): give one that is, or add its prefix there`;
  }
  return undefined;
}

/** Each once. */
function outerAddresses({ external_ips: outer, load_balancer_ips: balanced }: Service): readonly string[] {
  return [...new Set([...outer, ...balanced])];
}

function outerProblem(view: View, scope: ServiceScope, service: Service): string | undefined {
  for (const text of outerAddresses(service)) {
    const name = service.external_ips.includes(text) ? 'external_ips' : 'load_balancer_ips';
    const ip = parseIp(text);
    const cidr = ip && scope.cidrs.find((one) => cidrContains(prefixOf(one), ip));
    if (cidr !== undefined) return `${name} has ${text}, which is in ${cidr} of the scope: give it as a ClusterIP`;
    const subnet = subnetWith(view, scope, text);
    if (subnet === undefined) continue;
    return `${name} has ${text}, which is in ${subnet.cidr} of subnet ${subnet.id}: what is there would be reached no more; give another address`;
  }
  return undefined;
}

function addressClaim({ scope_id: scopeId }: Service, address: string): Claim {
  return {
    kind: 'service_address',
    value: `${scopeId}/${address}`,
    holder: (look) => look.by('service', 'cluster_ips', address).find((one) => one.scope_id === scopeId)?.id,
    taken: (holder) =>
      new CableError('HTTPConflict', `Service ${holder} of the scope has ClusterIP ${address} already.`),
  };
}

/** `place`: protocol and port. */
function nodePortClaim({ scope_id: scopeId }: Service, place: string): Claim {
  return {
    kind: 'service_node_port',
    value: `${scopeId}/${place}`,
    holder: (look) => look.by('service', 'scope_id', scopeId).find((one) => nodePlaces(one).includes(place))?.id,
    taken: (holder) => new CableError('HTTPConflict', `Service ${holder} of the scope has node port ${place} already.`),
  };
}

/** `place`: address, protocol and port. */
function portClaim({ scope_id: scopeId }: Service, place: string): Claim {
  const has = (one: Service): boolean =>
    outerAddresses(one).some((ip) => one.ports.some(({ protocol, port }) => `${ip}/${protocol}/${port}` === place));
  const address = place.slice(0, place.indexOf('/'));
  return {
    kind: 'service_port',
    value: `${scopeId}/${place}`,
    holder: (look) =>
      (['external_ips', 'load_balancer_ips'] as const)
        .flatMap((name) => look.by('service', name, address))
        .find((one) => one.scope_id === scopeId && has(one))?.id,
    taken: (holder) =>
      new CableError('HTTPConflict', `Service ${holder} of the scope serves at external address ${place} already.`),
  };
}

function isSame(one: readonly string[] | undefined, other: readonly string[]): boolean {
  return one !== undefined && one.join() === other.join();
}

function invalid(reason: string): CableError {
  return new CableError('InvalidInput', `Invalid input for operation: ${reason}.`);
}
