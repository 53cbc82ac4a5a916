/**
 * What is kept of network policies of the whole cluster, in the words that Cable has for them. What is not understood of a rule closes: one that allows matches nothing,
 * any other denies everything that it could mean (as the API demands of peers that are not known).
 */
import type { KubeKind, KubeObject } from '@cable/kube';
import { type ClusterNetworkPolicy, formatCidr, parseCidr, parseDomainPattern } from '@cable/model';
import { type SelectorSpec, selectorText } from './policy-facts.ts';
import { askedLog } from './policy-log.ts';

const GROUP = 'policy.networking.k8s.io';

/** A kind of them, as `kubectl` and the API server call it. */
export type ClusterPolicyKind = { readonly kind: string; readonly apiVersion: string; readonly api: KubeKind };

/** ClusterNetworkPolicy, and the two that it has replaced. */
export const CLUSTER_POLICY_KINDS: readonly ClusterPolicyKind[] = [
  kindOf('ClusterNetworkPolicy', 'v1alpha2', 'clusternetworkpolicies'),
  kindOf('AdminNetworkPolicy', 'v1alpha1', 'adminnetworkpolicies'),
  kindOf('BaselineAdminNetworkPolicy', 'v1alpha1', 'baselineadminnetworkpolicies'),
];

type NamespacedPods = { readonly namespaceSelector?: SelectorSpec; readonly podSelector?: SelectorSpec };
type SubjectSpec = { readonly namespaces?: SelectorSpec; readonly pods?: NamespacedPods };
type PeerSpec = SubjectSpec & {
  readonly nodes?: SelectorSpec;
  readonly networks?: readonly string[];
  readonly domainNames?: readonly string[];
};
type Ports = { readonly start?: number; readonly end?: number };
type DestinationPort = { readonly number?: number; readonly range?: Ports };
/** Of v1alpha1 and of v1alpha2. */
type PortSpec = {
  readonly portNumber?: { readonly protocol?: string; readonly port?: number };
  readonly portRange?: Ports & { readonly protocol?: string };
  readonly namedPort?: string;
  readonly tcp?: { readonly destinationPort?: DestinationPort };
  readonly udp?: { readonly destinationPort?: DestinationPort };
  readonly sctp?: { readonly destinationPort?: DestinationPort };
  readonly destinationNamedPort?: string;
};
type RuleSpec = {
  readonly name?: string;
  readonly action?: string;
  readonly from?: readonly PeerSpec[];
  readonly to?: readonly PeerSpec[];
  readonly ports?: readonly PortSpec[];
  readonly protocols?: readonly PortSpec[];
};

/** One of any of the kinds, as far as it is read (API reference, `policy.networking.k8s.io/v1alpha1` and `/v1alpha2`). */
export type ClusterPolicyObject = KubeObject & {
  readonly spec?: {
    readonly tier?: string;
    readonly priority?: number;
    readonly subject?: SubjectSpec;
    readonly ingress?: readonly RuleSpec[];
    readonly egress?: readonly RuleSpec[];
  };
};

export type ClusterPolicyBody = Pick<
  ClusterNetworkPolicy,
  'name' | 'tier' | 'priority' | 'namespaces' | 'pods' | 'log' | 'domain_except' | 'rules'
>;
type Rule = ClusterPolicyBody['rules'][number];
type Peer = NonNullable<Rule['peers']>[number];
type PolicyPort = NonNullable<Rule['ports']>[number];

/** Nodes by their labels: what they are sent to is known when they are. */
type NodesPeer = { readonly nodes: string };
type KeptRule = Omit<Rule, 'peers'> & { readonly peers: readonly (Peer | NodesPeer)[] | null };

export type ClusterPolicyFacts = {
  readonly kind: ClusterPolicyKind;
  readonly name: string;
  readonly uid: string;
  readonly body: Omit<ClusterPolicyBody, 'rules' | 'domain_except'>;
  readonly rules: readonly KeptRule[];
  /** What was not understood, for people. */
  readonly problems: readonly string[];
  /** As of `PolicyFacts`. */
  readonly logProblem: string | undefined;
  /** Whether it means nodes. */
  readonly hasNodes: boolean;
  /** Whether it means names. */
  readonly hasNames: boolean;
};

/** After all that can say a priority. */
const LAST = 1001;

