/** Nodes become ports, too: by its own a node reaches pods, and is known to them. */
import type { Logger } from '@cable/kit';
import { getIfThere, type KubeApi, type KubeObject } from '@cable/kube';
import { cidrContains, formatIp, parseCidr, parseIp, parseLabelSelector, parseLabels, selects } from '@cable/model';
import { type CableAccess, isGone, isRefusal } from './cable-access.ts';
import type { ClusterNetworks } from './cluster-networks.ts';
import { NODES } from './pod-facts.ts';
import { labelTexts } from './policy-facts.ts';
import type { PortBook, PortFacts } from './port-book.ts';

/** `addresses`: its own, as hosts reach each other and others reach it. `labels`: each as key=value. `zone`: empty: it is in none. `announces`: it may announce addresses of Services. */
export type NodeFacts = {
  readonly name: string;
  readonly uid: string;
  readonly addresses: readonly string[];
  readonly labels: readonly string[];
  readonly zone: string;
  readonly announces: boolean;
  /** Its `creationTimestamp`. */
  readonly madeAt: string;
};

export type Node = KubeObject & {
  readonly status?: { readonly addresses?: readonly { readonly type: string; readonly address: string }[] };
};

/** Of so many addresses a node is believed: a kubelet that says thousands would fill what policies may name. */
const MOST_ADDRESSES = 16;

export function nodeFacts({ metadata, status = {} }: Node): NodeFacts {
  const own = (status.addresses ?? []).filter(({ type }) => type === 'InternalIP' || type === 'ExternalIP');
  const addresses = own.flatMap(({ address }) => {
    const known = parseIp(address);
    return known === undefined ? [] : [formatIp(known)];
  });
  const { name, uid = '', creationTimestamp: madeAt = '', labels = {} } = metadata;
  return {
    ...{ name, uid, addresses: [...new Set(addresses)].slice(0, MOST_ADDRESSES), madeAt, labels: labelTexts(labels) },
    ...{ zone: labels[ZONE_LABEL] ?? '', announces: !(EXCLUDE_LABEL in labels) },
  };
}

/** By which Kubernetes makes hints of endpoints. */
const ZONE_LABEL = 'topology.kubernetes.io/zone';
/** Load balancers leave out a node that has it, whatever its value. */
const EXCLUDE_LABEL = 'node.kubernetes.io/exclude-from-external-load-balancers';

/**
 * Addresses of nodes, by name, as far as what they say themselves is believed: kubelets write it, and one that was taken over may write anything. What is of the cluster, or what an older node has
 * said, is nobody else's.
 */
export function believed(
  nodes: Iterable<NodeFacts>,
  clusterCidrs: readonly string[],
): ReadonlyMap<string, readonly string[]> {
  const cluster = clusterCidrs.flatMap((text) => parseCidr(text) ?? []);
  const isOfCluster = (address: string): boolean => {
    const ip = parseIp(address);
    return ip !== undefined && cluster.some((prefix) => cidrContains(prefix, ip));
  };
  const age = ({ madeAt, name }: NodeFacts): string => `${madeAt} ${name}`;
  const taken = new Set<string>();
  const found = new Map<string, readonly string[]>();
  for (const node of [...nodes].sort((a, b) => (age(a) < age(b) ? -1 : 1))) {
    const own = node.addresses.filter((one) => !taken.has(one) && !isOfCluster(one));
    for (const one of own) taken.add(one);
    found.set(node.name, own);
  }
  return found;
}

/** What nodes are, and where they are reached. */
export type NodePlaces = {
  readonly nodes: { values(): Iterable<NodeFacts> };
  /** Where pods, Services and ports of nodes have addresses: no node has one of these by its own word. */
  readonly clusterCidrs: readonly string[];
  /** Addresses of a node's port. */
  readonly portAddresses: (node: string) => readonly string[];
};

/** Of the nodes that a selector (text) selects: those that they say themselves, and those of their ports, by which pods reach them. Sorted. */
export function addressesOfNodes(
  { nodes, clusterCidrs, portAddresses }: NodePlaces,
  selector: string,
): readonly string[] {
  const asked = parseLabelSelector(selector);
  if (asked === undefined) return [];
  const found = new Set<string>();
  const said = believed(nodes.values(), clusterCidrs);
  for (const { name, labels } of nodes.values()) {
    if (!selects(asked, parseLabels(labels))) continue;
    for (const one of [...(said.get(name) ?? []), ...portAddresses(name)]) found.add(one);
  }
  return [...found].sort();
}

