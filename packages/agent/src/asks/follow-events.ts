/** What the vrouter tells of flows, as who follows a port is told it. */
import type { FlowEvent, FollowQuery, PacketQuery } from '@cable/model';
import { CB_TOLD_FORCED, CB_TOLD_IDLE, CB_TOLD_OVER, type CbTupleKey } from '../bpf/abi.gen.ts';
import type { FlowRecord } from '../flow-export/flow-record.ts';
import { formatAddress } from '../plan/address.ts';
import { becomesOf, endsOf, portsOf } from './tuples.ts';

/** Which records are told. */
export type FollowEnds = Pick<FollowQuery, 'protocol' | 'address' | 'port' | 'packets'>;

/** Of either end, as its packets or its answers have it. */
export function fits({ asked, answered }: FlowRecord, { protocol, address, port, packets }: FollowEnds): boolean {
  const tuples = [asked, answered];
  if (packets !== undefined) return tuples.some((tuple) => isWith(tuple, packets));
  if (protocol !== undefined && asked.protocol !== protocol) return false;
  const addresses = address === undefined ? [] : tuples.flatMap(({ src, dst }) => [src, dst]).map(formatAddress);
  if (address !== undefined && !addresses.includes(address)) return false;
  const ports = port === undefined ? [] : tuples.map(portsOf);
  return port === undefined || ports.some((one) => one.sourcePort === port || one.destinationPort === port);
}

/** Do its packets go to the peer, or come from it? */
function isWith(tuple: CbTupleKey, { protocol, peer, peerPort, ownPort }: PacketQuery): boolean {
  if (tuple.protocol !== protocol) return false;
  const { source, destination, sourcePort, destinationPort } = endsOf(tuple);
  const has = (wanted: number | null, number: number): boolean => wanted === null || wanted === number;
  return (
    (destination === peer && has(peerPort, destinationPort) && has(ownPort, sourcePort)) ||
    (source === peer && has(peerPort, sourcePort) && has(ownPort, destinationPort))
  );
}

const ENDED: Readonly<Record<number, FlowEvent['ended']>> = {
  [CB_TOLD_IDLE]: 'idle',
  [CB_TOLD_OVER]: 'closed',
  [CB_TOLD_FORCED]: 'forced',
};

/** The record as it is told to who follows the port. */
export function eventOf(
  record: FlowRecord,
  kind: FlowEvent['kind'],
  { number, portId }: { readonly number: number; readonly portId: string },
): FlowEvent {
  const { asked, from, to, packets, bytes } = record;
  const isBegun = from?.portId === portId;
  return {
    number,
    kind,
    atMs: record.atMs,
    isBegun,
    networkId: record.networkId,
    protocol: asked.protocol,
    source: formatAddress(asked.src),
    destination: formatAddress(asked.dst),
    ...portsOf(asked),
    becomes: becomesOf(record),
    ...{ packets: Number(packets[0]), bytes: Number(bytes[0]) },
    ...{ replyPackets: Number(packets[1]), replyBytes: Number(bytes[1]) },
    peerPortId: (isBegun ? to : from)?.portId ?? null,
    rule: record.rule,
    ended: ENDED[record.ended] ?? null,
    reason: record.drop,
  };
}
