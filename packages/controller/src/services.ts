/** Services and their endpoints, as hosts balance them. Each has an ID made of its origin, so that what was written without an answer is found again. */
import { ApiError, type Client } from '@cable/api';
import type { Logger } from '@cable/kit';
import { getIfThere, type KubeApi, type KubeKind, placeOf } from '@cable/kube';
import type { AnyObject } from '@cable/model';
import type { BalancerPool } from './balancer-pool.ts';
import { type CableAccess, isGone, isRefusal } from './cable-access.ts';
import { type NodeAddresses, reachedAt } from './host-endpoints.ts';
import { KeyIndex } from './key-index.ts';
import type { ObjectEvents, Subject } from './object-events.ts';
import { objectId } from './object-id.ts';
import type { PortBook } from './port-book.ts';
import type { Refusals } from './refusals.ts';
import { MOST_SERVICE_CIDRS } from './service-cidrs.ts';
import { ENDPOINT_SLICES, SERVICES, type ServiceBody, type ServiceFacts, type SliceFacts } from './service-facts.ts';

export type ServicesDeps = {
  readonly cable: Pick<CableAccess, 'own'>;
  readonly kube: Pick<KubeApi, 'get' | 'patch'>;
  readonly pool: BalancerPool;
  readonly services: { get(key: string): ServiceFacts | undefined };
  readonly slices: { get(key: string): SliceFacts | undefined };
  readonly ports: PortBook;
  readonly nodes: Pick<NodeAddresses, 'nodeOf'>;
  readonly books: ServiceBooks;
  /** UID of the cluster's `kube-system`. */
  readonly clusterUid: string;
  readonly scopeId: string;
  /** Addresses that Services may take as `externalIPs`: who takes one gets what others send there. */
  readonly isExternalAllowed: (address: string) => boolean;
  readonly announceExternalIps: boolean;
  /** Is an address that a slice of the namespace says without a pod in a VPC of its own? It is not reached from the cluster's network then. */
  readonly isWithinVpc: (namespace: string, address: string) => Promise<boolean>;
  /** Called when a Service came to be, or went: its slices are due. */
  readonly slicesOf: (service: string) => void;
  readonly events: ObjectEvents;
  readonly refusals: Refusals;
  readonly again: (key: string, ms: number) => void;
  readonly sliceAgain: (key: string, ms: number) => void;
  readonly log: Logger;
};

/** What Cable has of Services, or of their endpoints, by the key of the object that they were made for. */
export class ServiceBook {
  readonly #byKey = new Map<string, AnyObject>();
  /** By what they go with. */
  readonly #index = new KeyIndex();

