/** Random policies of a cluster, and what `policy.networking.k8s.io` says of them, told from its reference and not from what Cable makes of it. */
import { cidrContains, parseCidr, parseIp } from '@cable/model';
import { sampleId } from '../../packages/agent/src/plan/testing/sample.ts';
import {
  CLUSTER_POLICY_KINDS,
  type ClusterPolicyFacts,
  type ClusterPolicyObject,
  clusterPolicyFacts,
} from '../../packages/controller/src/cluster-policy-facts.ts';
import type { SelectorSpec } from '../../packages/controller/src/policy-facts.ts';

type Labels = Readonly<Record<string, string>>;
type Random = (below: number) => number;
type Kind = 'ClusterNetworkPolicy' | 'AdminNetworkPolicy' | 'BaselineAdminNetworkPolicy';
type Spec = NonNullable<ClusterPolicyObject['spec']>;
type Rule = NonNullable<Spec['ingress']>[number];
type Peer = NonNullable<Rule['to']>[number];
type Port = NonNullable<Rule['ports']>[number];

export type ClusterPolicy = { readonly kind: Kind; readonly object: ClusterPolicyObject };

/** A pod, as far as policies ask of it. */
type Pod = {
  readonly namespace: string;
  readonly labels: Labels;
  readonly named: Readonly<Record<string, number>>;
};

type Asked = {
  readonly ofCluster: readonly ClusterPolicy[];
  readonly pod: Pod;
  readonly peer: Pod | undefined;
  /** Name of the node that is the peer. */
  readonly node: string | undefined;
  readonly namespaces: Readonly<Record<string, Labels>>;
  readonly packet: {
    readonly direction: 'ingress' | 'egress';
    readonly remote: string;
    readonly protocol: number;
    readonly port: number;
  };
  readonly matches: (selector: SelectorSpec, labels: Labels) => boolean;
};

/** What each pod was told for names: of the last two one is a pod's, and one a node's. */
export const TOLD: Readonly<Record<string, readonly string[]>> = {
  'www.example.com': ['192.0.2.7', '2001:db8:5::9', '10.1.0.2', '10.1.9.2'],
  'api.example.org': ['198.51.100.9'],
};

export const NODE_LABELS: Readonly<Record<string, Labels>> = { h1: { zone: 'a' }, h2: { zone: 'b' } };

const TCP = 6;
const NUMBERS = [
  [TCP, 'tcp', 'TCP'],
  [17, 'udp', 'UDP'],
  [132, 'sctp', 'SCTP'],
] as const;

const pick = <T>(random: Random, list: readonly T[]): T => list[random(list.length)] as T;
const oneOrMore = <T>(random: Random, most: number, make: () => T): readonly T[] =>
  Array.from({ length: 1 + random(most) }, make);

const namespaceSelector = (random: Random): SelectorSpec =>
  pick<SelectorSpec>(random, [
    {},
    { matchLabels: { team: pick(random, ['x', 'y']) } },
    { matchExpressions: [{ key: 'team', operator: 'DoesNotExist' }] },
    { matchExpressions: [{ key: 'team', operator: 'NotIn', values: ['x'] }] },
  ]);
const podSelector = (random: Random): SelectorSpec =>
  pick<SelectorSpec>(random, [
    {},
    { matchLabels: { app: pick(random, ['db', 'web']) } },
    { matchExpressions: [{ key: 'old', operator: 'Exists' }] },
  ]);

function pods(random: Random): Pick<Peer, 'namespaces' | 'pods'> {
  if (random(2) === 0) return { namespaces: namespaceSelector(random) };
  return { pods: { namespaceSelector: namespaceSelector(random), podSelector: podSelector(random) } };
}

function randomPeer(random: Random, direction: string): Peer {
  if (random(20) === 0) return {};
  if (direction === 'ingress' || random(3) > 0) return pods(random);
  return pick<() => Peer>(random, [
    () => ({ networks: ['10.1.0.0/30', '192.0.2.0/24'] }),
    () => ({ networks: [pick(random, ['0.0.0.0/0', '::/0', 'fd00::/126', '10.1.0.2/32'])] }),
    () => ({
      domainNames: pick(random, [
        ['*.example.com'],
        ['www.example.com'],
        ['example.com'],
        ['*.com.example', '*.example.org'],
      ]),
    }),
    () => ({ nodes: pick<SelectorSpec>(random, [{}, { matchLabels: { zone: pick(random, ['a', 'b']) } }]) }),
  ])();
}

