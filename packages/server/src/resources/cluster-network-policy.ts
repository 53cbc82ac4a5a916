/** Network policies of whole Kubernetes clusters. */
import { type AnyObject, type ClusterNetworkPolicy, parseDomainPattern, parseLabelSelector } from '@cable/model';
import { type Broken, type Contribution, contribute } from '../engine/module.ts';
import { canonical, invalid, NO_PORT, noSelector, portProblem, refuseOther } from './network-policy.ts';

type Rule = ClusterNetworkPolicy['rules'][number];
type Peer = NonNullable<Rule['peers']>[number];

/** Selectors are stored in their one text; what a rule leaves out is stored as null. */
export const clusterNetworkPolicyModule: Contribution<AnyObject> = contribute<ClusterNetworkPolicy>({
  derive: (planning, given) => {
    refuseOther(planning, 'cluster', `${given.cluster ?? ''}/`);
    return completed(given);
  },
  change: (_planning, _before, after) => completed(after),
  check: (_view, policy) => {
    const problem = policyProblem(policy);
    if (problem !== undefined) throw invalid(problem);
  },
  *broken(_look, policy): Iterable<Broken> {
    const detail = policyProblem(policy);
    if (detail !== undefined) yield { rule: 'a network policy of a cluster can be put in force', detail };
  },
});

function completed({ namespaces, pods, rules }: Partial<ClusterNetworkPolicy>): Partial<ClusterNetworkPolicy> {
  return {
    ...(namespaces === undefined ? {} : { namespaces: canonical(namespaces) }),
    ...(pods === undefined ? {} : { pods: canonical(pods) }),
    ...(rules === undefined ? {} : { rules: rules.map(completedRule) }),
  };
}

function completedRule({
  name = '',
  direction,
  action,
  peers = null,
  ports = null,
}: Partial<Rule> & Pick<Rule, 'direction' | 'action'>): Rule {
  return {
    ...{ name, direction, action },
    peers: peers === null ? null : peers.map(completedPeer),
    ports: ports === null ? null : ports.map((one) => ({ ...NO_PORT, ...one })),
  };
}

function completedPeer({ pods = null, namespaces = null, cidr = null, domain = null }: Partial<Peer>): Peer {
  return {
    pods: pods === null ? null : canonical(pods),
    namespaces: namespaces === null ? null : canonical(namespaces),
    cidr,
    domain: domain === null ? null : (parseDomainPattern(domain) ?? domain),
  };
}

/** What is wrong whatever else there is; undefined: nothing. */
function policyProblem({ namespaces, pods, rules }: ClusterNetworkPolicy): string | undefined {
  if (parseLabelSelector(namespaces) === undefined) return noSelector('namespaces', namespaces);
  if (parseLabelSelector(pods) === undefined) return noSelector('pods', pods);
  for (const [at, { direction, action, peers, ports }] of rules.entries()) {
    const mayName = direction === 'egress' && action === 'allow';
    for (const [place, peer] of (peers ?? []).entries()) {
      const problem = peerProblem(peer, mayName);
      if (problem !== undefined) return `rules[${at}]: peers[${place}]: ${problem}`;
    }
    for (const [place, port] of (ports ?? []).entries()) {
      const problem = portProblem(port);
      if (problem !== undefined) return `rules[${at}]: ports[${place}]: ${problem}`;
    }
  }
  return undefined;
}

/** `mayName`: it is of an egress rule that allows. */
function peerProblem({ pods, namespaces, cidr, domain }: Peer, mayName: boolean): string | undefined {
  const given = [pods ?? namespaces, cidr, domain].filter((one) => one !== null);
  if (given.length !== 1) return 'give one of pods with namespaces (each empty: all), cidr and domain';
  if (domain !== null) {
    if (!mayName) return 'domain goes with egress rules that allow';
    if (parseDomainPattern(domain) === undefined)
      return `domain is ${JSON.stringify(domain)}: give a name of two labels or more, such as www.example.com, or *.example.com for all below it`;
    return undefined;
  }
  if (cidr !== null) return undefined;
  if (pods === null || namespaces === null) return 'give pods and namespaces (each empty: all), cidr, or domain';
  if (parseLabelSelector(pods) === undefined) return noSelector('pods', pods);
  return parseLabelSelector(namespaces) === undefined ? noSelector('namespaces', namespaces) : undefined;
}