export function clusterPolicyFacts(
  kind: ClusterPolicyKind,
  { metadata, spec = {} }: ClusterPolicyObject,
): ClusterPolicyFacts {
  const { name, uid = '' } = metadata;
  const problems: string[] = [];
  const isBaseline = kind.kind === 'BaselineAdminNetworkPolicy' || spec.tier === 'Baseline';
  const selected = podsOf(kind, spec.subject ?? {});
  if (selected === undefined)
    problems.push('subject is not understood: what denies holds for all pods, and nothing is allowed');
  const rules = (['ingress', 'egress'] as const).flatMap((direction) =>
    (spec[direction] ?? []).flatMap((rule, at): readonly KeptRule[] => {
      const made = ruleOf(kind, direction, rule, `${direction}[${at}]`, problems);
      if (selected !== undefined) return [made];
      return made.action === 'allow' ? [] : [{ ...made, action: 'deny' }];
    }),
  );
  const { log, problem: logProblem } = askedLog(metadata.annotations);
  return {
    ...{ kind, name, uid, logProblem },
    body: {
      name: `${kind.kind}/${name}`,
      tier: isBaseline ? 'baseline' : 'admin',
      priority: kind.kind === 'BaselineAdminNetworkPolicy' ? LAST : (spec.priority ?? 0),
      ...(selected ?? { namespaces: '', pods: '' }),
      log,
    },
    rules,
    problems,
    hasNodes: rules.some(({ peers }) => peers?.some((peer) => 'nodes' in peer) === true),
    hasNames: rules.some(({ peers }) => peers?.some((peer) => 'domain' in peer && peer.domain !== null) === true),
  };
}

/** `addressesOf`: those of the nodes that a selector (text) selects. `apiServers`: addresses at which these are reached behind their Service. */
export function clusterPolicyBody(
  { body, rules, hasNames }: ClusterPolicyFacts,
  addressesOf: (selector: string) => readonly string[],
  apiServers: readonly string[],
): ClusterPolicyBody {
  const peersOf = (peer: Peer | NodesPeer): readonly Peer[] =>
    'nodes' in peer ? addressesOf(peer.nodes).map(hostPeer) : [peer];
  const except = hasNames ? [...new Set([...addressesOf(''), ...apiServers])].sort().map(hostCidr) : [];
  return {
    ...body,
    domain_except: except,
    rules: rules.map((rule) => ({ ...rule, peers: rule.peers?.flatMap(peersOf) ?? null })),
  };
}

/** What is left of one that cannot be put in force: what it does not allow is denied. It means no names, so nothing is kept from them either. */
export function closedBody({ rules, ...body }: ClusterPolicyBody): ClusterPolicyBody {
  const others = rules.filter(({ action }) => action !== 'allow');
  const directions = [...new Set(others.map(({ direction }) => direction))];
  return { ...body, domain_except: [], rules: directions.map((direction) => ({ ...DENY_ALL, direction })) };
}

const DENY_ALL = { name: '', action: 'deny', peers: null, ports: null } as const;

function kindOf(kind: string, version: string, plural: string): ClusterPolicyKind {
  return { kind, apiVersion: `${GROUP}/${version}`, api: { group: GROUP, version, plural, isNamespaced: false } };
}

/** Undefined: it is not understood. v1alpha2 demands no `namespaceSelector` of pods: without it they are those of all namespaces. */
function podsOf(
  kind: ClusterPolicyKind,
  { namespaces, pods }: SubjectSpec,
): { namespaces: string; pods: string } | undefined {
  if ((namespaces === undefined) === (pods === undefined)) return undefined;
  // Definitions of before had other fields, such as sameLabels: what they leave out would be everybody.
  if (Object.keys(pods ?? {}).some((name) => name !== 'namespaceSelector' && name !== 'podSelector')) return undefined;
  if (pods !== undefined && pods.podSelector === undefined) return undefined;
  if (pods !== undefined && pods.namespaceSelector === undefined && isOld(kind)) return undefined;
  const there = knownSelector(namespaces ?? pods?.namespaceSelector ?? {});
  const which = knownSelector(pods?.podSelector ?? {});
  return there === undefined || which === undefined ? undefined : { namespaces: there, pods: which };
}

function isOld({ apiVersion }: ClusterPolicyKind): boolean {
  return apiVersion.endsWith('v1alpha1');
}

/** Undefined: it says more than is known here. */
function knownSelector(selector: SelectorSpec): string | undefined {
  const isKnown = Object.keys(selector).every((name) => name === 'matchLabels' || name === 'matchExpressions');
  return isKnown ? selectorText(selector) : undefined;
}

const ACTIONS: Readonly<Record<string, Rule['action']>> = {
  Accept: 'allow',
  Allow: 'allow',
  Deny: 'deny',
  Pass: 'pass',
};

function ruleOf(
  kind: ClusterPolicyKind,
  direction: Rule['direction'],
  spec: RuleSpec,
  place: string,
  problems: string[],
): KeptRule {
  const action = ACTIONS[spec.action ?? ''];
  const base = { name: spec.name ?? '', direction };
  if (action === undefined) {
    problems.push(`${place}: action ${spec.action} is not known: everything is denied`);
    return { ...base, action: 'deny', peers: null, ports: null };
  }
  const peers = (direction === 'ingress' ? spec.from : spec.to) ?? [];
  const made = peers.map((peer) => peersOf(kind, direction, peer));
  const ports = portsOfRule(kind, spec);
  // Of a name never all addresses are known: what is not would pass.
  const isDenying = action !== 'allow' && peers.some(({ domainNames }) => domainNames !== undefined);
  const isWhomKnown = peers.length > 0 && !made.includes(undefined) && !isDenying;
  const isWhatKnown = ports?.includes(undefined) !== true;
  if (isDenying) problems.push(`${place}: domainNames go with Accept alone: everything is denied`);
  else if (!isWhomKnown)
    problems.push(
      `${place}: ${peers.length === 0 ? 'it has no peers' : 'a peer is not understood'}: ${thenOf(action)}`,
    );
  if (!isWhatKnown) problems.push(`${place}: a port is not understood: ${thenOf(action)}`);
  const whom = isWhomKnown ? made.flatMap((one) => one ?? []) : null;
  if (isWhomKnown && isWhatKnown) {
    return { ...base, action, peers: whom, ports: ports?.flatMap((one) => one ?? []) ?? null };
  }
  if (action === 'allow') return { ...base, action, peers: [], ports: null };
  return { ...base, action: 'deny', peers: whom, ports: null };
}

