/** Tuples of the flow table, as they are told. */
import type { FlowView, TraceEnds } from '@cable/model';
import type { CbTupleKey } from '../bpf/abi.gen.ts';
import type { FlowRecord } from '../flow-export/flow-record.ts';
import { formatAddress } from '../plan/address.ts';

const ICMP = [1, 58];
const WITH_PORTS = [6, 17, 132, 136, 33];

/** Ports and ICMP type of a tuple. */
export function portsOf({
  protocol,
  sportBe,
  dportBe,
}: CbTupleKey): Pick<FlowView, 'sourcePort' | 'destinationPort' | 'icmpType'> {
  const isIcmp = ICMP.includes(protocol);
  const hasPorts = WITH_PORTS.includes(protocol);
  return {
    sourcePort: hasPorts ? sportBe : null,
    destinationPort: hasPorts ? dportBe : null,
    icmpType: isIcmp ? dportBe >> 8 : null,
  };
}

/** Answers come from what its destination becomes, to what its source does. */
export function becomesOf({ asked, answered }: Pick<FlowRecord, 'asked' | 'answered'>): TraceEnds | null {
  const there = endsOf(asked);
  const answer = endsOf(answered);
  const behind = {
    source: answer.destination,
    destination: answer.source,
    sourcePort: answer.destinationPort,
    destinationPort: answer.sourcePort,
  };
  const names = ['source', 'destination', 'sourcePort', 'destinationPort'] as const;
  return names.every((name) => there[name] === behind[name]) ? null : behind;
}

/** Ports are 0 where it has none. */
export function endsOf(tuple: CbTupleKey): TraceEnds {
  const { sourcePort, destinationPort } = portsOf(tuple);
  const ends = { source: formatAddress(tuple.src), destination: formatAddress(tuple.dst) };
  return { ...ends, sourcePort: sourcePort ?? 0, destinationPort: destinationPort ?? 0 };
}
