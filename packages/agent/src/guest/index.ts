import type { Logger } from '@cable/kit';
import type { GuestRecord } from '../desired.ts';
import { openBoundSocket } from '../net/bound-socket.ts';
import type { NetnsRef } from '../net/netns.ts';
import { startDhcpServer } from './dhcp-server.ts';
import type { MachinePort } from './metadata-network.ts';
import { startMetadataServer } from './metadata-server.ts';
import { NovaMetadata } from './nova-metadata.ts';

export type GuestServicesOptions = {
  /** Guests by slot, asked at every packet: the newest state answers. */
  readonly guests: () => ReadonlyMap<number, GuestRecord>;
  /** All ports of the machine that a guest is, its own among them; default: that one alone. */
  readonly machineOf?: (guest: GuestRecord) => readonly MachinePort[];
  /** Where the metadata of Nova's instances is, and the secret that it shares; absent: the agent answers all guests itself. */
  readonly nova?: { readonly url: string; readonly secret: Uint8Array };
  /** The agent's own service address, 198.18.0.1; it must be on a link already. */
  readonly address: string;
  /** The network namespace that has the address; default: the one this process is in. */
  readonly netns?: NetnsRef;
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** Default 86400. */
  readonly leaseSeconds?: number;
};

/** `counters`: answers and silences since the start, by name, e.g. `dhcp_ack`, `dhcp_ignored_foreign_mac`, `metadata_200`. */
export type GuestServices = { counters(): Readonly<Record<string, number>> };

const DEFAULT_LEASE_SECONDS = 86_400;
const DHCP_PORT = 67;
const METADATA_PORT = 80;
/** Bursts of some guests at once wait here, while one that asks by itself is heard: the system's default is less than one guest may send. */
const DHCP_RECEIVE_BYTES = 4 << 20;

/** Starts DHCPv4 and metadata for the guests of this host. Resolves when both listen; rejects when one cannot. */
export async function startGuestServices(options: GuestServicesOptions): Promise<GuestServices> {
  const counters = new Map<string, number>();
  const count = (counter: string): void => {
    counters.set(counter, (counters.get(counter) ?? 0) + 1);
  };
  const { address, netns, signal } = options;
  const place = { address, ...(netns === undefined ? {} : { netns }) };
  const common = { guests: options.guests, signal, count };
  await startDhcpServer({
    ...common,
    fd: openBoundSocket({ ...place, kind: 'udp', port: DHCP_PORT, receiveBytes: DHCP_RECEIVE_BYTES }),
    leaseSeconds: options.leaseSeconds ?? DEFAULT_LEASE_SECONDS,
    log: options.log.child('dhcp'),
  });
  const metadataLog = options.log.child('metadata');
  const nova = options.nova === undefined ? undefined : new NovaMetadata({ ...options.nova, log: metadataLog });
  signal.addEventListener('abort', () => nova?.close(), { once: true });
  await startMetadataServer({
    ...common,
    machineOf: options.machineOf ?? ((guest) => [guest]),
    ...(nova === undefined ? {} : { nova }),
    fd: openBoundSocket({ ...place, kind: 'tcp', port: METADATA_PORT }),
    log: metadataLog,
  });
  options.log.info({ address }, 'guest services listen');
  return { counters: () => Object.fromEntries([...counters].sort(([a], [b]) => (a < b ? -1 : 1))) };
}
