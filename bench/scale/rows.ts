/** One line of the benchmark's table. */
export type Row = {
  readonly world: string;
  readonly what: string;
  readonly value: number;
  readonly unit: string;
  /** What the product is to reach, in the same unit; null: none was set. */
  readonly goal: number | null;
  /** Second figure of the same measurement, such as the 99th percentile. */
  readonly p99?: number;
  /** Figures that say whether the measurement is to be trusted, e.g. the load of the simulated agents. */
  readonly note?: string;
};

/** True when a row with a goal misses it. */
export function misses(row: Row): boolean {
  return row.goal !== null && (row.p99 ?? row.value) > row.goal;
}

/** A number with three digits that count. */
export function show(value: number): string {
  if (!Number.isFinite(value)) return '-';
  if (value === 0) return '0';
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))));
  return value.toFixed(Math.min(digits, 3));
}
