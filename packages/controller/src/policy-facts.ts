/** What is kept of NetworkPolicies and namespaces, in the words that Cable has for them. */
import type { KubeKind, KubeObject } from '@cable/kube';
import { formatLabelSelector, type LabelRequirement, type NetworkPolicy } from '@cable/model';
import { askedLog } from './policy-log.ts';

export const NETWORK_POLICIES: KubeKind = {
  ...{ group: 'networking.k8s.io', version: 'v1' },
  ...{ plural: 'networkpolicies', isNamespaced: true },
};

/** Of the API reference, `LabelSelector`. */
export type SelectorSpec = {
  readonly matchLabels?: Readonly<Record<string, string>>;
  readonly matchExpressions?: readonly {
    readonly key: string;
    readonly operator: string;
    readonly values?: readonly string[];
  }[];
};

type PeerSpec = {
  readonly podSelector?: SelectorSpec;
  readonly namespaceSelector?: SelectorSpec;
  readonly ipBlock?: { readonly cidr: string; readonly except?: readonly string[] };
};

type PortSpec = {
  readonly protocol?: string;
  readonly port?: number | string;
  readonly endPort?: number;
};

/** A NetworkPolicy, as far as it is read (API reference, `networking.k8s.io/v1`). */
export type NetworkPolicyObject = KubeObject & {
  readonly spec?: {
    readonly podSelector?: SelectorSpec;
    readonly policyTypes?: readonly string[];
    readonly ingress?: readonly { readonly from?: readonly PeerSpec[]; readonly ports?: readonly PortSpec[] }[];
    readonly egress?: readonly { readonly to?: readonly PeerSpec[]; readonly ports?: readonly PortSpec[] }[];
  };
};

export type PolicyBody = Pick<NetworkPolicy, 'name' | 'pods' | 'directions' | 'log' | 'rules'>;

export type PolicyFacts = {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly body: PolicyBody;
  /** Why nothing of it is written down, though something is asked for; undefined: nothing is wrong. */
  readonly logProblem: string | undefined;
};

type Rule = PolicyBody['rules'][number];
type Peer = NonNullable<Rule['peers']>[number];
type PolicyPort = NonNullable<Rule['ports']>[number];

/** What of a peer or a port is not understood is left out of its list, and an empty list allows nothing: a newer API server may have kinds that are not known here. */
export function policyFacts({ metadata, spec = {} }: NetworkPolicyObject): PolicyFacts {
  const { namespace = '', name, uid = '' } = metadata;
  const { podSelector = {}, policyTypes, ingress = [], egress = [] } = spec;
  const types = policyTypes ?? (egress.length > 0 ? ['Ingress', 'Egress'] : ['Ingress']);
  const directions = (['ingress', 'egress'] as const).filter((one) => types.some((type) => type.toLowerCase() === one));
  const rules = [
    ...ingress.map(({ from, ports }) => ruleOf('ingress', from, ports)),
    ...egress.map(({ to, ports }) => ruleOf('egress', to, ports)),
  ].filter(({ direction }) => directions.includes(direction));
  // One whose selector is not understood isolates all pods: somebody is to be kept out.
  const pods = selectorText(podSelector) ?? '';
  const { log, problem: logProblem } = askedLog(metadata.annotations);
  return { namespace, name, uid, body: { name: `${namespace}/${name}`, pods, directions, log, rules }, logProblem };
}

/** A list that is not there, or empty, is everybody's. */
function ruleOf(direction: Rule['direction'], peers: readonly PeerSpec[] = [], ports: readonly PortSpec[] = []): Rule {
  return {
    direction,
    peers: peers.length === 0 ? null : peers.flatMap(peerOf),
    ports: ports.length === 0 ? null : ports.flatMap(portOf),
  };
}

function peerOf({ podSelector, namespaceSelector, ipBlock }: PeerSpec): readonly Peer[] {
  if (ipBlock !== undefined) {
    return [{ pods: null, namespaces: null, cidr: ipBlock.cidr, except: [...(ipBlock.except ?? [])] }];
  }
  if (podSelector === undefined && namespaceSelector === undefined) return [];
  const pods = selectorText(podSelector ?? {});
  const namespaces = namespaceSelector === undefined ? null : selectorText(namespaceSelector);
  return pods === undefined || namespaces === undefined ? [] : [{ pods, namespaces, cidr: null, except: [] }];
}

function portOf({ protocol = 'TCP', port, endPort }: PortSpec): readonly PolicyPort[] {
  if (protocol !== 'TCP' && protocol !== 'UDP' && protocol !== 'SCTP') return [];
  if (typeof port === 'string') return [{ protocol, port: null, end_port: null, port_name: port }];
  return [{ protocol, port: port ?? null, end_port: endPort ?? null, port_name: null }];
}

/** Undefined: it asks for what is not known here. */
export function selectorText({ matchLabels = {}, matchExpressions = [] }: SelectorSpec): string | undefined {
  const equal = Object.entries(matchLabels).map(
    ([key, value]): LabelRequirement => ({ key, operator: 'In', values: [value] }),
  );
  const others = matchExpressions.map(requirementOf);
  if (others.includes(undefined)) return undefined;
  return formatLabelSelector([...equal, ...(others as readonly LabelRequirement[])]);
}

function requirementOf({
  key,
  operator,
  values = [],
}: NonNullable<SelectorSpec['matchExpressions']>[number]): LabelRequirement | undefined {
  if (operator === 'In' || operator === 'NotIn') return { key, operator, values };
  return operator === 'Exists' || operator === 'DoesNotExist' ? { key, operator } : undefined;
}

/** Labels as Cable has them, in one order. */
export function labelTexts(labels: Readonly<Record<string, string>> = {}): readonly string[] {
  return Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .sort();
}
