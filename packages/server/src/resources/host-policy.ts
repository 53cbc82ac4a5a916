/** Policies for hosts themselves (docs/design/host-policies.md). */
import { type AnyObject, type Host, type HostPolicy, parseLabelSelector } from '@cable/model';
import { type Broken, type Contribution, contribute } from '../engine/module.ts';
import { acknowledgedRevision, refusedEntries } from '../hosts/acknowledgements.ts';
import type { Tables } from '../tables.ts';
import { canonical, exceptProblem, invalid, noSelector, portProblem, refuseOther } from './network-policy.ts';

type Rule = HostPolicy['rules'][number];
type Peer = NonNullable<Rule['peers']>[number];
type RulePort = NonNullable<Rule['ports']>[number];

/** Stands for all hosts. */
const ALL_HOSTS = '*';

/** What an agent says that knows such policies. */
const FEATURE = 'host-policies';

/** Hosts of which it is said why it is not in force there. */
const MOST_TOLD = 100;

/** Selectors are stored in their one text; what a rule leaves out is stored as null. */
export const hostPolicyModule: Contribution<AnyObject> = contribute<HostPolicy>({
  derive: (planning, given) => {
    refuseOther(planning, 'cluster', `${given.cluster ?? ''}/`);
    return given.rules === undefined ? {} : { rules: given.rules.map(completedRule) };
  },
  change: (_planning, _before, after) => ({ rules: after.rules.map(completedRule) }),
  check: (_view, policy) => {
    const problem = policyProblem(policy);
    if (problem !== undefined) throw invalid(problem);
  },
  *broken(_look, policy): Iterable<Broken> {
    const detail = policyProblem(policy);
    if (detail !== undefined) yield { rule: 'a policy for hosts can be put in force', detail };
  },
  present: (tables, policy) => {
    const hosts = selectedHosts(tables, policy);
    const revision = tables.modRevision('host_policy', policy.id) ?? 0;
    const notInForce = hosts.flatMap((host) => {
      const reason = waitsFor(tables, host, revision);
      return reason === undefined ? [] : [{ host_id: host.id, reason }];
    });
    return {
      selected_hosts: hosts.length,
      hosts_in_force: hosts.length - notInForce.length,
      not_in_force: notInForce.slice(0, MOST_TOLD),
    };
  },
});

/** Of the hosts that are there. */
function selectedHosts(tables: Tables, { cluster, hosts }: HostPolicy): readonly Host[] {
  const table = tables.of('host');
  const named = hosts.includes(ALL_HOSTS) ? [...table.values()] : hosts.flatMap((id) => table.get(id) ?? []);
  return named.filter((host) => cluster === null || host.cluster === cluster);
}

/** Why a policy that was written at the revision is not in force on the host; undefined: it is. */
function waitsFor(tables: Tables, host: Host, revision: number): string | undefined {
  if (!host.features.includes(FEATURE))
    return 'its agent is older and knows no such policies: nothing is refused there. Upgrade it';
  if (tables.of('alive').get(host.id) === undefined)
    return 'its agent is not alive: what was in force there before stays';
  const refused = refusedEntries(tables, host.id)?.hostPolicies;
  if (refused !== undefined) return `${refused}: what was in force there before stays`;
  const programmed = acknowledgedRevision(tables, host.id);
  return programmed !== null && programmed >= revision ? undefined : 'its agent has not said yet that it is';
}

function completedRule({ direction, peers = null, ports = null }: Partial<Rule> & Pick<Rule, 'direction'>): Rule {
  return {
    direction,
    peers: peers === null ? null : peers.map(completedPeer),
    ports: ports === null ? null : ports.map((one) => ({ ...NO_PORT, ...one })),
  };
}

const NO_PORT: RulePort = { protocol: 'TCP', port: null, end_port: null };

function completedPeer({
  cidr = null,
  except = [],
  pods = null,
  namespaces = null,
  address_group_id: group = null,
}: Partial<Peer>): Peer {
  return {
    ...{ cidr, except },
    pods: pods === null ? null : canonical(pods),
    namespaces: namespaces === null ? null : canonical(namespaces),
    address_group_id: group,
  };
}

/** What is wrong whatever else there is; undefined: nothing. */
function policyProblem({ directions, cluster, rules }: HostPolicy): string | undefined {
  if (directions.length === 0) return 'directions is empty: give ingress, egress, or both';
  for (const [at, { peers, ports }] of rules.entries()) {
    for (const [place, peer] of (peers ?? []).entries()) {
      const problem = peerProblem(peer, cluster);
      if (problem !== undefined) return `rules[${at}]: peers[${place}]: ${problem}`;
    }
    for (const [place, { protocol, port, end_port }] of (ports ?? []).entries()) {
      const isBare = protocol !== 'ICMP' || (port === null && end_port === null);
      const problem = isBare
        ? portProblem({ protocol: 'TCP', port, end_port, port_name: null })
        : 'ICMP has no ports: leave port and end_port out';
      if (problem !== undefined) return `rules[${at}]: ports[${place}]: ${problem}`;
    }
  }
  return undefined;
}

function peerProblem(
  { cidr, except, pods, namespaces, address_group_id: group }: Peer,
  cluster: string | null,
): string | undefined {
  if ([cidr, pods ?? namespaces, group].filter((one) => one !== null).length !== 1)
    return 'give one of cidr, pods with namespaces (each empty: all), and address_group_id';
  if (cidr === null && except.length > 0) return 'except goes with cidr';
  if (cidr !== null) return exceptProblem(cidr, except);
  if (group !== null) return undefined;
  if (cluster === null) return 'pods are those of a cluster: give the policy one';
  if (pods === null || namespaces === null) return 'give pods and namespaces (each empty: all)';
  if (parseLabelSelector(pods) === undefined) return noSelector('pods', pods);
  return parseLabelSelector(namespaces) === undefined ? noSelector('namespaces', namespaces) : undefined;
}