function randomPort(random: Random, kind: Kind, mayName: boolean): Port {
  const [, field, protocol] = pick(random, [...NUMBERS, NUMBERS[0], NUMBERS[0]]);
  if (random(25) === 0) return {};
  if (mayName && random(4) === 0) {
    const name = pick(random, ['http', 'sql']);
    return kind === 'ClusterNetworkPolicy' ? { destinationNamedPort: name } : { namedPort: name };
  }
  const [start, end] = pick(random, [
    [79, 8081],
    [80, 443],
    [5000, 5432],
  ] as const);
  const number = pick(random, [80, 8080, 5432]);
  if (kind === 'ClusterNetworkPolicy') {
    const port = pick(random, [{ destinationPort: { number } }, { destinationPort: { range: { start, end } } }, {}]);
    return { [field]: port };
  }
  return random(2) === 0 ? { portNumber: { protocol, port: number } } : { portRange: { protocol, start, end } };
}

function randomRule(random: Random, kind: Kind, direction: 'ingress' | 'egress'): Rule {
  const actions = {
    ClusterNetworkPolicy: ['Accept', 'Deny', 'Deny', 'Pass'],
    AdminNetworkPolicy: ['Allow', 'Deny', 'Deny', 'Pass'],
    BaselineAdminNetworkPolicy: ['Allow', 'Deny'],
  } as const;
  const peers = oneOrMore(random, 2, () => randomPeer(random, direction));
  const mayName = peers.every((peer) => (peer.networks ?? peer.nodes ?? peer.domainNames) === undefined);
  const ports = oneOrMore(random, 2, () => randomPort(random, kind, mayName));
  const field = kind === 'ClusterNetworkPolicy' ? 'protocols' : 'ports';
  return {
    action: pick<string>(random, actions[kind]),
    ...(direction === 'ingress' ? { from: peers } : { to: peers }),
    ...(random(2) === 0 ? {} : { [field]: ports }),
  };
}

/** No two of a tier have one priority: what counts then is left open. */
export function randomClusterPolicies(random: Random, most: number): readonly ClusterPolicy[] {
  const made = Array.from({ length: 1 + random(most) }, (_, n): ClusterPolicy => {
    const kind = pick<Kind>(random, ['ClusterNetworkPolicy', 'ClusterNetworkPolicy', 'AdminNetworkPolicy']);
    const tier = kind === 'AdminNetworkPolicy' ? {} : { tier: pick(random, ['Admin', 'Baseline']) };
    return policy(random, kind, n, { ...tier, priority: (n * 37) % 1001 });
  });
  return random(2) === 0 ? made : [...made, policy(random, 'BaselineAdminNetworkPolicy', most + 1, {})];
}

function policy(random: Random, kind: Kind, n: number, more: Partial<Spec>): ClusterPolicy {
  const rules = (direction: 'ingress' | 'egress') =>
    random(4) === 0 ? [] : oneOrMore(random, 3, () => randomRule(random, kind, direction));
  const spec = { ...more, subject: pods(random), ingress: rules('ingress'), egress: rules('egress') };
  return { kind, object: { metadata: { name: `c${n}`, uid: sampleId('rule', 20 + n) }, spec } as ClusterPolicyObject };
}

export function factsOf({ kind, object }: ClusterPolicy): ClusterPolicyFacts {
  const known = CLUSTER_POLICY_KINDS.find((one) => one.kind === kind);
  if (known === undefined) throw new Error(`no kind ${kind}`);
  return clusterPolicyFacts(known, object);
}