/** Null: all. In it undefined: it is not understood. */
function portsOfRule(
  kind: ClusterPolicyKind,
  { ports, protocols }: RuleSpec,
): readonly (readonly PolicyPort[] | undefined)[] | null {
  // An empty list is all ports in v1alpha1; in v1alpha2 there must be one at least.
  if (isOld(kind)) return ports === undefined || ports.length === 0 ? null : ports.map(portsOf);
  if (protocols === undefined) return null;
  return protocols.length === 0 ? [undefined] : protocols.map(portsOf);
}

function thenOf(action: Rule['action']): string {
  return action === 'allow' ? 'it allows nothing' : 'it denies everything that it could mean';
}

/** Undefined: it is not understood. */
function peersOf(
  kind: ClusterPolicyKind,
  direction: Rule['direction'],
  peer: PeerSpec,
): readonly (Peer | NodesPeer)[] | undefined {
  const { namespaces, pods, nodes, networks, domainNames } = peer;
  const given = [namespaces, pods, nodes, networks, domainNames].filter((one) => one !== undefined);
  if (given.length !== 1) return undefined;
  if (namespaces !== undefined || pods !== undefined) {
    const selected = podsOf(kind, peer);
    return selected === undefined ? undefined : [{ ...selected, ...NO_PEER }];
  }
  if (direction === 'ingress') return undefined;
  if (networks !== undefined) {
    const prefixes = networks.flatMap((text) => parseCidr(text, true) ?? []);
    if (prefixes.length < networks.length) return undefined;
    return prefixes.map((one) => ({ ...NO_PODS, ...NO_PEER, cidr: formatCidr(one) }));
  }
  if (domainNames !== undefined) {
    const domains = domainNames.flatMap((text) => parseDomainPattern(text) ?? []);
    if (domains.length < domainNames.length) return undefined;
    return domains.map((domain) => ({ ...NO_PODS, ...NO_PEER, domain }));
  }
  const text = knownSelector(nodes ?? {});
  return text === undefined ? undefined : [{ nodes: text }];
}

const NO_PODS = { pods: null, namespaces: null } as const;
const NO_PEER = { cidr: null, domain: null } as const;

function hostPeer(address: string): Peer {
  return { ...NO_PODS, ...NO_PEER, cidr: hostCidr(address) };
}

function hostCidr(address: string): string {
  return `${address}/${address.includes(':') ? 128 : 32}`;
}

const PROTOCOLS = ['TCP', 'UDP', 'SCTP'] as const;

/** A name is of any protocol. Undefined: it is not understood. */
function portsOf(spec: PortSpec): readonly PolicyPort[] | undefined {
  const { portNumber, portRange, namedPort, tcp, udp, sctp, destinationNamedPort } = spec;
  const given = [portNumber, portRange, namedPort, tcp, udp, sctp, destinationNamedPort];
  if (given.filter((one) => one !== undefined).length !== 1) return undefined;
  const name = namedPort ?? destinationNamedPort;
  if (name !== undefined)
    return PROTOCOLS.map((protocol) => ({ protocol, port: null, end_port: null, port_name: name }));
  if (portNumber !== undefined) return numbered(portNumber.protocol ?? 'TCP', portNumber.port, undefined);
  if (portRange !== undefined) return numbered(portRange.protocol ?? 'TCP', portRange.start, portRange.end ?? 0);
  const protocol = tcp !== undefined ? 'TCP' : udp !== undefined ? 'UDP' : 'SCTP';
  const destination = (tcp ?? udp ?? sctp)?.destinationPort;
  if (destination === undefined) return [{ protocol, port: null, end_port: null, port_name: null }];
  const { number, range } = destination;
  if ((number === undefined) === (range === undefined)) return undefined;
  return range === undefined ? numbered(protocol, number, undefined) : numbered(protocol, range.start, range.end ?? 0);
}

function numbered(text: string, port: number | undefined, end: number | undefined): readonly PolicyPort[] | undefined {
  const protocol = PROTOCOLS.find((one) => one === text);
  if (protocol === undefined || port === undefined || (end !== undefined && end < port)) return undefined;
  return [{ protocol, port, end_port: end ?? null, port_name: null }];
}
