/** Network policies of a whole cluster: which of them a pod has, and what they say (docs/design/network-policy.md). */
import {
  type ClusterPolicyRule,
  type Labels,
  type LoggedPolicy,
  type NetworkPolicyPeer,
  parseLabels,
  type SliceKey,
  selects,
} from '@cable/model';
import { type ClusterNetworkPolicyRow, compareText, type PortRow } from '../compiler-tables.ts';
import { type ComputedItem, defineKind, type Kind } from '../kind.ts';
import type { Reader } from '../reader.ts';
import {
  atName,
  bounded,
  clusterOf,
  loggedPolicy,
  NONE,
  namedText,
  type Peer,
  peersOf,
  portsOf,
  refsOf,
  ruleOf,
  selectorOf,
  sentToName,
  splitId,
} from './policy-parts.ts';

type Row = ClusterNetworkPolicyRow;
type Rule = Row['rules'][number];
type Item = ComputedItem & { readonly value: ClusterPolicyRule };

/**
 * The slice of the cluster's policies that select the pod of a port; undefined: none does. Null: it is not known which do, as the namespace is not, and there are
 * some.
 */
export function clusterPoliciesOf(
  reader: Reader,
  port: PortRow,
  namespace: string,
  labels: Labels,
): SliceKey | null | undefined {
  const cluster = clusterOf(namespace);
  const all = reader.by('cluster_network_policy', 'cluster', cluster);
  if (all.length === 0) return undefined;
  const [known] = reader.by('kubernetes_namespace', 'name', namespace);
  if (known === undefined) return null;
  const there = parseLabels(known.labels);
  const mine = all.filter(
    ({ namespaces, pods }) => selects(selectorOf(namespaces), there) && selects(selectorOf(pods), labels),
  );
  if (mine.length === 0) return undefined;
  const names = new Set(mine.flatMap(namesAtIngress));
  const named = port['cable:named_ports'].filter(({ name, protocol }) => names.has(`${name}:${protocol}`));
  const ids = mine.map(({ id }) => id).sort(compareText);
  return `cluster_policies:${cluster}/${namedText(named)}/${ids.join('+')}`;
}

/** The policies of the cluster that some pods have. `id`: cluster, named ports as in `network_policies`, and the policies' ids, sorted, joined by `+`. */
export const clusterPoliciesKind: Kind = defineKind({
  name: 'cluster_policies',
  header: (reader, id) => {
    const domainExcept = exceptOf(reader, idsOf(id));
    const logged = idsOf(id).flatMap((one) => loggedOf(reader.get('cluster_network_policy', one)));
    return {
      value: {
        id,
        ...(domainExcept.length === 0 ? {} : { domainExcept }),
        ...(logged.length === 0 ? {} : { logged }),
      },
      refs: [],
    };
  },
  items: {
    table: 'cluster_network_policy',
    index: 'cluster',
    sourceKeys: (id) => [...splitId(id, 1).before],
    compute: (reader, policy, id) => (idsOf(id).includes(policy.id) ? policyItems(reader, policy, id) : []),
  },
});

/** The controller has its kind before its name. */
function loggedOf(row: Row | undefined): readonly LoggedPolicy[] {
  if (row === undefined) return [];
  const [kind, ...name] = row.name.split('/');
  const { id, log } = row;
  if (kind === undefined || name.length === 0) return loggedPolicy('ClusterNetworkPolicy', { id, name: row.name, log });
  return loggedPolicy(kind, { id, name: name.join('/'), log });
}

/** What no name means that any of the policies has. */
function exceptOf(reader: Reader, ids: readonly string[]): readonly string[] {
  const found = ids.flatMap((id) => {
    const policy = reader.get('cluster_network_policy', id);
    const hasNames =
      policy?.rules.some(({ peers }) => peers?.some(({ domain }) => typeof domain === 'string')) === true;
    return hasNames ? policy.domain_except : [];
  });
  return [...new Set(found)].sort(compareText);
}

function policyItems(reader: Reader, policy: Row, sliceId: string): readonly Item[] {
  const [, text = NONE] = splitId(sliceId, 2).before;
  const received = text === NONE ? [] : text.split('+');
  const rules = policy.rules.flatMap((_rule, at) => ruleParts(reader, policy, at, received));
  return bounded(rules, closed).map((value, at) => ({
    ...{ key: `${policy.id}/${at}`, value, refs: refsOf(value) },
  }));
}

function idsOf(sliceId: string): readonly string[] {
  return splitId(sliceId, 2).rest.split('+');
}

/** What would bring more than hosts can take allows nothing, and denies everything of its direction if it denies, or might leave it to who does. */
function closed({ policyId, direction, tier, order, action }: ClusterPolicyRule): ClusterPolicyRule {
  const base = { policyId, direction, tier, order };
  return action === 'allow' ? { ...base, action, peers: [] } : { ...base, action: 'deny' };
}

/** One for the ports that are numbers, and where it sends one for each number that a name has at its peers. */
function ruleParts(reader: Reader, policy: Row, at: number, received: readonly string[]): readonly ClusterPolicyRule[] {
  const { direction, action, peers, ports } = policy.rules[at] as Rule;
  const place = { namespace: `${policy.cluster}/${NONE}` };
  const base = { policyId: policy.id, direction };
  const others = { tier: policy.tier, order: orderOf(policy, at), action };
  const whom =
    peers === null
      ? null
      : // A row of before has no `domain` in its peers.
        peers.flatMap(({ domain, ...one }): Peer[] => (typeof domain === 'string' ? [] : [{ ...one, except: [] }]));
  const everybody = (): readonly NetworkPolicyPeer[] | undefined =>
    whom === null ? undefined : [...peersOf(reader, place, whom, NONE), ...domainPeers(peers)];
  if (ports === null) return [{ ...ruleOf(base, everybody(), undefined), ...others }];
  const numbers = ports.filter((port) => port.port_name === null).map(portsOf);
  const names = ports.filter((port) => port.port_name !== null);
  if (direction === 'ingress') {
    const own = names.flatMap(({ port_name, protocol }) => received.flatMap((one) => atName(one, port_name, protocol)));
    return [{ ...ruleOf(base, everybody(), [...numbers, ...own]), ...others }];
  }
  const plain = numbers.length === 0 ? [] : [ruleOf(base, everybody(), numbers)];
  const sent = names.flatMap((port) => sentToName(reader, place, base, whom, port));
  return [...plain, ...sent].map((one) => ({ ...one, ...others }));
}

/** All names of a rule are one peer: addresses of any of them have one class. */
function domainPeers(peers: Rule['peers']): readonly NetworkPolicyPeer[] {
  const domains = [...new Set((peers ?? []).flatMap(({ domain }) => domain ?? []))].sort(compareText);
  return domains.length === 0 ? [] : [{ pods: [], domains }];
}

/** Texts compare as the rules are asked: by priority, policy, and place in it. */
function orderOf({ priority, id }: Row, at: number): string {
  return `${String(priority).padStart(4, '0')} ${id} ${String(at).padStart(4, '0')}`;
}

function namesAtIngress({ rules }: Row): readonly string[] {
  return rules.flatMap(({ direction, ports }) =>
    direction === 'egress'
      ? []
      : (ports ?? []).flatMap(({ port_name, protocol }) => (port_name === null ? [] : [`${port_name}:${protocol}`])),
  );
}
