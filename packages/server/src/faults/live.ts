/** Packets that a port and an address exchange, as they pass the port's device and the receiver's, with what their flows do. */
import { hostOf, isBound } from '@cable/compiler';
import {
  CableError,
  type FlowEvent,
  type PacketCounts,
  type PacketEvent,
  type PacketQuery,
  type Port,
} from '@cable/model';
import { boundHost, type FaultDeps, showFlow } from './counted.ts';
import type { Eyes } from './eyes.ts';
import { askFollowed, type FollowPlace, showEvent, timeOf } from './followed.ts';
import { Neighbours } from './neighbours.ts';
import { type FollowMarker, formatLiveMarker, type LiveQuery } from './queries.ts';
import type { Shown } from './shown-ends.ts';

type Of = { readonly port: Port; readonly eyes: Eyes; readonly mayInspect: (port: Port) => boolean };

/** What a port's host told of it; `error`: why it did not. */
type Side = {
  readonly port: Port;
  readonly marker: FollowMarker | null;
  readonly isAnew: boolean;
  readonly missing: number;
  readonly records: readonly (FlowEvent | PacketEvent)[];
  readonly counted: PacketCounts;
  readonly error: string | null;
};

const NOTHING: PacketCounts = { sent: 0, received: 0, drops: [] };

/** `GET .../live`: what came since the marker, at the sender's host and at the receiver's, if the caller may look into that. Clocks of hosts differ. */
export async function showLive(deps: FaultDeps, { port, eyes, mayInspect }: Of, query: LiveQuery): Promise<unknown> {
  const host = boundHost(port);
  const { protocol, rate, sourcePort, destinationPort, marker, isLast } = query;
  const source = query.source ?? sourceOf(port, query.to);
  const both = { protocol, rate };
  const neighbours = new Neighbours(deps);
  const receiver = receiverOf(deps, port, neighbours.find(port.network_id, query.to), mayInspect);
  const sent: PacketQuery = { ...both, peer: query.to, peerPort: destinationPort, ownPort: sourcePort };
  const given: PacketQuery = { ...both, peer: source, peerPort: sourcePort, ownPort: destinationPort };
  const [first, second] = await Promise.all([
    sideOf(deps, port, { marker: marker.sender, isLast }, sent),
    receiver === undefined ? undefined : sideOrError(deps, receiver, { marker: marker.receiver, isLast }, given),
  ]);
  const sides = second === undefined ? [first] : [first, second];
  // What flows do on the host of both is told twice.
  const isTwice = receiver !== undefined && hostOf(receiver) === host;
  const records = sides.flatMap((side) =>
    side.records
      .filter(({ kind }) => kind === 'packet' || !isTwice || side === first)
      .map((record) => ({ atMs: record.atMs, shown: showRecord(deps, side.port, record, { eyes, neighbours }) })),
  );
  return {
    port: { id: port.id, name: port.name },
    receiver: eyes.port(receiver?.id ?? null),
    marker: formatLiveMarker({ sender: first.marker, receiver: second?.marker ?? null }),
    begun_anew: sides.some(({ isAnew }) => isAnew),
    missing: sides.reduce((sum, { missing }) => sum + missing, 0),
    sides: sides.map((side) => showSide(side, eyes)),
    records: records.sort((a, b) => a.atMs - b.atMs).map(({ shown }) => shown),
  };
}

/** The address that the port sends from. */
function sourceOf({ id, fixed_ips: ips }: Port, to: string): string {
  const found = ips.find(({ ip_address: ip }) => ip.includes(':') === to.includes(':'))?.ip_address;
  if (found !== undefined) return found;
  const message = `Port ${id} has no address of the family of ${to}.`;
  throw new CableError('InvalidInput', message, { fields: { port: id } });
}

/** Undefined: nobody is known to have the address, he is on no host, or the caller may not look into his port. */
function receiverOf(
  { tables }: Pick<FaultDeps, 'tables'>,
  port: Port,
  id: string | undefined,
  mayInspect: Of['mayInspect'],
): Port | undefined {
  const found = id === undefined ? undefined : tables.of('port').get(id);
  return found !== undefined && found.id !== port.id && isBound(found) && mayInspect(found) ? found : undefined;
}

async function sideOf(deps: FaultDeps, port: Port, place: FollowPlace, packets: PacketQuery): Promise<Side> {
  const { answer, ...next } = await askFollowed(deps, port, place, { packets });
  const { records, counted } = answer;
  if (counted === undefined) throw olderBuild(boundHost(port));
  return { port, ...next, records, counted, error: null };
}

function olderBuild(host: string): CableError {
  const message = `The agent of host ${host} is of an older build, which shows no packets: install a newer one there.`;
  return new CableError('HostRefusesAsk', message, { fields: { host } });
}

/** The sender's packets are shown also while the receiver's host says nothing. */
async function sideOrError(deps: FaultDeps, port: Port, place: FollowPlace, packets: PacketQuery): Promise<Side> {
  try {
    return await sideOf(deps, port, place, packets);
  } catch (err) {
    if (!(err instanceof CableError)) throw err;
    const nothing = { records: [], counted: NOTHING, isAnew: false, missing: 0 };
    return { port, marker: place.marker, ...nothing, error: err.message };
  }
}

function showSide({ port, counted, error }: Side, eyes: Eyes): Shown {
  return {
    port: { id: port.id, name: port.name },
    host: eyes.host(boundHost(port), port),
    sent: counted.sent,
    received: counted.received,
    drops: counted.drops.map(({ reason: { name, meaning, remedy }, packets }) => ({
      reason: name,
      packets,
      meaning,
      remedy,
    })),
    error,
  };
}

type Names = { readonly eyes: Eyes; readonly neighbours: Neighbours };

function showRecord(deps: FaultDeps, port: Port, record: FlowEvent | PacketEvent, names: Names): Shown {
  const at = { port: { id: port.id, name: port.name }, host: names.eyes.host(boundHost(port), port) };
  if (record.kind !== 'packet') return { ...showEvent(deps, port, record, names), ...at };
  return {
    kind: 'packet',
    at: timeOf(record.atMs),
    ...at,
    sent: record.isSent,
    protocol: record.protocol,
    ...{ source: record.source, source_port: record.sourcePort },
    ...{ destination: record.destination, destination_port: record.destinationPort },
    icmp_type: record.icmpType,
    tcp_flags: record.tcpFlags === null ? null : flagNames(record.tcpFlags),
    bytes: record.bytes,
    flow: record.flow === null ? null : showFlow(deps, port, record.flow, names),
  };
}

/** From the lowest bit on (RFC 9293). */
const TCP_FLAGS = ['FIN', 'SYN', 'RST', 'PSH', 'ACK', 'URG', 'ECE', 'CWR'];

function flagNames(flags: number): readonly string[] {
  return TCP_FLAGS.filter((_, bit) => (flags & (1 << bit)) !== 0);
}
