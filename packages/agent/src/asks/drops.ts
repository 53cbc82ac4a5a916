import type { DropReason, PortDrops } from '@cable/model';
import { cbDrop, DROP_REASONS } from '../bpf/abi.gen.ts';
import { type RawCounters, sumCounters } from '../show/counters.ts';

const NS_A_SECOND = 1_000_000_000n;

/** What is counted of one VIF. `nowNs`: CLOCK_MONOTONIC. */
export function showDrops(counters: RawCounters, nowNs: bigint): PortDrops {
  const sums = sumCounters({ ...counters, drops: [] });
  const drops = counters.drops.flatMap((row, code) => {
    const { packets, lastNs } = cbDrop.decode(row);
    if (packets === 0n) return [];
    // The clock of the counter is coarse: a drop of just now may seem to come.
    const ago = nowNs > lastNs ? nowNs - lastNs : 0n;
    return [{ reason: dropReason(code), packets: Number(packets), lastSecondsAgo: Number(ago / NS_A_SECOND) }];
  });
  return { rxPackets: sums['rx_packets'] ?? 0, txPackets: sums['tx_packets'] ?? 0, drops };
}

/** The reason with this number. Of one that this build does not know the number is the name. */
export function dropReason(code: number): DropReason {
  const known = DROP_REASONS.find((one) => one.code === code);
  if (known === undefined) return { name: `reason_${code}`, meaning: 'not known to this agent', remedy: '' };
  return { name: known.name, meaning: known.description, remedy: known.remedy };
}
