/** What is kept of HostPolicies, in the words that Cable has for them. */
import type { KubeObject } from '@cable/kube';
import { formatCidr, type HostPolicy, parseCidr } from '@cable/model';
import type { Condition } from './custom/work.ts';
import { type SelectorSpec, selectorText } from './policy-facts.ts';

type PeerSpec = {
  readonly ipBlock?: { readonly cidr: string; readonly except?: readonly string[] };
  readonly podSelector?: SelectorSpec;
  readonly namespaceSelector?: SelectorSpec;
  readonly nodes?: SelectorSpec;
};

type PortSpec = { readonly protocol?: string; readonly port?: number; readonly endPort?: number };

/** Of `cable.io/v1`, as far as it is read. */
export type HostPolicyObject = KubeObject & {
  readonly spec?: {
    readonly nodeSelector?: SelectorSpec;
    readonly policyTypes?: readonly string[];
    readonly ingress?: readonly { readonly from?: readonly PeerSpec[]; readonly ports?: readonly PortSpec[] }[];
    readonly egress?: readonly { readonly to?: readonly PeerSpec[]; readonly ports?: readonly PortSpec[] }[];
  };
  readonly status?: HostPolicyStatus;
};

export type HostPolicyStatus = {
  readonly id?: string;
  readonly observedGeneration?: number;
  readonly selectedNodes?: number;
  readonly nodesInForce?: number;
  readonly notInForce?: readonly { readonly name: string; readonly reason: string }[];
  readonly conditions?: readonly Condition[];
};

export type HostPolicyBody = Pick<HostPolicy, 'name' | 'hosts' | 'directions' | 'rules'>;
type Rule = HostPolicyBody['rules'][number];
type Peer = NonNullable<Rule['peers']>[number];
type RulePort = NonNullable<Rule['ports']>[number];

/** Nodes by their labels: what they are reached at is known when they are. */
type NodesPeer = { readonly nodes: string };
type KeptRule = Omit<Rule, 'peers'> & { readonly peers: readonly (Peer | NodesPeer)[] | null };

export type HostPolicyFacts = {
  readonly name: string;
  readonly uid: string;
  readonly generation: number;
  /** A label selector of nodes; undefined: it is not understood, and no node is selected. */
  readonly nodes: string | undefined;
  readonly directions: HostPolicyBody['directions'];
  readonly rules: readonly KeptRule[];
  /** What was not understood, and lets nothing through. */
  readonly problems: readonly string[];
  readonly status: HostPolicyStatus;
};

/** What is not understood of a list is left out of it, and an empty list lets nothing through. */
export function hostPolicyFacts({ metadata, spec = {}, status = {} }: HostPolicyObject): HostPolicyFacts {
  const { name, uid = '', generation = 0 } = metadata;
  const { nodeSelector, policyTypes, ingress = [], egress = [] } = spec;
  const types = policyTypes ?? (egress.length > 0 ? ['Ingress', 'Egress'] : ['Ingress']);
  const directions = (['ingress', 'egress'] as const).filter((one) => types.some((type) => type.toLowerCase() === one));
  const problems: string[] = [];
  const nodes = nodeSelector === undefined ? undefined : selectorText(nodeSelector);
  if (nodes === undefined) problems.push('nodeSelector is not understood: it selects no node');
  const rules = [
    ...ingress.map(({ from, ports }, at) => ruleOf('ingress', from, ports, { place: `ingress[${at}]`, problems })),
    ...egress.map(({ to, ports }, at) => ruleOf('egress', to, ports, { place: `egress[${at}]`, problems })),
  ].filter(({ direction }) => directions.includes(direction));
  return { name, uid, generation, nodes, directions, rules, problems, status };
}

/** `addressesOf`: those of the nodes that a selector (text) selects. `hosts`: names of the nodes that it selects itself. */
export function hostPolicyBody(
  { name, directions, rules }: HostPolicyFacts,
  hosts: readonly string[],
  addressesOf: (selector: string) => readonly string[],
): HostPolicyBody {
  const peersOf = (peer: Peer | NodesPeer): readonly Peer[] =>
    'nodes' in peer ? addressesOf(peer.nodes).map(hostPeer) : [peer];
  return {
    ...{ name, hosts, directions },
    rules: rules.map((rule) => ({ ...rule, peers: rule.peers?.flatMap(peersOf) ?? null })),
  };
}

type Told = { readonly place: string; readonly problems: string[] };

/** A list that is not there, or empty, is everybody's. */
function ruleOf(
  direction: Rule['direction'],
  peers: readonly PeerSpec[] = [],
  ports: readonly PortSpec[] = [],
  { place, problems }: Told,
): KeptRule {
  const made = peers.map(peerOf);
  const numbers = ports.map(portOf);
  if (made.includes(undefined)) problems.push(`${place}: a peer is not understood, and let through nowhere`);
  if (numbers.includes(undefined)) problems.push(`${place}: a port is not understood, and open to nobody`);
  return {
    direction,
    peers: peers.length === 0 ? null : made.flatMap((one) => one ?? []),
    ports: ports.length === 0 ? null : numbers.flatMap((one) => one ?? []),
  };
}

const NO_PEER: Peer = { cidr: null, except: [], pods: null, namespaces: null, address_group_id: null };

/** Undefined: it is not understood. */
function peerOf({ ipBlock, podSelector, namespaceSelector, nodes }: PeerSpec): Peer | NodesPeer | undefined {
  const isOfPods = podSelector !== undefined || namespaceSelector !== undefined;
  if ([ipBlock !== undefined, nodes !== undefined, isOfPods].filter(Boolean).length !== 1) return undefined;
  if (ipBlock !== undefined) return blockOf(ipBlock);
  if (nodes !== undefined) {
    const text = selectorText(nodes);
    return text === undefined ? undefined : { nodes: text };
  }
  const [pods, namespaces] = [selectorText(podSelector ?? {}), selectorText(namespaceSelector ?? {})];
  return pods === undefined || namespaces === undefined ? undefined : { ...NO_PEER, pods, namespaces };
}

/** A hole that is not understood is none that could be left open. */
function blockOf({ cidr, except = [] }: NonNullable<PeerSpec['ipBlock']>): Peer | undefined {
  const whole = parseCidr(cidr, true);
  const holes = except.flatMap((one) => parseCidr(one, true) ?? []);
  if (whole === undefined || holes.length < except.length) return undefined;
  return { ...NO_PEER, cidr: formatCidr(whole), except: holes.map(formatCidr) };
}

/** Undefined: it is not understood. */
function portOf({ protocol = 'TCP', port, endPort }: PortSpec): RulePort | undefined {
  if (protocol === 'ICMP') return port === undefined ? { protocol, port: null, end_port: null } : undefined;
  if (protocol !== 'TCP' && protocol !== 'UDP' && protocol !== 'SCTP') return undefined;
  return { protocol, port: port ?? null, end_port: endPort ?? null };
}

function hostPeer(address: string): Peer {
  return { ...NO_PEER, cidr: `${address}/${address.includes(':') ? 128 : 32}` };
}