export type NodesDeps = {
  readonly cable: Pick<CableAccess, 'own'>;
  readonly kube: Pick<KubeApi, 'get'>;
  readonly nodes: { get(key: string): NodeFacts | undefined };
  readonly book: PortBook;
  readonly networks: () => ClusterNetworks;
  readonly cluster: string;
  /** Is there a host of the cluster with that name, as far as is known? */
  readonly hasHost: (name: string) => boolean;
  /** Looks at the key again so many milliseconds later. */
  readonly again: (key: string, ms: number) => void;
  readonly log: Logger;
};

/** `device_owner` of a node's port. */
const NODE_OWNER = 'kubernetes:node';
const KIND = 'Node';

/** A node whose agent has not come yet. */
const AGAIN_MS = 5000;

/** Brings the port of one node to where it should be. A throw means: again. */
export async function reconcileNode(deps: NodesDeps, name: string): Promise<void> {
  const node = deps.nodes.get(name);
  const ports = deps.book.of(KIND, name);
  // A node that is made anew under its name keeps its port: it is the same machine to everybody else.
  if (node !== undefined && ports.length === 0) await createPort(deps, node);
  if (node !== undefined) for (const port of ports) await updatePort(deps, node, port);
  if (node !== undefined) return;
  for (const port of ports) await release(deps, name, port);
  if (deps.hasHost(name)) await retire(deps, name);
}

async function updatePort({ cable, book, log }: NodesDeps, node: NodeFacts, port: PortFacts): Promise<void> {
  const changes = saidOf(node, port);
  if (Object.keys(changes).length === 0) return;
  try {
    book.keep(await cable.own.update('port', port.id, changes));
  } catch (err) {
    if (isGone(err)) book.forget(port.id);
    else if (!isRefusal(err)) throw err;
    else log.warn({ node: node.name, reason: err.message }, 'what the labels of the node say is not taken');
  }
}

/** What its labels say and the port does not. */
function saidOf({ zone, announces }: NodeFacts, port: Pick<PortFacts, 'zone' | 'announces'>): object {
  return {
    ...(zone === port.zone ? {} : { 'cable:zone': zone }),
    ...(announces === port.announces ? {} : { 'cable:announces': announces }),
  };
}

const NOTHING_SAID = { zone: '', announces: true } as const;

async function createPort(deps: NodesDeps, node: NodeFacts): Promise<void> {
  const { cable, book, log } = deps;
  const { name, uid } = node;
  const { networkId, subnetIds } = deps.networks().nodes;
  const body = {
    name,
    network_id: networkId,
    fixed_ips: subnetIds.map((id) => ({ subnet_id: id })),
    port_security_enabled: false,
    security_groups: [],
    device_owner: NODE_OWNER,
    device_id: name,
    'binding:host_id': name,
    ...saidOf(node, NOTHING_SAID),
  };
  try {
    await book.create(cable.own, body, { kind: KIND, key: name, uid }, `node:${uid}`);
  } catch (err) {
    if (!isRefusal(err)) throw err;
    log.info({ node: name, reason: err.message }, 'the node has no port yet: see that its agent runs, with --cluster');
    deps.again(name, AGAIN_MS);
  }
}

/** A host that still speaks, or has ports of others, stays until that is over. */
const RETIRE_AGAIN_MS = 30_000;

/** With the node its host goes for good: another machine may have its address, and nobody may use its certificate. */
async function retire({ kube, cable, cluster, again, log }: NodesDeps, name: string): Promise<void> {
  if ((await getIfThere(kube, NODES, { name })) !== undefined) return;
  try {
    await cable.own.action('kubernetes_cluster', cluster, 'retire_host', { host: name });
    log.info({ node: name }, 'the host of a node that is gone is retired');
  } catch (err) {
    if (isGone(err)) return;
    if (!isRefusal(err)) throw err;
    log.info({ node: name, reason: err.message }, 'the host of a node that is gone is not retired yet');
    again(name, RETIRE_AGAIN_MS);
  }
}

async function release({ kube, cable, book, log }: NodesDeps, name: string, port: PortFacts): Promise<void> {
  if ((await getIfThere(kube, NODES, { name })) !== undefined) return;
  try {
    await cable.own.delete('port', port.id);
  } catch (err) {
    if (!isGone(err)) throw err;
  }
  book.forget(port.id);
  log.info({ node: name, port: port.id }, 'the port of a node is released');
}
