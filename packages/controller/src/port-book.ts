/** The ports of this cluster, as Cable had them when it was last asked, and as this controller has changed them since. */
import { ApiError, type Client } from '@cable/api';
import type { PortView } from '@cable/model';
import { KeyIndex } from './key-index.ts';
import { placeInSet } from './pod-facts.ts';

/** What is kept of a port. */
export type PortFacts = {
  readonly id: string;
  readonly projectId: string;
  readonly networkId: string;
  readonly deviceOwner: string;
  readonly deviceId: string;
  readonly host: string;
  /** `cable:origin`, taken apart. */
  readonly origin: Origin;
  readonly securityGroups: readonly string[];
  readonly addresses: readonly string[];
  readonly qosPolicyId: string | null;
  readonly namespace: string | null;
  readonly labels: readonly string[];
  readonly namedPorts: PortView['cable:named_ports'];
  readonly portSecurity: boolean;
  /** Of its allowed address pairs: addresses and prefixes. */
  readonly pairs: readonly string[];
  readonly defaultRoute: boolean | null;
  /** Of the port of a node. */
  readonly zone: string;
  readonly announces: boolean;
};

/** What an object was made for. `key`: as a queue names it. */
export type Origin = { readonly kind: string; readonly key: string; readonly uid: string };

/** `Pod/<namespace>/<name>/<uid>`, `Node/<name>/<uid>`. */
export function originText({ kind, key, uid }: Origin): string {
  return `${kind}/${key}/${uid}`;
}

/** Of a text that is none a kind of its own, which nothing is looked for by. */
export function originOf(text: string): Origin {
  const parts = text.split('/');
  return { kind: parts[0] ?? '', key: parts.slice(1, -1).join('/'), uid: parts.at(-1) ?? '' };
}

const FIELDS = [
  'id',
  'project_id',
  'network_id',
  'device_owner',
  'device_id',
  'binding:host_id',
  'cable:origin',
  'security_groups',
  'fixed_ips',
  'qos_policy_id',
  'cable:namespace',
  'cable:labels',
  'cable:named_ports',
  'port_security_enabled',
  'allowed_address_pairs',
  'cable:default_route',
  'cable:zone',
  'cable:announces',
] as const;

const PAGE = 2000;

export class PortBook {
  readonly #cluster: string;
  readonly #byId = new Map<string, PortFacts>();
  /** IDs that were kept or forgotten since the last load began. */
  readonly #changed = new Set<string>();
  /** IDs, by kind and key. */
  readonly #byOrigin = new Map<string, Set<string>>();
  /** Of networks that were asked about: IDs, by address. */
  readonly #holders = new Map<string, Map<string, string>>();

  /** Pods by the StatefulSet that they would be of. */
  readonly #ofSet = new KeyIndex();
  /** Of pods whose ports are a virtual machine's: what these were made for. */
  readonly #machines = new Map<string, Pick<Origin, 'kind' | 'key'>>();

  constructor(cluster: string) {
    this.#cluster = cluster;
  }

