/** The ends of a flow, as far as the caller may know them. */
import type { FlowView } from '@cable/model';

export type Shown = Readonly<Record<string, unknown>>;

type Ended = Pick<FlowView, 'isBegun' | 'source' | 'destination' | 'sourcePort' | 'destinationPort' | 'becomes'>;

/** The other end's own address. */
export function peerAddress({ isBegun, source, destination, becomes }: Ended): string {
  if (isBegun) return becomes?.destination ?? destination;
  return source;
}

/** Behind a floating IP, a load balancer or a router's address another project's address is shown to nobody: of such a peer what the port itself meets. */
export function showEnds(event: Ended, isPeerSeen: boolean): Shown {
  const { isBegun, becomes = null } = event;
  const own = { source: event.source, destination: event.destination };
  const shown = {
    ...{ source: own.source, source_port: event.sourcePort },
    ...{ destination: own.destination, destination_port: event.destinationPort },
  };
  if (becomes === null) return { ...shown, becomes: null };
  const behind = {
    source: becomes.source,
    source_port: event.sourcePort === null ? null : becomes.sourcePort,
    destination: becomes.destination,
    destination_port: event.destinationPort === null ? null : becomes.destinationPort,
  };
  if (isPeerSeen) return { ...shown, becomes: behind };
  if (isBegun && becomes.destination !== own.destination)
    return { ...shown, becomes: { ...behind, destination: null, destination_port: null } };
  if (!isBegun && becomes.source !== own.source)
    return { ...shown, source: becomes.source, source_port: behind.source_port, becomes: behind };
  return { ...shown, becomes: behind };
}
