/** What a port's flows do, as its host tells it: begins, ends, drops. */
import type { FlowEvent, FlowQuery, Port } from '@cable/model';
import { answerValue } from './answer-values.ts';
import { boundHost, type FaultDeps } from './counted.ts';
import type { Eyes } from './eyes.ts';
import { Neighbours } from './neighbours.ts';
import { type FollowMarker, formatFollowMarker } from './queries.ts';

/** `GET .../follow`: what came since `marker`. */
export async function showFollowed(
  deps: FaultDeps,
  port: Port,
  { marker, only }: { readonly marker: FollowMarker | null; readonly only: Pick<FlowQuery, 'protocol' | 'address' | 'port'> },
  eyes: Eyes,
): Promise<unknown> {
  const host = boundHost(port);
  const place = { lease: marker?.lease ?? null, after: marker?.after ?? 0 };
  const answer = answerValue(
    'follow',
    host,
    await deps.ask(host, { kind: 'follow', portId: port.id, ...place, ...only }),
  );
  const isSame = marker !== null && answer.lease === marker.lease;
  const before = isSame ? marker : { lease: answer.lease, after: 0, lost: 0 };
  const after = answer.records.at(-1)?.number ?? before.after;
  const neighbours = new Neighbours(deps);
  return {
    port: { id: port.id, name: port.name },
    host: eyes.host(host, port),
    marker: formatFollowMarker({ lease: answer.lease, after, lost: answer.lost }),
    begun_anew: marker !== null && !isSame,
    missing: Math.max(0, answer.lost - before.lost),
    records: answer.records.map((event) => showEvent(deps, port, event, { eyes, neighbours })),
  };
}

function showEvent(
  { tables }: FaultDeps,
  port: Port,
  event: FlowEvent,
  { eyes, neighbours }: { readonly eyes: Eyes; readonly neighbours: Neighbours },
): unknown {
  const { isBegun } = event;
  const peerId = event.peerPortId ?? neighbours.find(port.network_id, peerAddress(event)) ?? null;
  const peer = peerId === null ? undefined : tables.of('port').get(peerId);
  const rule = event.rule === null ? null : (eyes.rule(event.rule, port) ?? eyes.rule(event.rule, peer));
  return {
    kind: event.kind,
    at: new Date(event.atMs).toISOString(),
    begun_here: isBegun,
    network: eyes.network(event.networkId),
    protocol: event.protocol,
    ...showEnds(event, eyes.port(peerId) !== null),
    icmp_type: event.icmpType,
    peer: eyes.port(peerId),
    packets: event.packets,
    bytes: event.bytes,
    reply_packets: event.replyPackets,
    reply_bytes: event.replyBytes,
    rule: rule?.id ?? null,
    security_group: rule?.group ?? null,
    ended: event.ended,
    reason: event.reason?.name ?? null,
    meaning: event.reason?.meaning ?? null,
    remedy: event.reason?.remedy ?? null,
  };
}

function peerAddress({ isBegun, source, destination, becomes }: FlowEvent): string {
  if (isBegun) return becomes?.destination ?? destination;
  return source;
}

/** Behind a floating IP, a load balancer or a router's address another project's address is shown to nobody: of such a peer what the port itself meets. */
function showEnds(event: FlowEvent, isPeerSeen: boolean): Readonly<Record<string, unknown>> {
  const { isBegun, becomes } = event;
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
