/** Network policies of Kubernetes: which a pod has, what they allow, and which pods are meant (docs/design/network-policy.md). */
import {
  type LabelSelector,
  type NetworkPolicyPeer,
  type NetworkPolicyPorts,
  type NetworkPolicyRule,
  parseLabelSelector,
  parseLabels,
  type SliceKey,
  selects,
} from '@cable/model';
import { compareText, isBound, type NetworkPolicyRow, type PortRow } from '../compiler-tables.ts';
import { type ComputedItem, defineKind, type Kind } from '../kind.ts';
import type { Reader } from '../reader.ts';
import { groupMember } from './group.ts';

type Rule = NetworkPolicyRow['rules'][number];
type Peer = NonNullable<Rule['peers']>[number];
type PolicyPort = NonNullable<Rule['ports']>[number];
type NamedPort = PortRow['cable:named_ports'][number];

/** IANA numbers. */
const PROTOCOLS = { TCP: 6, UDP: 17, SCTP: 132 } as const;

/** Stands for no name of a port, and for no condition on ports. */
const NONE = '-';

/** The slice of the network policies that select the port's pod, as a host needs it; undefined: none does. */
export function networkPoliciesOf(reader: Reader, port: PortRow): SliceKey | undefined {
  const namespace = port['cable:namespace'];
  if (namespace === null) return undefined;
  const labels = parseLabels(port['cable:labels']);
  const mine = reader
    .by('network_policy', 'namespace', namespace)
    .filter(({ pods }) => selects(selectorOf(pods), labels));
  if (mine.length === 0) return undefined;
  const names = new Set(mine.flatMap(namesAtIngress));
  const named = port['cable:named_ports'].filter(({ name, protocol }) => names.has(`${name}:${protocol}`));
  const ids = mine.map(({ id }) => id).sort(compareText);
  return `network_policies:${namespace}/${namedText(named)}/${ids.join('+')}`;
}

/**
 * The policies of one set of pods. `id`: cluster, namespace, the named ports that the policies ask for where pods receive (`name:protocol:port`, joined by
 * `+`; `-`: none), and the policies' ids, sorted, joined by `+`.
 */
export const networkPoliciesKind: Kind = defineKind({
  name: 'network_policies',
  header: (reader, id) => {
    const rows = idsOf(id).flatMap((one) => reader.get('network_policy', one) ?? []);
    const isolates = new Set(rows.flatMap(({ directions }) => directions));
    return { value: { id, ingress: isolates.has('ingress'), egress: isolates.has('egress') }, refs: [] };
  },
  items: {
    table: 'network_policy',
    index: 'namespace',
    sourceKeys: (id) => [namespaceOf(id)],
    compute: (reader, policy, id) => (idsOf(id).includes(policy.id) ? policyItems(reader, policy, id) : []),
  },
});

/** Pods of a namespace that a selector selects. `id`: cluster, namespace, a named port that they have (`-`: any will do), the selector. */
export const podsKind: Kind = defineKind({
  name: 'pods',
  header: (_reader, id) => ({ value: { id }, refs: [] }),
  items: {
    table: 'port',
    index: 'cable:namespace',
    sourceKeys: (id) => [splitId(id, 2).before.join('/')],
    compute: (_reader, port, id) => {
      const { rest } = splitId(id, 2);
      return member(port, rest);
    },
  },
});

/** The same of a whole cluster. `id`: cluster, named port, selector. */
export const clusterPodsKind: Kind = defineKind({
  name: 'cluster_pods',
  header: (_reader, id) => ({ value: { id }, refs: [] }),
  items: {
    table: 'port',
    index: 'cable:cluster',
    sourceKeys: (id) => [splitId(id, 1).before.join('/')],
    compute: (_reader, port, id) => {
      const { rest } = splitId(id, 1);
      return port['cable:namespace'] === null ? [] : member(port, rest);
    },
  },
});

/** `condition`: named port and selector. */
function member(port: PortRow, condition: string) {
  const { before, rest: selector } = splitId(condition, 1);
  const [named = NONE] = before;
  if (!isBound(port) || !selects(selectorOf(selector), parseLabels(port['cable:labels']))) return [];
  if (named !== NONE && !port['cable:named_ports'].some((one) => namedText([one]) === named)) return [];
  return [{ key: port.id, value: groupMember(port), refs: [] }];
}

