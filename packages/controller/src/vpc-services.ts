/**
 * Services within VPCs of their own: what is behind the router of such a VPC, its VMs first of all, reaches those that have endpoints there, at the addresses that the endpoints have there. (Pods of
 * the VPC go by their legs, where the cluster's own scope is in force.) A VPC is a scope of its own, in the project that has the router: docs/design/pod-vpc.md.
 */
import type { Client } from '@cable/api';
import type { Logger } from '@cable/kit';
import { type KubeApi, WorkQueue } from '@cable/kube';
import { type AnyObject, cidrContains, type IpPrefix, isUuid, parseCidr, parseIp, VPC_INTERFACE } from '@cable/model';
import { type CableAccess, isGone, isRefusal } from './cable-access.ts';
import { KeyIndex } from './key-index.ts';
import { LEG_OWNER, type Legs } from './legs.ts';
import type { ObjectEvents } from './object-events.ts';
import { objectId } from './object-id.ts';
import type { PortBook, PortFacts } from './port-book.ts';
import { Refusals } from './refusals.ts';
import {
  type EndpointFacts,
  SERVICES,
  type ServiceBody,
  type ServiceFacts,
  type SliceFacts,
  VPC_OF_SLICE,
} from './service-facts.ts';
import { API_SERVER, ensureScope, isLeftOut, remove, ServiceBooks, uidOf, write } from './services.ts';
import { SliceParts } from './slice-parts.ts';

export type VpcServicesDeps = {
  readonly cable: Pick<CableAccess, 'own' | 'as'>;
  readonly kube: Pick<KubeApi, 'get'>;
  readonly services: { get(key: string): ServiceFacts | undefined; keys(): Iterable<string> };
  readonly slices: { get(key: string): SliceFacts | undefined };
  /** Keys of the slices of a Service, as they say themselves. */
  readonly slicesOf: (service: string) => readonly string[];
  /** Has the endpoints of a slice looked at again as those of the cluster's own scope. */
  readonly sliceAgain: (key: string) => void;
  readonly ports: Pick<PortBook, 'ofPod'>;
  readonly legs: Pick<Legs, 'vpcOf'>;
  /** The project of a namespace; undefined: it is not known yet. */
  readonly projectOf: (namespace: string) => string | undefined;
  readonly cluster: string;
  readonly clusterUid: string;
  readonly serviceCidrs: readonly string[];
  /** Of the cluster's own pods: an address there is one of theirs, whatever VPCs have. */
  readonly podCidrs: readonly string[];
  readonly clusterDomain: string;
  /** Of its own: of a slice others tell, too. */
  readonly events: Pick<ObjectEvents, 'warn' | 'well'>;
  readonly guarded: (work: (key: string) => Promise<void>) => (key: string) => Promise<void>;
  readonly log: Logger;
  readonly signal: AbortSignal;
  readonly nowMs?: () => number;
};

/** `turn`: what is done with a scope is done one after the other, so that none is deleted that is just needed. `works`: how much of that is not over yet. */
type Scope = {
  readonly projectId: string;
  readonly routerId: string;
  readonly id: string;
  readonly books: ServiceBooks;
  /** Of slices that are written as they are to be: for which endpoints. */
  readonly written: Map<string, readonly Here[]>;
  /** It is there, as the options of this controller say. */
  isEnsured: boolean;
  /** When it is tried again, after a refusal to make it. */
  refusedUntilMs: number;
  turn: Promise<unknown>;
  works: number;
};

/** Where an endpoint is: the router of its VPC, and the project that has it. */
type Place = { readonly projectId: string; readonly routerId: string };

type Here = EndpointFacts & { readonly portId: string | null };
type Wanted = { readonly place: Place; readonly bySlice: Map<string, readonly Here[]> };

/** What of a slice is in which VPC, by router. */
type Found = {
  readonly places: ReadonlyMap<string, { readonly place: Place; readonly here: readonly Here[] }>;
  /** Addresses without a pod that are in a VPC. */
  readonly within: readonly string[];
  /** An address is in a subnet of which no router is known, or of several VPCs. */
  readonly isUnsure: boolean;
};

/** Where an address without a pod is. `isUnsure`: it may be known later. `problem`: why it is served nowhere, though VPCs have it. */
type Placed = { readonly place: Place | undefined; readonly isUnsure: boolean; readonly problem?: string };

