/**
 * Services of Kubernetes: where a scope is in force, and what each port of each address leads to (docs/design/services.md). Whatever depends on this host (endpoints of its own,
 * its zone) is settled here: programs meet a list.
 */
import { createHash } from 'node:crypto';
import type { ClusterService, LocalPort, ServiceBackend, ServicePort } from '@cable/model';
import { CB_BACKENDS, CB_LIST_BACKENDS, CB_ROUTE_SERVICE, CB_SERVICE_F_LOCAL } from '../bpf/abi.gen.ts';
import { formatAddress, isMapped, NO_ADDRESS, parseAddress, parsePrefix } from './address.ts';
import type { Announced, Entrance, HealthPort } from './entrances.ts';
import { encodeEntry, type KeyOf, type Planned, type ValueOf } from './entries.ts';
import { portsOfNode } from './node-port.ts';
import { routeEntries } from './route-entries.ts';
import { type Candidate, type ClientPlace, chooseServing } from './serving.ts';
import { type Family, headerFamily, itemFamily, type Output, type PlanReader } from './unit.ts';

/** An endpoint of a Service. */
export type PlannedBackend = Candidate & {
  readonly addr: Uint8Array;
  readonly ports: readonly ServicePort[];
  /** Of one that is a host: where it listens, while `addr` is its port's as a node. Absent: there. */
  readonly hostAddress?: string;
};

const PROTOCOLS = { TCP: 6, UDP: 17, SCTP: 132 } as const;

/** Key of the number of a scope, among those of routers: routes lead to it. */
export function scopeOf(id: string): string {
  return `services ${id}`;
}

/** Key of the number of what this host lets in from outside for a scope. */
export function outerScopeOf(id: string): string {
  return `${scopeOf(id)} outside`;
}

/** A scope that is told of has numbers. */
export const SCOPES: Family = headerFamily(
  { name: 'service scope', slice: 'services', subject: 'host' },
  ({ scope }) => ({
    facts: [scopeOf(scope), outerScopeOf(scope)].map((key) => ({ topic: 'router', key, member: '', value: null })),
  }),
);

/** The prefixes of a scope lead to its Services, at each router that is up here. */
export const SCOPE_ROUTES: Family = headerFamily(
  { name: 'routes of a service scope', slice: 'services', subject: 'host' },
  ({ scope }, { cidrs, routerIds, clusterDomain }, reader) => {
    const nodes = routerIds.flatMap((id) => nodesOf(id, reader));
    const hasNames = clusterDomain !== undefined;
    const addresses = [...new Set(nodes.flatMap(({ fixedIps }) => fixedIps.map(({ ipAddress }) => ipAddress)))];
    return {
      entries: routesTo(scope, cidrs, reader),
      facts: [
        ...routerIds.map((id) => ({ topic: 'scope-at', key: id, member: scope, value: { cidrs, hasNames } }) as const),
        ...(nodes.length === 0 ? [] : [{ topic: 'let-in', key: scope, member: '', value: { addresses } } as const]),
      ],
    };
  },
);

/** Ports of this host as a node, behind the router. */
function nodesOf(routerId: string, reader: PlanReader): readonly LocalPort[] {
  const networks = reader.sortedFacts('leg-of', routerId).map(({ value }) => value.networkId);
  return portsOfNode(reader, new Set(networks));
}

/** An endpoint is its Service's. */
export const BACKENDS: Family = itemFamily(
  { name: 'endpoint of a Service', slice: 'backends', subject: 'host' },
  ({ scope, item }, backend, reader) => {
    const {
      serviceId,
      ipAddress,
      ports,
      terminating,
      host = '',
      hostAddress,
      zoneHints = [],
      hostHints = [],
    } = backend;
    const addr = parseAddress(ipAddress);
    if (addr === undefined) return {};
    const value = {
      ...{ addr, ports, isReady: terminating !== true, host, zoneHints, hostHints },
      ...(hostAddress === undefined ? {} : { hostAddress }),
    };
    const entrances = hostAddress === undefined ? [] : toItself(backend, hostAddress, reader.facts('let-in', scope));
    return {
      facts: [{ topic: 'backend-of', key: serviceId, member: item, value }],
      ...(entrances.length === 0 ? {} : { entrances }),
    };
  },
);