/** Slices of pods that the rules of one policy may name: peers times namespaces. */
const MOST_SLICES = 4096;

type Item = ComputedItem & { readonly value: NetworkPolicyRule };

function policyItems(reader: Reader, policy: NetworkPolicyRow, sliceId: string): readonly Item[] {
  const received = namedOf(sliceId);
  const rules = policy.rules.flatMap((rule) =>
    policy.directions.includes(rule.direction) ? ruleParts(reader, policy, rule, received) : [],
  );
  let named = 0;
  return rules.map((value, at) => {
    const refs = refsOf(value);
    named += refs.length;
    // What would bring more than hosts can take allows nothing.
    const bounded = named > MOST_SLICES ? { ...value, peers: [] } : value;
    return { key: `${policy.id}/${at}`, value: bounded, refs: refsOf(bounded) };
  });
}

function refsOf({ peers = [] }: NetworkPolicyRule): readonly SliceKey[] {
  return [...new Set(peers.flatMap((peer) => peer.pods ?? []))];
}

/** One for the ports that are numbers, and where it sends one for each number that a name has at its peers. */
function ruleParts(
  reader: Reader,
  policy: NetworkPolicyRow,
  { direction, peers, ports }: Rule,
  received: readonly string[],
): readonly NetworkPolicyRule[] {
  const base = { policyId: policy.id, direction };
  const whom = (named: string) => (peers === null ? undefined : peersOf(reader, policy, peers, named));
  if (ports === null) return [ruleOf(base, whom(NONE), undefined)];
  const numbers = ports.filter((port) => port.port_name === null).map(portsOf);
  const names = ports.filter((port) => port.port_name !== null);
  if (direction === 'ingress') {
    const own = names.flatMap(({ port_name, protocol }) => received.flatMap((one) => atName(one, port_name, protocol)));
    return [ruleOf(base, whom(NONE), [...numbers, ...own])];
  }
  const plain = numbers.length === 0 ? [] : [ruleOf(base, whom(NONE), numbers)];
  return [...plain, ...names.flatMap((port) => sentToName(reader, policy, base, peers, port))];
}

type RuleBase = Pick<NetworkPolicyRule, 'policyId' | 'direction'>;

function ruleOf(
  base: RuleBase,
  peers: readonly NetworkPolicyPeer[] | undefined,
  ports: readonly NetworkPolicyPorts[] | undefined,
): NetworkPolicyRule {
  return { ...base, ...(peers === undefined ? {} : { peers }), ...(ports === undefined ? {} : { ports }) };
}

/** To peers that call a port so, at the number that each of them has for it. A prefix calls nothing so. */
function sentToName(
  reader: Reader,
  policy: NetworkPolicyRow,
  base: RuleBase,
  peers: Rule['peers'],
  { port_name: name, protocol }: PolicyPort,
): readonly NetworkPolicyRule[] {
  const everybody: Peer = { pods: '', namespaces: '', cidr: null, except: [] };
  const pods = (peers ?? [everybody]).filter((peer) => peer.cidr === null);
  const named = new Map<string, NamedPort>();
  for (const port of portsAmong(reader, policy, pods)) {
    for (const one of port['cable:named_ports']) {
      if (one.name === name && one.protocol === protocol) named.set(namedText([one]), one);
    }
  }
  return [...named]
    .sort(([a], [b]) => compareText(a, b))
    .map(([text, { port }]) =>
      ruleOf(base, peersOf(reader, policy, pods, text), [{ protocol: PROTOCOLS[protocol], first: port, last: port }]),
    );
}

/** Ports of all namespaces that peers name. */
function portsAmong(reader: Reader, policy: NetworkPolicyRow, peers: readonly Peer[]): readonly PortRow[] {
  const cluster = clusterOf(policy.namespace);
  if (peers.some(({ namespaces }) => namespaces === '')) return reader.by('port', 'cable:cluster', cluster);
  const names = new Set(peers.flatMap(({ namespaces }) => namespacesOf(reader, policy, namespaces)));
  return [...names].flatMap((name) => reader.by('port', 'cable:namespace', name));
}