type RoutersAt = {
  readonly projectId: string;
  readonly routers: ReadonlyMap<string, readonly string[]>;
  readonly hasSubnet: boolean;
};

const KIND = 'ServiceScope';
const ENDPOINTS = 'EndpointSlice';

/** So much of a slice is told at once. */
const MOST_TOLD = 4;

/** How long it is not asked again which subnets a project has. */
const KNOWN_MS = 5000;

/** When it is asked again for what may be remembered otherwise: which router a network has (`Legs`), whether a scope can be made. */
const AGAIN_MS = 31_000;

export class VpcServices {
  readonly #deps: VpcServicesDeps;
  /** By router. */
  readonly #scopes = new Map<string, Scope>();
  readonly #subnets = new Map<string, { readonly untilMs: number; readonly found: Promise<readonly AnyObject[]> }>();
  /** Ports of pods, as they were last looked at. */
  readonly #portsSeen = new Map<string, string>();
  /** Addresses without a pod that are in a VPC, by Service. */
  readonly #withinSeen = new Map<string, string>();
  readonly #parts = new SliceParts<Found>();
  /** Slices by their Services, as they were last looked at. */
  readonly #slicesSeen = new KeyIndex();
  readonly #serviceOf = new Map<string, string>();
  readonly #podPrefixes: readonly IpPrefix[];
  readonly #refusals = new Refusals();
  readonly #queue: WorkQueue;

  constructor(deps: VpcServicesDeps) {
    this.#deps = deps;
    this.#podPrefixes = deps.podCidrs.flatMap((one) => parseCidr(one) ?? []);
    const { guarded, log, signal } = deps;
    const work = guarded((key) => this.#reconcile(key));
    this.#queue = new WorkQueue({ name: 'services of VPCs', atOnce: 16, log, signal, work });
  }

  /** Asks for what there is of them: as the cluster's own project, which sees them whatever has become of the VPC's project. */
  async load(): Promise<void> {
    const { cable, cluster } = this.#deps;
    const { own } = cable;
    const all = (await own.list('service_scope', { 'cable:cluster': cluster })) as readonly AnyObject[];
    const found = new Set<Scope>();
    for (const one of all) {
      const [routerId = ''] = one['router_ids'] as readonly string[];
      if (one.id !== this.#scopeId(routerId)) continue;
      const scope = this.#scopeOf({ projectId: String(one['project_id']), routerId });
      found.add(scope);
      scope.isEnsured = false;
      scope.written.clear();
      await scope.books.load(own, scope.id);
    }
    for (const scope of this.#scopes.values()) {
      if (!found.has(scope)) emptied(scope);
      else
        this.#inTurn(scope, () => this.#drop(scope)).catch((err: unknown) => {
          this.#deps.log.warn({ err, router: scope.routerId }, 'an empty scope of a VPC was not deleted');
        });
    }
    this.#forget();
  }

  /** Routers of which something is known. */
  get size(): number {
    return this.#scopes.size;
  }

  /** Nothing is known any more of VPCs that have no Services, as of those that are gone, and of which subnets a project had. */
  #forget(): void {
    const { nowMs = () => performance.now() } = this.#deps;
    for (const [routerId, scope] of this.#scopes) {
      const isIdle = scope.works === 0 && !scope.isEnsured && scope.books.isEmpty && scope.refusedUntilMs <= nowMs();
      if (isIdle) this.#scopes.delete(routerId);
    }
    for (const [projectId, { untilMs }] of this.#subnets) if (untilMs <= nowMs()) this.#subnets.delete(projectId);
  }

  open(): void {
    this.#queue.open();
  }

  serviceChanged(key: string): void {
    this.#queue.add(key);
  }

