import { cbNet, cbTunnel, cbVif } from '../bpf/abi.gen.ts';
import { arrayIndex, textBytes } from '../bpf/codec.ts';
import type { AgentMap } from '../desired.ts';
import { formatAddress, formatUuid } from '../plan/address.ts';
import { type IdKind, type PlannedSlices, typedSlices } from '../plan/inputs.ts';
import type { DataPlane } from '../reconcile/data-plane.ts';

type Plane = Pick<DataPlane, 'readMap'>;

type Source = { readonly plane: Plane; readonly host: string; readonly slices: PlannedSlices };

/**
 * Numbers that a previous run gave: rows begin with their owner. Of a project rows have the number alone: it is that of the ports and networks
 * whose rows they are, by the state that is known. (Where that says otherwise by now a project gets another number. Flows are counted, and
 * counted off, under the number that stands in themselves.)
 */
export function keptIds({ plane, host, slices }: Source): Readonly<Record<IdKind, ReadonlyMap<string, number>>> {
  const vif = new Map<string, number>();
  const network = new Map<string, number>();
  const tunnel = new Map<string, number>();
  const project = new Map<string, number>();
  const taken = new Set<number>([0]);
  const typed = typedSlices(slices);
  const noteProject = (name: string | undefined, id: number): void => {
    if (name === undefined || project.has(name) || taken.has(id)) return;
    project.set(name, id);
    taken.add(id);
  };
  for (const [id, bytes] of rowsOf(plane, 'cb_vif_2')) {
    const row = cbVif.decode(bytes);
    const portId = formatUuid(row.portId);
    vif.set(portId, id);
    noteProject(typed.item('host', host, portId)?.projectId, row.project);
  }
  for (const [id, bytes] of rowsOf(plane, 'cb_net_1')) {
    const row = cbNet.decode(bytes);
    const networkId = formatUuid(row.networkId);
    network.set(networkId, id);
    noteProject(typed.header('network', networkId)?.projectId, row.project);
  }
  for (const [id, bytes] of rowsOf(plane, 'cb_tunnel_1')) tunnel.set(formatAddress(cbTunnel.decode(bytes).remote), id);
  return { vif, network, tunnel, project };
}

const OWNER_BYTES = 16;

/** Rows that somebody has. */
function* rowsOf(plane: Plane, map: AgentMap): Generator<readonly [id: number, bytes: Uint8Array]> {
  for (const batch of plane.readMap(map)) {
    for (const { key, value } of batch) {
      const bytes = textBytes(value);
      if (bytes.subarray(0, OWNER_BYTES).some((byte) => byte !== 0)) yield [arrayIndex.decode(textBytes(key)), bytes];
    }
  }
}
