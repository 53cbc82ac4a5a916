import type { DropReason, PortDrops } from '@cable/model';
import { CB_REASON_RATE_QOS, cbDrop, DROP_REASONS } from '../bpf/abi.gen.ts';
import { type RawCounters, sumCounters } from '../show/counters.ts';

const NS_A_SECOND = 1_000_000_000n;

/** What is counted of one VIF. `nowNs`: CLOCK_MONOTONIC. */
export function showDrops(counters: RawCounters, nowNs: bigint): PortDrops {
  const sums = sumCounters({ ...counters, drops: [] });
  const drops = counters.drops.flatMap((row, code) => {
    const { packets, lastNs } = cbDrop.decode(row);
    // Queues count for themselves, without a time.
    const total = Number(packets) + (code === CB_REASON_RATE_QOS ? counters.queueFull : 0);
    if (total === 0) return [];
    // The clock of the counter is coarse: a drop of just now may seem to come.
    const ago = nowNs > lastNs ? nowNs - lastNs : 0n;
    const lastSecondsAgo = packets === 0n ? null : Number(ago / NS_A_SECOND);
    return [{ reason: dropReason(code), packets: total, lastSecondsAgo }];
  });
  return { rxPackets: sums['rx_packets'] ?? 0, txPackets: sums['tx_packets'] ?? 0, drops };
}

/** The reason with this number. Of one that this build does not know the number is the name. */
export function dropReason(code: number): DropReason {
  const known = DROP_REASONS.find((one) => one.code === code);
  if (known === undefined) return { name: `reason_${code}`, meaning: 'not known to this agent', remedy: '' };
  return { name: known.name, meaning: known.description, remedy: known.remedy };
}