/** Of an endpoint that is this host: what comes to its port as a node is for the address at which it listens. */
function toItself(
  { ipAddress, ports }: ServiceBackend,
  hostAddress: string,
  letIn: ReadonlyMap<string, { readonly value: NodePlace }>,
): readonly Entrance[] {
  const ipVersion = versionOf(ipAddress);
  if (letIn.get('')?.value.addresses.includes(ipAddress) !== true) return [];
  if (parseAddress(hostAddress) === undefined || versionOf(hostAddress) !== ipVersion) return [];
  return ports.map(({ protocol, port }) => ({
    ...{ address: ipAddress, isEndpoint: true as const, protocol, ipVersion, port, to: { address: hostAddress, port } },
  }));
}

/** A Service: a row for each port of each of its addresses, one for each address, and the lists that they lead to. */
export const CLUSTER_SERVICES: Family = itemFamily(
  { name: 'Service', slice: 'services', subject: 'host' },
  ({ scope: scopeId }, service, reader) => {
    const scope = reader.number('router', scopeOf(scopeId));
    if (scope === undefined) return {};
    const { local = false } = service;
    const shown = [...service.externalIps, ...ownBalanced(service)];
    const outer = shown.flatMap((ip) => (isAddress(ip) ? [`${ip}/${ip.includes(':') ? 128 : 32}`] : []));
    const node = reader.facts('let-in', scopeId).get('')?.value;
    const outerScope = node !== undefined ? reader.number('router', outerScopeOf(scopeId)) : undefined;
    return {
      projectId: ownerOf(service),
      entries: [
        ...serviceEntries({ scope, addresses: [...service.clusterIps, ...shown], isLocal: local }, service, reader),
        ...outerEntries(outerScope, service, reader),
        ...routesTo(scopeId, outer, reader),
      ],
      ...(node === undefined ? {} : letInOf(service, node, reader)),
    };
  },
);

/**
 * Addresses of the load balancer that guests reach without a node between, which would hide them: those that hosts announce, for others may be nodes' own, with ports of theirs. Not where it is said
 * from where one may: nodes see to that.
 */
function ownBalanced({ announcedIps = [], externalIps, sourceRanges }: ClusterService): readonly string[] {
  return sourceRanges === undefined ? announcedIps.filter((ip) => !externalIps.includes(ip)) : [];
}

/** Of whose share its rows are: its namespace's, for all Services of a cluster are of one project. */
function ownerOf({ projectId, name }: ClusterService): string {
  const [namespace = ''] = name.split('/');
  return name.includes('/') ? `${projectId}, namespace ${namespace},` : projectId;
}

function isAddress(text: string): boolean {
  return parseAddress(text) !== undefined;
}

/** Routes to the scope, at each of its routers that has a number here. */
function routesTo(scopeId: string, cidrs: readonly string[], reader: PlanReader): readonly Planned[] {
  const scope = reader.number('router', scopeOf(scopeId));
  const routerIds = reader.header('services', scopeId)?.routerIds ?? [];
  if (scope === undefined || cidrs.length === 0) return [];
  const nexthop = Uint8Array.from(NO_ADDRESS);
  const view = new DataView(nexthop.buffer);
  view.setUint32(0, scope, true);
  view.setUint32(4, reader.number('router', outerScopeOf(scopeId)) ?? 0, true);
  const value = {
    ...{ kind: CB_ROUTE_SERVICE, flags: 0, net: 0, mtuBytes: 0, mac: new Uint8Array(6), nexthop },
    ...{ own: NO_ADDRESS, outside: 0 },
  };
  const routes = cidrs.flatMap((cidr) => {
    const to = parsePrefix(cidr);
    return to === undefined ? [] : [{ to, value }];
  });
  return routerIds.flatMap((id) => {
    const vrf = reader.number('router', id);
    return vrf === undefined ? [] : routeEntries(vrf, routes);
  });
}

/** Rows of what is let in from outside, where other endpoints count for it than for the cluster. */
function outerEntries(scope: number | undefined, service: ClusterService, reader: PlanReader): readonly Planned[] {
  const { clusterIps, local = false, outerLocal: isLocal = false } = service;
  if (scope === undefined || !(local || isLocal) || entrancesOf(service).length === 0) return [];
  return serviceEntries({ scope, addresses: clusterIps, isLocal }, service, reader);
}

