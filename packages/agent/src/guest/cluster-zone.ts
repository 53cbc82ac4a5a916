import {
  type ClusterService,
  cidrContains,
  type DnsName,
  formatIp,
  type IpAddress,
  type IpPrefix,
  ipToBytes,
  isWithin,
  parseCidr,
  parseDnsName,
  parseHostName,
  parseIp,
  type ServiceBackend,
  type ServicesHeader,
} from '@cable/model';

/** What there is of a scope, now; the zone keeps nothing of it but keys. */
export type ClusterSource = {
  service(id: string): ClusterService | undefined;
  backend(key: string): ServiceBackend | undefined;
};

/** Where a port is served: `target` the name of who does. */
export type ServedAt = { readonly port: number; readonly target: DnsName };

/** What a name of the zone has; each of it may be empty: the name is there, without records of that type. */
export type ClusterEntry = {
  /** 4 and 16 bytes each. */
  readonly v4: readonly Uint8Array[];
  readonly v6: readonly Uint8Array[];
  readonly served: readonly ServedAt[];
  /** The name stands for this one. */
  readonly alias: DnsName | undefined;
  readonly text: string | undefined;
};

/** Version of the specification that the zone follows (kubernetes/dns, specification.md). */
export const DNS_SPECIFICATION = '1.1.0';

const NOTHING: ClusterEntry = { v4: [], v6: [], served: [], alias: undefined, text: undefined };

/** Addresses, and places of one port, that are told of one name: an answer fits a message of TCP. */
const MAX_TOLD = 1000;

/**
 * The names of the Services of one cluster, by the specification "Kubernetes DNS-Based Service Discovery". Who serves a headless Service is told as it is ready. Kept are keys alone:
 * a Service's by its name and addresses, an endpoint's by its Service. A namespace is there as long as it has a Service.
 */
export class ClusterZone {
  readonly #source: ClusterSource;
  #domain: DnsName = [];
  #cidrs: readonly IpPrefix[] = [];
  /** By `<namespace>/<name>`: two while one is made anew. The last one counts. */
  readonly #byName = new Map<string, string | readonly string[]>();
  readonly #byAddress = new Map<string, string>();
  /** What each Service is kept by: that is to go with it. */
  readonly #known = new Map<string, ClusterService>();
  /** How many names a namespace has. */
  readonly #namespaces = new Map<string, number>();
  readonly #backendsOf = new Map<string, Set<string>>();
  readonly #serviceOf = new Map<string, string>();
  /** Endpoints that have host names, by address; and by key which address that is. */
  readonly #hostsAt = new Map<string, Set<string>>();
  readonly #addressOf = new Map<string, string>();

  constructor(header: ServicesHeader, source: ClusterSource) {
    this.#source = source;
    this.setHeader(header);
  }

  /** What is below it is told by this zone alone. Empty: there are no names. */
  get domain(): DnsName {
    return this.#domain;
  }

  setHeader({ clusterDomain = '', cidrs }: ServicesHeader): void {
    this.#domain = parseHostName(clusterDomain) ?? [];
    this.#cidrs = cidrs.flatMap((cidr) => parseCidr(cidr) ?? []);
  }

