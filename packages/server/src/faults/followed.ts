/** What a port's flows do, as its host tells it: begins, ends, drops. */
import type { FlowEvent, FlowQuery, FollowedFlows, FollowQuery, Port } from '@cable/model';
import { answerValue } from './answer-values.ts';
import { boundHost, type FaultDeps } from './counted.ts';
import type { Eyes } from './eyes.ts';
import { Neighbours } from './neighbours.ts';
import { meaningFor } from './private-subnets.ts';
import { type FollowMarker, formatFollowMarker } from './queries.ts';
import { peerAddress, type Shown, showEnds } from './shown-ends.ts';

/** `GET .../follow`: what came since `marker`. */
export async function showFollowed(
  deps: FaultDeps,
  port: Port,
  { only, ...place }: FollowPlace & { readonly only: Pick<FlowQuery, 'protocol' | 'address' | 'port'> },
  eyes: Eyes,
): Promise<unknown> {
  const host = boundHost(port);
  const { answer, marker, isAnew, missing } = await askFollowed(deps, port, place, only);
  const neighbours = new Neighbours(deps);
  return {
    port: { id: port.id, name: port.name },
    host: eyes.host(host, port),
    marker: formatFollowMarker(marker),
    begun_anew: isAnew,
    missing,
    records: answer.records.flatMap((event) =>
      event.kind === 'packet' ? [] : [showEvent(deps, port, event, { eyes, neighbours })],
    ),
  };
}

/** Where who asks is, and whether he will ask again. */
export type FollowPlace = { readonly marker: FollowMarker | null; readonly isLast: boolean };

/** Where an answer leads. `isAnew`: the host did not know the marker. */
export type NextPlace = { readonly marker: FollowMarker; readonly isAnew: boolean; readonly missing: number };

/** What came since the marker, and where that is. */
export async function askFollowed(
  { ask }: Pick<FaultDeps, 'ask'>,
  port: Port,
  place: FollowPlace,
  only: Omit<FollowQuery, 'lease' | 'after' | 'isLast'>,
): Promise<NextPlace & { readonly answer: FollowedFlows }> {
  const host = boundHost(port);
  const asked = { kind: 'follow', portId: port.id, ...askOf(place), ...only } as const;
  const answer = answerValue('follow', host, await ask(host, asked));
  return { answer, ...placeAfter(place.marker, answer) };
}

/** The place as a host is asked for it. */
export function askOf({ marker, isLast }: FollowPlace): Pick<FollowQuery, 'lease' | 'after' | 'isLast'> {
  return { lease: marker?.lease ?? null, after: marker?.after ?? 0, ...(isLast ? { isLast } : {}) };
}

export function placeAfter(
  marker: FollowMarker | null,
  {
    lease,
    lost,
    records,
  }: Pick<FollowedFlows, 'lease' | 'lost'> & { readonly records: readonly { readonly number: number }[] },
): NextPlace {
  const isSame = marker !== null && lease === marker.lease;
  const before = isSame ? marker : { after: 0, lost: 0 };
  return {
    marker: { lease, after: records.at(-1)?.number ?? before.after, lost },
    isAnew: marker !== null && !isSame,
    missing: Math.max(0, lost - before.lost),
  };
}

/** When it was, to the microsecond. */
export function timeOf(atMs: number): string {
  const us = Math.floor(atMs * 1000);
  return new Date(Math.floor(us / 1000)).toISOString().replace('Z', `${String(us % 1000).padStart(3, '0')}Z`);
}

/** What a flow did, in names that the caller may know. */
export function showEvent(
  { tables }: Pick<FaultDeps, 'tables'>,
  port: Port,
  event: FlowEvent,
  { eyes, neighbours }: { readonly eyes: Eyes; readonly neighbours: Neighbours },
): Shown {
  const { isBegun } = event;
  const peerId = event.peerPortId ?? neighbours.find(port.network_id, peerAddress(event)) ?? null;
  const peer = peerId === null ? undefined : tables.of('port').get(peerId);
  const rule = event.rule === null ? null : (eyes.rule(event.rule, port) ?? eyes.rule(event.rule, peer));
  return {
    kind: event.kind,
    at: timeOf(event.atMs),
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
    meaning: event.reason === null ? null : meaningFor(event.reason, tables, [port, peer], eyes),
    remedy: event.reason?.remedy ?? null,
  };
}