/** All lead to the Service's address of their version of IP. */
function entrancesOf(service: ClusterService): readonly Entrance[] {
  const { clusterIps, ports, nodePorts = [], externalIps, loadBalancerIps = [], sourceRanges } = service;
  const balanced = new Set(loadBalancerIps.filter(isAddress));
  const outer = externalIps.filter((one) => isAddress(one) && !balanced.has(one));
  return clusterIps.flatMap((to) => {
    const ipVersion = versionOf(to);
    const isOfOne = (text: string): boolean => versionOf(text) === ipVersion;
    const sources = sourceRanges?.filter(isOfOne);
    return [
      ...nodePorts.map(({ protocol, nodePort, port }) => ({
        ...{ protocol, ipVersion, port: nodePort, to: { address: to, port } },
      })),
      ...[...outer, ...balanced].filter(isOfOne).flatMap((address) =>
        ports.map(({ protocol, port }) => ({
          ...{ address, protocol, ipVersion, port, to: { address: to, port } },
          ...(sources !== undefined && balanced.has(address) ? { sources } : {}),
        })),
      ),
    ];
  });
}

function versionOf(text: string): 4 | 6 {
  return text.includes(':') ? 6 : 4;
}

function letInOf(
  service: ClusterService,
  node: NodePlace,
  reader: PlanReader,
): Pick<Output, 'entrances' | 'health' | 'announces'> {
  const led = entrancesOf(service).map((one) => ({ ...one, to: besideOf(one, service, node, reader) ?? one.to }));
  const announces = announcedOf(service, reader);
  const entrances = [...led, ...announces.map(closedAt)];
  return {
    ...(entrances.length === 0 ? {} : { entrances }),
    ...(announces.length === 0 ? {} : { announces }),
    ...healthOf(service, reader),
  };
}

/** What is at no port of the Service. */
function closedAt({ address }: Announced): Entrance {
  return { address, protocol: 'TCP', ipVersion: versionOf(address), port: 0, to: { address, port: 0 } };
}

/** Each address has one place: with `externalTrafficPolicy` Local on a host that has endpoints which are ready, or, where none is, some that terminate. */
function announcedOf(service: ClusterService, reader: PlanReader): readonly Announced[] {
  const { id, clusterIps, announcedIps = [], outerLocal } = service;
  const versions = new Set(clusterIps.map(versionOf));
  return announcedIps
    .filter((one) => isAddress(one) && versions.has(versionOf(one)))
    .map((address) => {
      if (outerLocal !== true) return { address, service: id, hosts: undefined };
      const all = reader.sortedFacts('backend-of', id).map(({ value }) => value);
      const own = all.filter(({ addr, host }) => host !== '' && isMapped(addr) === (versionOf(address) === 4));
      const ready = own.filter(({ isReady }) => isReady);
      const hosts = (ready.length > 0 ? ready : own).map(({ host }) => host);
      return { address, service: id, hosts: [...new Set(hosts)].sort() };
    });
}

/** Addresses of this host's port as a node. */
type NodePlace = { readonly addresses: readonly string[] };

/**
 * Where only endpoints of this host count for what is let in, and these are the host itself: there it goes at once, and the client stays who he is. Undefined: it goes the common way.
 */
function besideOf(
  { protocol, ipVersion, to }: Entrance,
  { id, ports, outerLocal }: ClusterService,
  { addresses }: NodePlace,
  reader: PlanReader,
): Entrance['to'] | undefined {
  const port = ports.find((one) => one.protocol === protocol && one.port === to.port);
  if (outerLocal !== true || port === undefined) return undefined;
  const all = reader.sortedFacts('backend-of', id).map(({ value }) => value);
  const { counting } = chooseServing(
    all.filter(({ addr }) => isMapped(addr) === (ipVersion === 4)),
    placeOfClients(reader),
    true,
  );
  const own = counting.flatMap((one) =>
    placeOf(one, port.name, protocol).map(({ addr, portBe }) => ({ at: formatAddress(addr), port: portBe, ...one })),
  );
  const [first] = own;
  if (first === undefined || !own.every(({ at }) => addresses.includes(at))) return undefined;
  return { address: first.hostAddress ?? first.at, port: first.port };
}

/** How many endpoints of this host are ready, where somebody may ask. Of a Service of both versions of IP those of its first. */
function healthOf(service: ClusterService, reader: PlanReader): { readonly health?: HealthPort } {
  const { id, name, clusterIps, healthCheckNodePort: port } = service;
  if (port === undefined) return {};
  const isIpv4 = versionOf(clusterIps[0] ?? '') === 4;
  const here = reader
    .sortedFacts('backend-of', id)
    .flatMap(({ value }) =>
      value.isReady && value.host === reader.host && isMapped(value.addr) === isIpv4 ? [value] : [],
    );
  const endpoints = new Set(here.map(({ addr }) => Buffer.from(addr).toString('hex'))).size;
  return { health: { port, service: name, endpoints } };
}