  /** Forgets all, and takes these. An object is named as it is keyed. */
  take(objects: readonly AnyObject[]): void {
    for (const key of [...this.#byKey.keys()]) this.forget(key);
    for (const object of objects) this.keep(object);
  }

  keep(object: AnyObject): void {
    const key = String(object['name']);
    this.#byKey.set(key, object);
    this.#index.put(key, String(object['service_id'] ?? object['scope_id']));
  }

  get(key: string): AnyObject | undefined {
    return this.#byKey.get(key);
  }

  forget(key: string): void {
    this.#byKey.delete(key);
    this.#index.put(key, undefined);
  }

  /** Keys of endpoints of the Service of that ID, or of Services of the scope. */
  of(id: string): readonly string[] {
    return this.#index.of(id);
  }

  keys(): Iterable<string> {
    return this.#byKey.keys();
  }

  get isEmpty(): boolean {
    return this.#byKey.size === 0;
  }
}

export class ServiceBooks {
  readonly services: ServiceBook = new ServiceBook();
  readonly sets: ServiceBook = new ServiceBook();
  /** Keys of Services that another proxy serves. */
  readonly others: Set<string> = new Set();

  /** There is no Service in it. */
  get isEmpty(): boolean {
    return this.services.isEmpty;
  }

  async load(client: Pick<Client, 'list'>, scopeId: string): Promise<void> {
    this.services.take((await client.list('service', { scope_id: scopeId, limit: PAGE })) as readonly AnyObject[]);
    this.sets.take((await client.list('endpoint_set', { scope_id: scopeId, limit: PAGE })) as readonly AnyObject[]);
  }
}

const PAGE = 2000;

/** Makes the scope of the cluster's Services, or lets it have these prefixes, those in which Services have addresses, and the router. Answers its ID. */
export async function ensureScope(
  client: Client,
  { cluster, clusterUid, cidrs, routerId, clusterDomain, vpc }: ScopeOptions,
): Promise<string> {
  const id = objectId(clusterUid, 'ServiceScope', vpc === undefined ? '' : routerId);
  const before = await client.get('service_scope', id).catch((err: unknown) => {
    if (isGone(err)) return undefined;
    throw err;
  });
  if (before === undefined) {
    await client.create('service_scope', {
      ...{ id, name: cluster, cidrs, router_ids: [routerId] },
      cluster_domain: clusterDomain,
      ...vpc?.fixed,
    });
    return id;
  }
  const known = before['cidrs'] as readonly string[];
  const added = cidrs.filter((one) => !known.includes(one));
  const kept = known.filter((one) => cidrs.includes(one));
  const routers = before['router_ids'] as readonly string[];
  const more = { router_ids: [...new Set([...routers, routerId])], cluster_domain: clusterDomain };
  const isServed = added.length === 0 && routers.includes(routerId) && before['cluster_domain'] === clusterDomain;
  if (kept.length < known.length) {
    try {
      await client.update('service_scope', id, { cidrs: [...kept, ...added], ...more });
      return id;
    } catch (err) {
      // Services have addresses there.
      if (!isRefusal(err)) throw err;
    }
  }
  const all = [...known, ...added].slice(0, MOST_SERVICE_CIDRS);
  if (!isServed) await client.update('service_scope', id, { cidrs: all, ...more });
  return id;
}

export type ScopeOptions = {
  readonly cluster: string;
  readonly clusterUid: string;
  readonly cidrs: readonly string[];
  readonly routerId: string;
  /** What the names of Services end with. */
  readonly clusterDomain: string;
  /** Of the scope of a VPC, that of the router; undefined: it is the cluster's own. `fixed`: what else it is made with. */
  readonly vpc?: { readonly fixed: object };
};

/** Brings what Cable has of one Service to where it should be. A throw means: again. */
export async function reconcileService(deps: ServicesDeps, key: string): Promise<void> {
  const { books, clusterUid, scopeId } = deps;
  const service = deps.services.get(key);
  const body = service?.body;
  const id = service === undefined ? undefined : objectId(clusterUid, 'Service', service.uid);
  const before = books.services.get(key);
  // One that was made anew under its name may have the address of the one before.
  if (before !== undefined && (body === undefined || before.id !== id)) await removeService(deps, key, before);
  if (service === undefined || id === undefined || body === undefined) {
    deps.pool.release(key);
    nothingWrong(deps, 'Service', key);
    return;
  }
  const subject = {
    apiVersion: 'v1',
    kind: 'Service',
    namespace: service.namespace,
    name: service.name,
    uid: service.uid,
  };
  const external = body.external_ips.filter(deps.isExternalAllowed);
  const wanted = { ...body, external_ips: external, announced_ips: announcedOf(deps, service, body, external) };
  const refused = body.external_ips.filter((one) => !wanted.external_ips.includes(one));
  try {
    const isNew = books.services.get(key) === undefined;
    const lacking = await writeService(deps, { type: 'service', id, fixed: { scope_id: scopeId }, wanted, key });
    const isTurned = books.others.has(key) !== service.isOthers;
    if (service.isOthers) books.others.add(key);
    else books.others.delete(key);
    if (isNew || isTurned) deps.slicesOf(key);
    const lack = await balance(deps, key, service).catch(
      (err: unknown) => `its status cannot be written: ${err instanceof Error ? err.message : String(err)}`,
    );
    if (lacking !== undefined) return await noteRefusal(deps, key, subject, LESS_OUTSIDE, lacking);
    deps.refusals.clear(`Service ${key}`);
    if (refused.length === 0 && lack === undefined) deps.events.well('Service', key);
    else if (lack !== undefined) {
      await deps.events.warn(subject, 'NoLoadBalancerAddress', `The load balancer lacks an address: ${lack}`);
      deps.again(key, BALANCER_AGAIN_MS);
    } else
      await deps.events.warn(
        subject,
        'ExternalIpNotAllowed',
        `externalIPs: ${refused.join(', ')} may not be taken in this cluster: whoever runs it may allow it (cable kube --external-ip-cidr)`,
      );
  } catch (err) {
    if (!isRefusal(err)) throw err;
    await noteRefusal(deps, key, subject, NOT_SERVED, err);
  }
}

const NOT_SERVED = { reason: 'NotServed', says: 'The Service is not served' } as const;
const LESS_OUTSIDE = {
  reason: 'NotServedOutside',
  says: 'The Service is not served at all of its addresses and node ports',
} as const;

async function noteRefusal(
  deps: ServicesDeps,
  key: string,
  subject: Subject,
  { reason, says }: typeof NOT_SERVED | typeof LESS_OUTSIDE,
  err: ApiError,
): Promise<void> {
  const { againMs, isNews } = deps.refusals.note(`Service ${key}`);
  if (isNews) await deps.events.warn(subject, reason, `${says}: ${messageOf(err)}`);
  deps.again(key, againMs);
}

type WantedService = ServiceBody & { readonly announced_ips: readonly string[] };

/**
 * Writes it as it is asked for; where that is refused, with as many of its addresses from outside as can be had: whoever has one of them, its ClusterIP is its own. Answers why it was
 * refused then.
 */
async function writeService(
  { cable, books }: ServicesDeps,
  written: Written & { readonly wanted: WantedService },
): Promise<ApiError | undefined> {
  let refusal: ApiError | undefined;
  for (const wanted of [written.wanted, ...withLessOutside(written.wanted, books.services.get(written.key))]) {
    try {
      await write(cable.own, books.services, { ...written, wanted });
      return refusal;
    } catch (err) {
      if (!isRefusal(err)) throw err;
      refusal ??= err;
    }
  }
  throw refusal;
}

/** Without the external addresses that it has not yet, and then without whatever else leads to it from outside that it has not. */
function withLessOutside(wanted: WantedService, before: AnyObject | undefined): readonly WantedService[] {
  const kept = (name: 'external_ips' | 'load_balancer_ips'): readonly string[] =>
    wanted[name].filter((one) => ((before?.[name] as readonly string[] | undefined) ?? []).includes(one));
  const known = (before?.['ports'] as WantedService['ports'] | undefined) ?? [];
  const isKnown = ({ protocol, node_port: port }: WantedService['ports'][number]): boolean =>
    known.some((one) => one.protocol === protocol && one.node_port === port);
  const reached = (some: Pick<WantedService, 'external_ips' | 'load_balancer_ips'>): readonly string[] =>
    wanted.announced_ips.filter((one) => some.external_ips.includes(one) || some.load_balancer_ips.includes(one));
  const fewer = { ...wanted, external_ips: kept('external_ips') };
  const fewest = {
    ...{ ...fewer, load_balancer_ips: kept('load_balancer_ips') },
    ports: wanted.ports.map((one) => (isKnown(one) ? one : { ...one, node_port: null })),
  };
  const all = [wanted, fewer, fewest].map((one) => ({ ...one, announced_ips: reached(one) }));
  return all.filter((one, at) => at > 0 && !isSame(one, all[at - 1]));
}

/** Addresses of the pool, of whoever of ours has them; those of other controllers' pools these announce themselves. */
function announcedOf(
  { pool, announceExternalIps }: ServicesDeps,
  { balancer }: ServiceFacts,
  { cluster_ips: ips, load_balancer_ips: balanced }: NonNullable<ServiceFacts['body']>,
  external: readonly string[],
): readonly string[] {
  if (ips.length === 0) return [];
  const own = balancer.isOurs ? balanced.filter((one) => pool.has(one)) : [];
  return [...new Set([...own, ...(announceExternalIps ? external : [])])];
}

/** Another Service may have gone, whose address it can have. */
const BALANCER_AGAIN_MS = 30_000;

/**
 * Gives the Service its addresses as a load balancer, or takes those of the pool away, in its status: what follows comes of that. One of another class is its own controller's. Returns
 * why it lacks one; undefined: it lacks none.
 */
async function balance(
  { pool, kube }: ServicesDeps,
  key: string,
  { namespace, name, balancer }: ServiceFacts,
): Promise<string | undefined> {
  if (pool.isEmpty) return undefined;
  const { addresses, lack } = balancer.isOurs ? pool.give(key, balancer) : { addresses: [], lack: undefined };
  if (!balancer.isOurs) pool.release(key);
  const { isOurs, isNone, has } = balancer;
  const next = isOurs ? addresses : has.filter((one) => !isNone || !pool.has(one));
  if (!isSame(next, has)) {
    const status = { loadBalancer: { ingress: next.map((ip) => ({ ip })) } };
    await kube.patch(SERVICES, { namespace, name }, { status }, 'status');
  }
  return lack;
}

/** When it is looked again whether what is followed has what the API server has. */
const BEHIND_MS = 1000;

/** It is as it was asked for, or gone. */
function nothingWrong({ refusals, events }: ServicesDeps, kind: string, key: string): void {
  refusals.clear(`${kind} ${key}`);
  events.well(kind, key);
}

function messageOf(err: ApiError): string {
  return err.detail === '' ? err.message : `${err.message} ${err.detail}`;
}

async function removeService(deps: ServicesDeps, key: string, before: AnyObject): Promise<void> {
  const { books, cable, clusterUid } = deps;
  const uid = await uidOf(deps.kube, SERVICES, key);
  // Of a Service that has no ClusterIP any more its object goes, though it is there.
  const isNeeded = uid !== undefined && objectId(clusterUid, 'Service', uid) === before.id;
  const known = deps.services.get(key);
  if (isNeeded && known?.body !== undefined) return;
  // What is followed may be behind.
  if (isNeeded && known === undefined) return deps.again(key, BEHIND_MS);
  await remove(cable.own, 'service', before.id);
  books.services.forget(key);
  for (const set of books.sets.of(before.id)) books.sets.forget(set);
}

/** The same of one EndpointSlice. */
export async function reconcileSlice(deps: ServicesDeps, key: string): Promise<void> {
  const { books, clusterUid, cable } = deps;
  const slice = deps.slices.get(key);
  const id = slice === undefined ? undefined : objectId(clusterUid, 'EndpointSlice', slice.uid);
  const isServed = slice !== undefined && !isLeftOut(deps, slice);
  const service = isServed ? books.services.get(slice.service) : undefined;
  const before = books.sets.get(key);
  // Its Service is being made anew, and its slices are looked at when that is done.
  const isEarly = isServed && service === undefined && deps.services.get(slice.service)?.body !== undefined;
  if (isEarly && before?.id === id) return;
  if (before !== undefined && (id !== before.id || service?.id !== before['service_id'])) {
    const uid = await uidOf(deps.kube, ENDPOINT_SLICES, key);
    // What is followed may be behind.
    if (slice === undefined && uid !== undefined && objectId(clusterUid, 'EndpointSlice', uid) === before.id) {
      deps.sliceAgain(key, 1000);
      return;
    }
    await remove(cable.own, 'endpoint_set', before.id);
    books.sets.forget(key);
  }
  if (slice === undefined || id === undefined || service === undefined) {
    nothingWrong(deps, 'EndpointSlice', key);
    return;
  }
  const portAddresses = (node: string): readonly string[] =>
    deps.ports.of('Node', node).flatMap((port) => port.addresses);
  const endpoints = reachedAt(await outsideVpcs(deps, slice), { nodes: deps.nodes, portAddresses }).map(
    ({ pod, ...endpoint }) => ({
      ...endpoint,
      port_id: portOf(deps, pod, endpoint.address),
    }),
  );
  const moved = slice.ports.filter((one) => isMovedSctp(one, service));
  const wanted = { name: key, ports: slice.ports.filter((one) => !moved.includes(one)), endpoints };
  const known = books.sets.get(key);
  const subject = {
    ...{ apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice' },
    ...{ namespace: slice.namespace, name: slice.name, uid: slice.uid },
  };
  try {
    await write(cable.own, books.sets, { type: 'endpoint_set', id, fixed: { service_id: service.id }, wanted, key });
    const [first] = moved;
    if (first === undefined) return nothingWrong(deps, 'EndpointSlice', key);
    deps.refusals.clear(`EndpointSlice ${key}`);
    const message = `SCTP keeps its port, and its endpoints are at ${first.port}: that port of the Service is not served; let its port and targetPort be one`;
    await deps.events.warn(subject, 'SctpPortNotServed', message);
  } catch (err) {
    if (!isRefusal(err)) throw err;
    // Where nothing was known of the slice it is the Service that has gone.
    if (isGone(err) && known === undefined && books.services.get(slice.service)?.id === service.id) {
      books.services.forget(slice.service);
      deps.again(slice.service, 0);
    }
    const { againMs, isNews } = deps.refusals.note(`EndpointSlice ${key}`);
    if (isNews) await deps.events.warn(subject, 'NotServed', `The endpoints are not served: ${messageOf(err)}`);
    deps.sliceAgain(key, againMs);
  }
}

/** The checksum of SCTP covers the whole packet, so hosts leave its ports as they are; of a headless Service they translate nothing. */
function isMovedSctp({ name, protocol, port }: SliceFacts['ports'][number], service: AnyObject): boolean {
  if (protocol !== 'SCTP' || (service['cluster_ips'] as readonly string[]).length === 0) return false;
  const served = service['ports'] as readonly { name: string; protocol: string; port: number }[];
  return served.some((one) => one.name === name && one.protocol === protocol && one.port !== port);
}

/** The Service of the API servers. */
export const API_SERVER = 'default/kubernetes';

async function outsideVpcs(
  { isWithinVpc }: ServicesDeps,
  { namespace, service, endpoints }: SliceFacts,
): Promise<SliceFacts['endpoints']> {
  // Where API servers are is no project's to say.
  if (service === API_SERVER) return endpoints;
  const kept: SliceFacts['endpoints'][number][] = [];
  for (const one of endpoints) {
    if (one.pod !== '' || !(await isWithinVpc(namespace, one.address))) kept.push(one);
  }
  return kept;
}

/** Names are made of slices where there is no ClusterIP, whoever serves it. */
export function isLeftOut({ services }: Pick<ServicesDeps, 'services'>, { service, isUnserved }: SliceFacts): boolean {
  const owner = services.get(service);
  return owner?.body !== undefined && owner.body.cluster_ips.length > 0 && (isUnserved || owner.isOthers);
}

function portOf({ ports }: ServicesDeps, pod: string, address: string): string | null {
  if (pod === '') return null;
  return ports.ofPod(pod).find((port) => port.addresses.includes(address))?.id ?? null;
}

/** What is to be written, and for what. */
export type Written = {
  readonly type:
    | 'service'
    | 'endpoint_set'
    | 'network_policy'
    | 'cluster_network_policy'
    | 'kubernetes_namespace'
    | 'host_policy';
  readonly id: string;
  /** What cannot change. */
  readonly fixed: object;
  readonly wanted: object;
  readonly key: string;
};

/** Creates or changes; what is so already is not written. */
export async function write(
  client: Client,
  book: Pick<ServiceBook, 'get' | 'keep' | 'forget'>,
  { type, id, fixed, wanted, key }: Written,
): Promise<void> {
  const before = book.get(key);
  if (before === undefined) {
    try {
      book.keep((await client.create(type, { id, ...fixed, ...wanted })) as AnyObject);
      return;
    } catch (err) {
      // It may be there: a request before may have had no answer.
      if (!(err instanceof ApiError) || err.status === 409) {
        const found = (await client.list(type, { id })) as readonly AnyObject[];
        if (found[0] !== undefined) {
          book.keep(found[0]);
          return await write(client, book, { type, id, fixed, wanted, key });
        }
      }
      throw err;
    }
  }
  const changes = Object.fromEntries(Object.entries(wanted).filter(([name, value]) => !isSame(value, before[name])));
  if (Object.keys(changes).length === 0) return;
  try {
    book.keep((await client.update(type, id, changes)) as AnyObject);
  } catch (err) {
    if (isGone(err)) book.forget(key);
    throw err;
  }
}

/** Whatever the order in which attributes of objects stand. Null is what an attribute within them is that was not given. */
function isSame(one: unknown, other: unknown): boolean {
  return JSON.stringify(sorted(one)) === JSON.stringify(sorted(other));
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, inner]) => inner !== null)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, inner]) => [name, sorted(inner)]),
  );
}

/** One that is gone is none to delete. */
export async function remove(client: Client, type: string, id: string): Promise<void> {
  try {
    await client.delete(type, id);
  } catch (err) {
    if (!isGone(err)) throw err;
  }
}

/** As the API server itself says; undefined: it is not there. */
export async function uidOf(kube: Pick<KubeApi, 'get'>, kind: KubeKind, key: string): Promise<string | undefined> {
  return (await getIfThere(kube, kind, placeOf(key)))?.metadata.uid;
}