/** What the first rule of a tier says that matches; undefined: none does. */
export function meant(tier: 'Admin' | 'Baseline', asked: Asked): 'allow' | 'deny' | 'pass' | undefined {
  const { ofCluster, pod, packet, matches, namespaces } = asked;
  const tierOf = ({ kind, object }: ClusterPolicy): string =>
    kind === 'AdminNetworkPolicy' ? 'Admin' : (object.spec?.tier ?? 'Baseline');
  const isSelected = ({ object }: ClusterPolicy): boolean => {
    const subject = object.spec?.subject ?? {};
    const there = namespaces[pod.namespace] ?? {};
    if (subject.namespaces !== undefined) return matches(subject.namespaces, there);
    const { namespaceSelector = {}, podSelector: which = {} } = subject.pods ?? {};
    return matches(namespaceSelector, there) && matches(which, pod.labels);
  };
  const asking = ofCluster
    .filter((one) => tierOf(one) === tier && isSelected(one))
    .sort((a, b) => (a.object.spec?.priority ?? 9999) - (b.object.spec?.priority ?? 9999));
  for (const { object } of asking) {
    for (const rule of object.spec?.[packet.direction] ?? []) {
      const said = saidBy(rule, asked);
      if (said !== undefined) return said;
    }
  }
  return undefined;
}

function saidBy(rule: Rule, asked: Asked): 'allow' | 'deny' | 'pass' | undefined {
  const action =
    rule.action === 'Accept' || rule.action === 'Allow' ? 'allow' : rule.action === 'Deny' ? 'deny' : 'pass';
  const peers = rule.from ?? rule.to ?? [];
  const ports = rule.ports ?? rule.protocols ?? [];
  // "For Accept rules, treat the rule as matching no traffic; for Deny and Pass as a 'Deny all' rule."
  if (peers.some((peer) => Object.keys(peer).length === 0)) return action === 'allow' ? undefined : 'deny';
  // "DomainNames is only supported for Accept rules."
  if (action !== 'allow' && peers.some(({ domainNames }) => domainNames !== undefined)) return 'deny';
  const isWhom = peers.some((peer) => isPeer(peer, asked));
  if (ports.some((port) => Object.keys(port).length === 0)) return action !== 'allow' && isWhom ? 'deny' : undefined;
  return isWhom && (ports.length === 0 || ports.some((port) => isPort(port, asked))) ? action : undefined;
}

function isPeer(peer: Peer, { peer: pod, node, namespaces, packet, matches }: Asked): boolean {
  const { networks, nodes, domainNames } = peer;
  if (domainNames !== undefined) {
    const isOutside = pod === undefined && node === undefined;
    return isOutside && domainNames.some((domain) => toldFor(domain).includes(packet.remote));
  }
  if (nodes !== undefined) return node !== undefined && matches(nodes, NODE_LABELS[node] ?? {});
  if (networks !== undefined) {
    const address = parseIp(packet.remote);
    return networks.some((one) => {
      const prefix = parseCidr(one);
      if (prefix === undefined || address === undefined || prefix.base.version !== address.version) return false;
      return cidrContains(prefix, address);
    });
  }
  if (pod === undefined) return false;
  const there = namespaces[pod.namespace] ?? {};
  if (peer.namespaces !== undefined) return matches(peer.namespaces, there);
  const { namespaceSelector = {}, podSelector: which = {} } = peer.pods ?? {};
  return matches(namespaceSelector, there) && matches(which, pod.labels);
}

/** "The wildcard matches one or more entire labels." */
function toldFor(domain: string): readonly string[] {
  return Object.entries(TOLD).flatMap(([name, addresses]) => {
    const isMeant = domain.startsWith('*.') ? name.endsWith(domain.slice(1)) : name === domain;
    return isMeant ? addresses : [];
  });
}

function isPort(port: Port, { pod, peer, packet }: Asked): boolean {
  const name = port.namedPort ?? port.destinationNamedPort;
  const receiver = packet.direction === 'ingress' ? pod : peer;
  // Ports of these pods that have names are TCP ports.
  if (name !== undefined) return packet.protocol === TCP && receiver?.named[name] === packet.port;
  const [, field, text] = NUMBERS.find(([number]) => number === packet.protocol) ?? [];
  if (field === undefined) return false;
  if (port.portNumber !== undefined) return port.portNumber.protocol === text && port.portNumber.port === packet.port;
  if (port.portRange !== undefined) return port.portRange.protocol === text && isIn(port.portRange, packet.port);
  const own = port[field];
  if (own === undefined) return false;
  const { number, range } = own.destinationPort ?? {};
  if (number !== undefined) return number === packet.port;
  return range === undefined || isIn(range, packet.port);
}

function isIn({ start = 0, end = 0 }: { readonly start?: number; readonly end?: number }, port: number): boolean {
  return port >= start && port <= end;
}