function peersOf(
  reader: Reader,
  policy: NetworkPolicyRow,
  peers: readonly Peer[],
  named: string,
): readonly NetworkPolicyPeer[] {
  return peers.map(({ pods, namespaces, cidr, except }): NetworkPolicyPeer => {
    if (cidr !== null) return { cidr, except: [...except] };
    if (namespaces === '') return { pods: [`cluster_pods:${clusterOf(policy.namespace)}/${named}/${pods ?? ''}`] };
    const names = namespacesOf(reader, policy, namespaces);
    return { pods: names.map((name): SliceKey => `pods:${name}/${named}/${pods ?? ''}`) };
  });
}

/** Null: that of the policy. */
function namespacesOf(reader: Reader, { namespace }: NetworkPolicyRow, selector: string | null): readonly string[] {
  if (selector === null) return [namespace];
  const asked = selectorOf(selector);
  return reader
    .by('kubernetes_namespace', 'cluster', clusterOf(namespace))
    .filter(({ labels }) => selects(asked, parseLabels(labels)))
    .map(({ name }) => name)
    .sort(compareText);
}

function portsOf({ protocol, port, end_port: end }: PolicyPort): NetworkPolicyPorts {
  return { protocol: PROTOCOLS[protocol], ...(port === null ? {} : { first: port, last: end ?? port }) };
}

/** `one`: a named port as text. */
function atName(one: string, name: string | null, protocol: PolicyPort['protocol']): readonly NetworkPolicyPorts[] {
  const [its, of, number] = one.split(':');
  if (its !== name || of !== protocol) return [];
  return [{ protocol: PROTOCOLS[protocol], first: Number(number), last: Number(number) }];
}

/** Names of ports that the policy asks for where pods receive, each with its protocol. */
function namesAtIngress({ rules }: NetworkPolicyRow): readonly string[] {
  return rules.flatMap(({ direction, ports }) =>
    direction === 'egress'
      ? []
      : (ports ?? []).flatMap(({ port_name, protocol }) => (port_name === null ? [] : [`${port_name}:${protocol}`])),
  );
}

function namedText(named: readonly NamedPort[]): string {
  const texts = named.map(({ name, protocol, port }) => `${name}:${protocol}:${port}`);
  return texts.length === 0 ? NONE : [...new Set(texts)].sort(compareText).join('+');
}

function namespaceOf(sliceId: string): string {
  return splitId(sliceId, 2).before.join('/');
}

function namedOf(sliceId: string): readonly string[] {
  const text = splitId(sliceId, 3).before[2] ?? NONE;
  return text === NONE ? [] : text.split('+');
}

function idsOf(sliceId: string): readonly string[] {
  return splitId(sliceId, 3).rest.split('+');
}

function clusterOf(namespace: string): string {
  return namespace.slice(0, namespace.indexOf('/'));
}

/** The first parts, and what is behind them: a selector has slashes of its own. */
function splitId(id: string, parts: number): { readonly before: readonly string[]; readonly rest: string } {
  const before: string[] = [];
  let rest = id;
  for (let part = 0; part < parts; part += 1) {
    const at = rest.indexOf('/');
    before.push(at < 0 ? rest : rest.slice(0, at));
    rest = at < 0 ? '' : rest.slice(at + 1);
  }
  return { before, rest };
}

const PARSED = new Map<string, LabelSelector>();
const PARSED_MAX = 10_000;

/** Of text that is none, which no server writes: one that selects nothing. */
function selectorOf(text: string): LabelSelector {
  const known = PARSED.get(text);
  if (known !== undefined) return known;
  const parsed = parseLabelSelector(text) ?? NOTHING;
  if (PARSED.size >= PARSED_MAX) PARSED.clear();
  PARSED.set(text, parsed);
  return parsed;
}

const NOTHING: LabelSelector = [
  { key: 'nothing', operator: 'Exists' },
  { key: 'nothing', operator: 'DoesNotExist' },
];
