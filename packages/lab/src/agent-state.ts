import { askAgent } from './agent-socket.ts';

/** Packets dropped on a port, by reason (`spoofed_ip`, …), as its host's agent counts them. */
export async function portDrops(host: string, portId: string): Promise<ReadonlyMap<string, number>> {
  const answer = (await askAgent(host, '/counters')) as { readonly [port: string]: unknown };
  return new Map(Object.entries((answer[portId] as Record<string, number> | undefined) ?? {}));
}

/** The entries in each of a host's maps, decoded. */
export async function mapEntries(host: string): Promise<ReadonlyMap<string, readonly unknown[]>> {
  return new Map(Object.entries((await askAgent(host, '/maps')) as Readonly<Record<string, readonly unknown[]>>));
}
