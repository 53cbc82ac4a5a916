/** Ports of this host that are Cable's own: no host port leads away from them. */
import type { PortRange } from '../host-policies/open-ports.ts';
import type { HealthPort } from './entrances.ts';
import type { HostPortPlace } from './host-ports.ts';
import { WIRE_UDP_PORT } from './pseudowire-rows.ts';

/** `address` absent: at any of the host. */
export type OwnPort = Pick<HostPortPlace, 'protocol' | 'port' | 'address'> & { readonly use: string };

/** UDP: packets between hosts, and frames of pseudowires; TCP: flows that are handed over (`flow-server.ts`). */
export const OVERLAY_PORTS: readonly OwnPort[] = [
  { protocol: 'UDP', port: 4789, use: 'packets between hosts' },
  { protocol: 'UDP', port: WIRE_UDP_PORT, use: 'frames of pseudowires between hosts' },
  { protocol: 'TCP', port: 4789, use: 'flows that are handed over between hosts' },
];

/** Of what the agent was told at its start. */
export function ownPortsOf(probes: { readonly host: string; readonly port: number } | null): readonly OwnPort[] {
  if (probes === null) return OVERLAY_PORTS;
  const { host: address, port } = probes;
  return [...OVERLAY_PORTS, { protocol: 'TCP', port, address, use: 'the probes of kubelet (--probe-listen)' }];
}

const PROTOCOL_NAMES: Readonly<Record<number, OwnPort['protocol']>> = { 6: 'TCP', 17: 'UDP', 132: 'SCTP' };
/** A longer range is the operator's for many, and none of the host's own. */
const MOST_OF_RANGE = 64;

/** By which others know the host, such as ssh and kubelet, whoever listens there: a pod with one would be taken for the host. Policies for hosts never close them either. */
export function knownPorts(ranges: readonly PortRange[]): readonly OwnPort[] {
  return ranges.flatMap(({ protocol, first, last }) => {
    const name = PROTOCOL_NAMES[protocol];
    if (name === undefined || last - first >= MOST_OF_RANGE) return [];
    const ports = Array.from({ length: last - first + 1 }, (_, at) => first + at);
    return ports.map((port) => ({ protocol: name, port, use: 'whoever looks for the host there (--host-open-ports)' }));
  });
}

/** Where it is asked for endpoints of Services. */
export function ownHealthPorts(ports: ReadonlyMap<number, HealthPort>): readonly OwnPort[] {
  return [...ports.keys()].map((port) => ({ protocol: 'TCP', port, use: 'the health of a Service' }));
}

/** The one that a place would lead away from. */
export function ownPortAt(own: readonly OwnPort[], place: HostPortPlace): OwnPort | undefined {
  return own.find(
    ({ protocol, port, address }) =>
      protocol === place.protocol &&
      port === place.port &&
      (address === undefined ||
        (address.includes(':') === (place.ipVersion === 6) &&
          (place.address === undefined || place.address === address))),
  );
}
