import { CB_REASON_MAX, CB_REASON_RATE_QOS, type CbCount, cbCount, cbDrop, DROP_REASONS } from '../bpf/abi.gen.ts';

/** Counters of one VIF: packets and bytes from it (rx) and to it (tx), then each drop reason that occurred, by its name. */
export type CounterRow = Readonly<Record<string, number>>;

/** What the kernel counts of a VIF: a `cb_count` for each CPU, a `cb_drop` for each reason, and packets over a limit for which there was no room to wait. */
export type RawCounters = {
  readonly perCpu: readonly Uint8Array[];
  readonly drops: readonly Uint8Array[];
  readonly queueFull: number;
};

/** Rows of `cb_drop_1` that are a VIF's. */
export function dropRows(vif: number): { readonly first: number; readonly count: number } {
  return { first: vif * CB_REASON_MAX, count: CB_REASON_MAX };
}

/** Sums and names them. */
export function sumCounters({ perCpu, drops, queueFull }: RawCounters): CounterRow {
  const counts = perCpu.map((bytes) => cbCount.decode(bytes));
  const sum = (pick: (count: CbCount) => bigint): number =>
    Number(counts.reduce((total, count) => total + pick(count), 0n));
  const dropped = DROP_REASONS.map(({ code, name }) => {
    const row = drops[code];
    const found = row === undefined ? 0 : Number(cbDrop.decode(row).packets);
    return [name, code === CB_REASON_RATE_QOS ? found + queueFull : found] as const;
  });
  return {
    rx_packets: sum((count) => count.rxPackets),
    rx_bytes: sum((count) => count.rxBytes),
    tx_packets: sum((count) => count.txPackets),
    tx_bytes: sum((count) => count.txBytes),
    ...Object.fromEntries(dropped.filter(([, count]) => count > 0)),
  };
}