  /** A Service came, changed or went. */
  changeService(id: string): void {
    const before = this.#known.get(id);
    const after = this.#source.service(id);
    if (before !== undefined) {
      if (this.nameOf(before) !== undefined) this.#unname(before.name, id);
      for (const ip of before.clusterIps) if (this.#byAddress.get(ip) === id) this.#byAddress.delete(ip);
      this.#known.delete(id);
    }
    if (after === undefined) return;
    this.#known.set(id, after);
    if (this.nameOf(after) !== undefined) this.#name(after.name, id);
    for (const ip of after.clusterIps) this.#byAddress.set(ip, id);
  }

  /** The same of an endpoint. */
  changeBackend(key: string): void {
    const [before, after] = [this.#serviceOf.get(key), this.#source.backend(key)];
    if (before !== after?.serviceId) {
      if (before !== undefined) remove(this.#backendsOf, before, key);
      if (after === undefined) this.#serviceOf.delete(key);
      else {
        this.#serviceOf.set(key, after.serviceId);
        add(this.#backendsOf, after.serviceId, key);
      }
    }
    const address = after?.hostname === undefined ? undefined : after.ipAddress;
    const known = this.#addressOf.get(key);
    if (known === address) return;
    if (known !== undefined) remove(this.#hostsAt, known, key);
    if (address === undefined) this.#addressOf.delete(key);
    else {
      this.#addressOf.set(key, address);
      add(this.#hostsAt, address, key);
    }
  }

  /** What the name has; undefined: there is no such name, and nobody else can know it. The name is in the domain. */
  entry(name: DnsName): ClusterEntry | undefined {
    if (this.#domain.length === 0 || !isWithin(name, this.#domain)) return undefined;
    const labels = name.slice(0, name.length - this.#domain.length).map((label) => label.toLowerCase());
    if (labels.length === 0) return NOTHING;
    const kind = labels.at(-1);
    if (labels.length === 1 && kind === 'dns-version') return { ...NOTHING, text: DNS_SPECIFICATION };
    if (kind !== 'svc') return undefined;
    if (labels.length === 1) return NOTHING;
    const namespace = labels.at(-2) ?? '';
    if (labels.length === 2) return this.#namespaces.has(namespace) ? NOTHING : undefined;
    const service = this.#service(`${namespace}/${labels.at(-3)}`);
    return service === undefined ? undefined : this.#inService(service, labels.slice(0, -3));
  }

  /** Names of the address; none: it has none, and nobody else can know one. Undefined: it is not of this cluster. */
  namesOf(address: IpAddress): readonly DnsName[] | undefined {
    if (this.#domain.length === 0) return undefined;
    const text = formatIp(address);
    const service = this.#source.service(this.#byAddress.get(text) ?? '');
    const own = service === undefined ? undefined : this.nameOf(service);
    if (own !== undefined) return [own];
    const hosts = [...(this.#hostsAt.get(text) ?? [])].flatMap((key) => {
      const backend = this.#ready(key);
      const of = backend && this.#source.service(backend.serviceId);
      const above = of === undefined || !isHeadless(of) ? undefined : this.nameOf(of);
      return backend?.hostname === undefined || above === undefined ? [] : [[backend.hostname, ...above]];
    });
    if (hosts.length > 0) return hosts;
    return this.#cidrs.some((cidr) => cidrContains(cidr, address)) ? [] : undefined;
  }

  /** What a Service is called; undefined: it has no name here. */
  nameOf({ name }: Pick<ClusterService, 'name'>): DnsName | undefined {
    const [namespace = '', own = '', ...more] = name.split('/');
    if (namespace === '' || own === '' || more.length > 0) return undefined;
    return [own, namespace, 'svc', ...this.#domain];
  }

  /** `below`: labels below the Service's name, in small letters. */
  #inService(service: ClusterService, below: readonly string[]): ClusterEntry | undefined {
    if (service.externalName !== undefined) {
      const alias = parseDnsName(service.externalName);
      return below.length > 0 || alias === undefined ? undefined : { ...NOTHING, alias };
    }
    const isPort = below.length > 0 && below.every((label) => label.startsWith('_'));
    if (!isHeadless(service)) {
      if (below.length === 0) return { ...NOTHING, ...addresses(service.clusterIps) };
      const target = this.nameOf(service);
      if (!isPort || target === undefined) return undefined;
      return portEntry(below, service.ports, () => [target]);
    }
    const ready = this.#readyOf(service.id);
    if (below.length === 0) return someOf(addresses(ready.map(({ ipAddress }) => ipAddress)));
    if (isPort) return this.#headlessPort(service, below, ready);
    if (below.length > 1) return undefined;
    const own = ready.filter((one) => hostLabel(one).toLowerCase() === below[0]);
    return someOf(addresses(own.map(({ ipAddress }) => ipAddress)));
  }

  /** Each endpoint serves at its own port. */
  #headlessPort(
    service: ClusterService,
    below: readonly string[],
    ready: readonly ServiceBackend[],
  ): ClusterEntry | undefined {
    const above = this.nameOf(service) ?? [];
    const served = new Map<string, ServedAt>();
    let isAbove = false;
    for (const backend of ready) {
      const found = portEntry(below, backend.ports, () => [[hostLabel(backend), ...above]]);
      if (found === undefined) continue;
      isAbove = true;
      for (const one of found.served) {
        if (served.size < MAX_TOLD) served.set(`${one.target[0]} ${one.port}`.toLowerCase(), one);
      }
    }
    return isAbove ? { ...NOTHING, served: [...served.values()] } : undefined;
  }

  #service(name: string): ClusterService | undefined {
    const ids = this.#byName.get(name);
    const id = typeof ids === 'string' ? ids : ids?.at(-1);
    return id === undefined ? undefined : this.#source.service(id);
  }

  #readyOf(serviceId: string): readonly ServiceBackend[] {
    return [...(this.#backendsOf.get(serviceId) ?? [])].flatMap((key) => this.#ready(key) ?? []);
  }

  #ready(key: string): ServiceBackend | undefined {
    const backend = this.#source.backend(key);
    return backend?.terminating === true ? undefined : backend;
  }

  #name(name: string, id: string): void {
    const key = name.toLowerCase();
    const ids = this.#byName.get(key);
    this.#byName.set(key, ids === undefined ? id : [...(typeof ids === 'string' ? [ids] : ids), id]);
    const namespace = key.split('/')[0] ?? '';
    this.#namespaces.set(namespace, (this.#namespaces.get(namespace) ?? 0) + 1);
  }

  #unname(name: string, id: string): void {
    const key = name.toLowerCase();
    const ids = this.#byName.get(key) ?? [];
    const left = typeof ids === 'string' ? [] : ids.filter((one) => one !== id);
    if (left.length === 0) this.#byName.delete(key);
    else this.#byName.set(key, left.length === 1 && left[0] !== undefined ? left[0] : left);
    const namespace = key.split('/')[0] ?? '';
    const count = (this.#namespaces.get(namespace) ?? 1) - 1;
    if (count === 0) this.#namespaces.delete(namespace);
    else this.#namespaces.set(namespace, count);
  }
}

function isHeadless({ clusterIps, externalName }: ClusterService): boolean {
  return clusterIps.length === 0 && externalName === undefined;
}

/** What an endpoint is called below its Service: its host name, or its address with hyphens, as CoreDNS has it. */
function hostLabel({ hostname, ipAddress }: ServiceBackend): string {
  return hostname ?? ipAddress.replaceAll(/[.:]/g, '-');
}

function addresses(texts: readonly string[]): Pick<ClusterEntry, 'v4' | 'v6'> {
  const found = { v4: new Map<string, Uint8Array>(), v6: new Map<string, Uint8Array>() };
  for (const text of texts) {
    const ip = parseIp(text);
    if (ip === undefined) continue;
    const known = ip.version === 4 ? found.v4 : found.v6;
    if (known.size < MAX_TOLD) known.set(text, ip.version === 4 ? ipToBytes(ip).slice(12) : ipToBytes(ip));
  }
  return { v4: [...found.v4.values()], v6: [...found.v6.values()] };
}

/** A headless name without a ready endpoint does not exist (specification, 2.4.1). */
function someOf(found: Pick<ClusterEntry, 'v4' | 'v6'>): ClusterEntry | undefined {
  return found.v4.length + found.v6.length === 0 ? undefined : { ...NOTHING, ...found };
}

/** `_port._protocol`, or `_protocol` above it; a port without a name has no such record. */
function portEntry(
  below: readonly string[],
  ports: ClusterService['ports'],
  targets: () => readonly DnsName[],
): ClusterEntry | undefined {
  const named = ports.filter(({ name }) => name !== '');
  const [first = '', protocol] = below;
  if (below.length === 1) return named.some((one) => `_${one.protocol.toLowerCase()}` === first) ? NOTHING : undefined;
  if (below.length > 2) return undefined;
  const port = named.find(
    (one) => `_${one.name.toLowerCase()}` === first && `_${one.protocol.toLowerCase()}` === protocol,
  );
  return port && { ...NOTHING, served: targets().map((target) => ({ port: port.port, target })) };
}

function add(sets: Map<string, Set<string>>, key: string, member: string): void {
  const members = sets.get(key);
  if (members === undefined) sets.set(key, new Set([member]));
  else members.add(member);
}

function remove(sets: Map<string, Set<string>>, key: string, member: string): void {
  const members = sets.get(key);
  members?.delete(member);
  if (members?.size === 0) sets.delete(key);
}
