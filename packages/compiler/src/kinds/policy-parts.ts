/** What the kinds of network policies have in common: parts of rules, and selectors (docs/design/network-policy.md). */
import {
  type LabelSelector,
  type LoggedPolicy,
  type NetworkPolicyPeer,
  type NetworkPolicyPorts,
  type NetworkPolicyRule,
  POLICY_SLICES_MAX,
  parseLabelSelector,
  parseLabels,
  type SliceKey,
  selects,
} from '@cable/model';
import { compareText, type NetworkPolicyRow, type PortRow } from '../compiler-tables.ts';
import type { Reader } from '../reader.ts';

export type Rule = NetworkPolicyRow['rules'][number];
export type Peer = NonNullable<Rule['peers']>[number];
export type PolicyPort = NonNullable<Rule['ports']>[number];
type NamedPort = PortRow['cable:named_ports'][number];

/** IANA numbers. */
export const PROTOCOLS = { TCP: 6, UDP: 17, SCTP: 132 } as const;

/** Stands for no name of a port, and for no condition on ports. */
export const NONE = '-';

/** Closes the rules that name more slices than are left of `POLICY_SLICES_MAX` when they are taken in their order; others stand. */
export function bounded<R extends NetworkPolicyRule>(rules: readonly R[], closed: (rule: R) => R): readonly R[] {
  const named = new Set<SliceKey>();
  return rules.map((rule) => {
    const more = refsOf(rule).filter((key) => !named.has(key));
    if (named.size + more.length > POLICY_SLICES_MAX) return closed(rule);
    for (const key of more) named.add(key);
    return rule;
  });
}

export function refsOf({ peers = [] }: NetworkPolicyRule): readonly SliceKey[] {
  return [...new Set(peers.flatMap((peer) => peer.pods ?? []))];
}

export type RuleBase = Pick<NetworkPolicyRule, 'policyId' | 'direction'>;

/** Where a policy is: `<cluster>/<namespace>`; of one of the whole cluster the namespace is `-`. */
export type PolicyPlace = Pick<NetworkPolicyRow, 'namespace'>;

export function ruleOf(
  base: RuleBase,
  peers: readonly NetworkPolicyPeer[] | undefined,
  ports: readonly NetworkPolicyPorts[] | undefined,
): NetworkPolicyRule {
  return { ...base, ...(peers === undefined ? {} : { peers }), ...(ports === undefined ? {} : { ports }) };
}

/** What hosts are told of a policy of which they write something down; else nothing. */
export function loggedPolicy(
  kind: string,
  {
    id,
    name,
    log,
    directions,
  }: Pick<NetworkPolicyRow, 'id' | 'name' | 'log'> & Partial<Pick<NetworkPolicyRow, 'directions'>>,
): readonly LoggedPolicy[] {
  // A row of before has no `log`.
  const [accepts, drops] = [log === 'allow' || log === 'all', log === 'drop' || log === 'all'];
  if (!accepts && !drops) return [];
  return [{ id, kind, name, accepts, drops, ...(directions === undefined ? {} : { directions }) }];
}

/** To peers that call a port so, at the number that each of them has for it: of each number only namespaces where some that is selected has it. A prefix calls nothing so. */
export function sentToName(
  reader: Reader,
  policy: PolicyPlace,
  base: RuleBase,
  peers: Rule['peers'],
  { port_name: name, protocol }: PolicyPort,
): readonly NetworkPolicyRule[] {
  const everybody: Peer = { pods: '', namespaces: '', cidr: null, except: [] };
  const pods = (peers ?? [everybody]).filter((peer) => peer.cidr === null);
  const found = new Map<string, { readonly port: number; readonly peers: Map<Peer, Set<string>> }>();
  for (const peer of pods) {
    for (const port of portsOfPeer(reader, policy, peer)) {
      for (const one of port['cable:named_ports']) {
        if (one.name !== name || one.protocol !== protocol) continue;
        const text = namedText([one]);
        const { peers: those } = getOrMake(found, text, () => ({
          port: one.port,
          peers: new Map<Peer, Set<string>>(),
        }));
        getOrMake(those, peer, () => new Set<string>()).add(port['cable:namespace'] ?? '');
      }
    }
  }
  return [...found]
    .sort(([a], [b]) => compareText(a, b))
    .map(([text, { port, peers: those }]) => {
      const whom = pods.flatMap((peer) => {
        const names = those.get(peer);
        return names === undefined ? [] : [podsPeer(policy, peer, text, [...names].sort(compareText))];
      });
      return ruleOf(base, whom, [{ protocol: PROTOCOLS[protocol], first: port, last: port }]);
    });
}

