import { type CbStat, cbStat, DROP_REASONS } from '../bpf/abi.gen.ts';

/** Counters of one VIF: packets and bytes from it (rx) and to it (tx), then each drop reason that occurred, by its name. */
export type CounterRow = Readonly<Record<string, number>>;

/** Sums one counter value for each CPU. */
export function sumCounters(perCpu: readonly Uint8Array[]): CounterRow {
  const stats = perCpu.map((bytes) => cbStat.decode(bytes));
  const sum = (pick: (stat: CbStat) => bigint): number => Number(stats.reduce((total, stat) => total + pick(stat), 0n));
  const drops = DROP_REASONS.map(({ code, name }) => [name, sum((stat) => stat.drops[code] ?? 0n)] as const);
  return {
    rx_packets: sum((stat) => stat.rxPackets),
    rx_bytes: sum((stat) => stat.rxBytes),
    tx_packets: sum((stat) => stat.txPackets),
    tx_bytes: sum((stat) => stat.txBytes),
    ...Object.fromEntries(drops.filter(([, count]) => count > 0)),
  };
}
