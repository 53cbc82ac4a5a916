/** Nodes become ports, too: by its own a node reaches pods, and is known to them. */
import type { Logger } from '@cable/kit';
import { getIfThere, type KubeApi, type KubeObject } from '@cable/kube';
import { formatIp, parseIp } from '@cable/model';
import { type CableAccess, isGone, isRefusal } from './cable-access.ts';
import type { ClusterNetworks } from './cluster-networks.ts';
import { NODES } from './pod-facts.ts';
import type { PortBook, PortFacts } from './port-book.ts';

/** `addresses`: its own, as hosts reach each other and others reach it. */
export type NodeFacts = { readonly name: string; readonly uid: string; readonly addresses: readonly string[] };

export type Node = KubeObject & {
  readonly status?: { readonly addresses?: readonly { readonly type: string; readonly address: string }[] };
};

export function nodeFacts({ metadata, status = {} }: Node): NodeFacts {
  const own = (status.addresses ?? []).filter(({ type }) => type === 'InternalIP' || type === 'ExternalIP');
  const addresses = own.flatMap(({ address }) => {
    const known = parseIp(address);
    return known === undefined ? [] : [formatIp(known)];
  });
  return { name: metadata.name, uid: metadata.uid ?? '', addresses };
}

export type NodesDeps = {
  readonly cable: Pick<CableAccess, 'own'>;
  readonly kube: Pick<KubeApi, 'get'>;
  readonly nodes: { get(key: string): NodeFacts | undefined };
  readonly book: PortBook;
  readonly networks: () => ClusterNetworks;
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
  if (node === undefined) for (const port of ports) await release(deps, name, port);
}

async function createPort(deps: NodesDeps, { name, uid }: NodeFacts): Promise<void> {
  const { cable, book, log } = deps;
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
  };
  try {
    await book.create(cable.own, body, { kind: KIND, key: name, uid }, `node:${uid}`);
  } catch (err) {
    if (!isRefusal(err)) throw err;
    log.info({ node: name, reason: err.message }, 'the node has no port yet: see that its agent runs, with --cluster');
    deps.again(name, AGAIN_MS);
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