/** Ports of the pods that a peer means. */
function portsOfPeer(reader: Reader, policy: PolicyPlace, { namespaces, pods }: Peer): readonly PortRow[] {
  const all =
    namespaces === ''
      ? reader.by('port', 'cable:cluster', clusterOf(policy.namespace))
      : namespacesOf(reader, policy, namespaces).flatMap((name) => reader.by('port', 'cable:namespace', name));
  const asked = selectorOf(pods ?? '');
  return all.filter((port) => port['cable:namespace'] !== null && selects(asked, parseLabels(port['cable:labels'])));
}

function getOrMake<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const known = map.get(key);
  if (known !== undefined) return known;
  const made = make();
  map.set(key, made);
  return made;
}

export function peersOf(
  reader: Reader,
  policy: PolicyPlace,
  peers: readonly Peer[],
  named: string,
): readonly NetworkPolicyPeer[] {
  return peers.map((peer): NetworkPolicyPeer => {
    if (peer.cidr !== null) return { cidr: peer.cidr, except: [...peer.except] };
    const names = peer.namespaces === '' ? [] : namespacesOf(reader, policy, peer.namespaces);
    return podsPeer(policy, peer, named, names);
  });
}

/** Of pods in these namespaces, or in the whole cluster where the peer means that. */
function podsPeer(
  policy: PolicyPlace,
  { pods, namespaces }: Peer,
  named: string,
  names: readonly string[],
): NetworkPolicyPeer {
  if (namespaces === '') return { pods: [`cluster_pods:${clusterOf(policy.namespace)}/${named}/${pods ?? ''}`] };
  return { pods: names.map((name): SliceKey => `pods:${name}/${named}/${pods ?? ''}`) };
}

/** Null: that of the policy. */
function namespacesOf(reader: Reader, { namespace }: PolicyPlace, selector: string | null): readonly string[] {
  if (selector === null) return [namespace];
  const asked = selectorOf(selector);
  return reader
    .by('kubernetes_namespace', 'cluster', clusterOf(namespace))
    .filter(({ labels }) => selects(asked, parseLabels(labels)))
    .map(({ name }) => name)
    .sort(compareText);
}

export function portsOf({ protocol, port, end_port: end }: PolicyPort): NetworkPolicyPorts {
  return { protocol: PROTOCOLS[protocol], ...(port === null ? {} : { first: port, last: end ?? port }) };
}

/** `one`: a named port as text. */
export function atName(
  one: string,
  name: string | null,
  protocol: PolicyPort['protocol'],
): readonly NetworkPolicyPorts[] {
  const [its, of, number] = one.split(':');
  if (its !== name || of !== protocol) return [];
  return [{ protocol: PROTOCOLS[protocol], first: Number(number), last: Number(number) }];
}

export function namedText(named: readonly NamedPort[]): string {
  const texts = named.map(({ name, protocol, port }) => `${name}:${protocol}:${port}`);
  return texts.length === 0 ? NONE : [...new Set(texts)].sort(compareText).join('+');
}

export function clusterOf(namespace: string): string {
  return namespace.slice(0, namespace.indexOf('/'));
}

/** The first parts, and what is behind them: a selector has slashes of its own. */
export function splitId(id: string, parts: number): { readonly before: readonly string[]; readonly rest: string } {
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
export function selectorOf(text: string): LabelSelector {
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
