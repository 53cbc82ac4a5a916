import { randomInt } from 'node:crypto';
import type { Logger } from '@cable/kit';
import type { GuestRecord } from '../desired.ts';
import { openBoundSocket } from '../net/bound-socket.ts';
import type { NetnsRef } from '../net/netns.ts';
import { METADATA_ADDRESS } from '../plan/port-subnets.ts';
import { startAdvertiser } from './advertiser.ts';
import { startDhcpServer } from './dhcp-server.ts';
import { startDhcp6Server } from './dhcp6-server.ts';
import { DnsCache } from './dns-cache.ts';
import { DnsForwarder } from './dns-forwarder.ts';
import { type DnsServerOptions, startDnsServer } from './dns-server.ts';
import { socketTransport } from './dns-transport.ts';
import { type GroupMaps, kernelGroupRows } from './group-rows.ts';
import type { MachinePort } from './metadata-network.ts';
import { startMetadataServer } from './metadata-server.ts';
import { NovaMetadata } from './nova-metadata.ts';
import { startQuerier } from './querier.ts';

export type GuestServicesOptions = {
  /** Guests by VIF number, asked at every packet: the newest state answers. */
  readonly guests: () => ReadonlyMap<number, GuestRecord>;
  /** All ports of the machine that a guest is, its own among them; default: that one alone. */
  readonly machineOf?: (guest: GuestRecord) => readonly MachinePort[];
  /** Where the metadata of Nova's instances is, and the secret that it shares; absent: the agent answers all guests itself. */
  readonly nova?: { readonly url: string; readonly secret: Uint8Array };
  /** What DNS answers the guests of a network, and who is asked for other names; absent: there is no DNS, and guests are told of none. */
  readonly dns?: Pick<DnsServerOptions, 'zoneOf' | 'clustersOf' | 'upstreams' | 'answered'>;
  /** The agent's own service address, 198.18.0.1; it must be on a link already. */
  readonly address: string;
  /** The same in IPv6, fdca:b1e0::1; absent: the host has no IPv6, and there is nothing over it. */
  readonly address6?: string;
  /** Where stands what guests have joined; absent: nobody is asked. */
  readonly groupMaps?: () => GroupMaps;
  /** The network namespace that has the addresses; default: the one this process is in. */
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
const DHCP6_PORT = 547;
const DNS_PORT = 53;
const METADATA_PORT = 80;
/** Bursts of some guests at once wait here, while one that asks by itself is heard: the system's default is less than one guest may send. */
const RECEIVE_BYTES = 4 << 20;

/** Starts DHCP, router advertisements, metadata and DNS for the guests of this host. Resolves when all listen; rejects when one cannot. */
export async function startGuestServices(options: GuestServicesOptions): Promise<GuestServices> {
  const counters = new Map<string, number>();
  const count = (counter: string): void => {
    counters.set(counter, (counters.get(counter) ?? 0) + 1);
  };
  const { address, netns, signal } = options;
  const inside = netns === undefined ? {} : { netns };
  const place = { address, ...inside };
  const place6 = options.address6 === undefined ? undefined : { address: options.address6, ...inside };
  const places = [
    { version: 4 as const, place },
    ...(place6 === undefined ? [] : [{ version: 6 as const, place: place6 }]),
  ];
  const common = { guests: options.guests, signal, count };
  const nameServer = options.dns === undefined ? null : METADATA_ADDRESS;
  await startDhcpServer({
    ...common,
    fd: openBoundSocket({ ...place, kind: 'udp', port: DHCP_PORT, receiveBytes: RECEIVE_BYTES }),
    leaseSeconds: options.leaseSeconds ?? DEFAULT_LEASE_SECONDS,
    nameServer,
    log: options.log.child('dhcp'),
  });
  if (place6 !== undefined) {
    await startDhcp6Server({
      ...common,
      fd: openBoundSocket({ ...place6, kind: 'udp', port: DHCP6_PORT, receiveBytes: RECEIVE_BYTES }),
      leaseSeconds: options.leaseSeconds ?? DEFAULT_LEASE_SECONDS,
      log: options.log.child('dhcp6'),
    });
    startAdvertiser({ ...common, ...place6, log: options.log.child('ra') });
    const { groupMaps } = options;
    if (groupMaps !== undefined) {
      const rows = kernelGroupRows(groupMaps, () => process.hrtime.bigint());
      startQuerier({ ...common, ...inside, ...rows, address, address6: place6.address });
    }
  }
  const metadataLog = options.log.child('metadata');
  const nova = options.nova === undefined ? undefined : new NovaMetadata({ ...options.nova, log: metadataLog });
  signal.addEventListener('abort', () => nova?.close(), { once: true });
  await startMetadataServer({
    ...common,
    nameServer,
    machineOf: options.machineOf ?? ((guest) => [guest]),
    ...(nova === undefined ? {} : { nova }),
    fds: places.map(({ place: at }) => openBoundSocket({ ...at, kind: 'tcp', port: METADATA_PORT })),
    log: metadataLog,
  });
  if (options.dns !== undefined) {
    await startDnsServer({
      ...common,
      ...options.dns,
      forwarder: new DnsForwarder({
        transport: socketTransport,
        randomId: () => randomInt(0x10000),
        now: () => performance.now(),
        cache: new DnsCache({ now: () => performance.now() }),
        isNode: (vif) => options.guests().get(vif)?.isNode === true,
        count,
        signal,
      }),
      sockets: places.map(({ version, place: at }) => ({
        version,
        udpFd: openBoundSocket({ ...at, kind: 'udp', port: DNS_PORT, receiveBytes: RECEIVE_BYTES }),
        tcpFd: openBoundSocket({ ...at, kind: 'tcp', port: DNS_PORT }),
      })),
      log: options.log.child('dns'),
    });
  }
  options.log.info({ address }, 'guest services listen');
  return { counters: () => Object.fromEntries([...counters].sort(([a], [b]) => (a < b ? -1 : 1))) };
}
