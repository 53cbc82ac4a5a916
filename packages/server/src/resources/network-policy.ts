/** Network policies of Kubernetes, and the namespaces by whose labels they select. */
import {
  type AnyObject,
  CableError,
  cidrContains,
  formatCidr,
  formatLabelSelector,
  type KubernetesNamespace,
  type NetworkPolicy,
  type Port,
  parseLabelSelector,
} from '@cable/model';
import type { Planning } from '../engine/context.ts';
import { type Broken, type Contribution, contribute } from '../engine/module.ts';
import { prefixOf } from './subnet-range.ts';

type Rule = NetworkPolicy['rules'][number];
type Peer = NonNullable<Rule['peers']>[number];
type PolicyPort = NonNullable<Rule['ports']>[number];

/** Selectors are stored in their one text; what a rule leaves out is stored as null. */
export const networkPolicyModule: Contribution<AnyObject> = contribute<NetworkPolicy>({
  derive: (planning, given) => {
    refuseOther(planning, 'namespace', given.namespace ?? '');
    return completed(given);
  },
  change: (_planning, _before, after) => completed(after),
  check: (_view, policy) => {
    const problem = namespaceProblem('namespace', policy.namespace) ?? policyProblem(policy);
    if (problem !== undefined) throw invalid(problem);
  },
  *broken(_look, policy): Iterable<Broken> {
    const detail = policyProblem(policy);
    if (detail !== undefined) yield { rule: 'a network policy can be put in force', detail };
  },
});

/** Namespaces. */
export const kubernetesNamespaceModule: Contribution<AnyObject> = contribute<KubernetesNamespace>({
  derive: (planning, given) => {
    refuseOther(planning, 'name', given.name ?? '');
    return {};
  },
  check: (_view, { name, cluster }) => {
    const problem = namespaceProblem('name', name);
    if (problem !== undefined) throw invalid(problem);
    if (!name.startsWith(`${cluster}/`)) throw invalid(`name is ${name}, and cluster ${cluster}: let it begin with it`);
  },
  claims: ({ name }) => [
    {
      kind: 'kubernetes_namespace',
      value: name,
      holder: (look) => look.by('kubernetes_namespace', 'name', name)[0]?.id,
      taken: (holder) => new CableError('HTTPConflict', `Namespace ${name} is there already, as ${holder}.`),
    },
  ],
});

/** A port of a pod is of a namespace of its cluster. */
export const portOfNamespaceModule: Contribution<AnyObject> = contribute<Port>({
  derive: (_planning, given) => ({
    ...(given['cable:named_ports'] === undefined
      ? {}
      : { 'cable:named_ports': given['cable:named_ports'].map((one) => ({ ...PORT_DEFAULTS, ...one })) }),
  }),
  change: (_planning, _before, after) => ({
    'cable:named_ports': after['cable:named_ports'].map((one) => ({ ...PORT_DEFAULTS, ...one })),
  }),
  check: (_view, { 'cable:namespace': namespace, 'cable:cluster': cluster }) => {
    if (namespace === null || namespace.startsWith(`${cluster ?? ''}/`)) return;
    throw invalid(`cable:namespace is ${namespace}, and the cluster ${cluster ?? 'none'}: let it begin with it`);
  },
});

const PORT_DEFAULTS = { protocol: 'TCP' } as const;

/** A controller says what holds in its own cluster. */
export function refuseOther({ asked }: Pick<Planning, 'asked'>, field: string, namespace: string): void {
  const { controller } = asked.credentials;
  if (controller === undefined || namespace.startsWith(`${controller.cluster}/`)) return;
  throw invalid(`${field} is ${JSON.stringify(namespace)}, and the controller of ${controller.cluster} asks`);
}

function completed({ pods, rules }: Partial<NetworkPolicy>): Partial<NetworkPolicy> {
  return {
    ...(pods === undefined ? {} : { pods: canonical(pods) }),
    ...(rules === undefined ? {} : { rules: rules.map(completedRule) }),
  };
}

