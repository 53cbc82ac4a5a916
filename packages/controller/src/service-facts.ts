/** Services and EndpointSlices, as far as they are read. */
import type { KubeKind, KubeObject } from '@cable/kube';
import { formatIp, parseIp } from '@cable/model';
import type { BalancerFacts } from './balancer-pool.ts';

export const SERVICES: KubeKind = { group: '', version: 'v1', plural: 'services', isNamespaced: true };
export const ENDPOINT_SLICES: KubeKind = {
  group: 'discovery.k8s.io',
  version: 'v1',
  plural: 'endpointslices',
  isNamespaced: true,
};

export type Service = KubeObject & {
  readonly spec?: {
    readonly type?: string;
    readonly clusterIP?: string;
    readonly clusterIPs?: readonly string[];
    readonly externalIPs?: readonly string[];
    readonly ports?: readonly {
      readonly name?: string;
      readonly protocol?: string;
      readonly port: number;
      readonly nodePort?: number;
    }[];
    readonly sessionAffinity?: string;
    readonly sessionAffinityConfig?: { readonly clientIP?: { readonly timeoutSeconds?: number } };
    readonly internalTrafficPolicy?: string;
    readonly externalName?: string;
    readonly externalTrafficPolicy?: string;
    readonly loadBalancerSourceRanges?: readonly string[];
    readonly healthCheckNodePort?: number;
    readonly loadBalancerClass?: string;
    readonly loadBalancerIP?: string;
  };
  readonly status?: {
    readonly loadBalancer?: { readonly ingress?: readonly { readonly ip?: string; readonly ipMode?: string }[] };
  };
};

/** What is written of a Service; the attributes are Cable's. */
export type ServiceBody = {
  readonly name: string;
  readonly cluster_ips: readonly string[];
  readonly external_ips: readonly string[];
  readonly external_name: string;
  readonly ports: readonly (ServedPort & { readonly node_port: number | null })[];
  readonly session_affinity: string;
  readonly session_affinity_timeout: number;
  readonly internal_traffic_policy: string;
  readonly external_traffic_policy: string;
  readonly load_balancer_ips: readonly string[];
  readonly load_balancer_source_ranges: readonly string[];
  readonly health_check_node_port: number | null;
};

export type ServedPort = { readonly name: string; readonly protocol: string; readonly port: number };

/** `body` undefined: it has no ClusterIP yet. */
export type ServiceFacts = {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly body: ServiceBody | undefined;
  readonly balancer: BalancerFacts;
  /** Another proxy of the cluster's serves it: here it is a name alone. */
  readonly isOthers: boolean;
};

/** Kubernetes' own: a Service, or slice, that another proxy serves. */
const PROXY_LABEL = 'service.kubernetes.io/service-proxy-name';
/** A slice, or Service, that is for names and no proxy. */
const HEADLESS_LABEL = 'service.kubernetes.io/headless';

/** `loadBalancerClass` of those that get an address here. */
const BALANCER_CLASS = 'cable.io/load-balancer';
/** Annotation with the address that is wished for; it goes before `spec.loadBalancerIP`. */
const BALANCER_WISH = 'cable.io/load-balancer-ip';

const AFFINITY_SECONDS = 10_800;

