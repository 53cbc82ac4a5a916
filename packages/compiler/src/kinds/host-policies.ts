/** Policies for hosts themselves: which a host has, and what they allow (docs/design/host-policies.md). */
import {
  type HostPolicyPeer,
  type HostPolicyRule,
  type NetworkPolicyPorts,
  POLICY_SLICES_MAX,
  type SliceKey,
} from '@cable/model';
import { compareText, type HostPolicyRow } from '../compiler-tables.ts';
import { type ComputedItem, defineKind, type Kind } from '../kind.ts';
import type { Reader } from '../reader.ts';
import { NONE, type Peer, PROTOCOLS, peersOf } from './policy-parts.ts';

type Rule = HostPolicyRow['rules'][number];
type RulePort = NonNullable<Rule['ports']>[number];
type RulePeer = NonNullable<Rule['peers']>[number];
type Item = ComputedItem & { readonly value: HostPolicyRule };

/** Stands for all hosts. */
const ALL_HOSTS = '*';

/** What an agent says that knows them. */
const FEATURE = 'host-policies';

const DIRECTIONS = ['ingress', 'egress'] as const;

/** IANA numbers, of both versions of IP. */
const ICMP = [1, 58] as const;

/** The slice of the policies for the host itself; undefined: it has none, or its agent does not know of them. */
export function hostPoliciesOf(reader: Reader, id: string): SliceKey | undefined {
  const rows = [...reader.by('host_policy', 'hosts', id), ...reader.by('host_policy', 'hosts', ALL_HOSTS)];
  if (rows.length === 0) return undefined;
  const host = reader.get('host', id);
  if (host?.features.includes(FEATURE) !== true) return undefined;
  const mine = rows.filter(({ cluster }) => cluster === null || cluster === host.cluster);
  const ids = [...new Set(mine.map((one) => one.id))].sort(compareText);
  return ids.length === 0 ? undefined : `host_policies:${ids.join('+')}`;
}

/** The policies of one set of hosts. `id`: their ids, sorted, joined by `+`. */
export const hostPoliciesKind: Kind = defineKind({
  name: 'host_policies',
  header: (reader, id) => {
    const rows = idsOf(id).flatMap((one) => reader.get('host_policy', one) ?? []);
    const isolates = new Set(rows.flatMap(({ directions }) => directions));
    const writes = rows.map(({ revision_number: number }) => number);
    return { value: { id, writes, ingress: isolates.has('ingress'), egress: isolates.has('egress') }, refs: [] };
  },
  items: {
    table: 'host_policy',
    index: 'directions',
    // All of them: they are few.
    sourceKeys: () => DIRECTIONS,
    compute: (reader, policy, id) => (idsOf(id).includes(policy.id) ? policyItems(reader, policy) : []),
  },
});

function policyItems(reader: Reader, policy: HostPolicyRow): readonly Item[] {
  const named = new Set<SliceKey>();
  return policy.rules.flatMap((rule, at): readonly Item[] => {
    if (!policy.directions.includes(rule.direction)) return [];
    const whole = ruleOf(reader, policy, rule);
    const more = refsOf(whole).filter((key) => !named.has(key));
    // What would bring more than hosts can take allows nothing.
    const value = named.size + more.length > POLICY_SLICES_MAX ? { ...whole, peers: [] } : whole;
    const refs = refsOf(value);
    for (const key of refs) named.add(key);
    return [{ key: `${policy.id}/${at}`, value, refs }];
  });
}

function ruleOf(reader: Reader, policy: HostPolicyRow, { direction, peers, ports }: Rule): HostPolicyRule {
  return {
    ...{ policyId: policy.id, direction },
    ...(peers === null ? {} : { peers: peers.flatMap((peer) => peerOf(reader, policy, peer)) }),
    ...(ports === null ? {} : { ports: ports.flatMap(portsOf) }),
  };
}

/** Pods go with a cluster: without one there are none. */
function peerOf(reader: Reader, { cluster }: HostPolicyRow, peer: RulePeer): readonly HostPolicyPeer[] {
  const { address_group_id: group, pods, namespaces, cidr, except } = peer;
  if (group !== null) return [{ addresses: `group:${group}` }];
  if (cidr === null && cluster === null) return [];
  const one: Peer = { pods, namespaces, cidr, except };
  return peersOf(reader, { namespace: `${cluster ?? NONE}/${NONE}` }, [one], NONE);
}

function portsOf({ protocol, port, end_port: end }: RulePort): readonly NetworkPolicyPorts[] {
  if (protocol === 'ICMP') return ICMP.map((one) => ({ protocol: one }));
  return [{ protocol: PROTOCOLS[protocol], ...(port === null ? {} : { first: port, last: end ?? port }) }];
}

function refsOf({ peers = [] }: HostPolicyRule): readonly SliceKey[] {
  return [...new Set(peers.flatMap((peer) => ('addresses' in peer ? [peer.addresses] : (peer.pods ?? []))))];
}

function idsOf(sliceId: string): readonly string[] {
  return sliceId.split('+');
}