/** The zone is that of the node, as Kubernetes says it, which makes the hints. */
function placeOfClients(reader: PlanReader): ClientPlace {
  const own = reader.sortedFacts('machine-port', '').find(({ value }) => value.zone !== '');
  return { host: reader.host, zone: own?.value.zone ?? reader.zone };
}

/** `isLocal`: only endpoints of this host count. */
type Side = { readonly scope: number; readonly addresses: readonly string[]; readonly isLocal: boolean };

function serviceEntries(
  { scope, isLocal, ...side }: Side,
  service: ClusterService,
  reader: PlanReader,
): readonly Planned[] {
  const { id, affinitySeconds: affinityS = 0 } = service;
  const all = reader.sortedFacts('backend-of', id).map(({ value }) => value);
  const addresses = side.addresses.flatMap((ip) => parseAddress(ip) ?? []);
  const about = { affinityS, service: Number.parseInt(id.slice(0, 8), 16) >>> 0 };
  const entries: Planned[] = [];
  for (const isIpv4 of [true, false]) {
    const own = addresses.filter((addr) => isMapped(addr) === isIpv4);
    if (own.length === 0) continue;
    for (const addr of own) entries.push(encodeEntry('cb_service_1', { scope, addr, protocol: 0, portBe: 0 }, ADDRESS));
    const { counting, kept } = chooseServing(
      all.filter(({ addr }) => isMapped(addr) === isIpv4),
      placeOfClients(reader),
      isLocal,
    );
    for (const { name, protocol, port } of service.ports) {
      const backends = distinct([counting, kept].map((some) => some.flatMap((one) => placeOf(one, name, protocol))));
      const { list, chunks } = listOf(id, backends.flat());
      const [count, total] = [backends[0]?.length ?? 0, backends.flat().length];
      // Of one that nobody serves anywhere whoever asks is refused, and not left waiting.
      const value = { ...about, list, count, total, flags: isLocal && total > 0 ? CB_SERVICE_F_LOCAL : 0 };
      const keys = own.map((addr) => ({ scope, addr, protocol: PROTOCOLS[protocol], portBe: port }));
      entries.push(...chunks, ...keys.map((key) => encodeEntry('cb_service_1', key, value)));
    }
  }
  return entries;
}

/** What says that an address is a Service's. */
const ADDRESS: ValueOf<'cb_service_1'> = { list: 0n, count: 0, total: 0, affinityS: 0, service: 0, flags: 0 };

type Backend = ValueOf<'cb_backend_1'>['backend'][number];

/** Where an endpoint serves a port of its Service; none: it does not. */
function placeOf({ addr, ports }: PlannedBackend, name: string, protocol: ServicePort['protocol']): readonly Backend[] {
  const found = ports.find((one) => one.name === name && one.protocol === protocol);
  return found === undefined ? [] : [{ addr, portBe: found.port }];
}

/** Two objects may name one endpoint while it goes from one to the other: it is one, and counts if either says so. All that a list holds. */
function distinct(groups: readonly (readonly Backend[])[]): readonly (readonly Backend[])[] {
  const seen = new Set<string>();
  return groups.map((group) =>
    group.filter(({ addr, portBe }) => {
      const place = `${Buffer.from(addr).toString('hex')} ${portBe}`;
      if (seen.has(place) || seen.size === CB_LIST_BACKENDS) return false;
      seen.add(place);
      return true;
    }),
  );
}

/** A list, and its chunks. Its number is made of the Service and of what is in it: one that changes is another, and no two Services, of thousands before the same pods, claim one. */
function listOf(
  serviceId: string,
  backends: readonly Backend[],
): { readonly list: bigint; readonly chunks: readonly Planned[] } {
  if (backends.length === 0) return { list: 0n, chunks: [] };
  const hash = createHash('sha256').update(serviceId);
  for (const { addr, portBe } of backends) hash.update(addr).update(Buffer.of(portBe >> 8, portBe & 0xff));
  const list = hash.digest().readBigUInt64LE();
  const count = Math.ceil(backends.length / CB_BACKENDS);
  const chunks = Array.from({ length: count }, (_, chunk) => {
    const key: KeyOf<'cb_backend_1'> = { list, chunk };
    const backend = Array.from({ length: CB_BACKENDS }, (_one, n) => backends[chunk * CB_BACKENDS + n] ?? NOBODY);
    return encodeEntry('cb_backend_1', key, { backend });
  });
  return { list, chunks };
}

const NOBODY: Backend = { addr: NO_ADDRESS, portBe: 0 };
