/** Network policies of Kubernetes: which a pod has, what they allow, and which pods are meant (docs/design/network-policy.md). */
import { type NetworkPolicyRule, parseLabels, type SliceKey, selects } from '@cable/model';
import { compareText, isBound, type NetworkPolicyRow, type PortRow } from '../compiler-tables.ts';
import { type ComputedItem, defineKind, type Kind } from '../kind.ts';
import type { Reader } from '../reader.ts';
import { clusterPoliciesOf } from './cluster-policies.ts';
import { groupMember } from './group.ts';
import {
  atName,
  bounded,
  clusterOf,
  loggedPolicy,
  NONE,
  namedText,
  peersOf,
  portsOf,
  type Rule,
  refsOf,
  ruleOf,
  selectorOf,
  sentToName,
  splitId,
} from './policy-parts.ts';

/** Isolates, and allows nothing. */
export const NO_POLICIES: SliceKey = 'network_policies:';

/** Stands before what policies of the cluster are asked besides, and again before the private subnets. */
const BESIDES = '|';

/** The slice of the network policies that select the port's pod, as a host needs it; undefined: none does. Where it is not known which do it is that of no policies. */
export function networkPoliciesOf(reader: Reader, port: PortRow): SliceKey | undefined {
  const namespace = port['cable:namespace'];
  if (namespace === null) return undefined;
  const labels = parseLabels(port['cable:labels']);
  const tiers = clusterPoliciesOf(reader, port, namespace, labels);
  if (tiers === null) return NO_POLICIES;
  const mine = reader
    .by('network_policy', 'namespace', namespace)
    .filter(({ pods }) => selects(selectorOf(pods), labels));
  const of = tiers === undefined ? '' : `${BESIDES}${idOf(tiers)}`;
  if (mine.length === 0)
    return of === '' ? undefined : `network_policies:${clusterOf(namespace)}/${NONE}/${NONE}/${of}`;
  const names = new Set(mine.flatMap(namesAtIngress));
  const named = port['cable:named_ports'].filter(({ name, protocol }) => names.has(`${name}:${protocol}`));
  const ids = mine.map(({ id }) => id).sort(compareText);
  return `network_policies:${namespace}/${namedText(named)}/${ids.join('+')}${of}`;
}

/** What a port is asked that has these policies (undefined: none), and is in these private subnets. */
export function withPrivateSubnets(policies: SliceKey | undefined, privateIn: SliceKey): SliceKey {
  const asked = policies ?? `network_policies:${NONE}/${NONE}/${NONE}/`;
  return `${asked}${asked.includes(BESIDES) ? '' : BESIDES}${BESIDES}${idOf(privateIn)}`;
}

/**
 * The policies of one set of pods. `id`: cluster, namespace, the named ports that the policies ask for where pods receive (`name:protocol:port`, joined by
 * `+`; `-`: none), and the policies' ids, sorted, joined by `+`. Where policies of the cluster select them, too, `|` and the id of their slice follows; where these alone
 * do, the namespace is `-`, and there are no ids. Of ports in private subnets another `|` follows, and the id of the slice of these. Empty: of who may pass nothing, whatever
 * policies say.
 */
export const networkPoliciesKind: Kind = defineKind({
  name: 'network_policies',
  header: (reader, id) => {
    if (id === '') return { value: { id, ingress: true, egress: true }, refs: [] };
    const rows = idsOf(id).flatMap((one) => reader.get('network_policy', one) ?? []);
    const isolates = new Set(rows.flatMap(({ directions }) => directions));
    const isolation = { id, ingress: isolates.has('ingress'), egress: isolates.has('egress') };
    const [tiers, privateIn] = besidesOf(id);
    const logged = rows.flatMap((row) => loggedPolicy('NetworkPolicy', row));
    return {
      value: {
        ...isolation,
        ...(logged.length === 0 ? {} : { logged }),
        ...(tiers === undefined ? {} : { tiers }),
        ...(privateIn === undefined ? {} : { privateIn }),
      },
      refs: [tiers, privateIn].filter((one) => one !== undefined),
    };
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

type Item = ComputedItem & { readonly value: NetworkPolicyRule };

function policyItems(reader: Reader, policy: NetworkPolicyRow, sliceId: string): readonly Item[] {
  const received = namedOf(sliceId);
  const rules = policy.rules.flatMap((rule) =>
    policy.directions.includes(rule.direction) ? ruleParts(reader, policy, rule, received) : [],
  );
  // What would bring more than hosts can take allows nothing.
  return bounded(rules, (rule) => ({ ...rule, peers: [] })).map((value, at) => ({
    ...{ key: `${policy.id}/${at}`, value, refs: refsOf(value) },
  }));
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

/** Names of ports that the policy asks for where pods receive, each with its protocol. */
function namesAtIngress({ rules }: NetworkPolicyRow): readonly string[] {
  return rules.flatMap(({ direction, ports }) =>
    direction === 'egress'
      ? []
      : (ports ?? []).flatMap(({ port_name, protocol }) => (port_name === null ? [] : [`${port_name}:${protocol}`])),
  );
}

function namespaceOf(sliceId: string): string {
  return splitId(sliceId, 2).before.join('/');
}

function namedOf(sliceId: string): readonly string[] {
  const text = splitId(sliceId, 3).before[2] ?? NONE;
  return text === NONE ? [] : text.split('+');
}

function idsOf(sliceId: string): readonly string[] {
  const [ids = ''] = splitId(sliceId, 3).rest.split(BESIDES);
  return ids === '' ? [] : ids.split('+');
}

/** The slices of policies of the cluster, and of private subnets. */
function besidesOf(sliceId: string): readonly [SliceKey | undefined, SliceKey | undefined] {
  const [, tiers = '', privateIn = ''] = sliceId.split(BESIDES);
  return [
    tiers === '' ? undefined : `cluster_policies:${tiers}`,
    privateIn === '' ? undefined : `private_subnets:${privateIn}`,
  ];
}

function idOf(key: SliceKey): string {
  return key.slice(key.indexOf(':') + 1);
}
