import { askAgent } from './agent-socket.ts';
import type { LabHost } from './names.ts';

/** Packets dropped on a port, by reason (`spoofed_ip`, …), as its host's agent counts them; `overlay`: those from the tunnel. */
export async function portDrops(host: LabHost, portId: string): Promise<ReadonlyMap<string, number>> {
  const answer = (await askAgent(host, '/counters')) as Readonly<
    Record<string, Readonly<Record<string, number>> | undefined>
  >;
  return new Map(Object.entries(answer[portId] ?? {}).filter(([name]) => !TRAFFIC_COUNTERS.has(name)));
}

const TRAFFIC_COUNTERS: ReadonlySet<string> = new Set(['rx_packets', 'rx_bytes', 'tx_packets', 'tx_bytes']);

/** The entries in each of a host's maps, decoded. */
export async function mapEntries(host: LabHost): Promise<ReadonlyMap<string, readonly unknown[]>> {
  return new Map(Object.entries((await askAgent(host, '/maps')) as Readonly<Record<string, readonly unknown[]>>));
}
