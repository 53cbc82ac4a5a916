import type { Logger } from '@cable/kit';
import type { GuestRecord } from '../desired.ts';
import { startDhcpServer } from './dhcp-server.ts';
import { startMetadataServer } from './metadata-server.ts';

export type GuestServicesOptions = {
  /** Guests by slot, asked at every packet: the newest state answers. */
  readonly guests: () => ReadonlyMap<number, GuestRecord>;
  /** The agent's own service address, 198.18.0.1; it must be on a link already. */
  readonly address: string;
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** Default 86400. */
  readonly leaseSeconds?: number;
  /** Default 67 and 80. */
  readonly ports?: { readonly dhcp: number; readonly metadata: number };
};

/** `counters`: answers and silences since the start, by name, e.g. `dhcp_ack`, `dhcp_ignored_foreign_mac`, `metadata_200`. */
export type GuestServices = { counters(): Readonly<Record<string, number>> };

const DEFAULT_LEASE_SECONDS = 86_400;

/** Starts DHCPv4 and metadata for the guests of this host. Resolves when both listen; rejects when one cannot. */
export async function startGuestServices(options: GuestServicesOptions): Promise<GuestServices> {
  const counters = new Map<string, number>();
  const count = (counter: string): void => {
    counters.set(counter, (counters.get(counter) ?? 0) + 1);
  };
  const common = { guests: options.guests, address: options.address, signal: options.signal, count };
  await startDhcpServer({
    ...common,
    leaseSeconds: options.leaseSeconds ?? DEFAULT_LEASE_SECONDS,
    log: options.log.child('dhcp'),
    ...(options.ports === undefined ? {} : { port: options.ports.dhcp }),
  });
  await startMetadataServer({
    ...common,
    log: options.log.child('metadata'),
    ...(options.ports === undefined ? {} : { port: options.ports.metadata }),
  });
  options.log.info({ address: options.address }, 'guest services listen');
  return { counters: () => Object.fromEntries([...counters].sort(([a], [b]) => (a < b ? -1 : 1))) };
}