function completedRule({ direction, peers = null, ports = null }: Partial<Rule> & Pick<Rule, 'direction'>): Rule {
  return {
    direction,
    peers: peers === null ? null : peers.map(completedPeer),
    ports: ports === null ? null : ports.map((one) => ({ ...NO_PORT, ...one })),
  };
}

function completedPeer({ pods = null, namespaces = null, cidr = null, except = [] }: Partial<Peer>): Peer {
  return {
    pods: pods === null ? null : canonical(pods),
    namespaces: namespaces === null ? null : canonical(namespaces),
    cidr,
    except,
  };
}

/** What a rule leaves out of a port. */
export const NO_PORT: PolicyPort = { protocol: 'TCP', port: null, end_port: null, port_name: null };

/** Text that is no selector stays, and is refused by `check`. */
export function canonical(text: string): string {
  const selector = parseLabelSelector(text);
  return selector === undefined ? text : formatLabelSelector(selector);
}

/** What is wrong whatever else there is; undefined: nothing. */
function policyProblem({ pods, directions, rules }: NetworkPolicy): string | undefined {
  if (directions.length === 0) return 'directions is empty: give ingress, egress, or both';
  if (parseLabelSelector(pods) === undefined) return noSelector('pods', pods);
  for (const [at, rule] of rules.entries()) {
    const problem = ruleProblem(rule);
    if (problem !== undefined) return `rules[${at}]: ${problem}`;
  }
  return undefined;
}

function ruleProblem({ peers, ports }: Rule): string | undefined {
  for (const [at, peer] of (peers ?? []).entries()) {
    const problem = peerProblem(peer);
    if (problem !== undefined) return `peers[${at}]: ${problem}`;
  }
  for (const [at, port] of (ports ?? []).entries()) {
    const problem = portProblem(port);
    if (problem !== undefined) return `ports[${at}]: ${problem}`;
  }
  return undefined;
}

function peerProblem({ pods, namespaces, cidr, except }: Peer): string | undefined {
  if (cidr === null) {
    if (pods === null) return 'give pods (empty: all) or cidr';
    if (except.length > 0) return 'except goes with cidr';
    if (parseLabelSelector(pods) === undefined) return noSelector('pods', pods);
    if (namespaces !== null && parseLabelSelector(namespaces) === undefined)
      return noSelector('namespaces', namespaces);
    return undefined;
  }
  if (pods !== null || namespaces !== null) return 'give pods, or cidr, not both';
  return exceptProblem(cidr, except);
}

/** What is wrong with the holes of a prefix; undefined: nothing. */
export function exceptProblem(cidr: string, except: readonly string[]): string | undefined {
  const whole = prefixOf(cidr);
  const outside = except
    .map(prefixOf)
    .find((one) => one.prefixLength < whole.prefixLength || !cidrContains(whole, one.base));
  return outside === undefined ? undefined : `except has ${formatCidr(outside)}, which is not in ${cidr}`;
}

/** What is wrong with a port whatever else there is; undefined: nothing. */
export function portProblem({ port, end_port: end, port_name: name }: PolicyPort): string | undefined {
  if (name !== null && (port !== null || end !== null)) return 'give port_name, or port, not both';
  if (end === null) return undefined;
  if (port === null) return 'end_port needs port';
  return end < port ? `end_port is ${end}, less than port ${port}` : undefined;
}

export function noSelector(field: string, text: string): string {
  const shown = text.length > 100 ? `${text.slice(0, 100)}…` : text;
  return `${field} is ${JSON.stringify(shown)}, which is no label selector: give one such as app=web,tier in (a,b),!old`;
}

function namespaceProblem(field: string, text: string): string | undefined {
  if (/^[a-z0-9]([-a-z0-9]*[a-z0-9])?\/[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(text)) return undefined;
  return `${field} is ${JSON.stringify(text)}: give the cluster and the namespace, such as prod/shop`;
}

export function invalid(reason: string): CableError {
  return new CableError('InvalidInput', `Invalid input for operation: ${reason}.`);
}