  sliceChanged(key: string): void {
    for (const service of new Set([this.#deps.slices.get(key)?.service ?? '', this.#serviceOf.get(key) ?? '']))
      if (service !== '') this.#queue.add(service);
  }

  /** Called after each look at a pod, whether its ports are others or not. */
  podChanged(key: string): void {
    const ports = this.#deps.ports.ofPod(key);
    const text = ports
      .map(({ id, addresses }) => `${id} ${addresses.join()}`)
      .sort()
      .join(' ');
    if ((this.#portsSeen.get(key) ?? '') === text) return;
    if (text === '') this.#portsSeen.delete(key);
    else this.#portsSeen.set(key, text);
    for (const slice of this.#parts.podChanged(key)) {
      const service = this.#serviceOf.get(slice);
      if (service !== undefined) this.#queue.add(service);
    }
  }

  resync(): void {
    this.#parts.clear();
    const held = [...this.#scopes.values()].flatMap(({ books }) => [...books.services.keys()]);
    for (const key of new Set([...this.#deps.services.keys(), ...held])) this.#queue.add(key);
  }

  /** Is that address, which a slice of the namespace says without a pod, one of the namespace's own VPC? There it is reached, and nowhere else. */
  async isWithin(namespace: string, address: string): Promise<boolean> {
    return (await this.#routersAt(namespace, address)).routers.size > 0;
  }

  async #reconcile(key: string): Promise<void> {
    const wanted = await this.#wantedOf(key);
    const held = [...this.#scopes.values()].filter(({ books }) => books.services.get(key) !== undefined);
    // What is followed may be behind.
    if (wanted.size === 0 && held.length > 0 && this.#deps.services.get(key) === undefined) {
      const uid = await uidOf(this.#deps.kube, SERVICES, key);
      const isThere = held.some(({ routerId, books }) => {
        return uid !== undefined && books.services.get(key)?.id === this.#idOf('Service', uid, routerId);
      });
      if (isThere) return this.#queue.addAfter(key, 1000);
    }
    const scopes = new Set([...held, ...[...wanted.values()].map(({ place }) => this.#scopeOf(place))]);
    // One VPC that fails keeps the Service from no other.
    const works = [...scopes].map((scope) =>
      this.#inTurn(scope, () => this.#bring(scope, key, wanted.get(scope.routerId)?.bySlice)),
    );
    const failed = (await Promise.allSettled(works)).find((one) => one.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }

  #inTurn(scope: Scope, work: () => Promise<void>): Promise<void> {
    scope.works += 1;
    const done = scope.turn.then(work).finally(() => {
      scope.works -= 1;
    });
    scope.turn = done.catch(() => undefined);
    return done;
  }

  /** What of the Service is in which VPC, by router. */
  async #wantedOf(key: string): Promise<ReadonlyMap<string, Wanted>> {
    const { services, slices, slicesOf } = this.#deps;
    const wanted = new Map<string, Wanted>();
    const { nowMs = () => performance.now() } = this.#deps;
    const service = services.get(key);
    const keys = service?.body === undefined || key === API_SERVER ? [] : slicesOf(key);
    this.#note(key, keys);
    const within: string[] = [];
    let isUnsure = false;
    for (const slice of keys) {
      const facts = slices.get(slice);
      if (facts === undefined || isLeftOut({ services }, facts)) continue;
      const found = this.#parts.get(slice, facts, nowMs()) ?? (await this.#look(slice, facts));
      for (const [routerId, { place, here }] of found.places) {
        const known = wanted.get(routerId) ?? { place, bySlice: new Map<string, readonly Here[]>() };
        wanted.set(routerId, known);
        known.bySlice.set(slice, here);
      }
      within.push(...found.within);
      isUnsure ||= found.isUnsure;
    }
    this.#noteWithin(key, within.sort().join(), keys);
    // Which router the network has may be remembered from before it had one.
    if (isUnsure) this.#queue.addAfter(key, AGAIN_MS);
    return wanted;
  }

  /** Looks at all endpoints of a slice. */
  async #look(slice: string, facts: SliceFacts): Promise<Found> {
    const { nowMs = () => performance.now(), legs } = this.#deps;
    const { endpoints } = facts;
    const pods = new Set(endpoints.flatMap(({ pod }) => (pod === '' ? [] : [pod])));
    const look = this.#parts.begin(slice, facts, pods);
    const places = new Map<string, { readonly place: Place; readonly here: Here[] }>();
    const add = (place: Place | undefined, endpoint: Here): void => {
      if (place === undefined) return;
      const known = places.get(place.routerId) ?? { place, here: [] };
      places.set(place.routerId, known);
      known.here.push(endpoint);
    };
    const [within, problems]: readonly [string[], string[]] = [[], []];
    let isUnsure = false;
    for (const endpoint of endpoints) {
      const { pod, address } = endpoint;
      if (pod === '') {
        const { place, isUnsure: isOpen, problem } = await this.#placeOf(facts, address);
        isUnsure ||= isOpen;
        if (place !== undefined || problem !== undefined) within.push(address);
        if (problem !== undefined) problems.push(problem);
        // It is on no node, whatever the slice says: so hosts tell it from pods (`network-ways.ts` of the agent).
        add(place, { ...endpoint, host_id: '', portId: null });
        continue;
      }
      const port = this.#portOf(pod, address);
      const own = port?.addresses.find((one) => one.includes(':') === address.includes(':'));
      if (port === undefined || own === undefined) continue;
      const { routerId } = (await legs.vpcOf(port.networkId, port.projectId)) ?? {};
      const place = routerId === undefined ? undefined : { projectId: port.projectId, routerId };
      add(place, { ...endpoint, address: own, portId: port.id });
    }
    const found = { places, within, isUnsure };
    this.#parts.end(slice, look, found, isUnsure ? 0 : nowMs() + AGAIN_MS);
    await this.#tell(slice, facts, problems);
    return found;
  }

  /** What is served nowhere. */
  async #tell(slice: string, { namespace, name, uid }: SliceFacts, problems: readonly string[]): Promise<void> {
    const { events } = this.#deps;
    if (problems.length === 0) return events.well(ENDPOINTS, slice);
    const subject = { apiVersion: 'discovery.k8s.io/v1', kind: ENDPOINTS, namespace, name, uid };
    const more = problems.length > MOST_TOLD ? `; and ${problems.length - MOST_TOLD} more` : '';
    await events.warn(subject, 'VpcUnclear', `${problems.slice(0, MOST_TOLD).join('; ')}${more}`);
  }

  /** The port in the VPC of the pod whose leg has the address: of one name there may be ports of the pod before, too. */
  #portOf(pod: string, address: string): PortFacts | undefined {
    const ports = this.#deps.ports.ofPod(pod);
    const leg = ports.find((one) => one.deviceOwner === LEG_OWNER && one.addresses.includes(address));
    const [uid] = leg?.deviceId.split(':') ?? [];
    return uid === undefined ? undefined : ports.find((one) => one.deviceId === `${uid}:${VPC_INTERFACE}`);
  }

  /** What is in a VPC the cluster's own scope leaves out, and has again when it is there no more. */
  #noteWithin(key: string, text: string, slices: readonly string[]): void {
    if ((this.#withinSeen.get(key) ?? '') === text) return;
    if (text === '') this.#withinSeen.delete(key);
    else this.#withinSeen.set(key, text);
    for (const slice of slices) this.#deps.sliceAgain(slice);
  }

  #note(key: string, slices: readonly string[]): void {
    for (const slice of slices) {
      this.#slicesSeen.put(slice, key);
      this.#serviceOf.set(slice, key);
    }
    for (const slice of this.#slicesSeen.of(key)) {
      if (slices.includes(slice)) continue;
      this.#slicesSeen.put(slice, undefined);
      this.#serviceOf.delete(slice);
      this.#parts.forget(slice);
    }
  }

  async #bring(scope: Scope, key: string, bySlice: ReadonlyMap<string, readonly Here[]> | undefined): Promise<void> {
    const { cable, services } = this.#deps;
    const { books, routerId, projectId, id: scopeId } = scope;
    const service = services.get(key);
    const before = books.services.get(key);
    const id = service === undefined ? undefined : this.#idOf('Service', service.uid, routerId);
    const isOver = bySlice === undefined || service?.body === undefined || id === undefined;
    if (before !== undefined && (isOver || before.id !== id)) {
      await remove(cable.own, 'service', before.id);
      books.services.forget(key);
      for (const set of books.sets.of(before.id)) {
        books.sets.forget(set);
        scope.written.delete(set);
      }
    }
    if (isOver) {
      this.#refusals.clear(`${routerId} ${key}`);
      return await this.#drop(scope);
    }
    const client = cable.as(projectId);
    try {
      if (!(await this.#ensure(scope, client))) return this.#queue.addAfter(key, AGAIN_MS);
      await write(client, books.services, {
        ...{ type: 'service', id, key, wanted: withinVpc(service.body) },
        fixed: { scope_id: scopeId, ...this.#fixed(`Service/${key}/${service.uid}`) },
      });
      await this.#bringSets(scope, id, bySlice);
      this.#refusals.clear(`${routerId} ${key}`);
    } catch (err) {
      if (!isRefusal(err)) throw err;
      // What somebody has deleted is made anew.
      if (isGone(err)) {
        scope.isEnsured = false;
        for (const set of books.sets.of(id)) books.sets.forget(set);
        books.services.forget(key);
      }
      const { againMs, isNews } = this.#refusals.note(`${routerId} ${key}`);
      if (isNews)
        this.#deps.log.warn({ err, service: key, router: routerId }, 'a Service is not served within its VPC');
      this.#queue.addAfter(key, againMs);
    }
  }

  /** A slice that is refused keeps no other from being written. */
  async #bringSets(
    { books, routerId, projectId, written }: Scope,
    serviceId: string,
    bySlice: ReadonlyMap<string, readonly Here[]>,
  ): Promise<void> {
    const { cable, slices } = this.#deps;
    let refused: unknown;
    for (const [slice, endpoints] of bySlice) {
      const facts = slices.get(slice);
      if (facts === undefined) continue;
      const id = this.#idOf('EndpointSlice', facts.uid, routerId);
      const before = books.sets.get(slice);
      if (before?.id === id && before['service_id'] === serviceId && written.get(slice) === endpoints) continue;
      // One that was made anew under its name, or is another Service's now.
      if (before !== undefined && (before.id !== id || before['service_id'] !== serviceId)) {
        await remove(cable.own, 'endpoint_set', before.id);
        books.sets.forget(slice);
      }
      const wanted = {
        ...{ name: slice, ports: facts.ports },
        endpoints: endpoints.map(({ pod: _, portId, ...one }) => ({ ...one, port_id: portId })),
      };
      const fixed = { service_id: serviceId, ...this.#fixed(`EndpointSlice/${slice}/${facts.uid}`) };
      try {
        await write(cable.as(projectId), books.sets, { type: 'endpoint_set', id, key: slice, wanted, fixed });
        written.set(slice, endpoints);
      } catch (err) {
        if (!isRefusal(err)) throw err;
        refused = err;
      }
    }
    for (const set of books.sets.of(serviceId)) {
      const known = books.sets.get(set);
      if (known === undefined || bySlice.has(set)) continue;
      await remove(cable.own, 'endpoint_set', known.id);
      books.sets.forget(set);
      written.delete(set);
    }
    if (refused !== undefined) throw refused;
  }

  /** A scope in which nothing is left goes, so that nothing of the cluster holds the router. */
  async #drop(scope: Scope): Promise<void> {
    if (!scope.books.isEmpty) return;
    scope.isEnsured = false;
    await remove(this.#deps.cable.own, 'service_scope', scope.id);
    this.#refusals.clearOf(`${scope.routerId} `);
  }

  /** False: it cannot be made now, which was said when it was tried. */
  async #ensure(scope: Scope, client: Client): Promise<boolean> {
    const { cluster, clusterUid, serviceCidrs, clusterDomain, log, nowMs = () => performance.now() } = this.#deps;
    if (scope.isEnsured) return true;
    if (nowMs() < scope.refusedUntilMs) return false;
    const { routerId } = scope;
    try {
      await ensureScope(client, {
        ...{ cluster, clusterUid, cidrs: serviceCidrs, routerId, clusterDomain },
        vpc: { fixed: this.#fixed(`${KIND}/${routerId}`) },
      });
    } catch (err) {
      if (!isRefusal(err)) throw err;
      log.warn({ err, router: routerId }, 'a VPC has no Services');
      scope.refusedUntilMs = nowMs() + AGAIN_MS;
      return false;
    }
    scope.isEnsured = true;
    return true;
  }

  #scopeOf({ projectId, routerId }: Place): Scope {
    const known = this.#scopes.get(routerId);
    if (known !== undefined) return known;
    const id = this.#scopeId(routerId);
    const made = { projectId, routerId, id, books: new ServiceBooks(), written: new Map<string, readonly Here[]>() };
    const scope = { ...made, isEnsured: false, refusedUntilMs: 0, turn: Promise.resolve(), works: 0 };
    this.#scopes.set(routerId, scope);
    return scope;
  }

  /** Where an address that a slice says without a pod is: in the one VPC of its project that has a subnet with it. Of several that which the slice names, or where a port has it. */
  async #placeOf({ namespace, vpc }: SliceFacts, address: string): Promise<Placed> {
    const { projectId, routers, hasSubnet } = await this.#routersAt(namespace, address);
    const named = vpc === '' ? [...routers.keys()] : await this.#called(projectId, vpc, routers);
    const found = named.length > 1 ? await this.#withPort(projectId, address, routers) : named;
    const [routerId] = found;
    if (routerId !== undefined && found.length === 1) return { place: { projectId, routerId }, isUnsure: false };
    if (routers.size === 0) return { place: undefined, isUnsure: hasSubnet };
    return { place: undefined, isUnsure: true, problem: problemAt(address, vpc, named) };
  }

  /** VPCs of the namespace's project that have the address in a subnet, by router, each with the networks of these. */
  async #routersAt(namespace: string, address: string): Promise<RoutersAt> {
    const projectId = this.#deps.projectOf(namespace);
    const ip = parseIp(address);
    const routers = new Map<string, string[]>();
    if (projectId === undefined || ip === undefined || this.#podPrefixes.some((one) => cidrContains(one, ip)))
      return { projectId: '', routers, hasSubnet: false };
    let hasSubnet = false;
    for (const subnet of await this.#subnetsOf(projectId)) {
      const prefix = parseCidr(String(subnet['cidr']));
      if (prefix === undefined || !cidrContains(prefix, ip)) continue;
      hasSubnet = true;
      const networkId = String(subnet['network_id']);
      const { routerId } = (await this.#deps.legs.vpcOf(networkId, projectId)) ?? {};
      if (routerId !== undefined) routers.set(routerId, [...(routers.get(routerId) ?? []), networkId]);
    }
    return { projectId, routers, hasSubnet };
  }

  /** Those of the routers that the text is name or ID of. */
  async #called(projectId: string, text: string, routers: RoutersAt['routers']): Promise<readonly string[]> {
    if (routers.size === 0) return [];
    const query = isUuid(text) ? { id: text } : { name: text };
    const found = (await this.#deps.cable.as(projectId).list('router', query)) as readonly AnyObject[];
    return found.flatMap(({ id }) => (routers.has(id) ? [id] : []));
  }

  /** Those in whose networks a port has the address. */
  async #withPort(projectId: string, address: string, routers: RoutersAt['routers']): Promise<readonly string[]> {
    const query = { fixed_ips: `ip_address=${address}`, fields: ['id', 'network_id'] } as const;
    const ports = await this.#deps.cable.as(projectId).list('port', query);
    const networks = new Set(ports.map((port) => port.network_id));
    return [...routers].flatMap(([id, own]) => (own.some((one) => networks.has(one)) ? [id] : []));
  }

  async #subnetsOf(projectId: string): Promise<readonly AnyObject[]> {
    const { cable, nowMs = () => performance.now() } = this.#deps;
    const known = this.#subnets.get(projectId);
    if (known !== undefined && known.untilMs > nowMs()) return await known.found;
    const query = { project_id: projectId, fields: ['id', 'cidr', 'network_id'] };
    const found = cable.as(projectId).list('subnet', query) as Promise<readonly AnyObject[]>;
    this.#subnets.set(projectId, { untilMs: nowMs() + KNOWN_MS, found });
    try {
      return await found;
    } catch (err) {
      this.#subnets.delete(projectId);
      throw err;
    }
  }

  #fixed(origin: string): object {
    return { 'cable:cluster': this.#deps.cluster, 'cable:origin': origin };
  }

  #scopeId(routerId: string): string {
    return objectId(this.#deps.clusterUid, KIND, routerId);
  }

  #idOf(kind: string, uid: string, routerId: string): string {
    return objectId(this.#deps.clusterUid, `${kind} ${routerId}`, uid);
  }
}

function problemAt(address: string, vpc: string, routers: readonly string[]): string {
  if (routers.length === 0) return `${address} is in no Vpc ${vpc}, which the annotation ${VPC_OF_SLICE} names`;
  const which = `say which by the annotation ${VPC_OF_SLICE}: its name, or ID of its router`;
  return `${address} is in several Vpcs (${routers.join(', ')}), and not in one alone a port has it: ${which}`;
}

/** What was there of it is gone. */
function emptied(scope: Scope): void {
  scope.isEnsured = false;
  scope.books.services.take([]);
  scope.written.clear();
  scope.books.sets.take([]);
}

/** Node ports and addresses of load balancers lead into the cluster's own scope. */
function withinVpc(body: ServiceBody): object {
  return {
    ...body,
    external_ips: [],
    load_balancer_ips: [],
    load_balancer_source_ranges: [],
    health_check_node_port: null,
    external_traffic_policy: 'Cluster',
    ports: body.ports.map((port) => ({ ...port, node_port: null })),
  };
}
