/** Subnets that leave by nodes that they name: which may be named, and which has it at first (docs/design/gateway-nodes.md). */
import { type AnyObject, CableError, type Subnet } from '@cable/model';
import { type Contribution, contribute } from '../engine/module.ts';
import type { Tables } from '../tables.ts';

/** What follows from the list. */
type Placed = Pick<Subnet, 'cable:gateway_node' | 'cable:gateway_cluster'>;

export const gatewayNodesModule: Contribution<AnyObject> = contribute<Subnet>({
  derive: ({ deps }, { 'cable:gateway_nodes': nodes = [] }) => placed(deps.tables, nodes),
  change: ({ deps }, before, { 'cable:gateway_nodes': nodes }) =>
    isSame(nodes, before['cable:gateway_nodes']) ? {} : placed(deps.tables, nodes),
});

/** The first that lives; where none does, the first. Throws `InvalidInput`. */
function placed(tables: Pick<Tables, 'of'>, nodes: Subnet['cable:gateway_nodes']): Placed {
  const [first] = nodes;
  if (first === undefined) return { 'cable:gateway_node': null, 'cable:gateway_cluster': null };
  const clusters = nodes.map((name) => {
    const cluster = tables.of('host').get(name)?.cluster ?? null;
    if (cluster === null)
      throw invalid(`${name} is no node of a Kubernetes cluster: name hosts whose agents have --cluster`);
    return cluster;
  });
  const [cluster = null] = clusters;
  if (clusters.some((one) => one !== cluster)) throw invalid('nodes of several clusters: name those of one');
  const alive = nodes.find((name) => tables.of('alive').get(name) !== undefined);
  return { 'cable:gateway_node': alive ?? first, 'cable:gateway_cluster': cluster };
}

function isSame(one: readonly string[], other: readonly string[] | undefined): boolean {
  return JSON.stringify(one) === JSON.stringify(other ?? []);
}

function invalid(reason: string): CableError {
  return new CableError('InvalidInput', `Invalid input for operation: cable:gateway_nodes: ${reason}.`);
}