/** `isDefault`: Services without a class are of ours. */
export function serviceFacts({ metadata, spec = {}, status = {} }: Service, isDefault = false): ServiceFacts {
  const { namespace = '', name, uid = '', annotations = {}, labels = {} } = metadata;
  const isOthers = PROXY_LABEL in labels || HEADLESS_LABEL in labels;
  const ips = (spec.clusterIPs ?? [spec.clusterIP ?? '']).filter((one) => one !== '' && one !== 'None');
  const ports = spec.ports ?? [];
  const isName = spec.type === 'ExternalName';
  const isHeadless = spec.clusterIP === 'None' && !isName;
  const isLacking = isName ? (spec.externalName ?? '') === '' : !isHeadless && (ips.length === 0 || ports.length === 0);
  // Of a balancer that sends on what it gets to other addresses (`Proxy`), its own is no concern of the nodes.
  const balanced = [
    ...new Set(
      (status.loadBalancer?.ingress ?? []).flatMap(({ ip = '', ipMode = 'VIP' }) =>
        ip === '' || ipMode !== 'VIP' ? [] : [canonical(ip)],
      ),
    ),
  ];
  const body: ServiceBody = {
    name: `${namespace}/${name}`,
    // An ExternalName may still have those that it had before it became one.
    cluster_ips: isName ? [] : ips.map(canonical),
    external_ips: isName || isHeadless || isOthers ? [] : [...new Set((spec.externalIPs ?? []).map(canonical))],
    external_name: isName ? (spec.externalName ?? '') : '',
    ports: ports.map(({ name: called = '', protocol = 'TCP', port, nodePort = 0 }) => ({
      ...{ name: called, protocol, port },
      node_port: nodePort === 0 || isOthers ? null : nodePort,
    })),
    session_affinity: spec.sessionAffinity ?? 'None',
    session_affinity_timeout: spec.sessionAffinityConfig?.clientIP?.timeoutSeconds ?? AFFINITY_SECONDS,
    internal_traffic_policy: spec.internalTrafficPolicy ?? 'Cluster',
    external_traffic_policy: spec.externalTrafficPolicy || 'Cluster',
    load_balancer_ips: isName || isHeadless || isOthers ? [] : balanced,
    load_balancer_source_ranges: sourceRanges(spec.loadBalancerSourceRanges ?? []),
    health_check_node_port: isOthers ? null : spec.healthCheckNodePort || null,
  };
  const { loadBalancerClass = isDefault ? BALANCER_CLASS : '', type, loadBalancerIP = '' } = spec;
  const balancer: BalancerFacts = {
    isOurs: !isLacking && !isOthers && type === 'LoadBalancer' && loadBalancerClass === BALANCER_CLASS,
    isNone: isOthers || type !== 'LoadBalancer',
    wish: canonical(annotations[BALANCER_WISH] ?? loadBalancerIP),
    versions: body.cluster_ips.map((ip) => (ip.includes(':') ? 6 : 4)),
    has: balanced,
  };
  return { namespace, name, uid, body: isLacking ? undefined : body, balancer, isOthers };
}

/** As Cable writes them: without the bits of hosts, each once. What is none is refused there, for without it others would be let in. */
function sourceRanges(given: readonly string[]): readonly string[] {
  return [...new Set(given.map((text) => networkOf(text.trim()) ?? text))];
}

function networkOf(text: string): string | undefined {
  const [base = '', length = ''] = text.split('/');
  const address = parseIp(base);
  const most = address?.version === 4 ? 32 : 128;
  if (address === undefined || !/^\d{1,3}$/.test(length) || Number(length) > most) return undefined;
  const rest = BigInt(most - Number(length));
  return `${formatIp({ ...address, value: (address.value >> rest) << rest })}/${Number(length)}`;
}

export type EndpointSlice = KubeObject & {
  readonly addressType?: string;
  /** Null, as `ports`: of a Service without pods. */
  readonly endpoints?: readonly EndpointSpec[] | null;
  readonly ports?:
    | readonly {
        readonly name?: string | null;
        readonly protocol?: string | null;
        readonly port?: number | null;
      }[]
    | null;
};

type EndpointSpec = {
  readonly addresses: readonly string[];
  readonly conditions?: {
    readonly ready?: boolean | null;
    readonly serving?: boolean | null;
    readonly terminating?: boolean | null;
  };
  readonly nodeName?: string;
  /** Of `v1beta1`. */
  readonly topology?: Readonly<Record<string, string>>;
  readonly hostname?: string;
  readonly targetRef?: { readonly kind?: string; readonly namespace?: string; readonly name?: string };
  readonly hints?: {
    readonly forZones?: readonly { readonly name: string }[];
    readonly forNodes?: readonly { readonly name: string }[];
  };
};

