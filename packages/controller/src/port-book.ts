/** The ports of this cluster, as Cable had them when it was last asked, and as this controller has changed them since. */
import type { Client } from '@cable/api';
import type { PortView } from '@cable/model';

/** What is kept of a port. */
export type PortFacts = {
  readonly id: string;
  readonly projectId: string;
  readonly deviceId: string;
  readonly host: string;
  /** `cable:origin`, taken apart. */
  readonly origin: Origin;
  readonly securityGroups: readonly string[];
  readonly addresses: readonly string[];
  readonly qosPolicyId: string | null;
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
  'device_id',
  'binding:host_id',
  'cable:origin',
  'security_groups',
  'fixed_ips',
  'qos_policy_id',
] as const;

const PAGE = 2000;

export class PortBook {
  readonly #cluster: string;
  readonly #byId = new Map<string, PortFacts>();
  /** IDs, by kind and key. */
  readonly #byOrigin = new Map<string, Set<string>>();

  constructor(cluster: string) {
    this.#cluster = cluster;
  }

  /** Asks for all of them; what was known and is not there any more is forgotten. */
  async load(client: Pick<Client, 'list'>): Promise<void> {
    const ports = await client.list('port', { 'cable:cluster': this.#cluster, fields: FIELDS, limit: PAGE });
    const found = new Set(ports.map(({ id }) => id));
    for (const id of [...this.#byId.keys()]) if (!found.has(id)) this.forget(id);
    for (const port of ports) this.keep(port);
  }

  /** Asks for those of one object: what became of a request without an answer is not known otherwise. */
  async loadOne(client: Pick<Client, 'list'>, origin: Origin): Promise<void> {
    const query = { 'cable:cluster': this.#cluster, 'cable:origin': originText(origin), fields: FIELDS };
    const ports = await client.list('port', query);
    const found = new Set(ports.map(({ id }) => id));
    for (const port of this.of(origin.kind, origin.key))
      if (port.origin.uid === origin.uid && !found.has(port.id)) this.forget(port.id);
    for (const port of ports) this.keep(port);
  }

  keep(port: Pick<PortView, (typeof FIELDS)[number]>): PortFacts {
    const facts: PortFacts = {
      id: port.id,
      projectId: port.project_id,
      deviceId: port.device_id,
      host: port['binding:host_id'] ?? '',
      origin: originOf(port['cable:origin'] ?? ''),
      securityGroups: port.security_groups,
      addresses: port.fixed_ips.map((one) => one.ip_address),
      qosPolicyId: port.qos_policy_id,
    };
    this.#byId.set(facts.id, facts);
    const place = `${facts.origin.kind}/${facts.origin.key}`;
    const ids = this.#byOrigin.get(place);
    if (ids === undefined) this.#byOrigin.set(place, new Set([facts.id]));
    else ids.add(facts.id);
    return facts;
  }

  forget(id: string): void {
    const known = this.#byId.get(id);
    if (known === undefined) return;
    this.#byId.delete(id);
    const place = `${known.origin.kind}/${known.origin.key}`;
    const ids = this.#byOrigin.get(place);
    ids?.delete(id);
    if (ids?.size === 0) this.#byOrigin.delete(place);
  }

  get(id: string): PortFacts | undefined {
    return this.#byId.get(id);
  }

  of(kind: string, key: string): readonly PortFacts[] {
    const ids = this.#byOrigin.get(`${kind}/${key}`) ?? [];
    return [...ids].flatMap((id) => this.#byId.get(id) ?? []);
  }

  /** Keys of what has ports, of a kind. */
  keys(kind: string): readonly string[] {
    const prefix = `${kind}/`;
    return [...this.#byOrigin.keys()].flatMap((one) => (one.startsWith(prefix) ? [one.slice(prefix.length)] : []));
  }

  /** QoS policies that ports have. */
  qosPolicies(): ReadonlySet<string> {
    return new Set([...this.#byId.values()].flatMap(({ qosPolicyId }) => qosPolicyId ?? []));
  }

  get size(): number {
    return this.#byId.size;
  }
}
