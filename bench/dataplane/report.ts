import Table from 'cli-table3';
import type { MemoryRow } from '../lib/memory.ts';
import { median } from '../lib/statistics.ts';
import { METRICS, type Metric, type Sample } from '../lib/traffic.ts';

/** What was measured of one contestant, a sample a round. */
export type Measured = {
  readonly name: string;
  readonly samples: readonly Partial<Sample>[];
  /** Whom its figures are divided by; empty: it is measured for its own sake. */
  readonly against: readonly Measured[];
};

/** `ratio`: median of the ratios within a round; more is better in every one: that of a time or a cost is turned round. */
export type Figure = {
  readonly median: number;
  readonly ratios: readonly { readonly peer: string; readonly ratio: number }[];
};

export type ReportRow = { readonly path: string; readonly figures: Partial<Record<Metric, Figure>> };

const NAMES = Object.keys(METRICS) as readonly Metric[];

export function rowsOf(all: readonly Measured[]): readonly ReportRow[] {
  return all.map(({ name, samples, against }) => {
    const figures = NAMES.flatMap((metric): [Metric, Figure][] => {
      const values = samples.flatMap((sample) => sample[metric] ?? []);
      if (values.length === 0) return [];
      const ratios = against.map((peer) => ({
        peer: peer.name,
        ratio: median(ratiosOf(metric, samples, peer.samples)),
      }));
      return [[metric, { median: median(values), ratios }]];
    });
    return { path: name, figures: Object.fromEntries(figures) };
  });
}

function ratiosOf(
  metric: Metric,
  own: readonly Partial<Sample>[],
  peer: readonly Partial<Sample>[],
): readonly number[] {
  return own.map((sample, round) => {
    const ratio = (sample[metric] ?? Number.NaN) / (peer[round]?.[metric] ?? Number.NaN);
    return METRICS[metric].isLessBetter ? 1 / ratio : ratio;
  });
}

/** Two tables: what each path has, and the ratios of those that are compared. */
export function tablesOf(rows: readonly ReportRow[]): string {
  const used = NAMES.filter((metric) => rows.some((row) => row.figures[metric] !== undefined));
  const table = (first: string): Table.Table =>
    new Table({ head: [first, ...used.map((metric) => METRICS[metric].label)], style: { head: [], border: [] } });
  const [figures, ratios] = [table('path'), table('ratio, more is better')];
  for (const row of rows) {
    figures.push([row.path, ...used.map((metric) => rounded(row.figures[metric]?.median))]);
    for (const peer of peersOf(row)) {
      const cells = used.map((metric) => row.figures[metric]?.ratios.find((one) => one.peer === peer)?.ratio);
      ratios.push([
        `${row.path} / ${peer}`,
        ...cells.map((ratio) => (ratio === undefined ? '' : `${ratio.toFixed(2)}×`)),
      ]);
    }
  }
  return `${figures.toString()}\n${ratios.toString()}`;
}

/** What one more takes on a host, in the kernel's maps and in the agent's process. */
export function memoryTableOf(rows: readonly MemoryRow[]): string {
  const table = new Table({
    head: ['memory of one', 'of how many', 'maps, bytes', 'agent, bytes'],
    style: { head: [], border: [] },
  });
  for (const { what, many, mapBytes, processBytes } of rows) {
    table.push([what, many, mapBytes.toFixed(0), processBytes?.toFixed(0) ?? '']);
  }
  return table.toString();
}

/** Whom a row is compared with. */
export function peersOf({ figures }: ReportRow): readonly string[] {
  return [...new Set(Object.values(figures).flatMap(({ ratios }) => ratios.map(({ peer }) => peer)))];
}

function rounded(value: number | undefined): string {
  if (value === undefined) return '';
  if (value >= 100) return value.toFixed(0);
  return value >= 10 ? value.toFixed(1) : value.toFixed(2);
}