export type EndpointFacts = {
  readonly address: string;
  /** `<namespace>/<name>` of its pod; empty: it is none's. */
  readonly pod: string;
  readonly host_id: string;
  /** Own address of the node that it is, where `address` is that of the node's port; absent: it is none, or has no port yet. */
  readonly host_address?: string;
  readonly hostname: string;
  readonly ready: boolean;
  readonly serving: boolean;
  readonly terminating: boolean;
  readonly zone_hints: readonly string[];
  readonly host_hints: readonly string[];
};

export type SliceFacts = {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  /** `<namespace>/<name>`; empty: it is of none. */
  readonly service: string;
  readonly ports: readonly ServedPort[];
  readonly endpoints: readonly EndpointFacts[];
  /** Of a Service with a ClusterIP it is not served: it is for names, or another proxy's. */
  readonly isUnserved: boolean;
  /** Name or ID of the VPC that its addresses without a pod are in, where several have them; empty: it says none. */
  readonly vpc: string;
};

/** Annotation of a slice that says so. */
export const VPC_OF_SLICE = 'cable.io/vpc';

const SERVICE_LABEL = 'kubernetes.io/service-name';
/** Where `v1beta1` has the name of the node. */
const HOST_NAME = 'kubernetes.io/hostname';

/** Of addresses that are names (FQDN) nothing is taken. */
export function sliceFacts({ metadata, addressType, endpoints, ports }: EndpointSlice): SliceFacts {
  const { namespace = '', name, uid = '', labels = {}, annotations = {} } = metadata;
  const service = labels[SERVICE_LABEL];
  const isAddress = addressType === 'IPv4' || addressType === 'IPv6';
  return {
    ...{ namespace, name, uid },
    service: service === undefined ? '' : `${namespace}/${service}`,
    ports: (ports ?? []).flatMap(({ name: called, protocol, port }) =>
      typeof port === 'number' ? [{ name: called ?? '', protocol: protocol ?? 'TCP', port }] : [],
    ),
    endpoints: isAddress ? endpointsOf(endpoints ?? [], namespace) : [],
    isUnserved: PROXY_LABEL in labels || HEADLESS_LABEL in labels,
    vpc: annotations[VPC_OF_SLICE] ?? '',
  };
}

/** An address that is there twice, as while a pod is replaced, counts as the one that is ready. */
function endpointsOf(endpoints: readonly EndpointSpec[], namespace: string): readonly EndpointFacts[] {
  const byAddress = new Map<string, EndpointFacts>();
  for (const endpoint of endpoints) {
    const { addresses, conditions = {}, hostname = '', targetRef, hints = {} } = endpoint;
    const isPod = targetRef?.kind === 'Pod' && (targetRef.namespace ?? namespace) === namespace;
    // Consumers take what is not said for ready and serving, and not terminating (EndpointConditions).
    const ready = conditions.ready ?? true;
    const facts = {
      pod: isPod ? `${namespace}/${targetRef?.name ?? ''}` : '',
      host_id: endpoint.nodeName ?? endpoint.topology?.[HOST_NAME] ?? '',
      hostname,
      ready,
      serving: conditions.serving ?? true,
      terminating: conditions.terminating ?? false,
      zone_hints: (hints.forZones ?? []).map((one) => one.name),
      host_hints: (hints.forNodes ?? []).map((one) => one.name),
    };
    // All addresses of an endpoint are of one backend: the first is used (EndpointSlice API).
    const address = canonical(addresses[0] ?? '');
    if (address === '' || (byAddress.get(address)?.ready === true && !ready)) continue;
    byAddress.set(address, { address, ...facts });
  }
  return [...byAddress.values()];
}

/** As Cable writes it. */
function canonical(text: string): string {
  const address = parseIp(text);
  return address === undefined ? text : formatIp(address);
}