  /** Asks for all of them; what was known and is not there any more is forgotten. What changes while it asks is newer than the answer, and stays. */
  async load(client: Pick<Client, 'list'>): Promise<void> {
    this.#changed.clear();
    const ports = await client.list('port', { 'cable:cluster': this.#cluster, fields: FIELDS, limit: PAGE });
    const changed = new Set(this.#changed);
    const found = new Set(ports.map(({ id }) => id));
    for (const id of [...this.#byId.keys()]) if (!found.has(id) && !changed.has(id)) this.forget(id);
    for (const port of ports) if (!changed.has(port.id)) this.keep(port);
  }

  /** Creates a port. By the key a request whose answer was lost makes no second one. */
  async create(client: Pick<Client, 'create' | 'list'>, body: object, origin: Origin, key: string): Promise<PortFacts> {
    const whole = { ...body, 'cable:cluster': this.#cluster, 'cable:origin': originText(origin) };
    try {
      return this.keep(await client.create('port', whole, key));
    } catch (err) {
      // It was made by a request that asked for something else then.
      if (!(err instanceof ApiError) || err.type !== 'IdempotencyKeyReused') throw err;
      const query = { 'cable:cluster': this.#cluster, 'cable:origin': originText(origin), fields: FIELDS };
      for (const port of await client.list('port', query)) this.keep(port);
      throw new Error('its port was made otherwise before: looks at it again', { cause: err });
    }
  }

  keep(port: Pick<PortView, (typeof FIELDS)[number]>): PortFacts {
    this.#changed.add(port.id);
    const facts: PortFacts = {
      id: port.id,
      projectId: port.project_id,
      networkId: port.network_id,
      deviceOwner: port.device_owner,
      deviceId: port.device_id,
      host: port['binding:host_id'] ?? '',
      origin: originOf(port['cable:origin'] ?? ''),
      securityGroups: port.security_groups,
      addresses: port.fixed_ips.map((one) => one.ip_address),
      qosPolicyId: port.qos_policy_id,
      namespace: port['cable:namespace'],
      labels: port['cable:labels'],
      namedPorts: port['cable:named_ports'],
      portSecurity: port.port_security_enabled,
      pairs: port.allowed_address_pairs.map((one) => one.ip_address),
      defaultRoute: port['cable:default_route'],
      // Of a server of before.
      ...{ zone: port['cable:zone'] ?? '', announces: port['cable:announces'] ?? true },
    };
    this.#noteHolder(this.#byId.get(facts.id), undefined);
    this.#byId.set(facts.id, facts);
    this.#noteHolder(undefined, facts);
    if (facts.origin.kind === 'Pod') this.#ofSet.put(facts.origin.key, placeInSet(facts.origin.key)?.key);
    const place = `${facts.origin.kind}/${facts.origin.key}`;
    const ids = this.#byOrigin.get(place);
    if (ids === undefined) this.#byOrigin.set(place, new Set([facts.id]));
    else ids.add(facts.id);
    return facts;
  }

  forget(id: string): void {
    this.#changed.add(id);
    const known = this.#byId.get(id);
    if (known === undefined) return;
    this.#byId.delete(id);
    this.#noteHolder(known, undefined);
    const place = `${known.origin.kind}/${known.origin.key}`;
    const ids = this.#byOrigin.get(place);
    ids?.delete(id);
    if (ids?.size !== 0) return;
    this.#byOrigin.delete(place);
    if (known.origin.kind === 'Pod') this.#ofSet.put(known.origin.key, undefined);
  }

  of(kind: string, key: string): readonly PortFacts[] {
    const ids = this.#byOrigin.get(`${kind}/${key}`) ?? [];
    return [...ids].flatMap((id) => this.#byId.get(id) ?? []);
  }

  /** Says that the ports of the pod of that key are those that were made for something else; undefined: they are its own. */
  lend(podKey: string, of: Pick<Origin, 'kind' | 'key'> | undefined): void {
    if (of === undefined) this.#machines.delete(podKey);
    else this.#machines.set(podKey, of);
  }

  /** Ports that a pod has, or that are kept for it. */
  ofPod(key: string): readonly PortFacts[] {
    const own = this.of('Pod', key);
    const lent = this.#machines.get(key);
    return lent === undefined ? own : [...own, ...this.of(lent.kind, lent.key)];
  }

  /** Keys of what has ports, of a kind. */
  keys(kind: string): readonly string[] {
    const prefix = `${kind}/`;
    return [...this.#byOrigin.keys()].flatMap((one) => (one.startsWith(prefix) ? [one.slice(prefix.length)] : []));
  }

  /** Keys of pods that have ports, and are of the StatefulSet of that key, as they are called. */
  podsOfSet(set: string): readonly string[] {
    return this.#ofSet.of(set);
  }

  /** Which port of the cluster has the address in the network. The first question about a network looks at all ports. */
  holder(networkId: string, address: string): PortFacts | undefined {
    const known = this.#holders.get(networkId) ?? new Map<string, string>();
    if (!this.#holders.has(networkId)) {
      this.#holders.set(networkId, known);
      for (const port of this.#byId.values()) this.#noteHolder(undefined, port);
    }
    return this.#byId.get(known.get(address) ?? '');
  }

  #noteHolder(before: PortFacts | undefined, after: PortFacts | undefined): void {
    const was = before === undefined ? undefined : this.#holders.get(before.networkId);
    // Another may have it by now.
    for (const address of was === undefined ? [] : (before?.addresses ?? []))
      if (was?.get(address) === before?.id) was?.delete(address);
    const is = after === undefined ? undefined : this.#holders.get(after.networkId);
    for (const address of is === undefined ? [] : (after?.addresses ?? [])) is?.set(address, after?.id ?? '');
  }

  /** QoS policies that ports have. */
  qosPolicies(): ReadonlySet<string> {
    return new Set([...this.#byId.values()].flatMap(({ qosPolicyId }) => qosPolicyId ?? []));
  }

  /** Groups that ports have. */
  securityGroups(): ReadonlySet<string> {
    return new Set([...this.#byId.values()].flatMap(({ securityGroups }) => securityGroups));
  }

  get size(): number {
    return this.#byId.size;
  }
}
