import Table from 'cli-table3';
import type { JobResult } from '../control/job.ts';
import { median, quantile } from '../lib/statistics.ts';

/** What Cable is to reach besides ratios: a time. */
export type Goal = { readonly what: string; readonly clients: number; readonly p99Ms: number };

/** What one server did. */
export type Figures = {
  /** Median over the rounds. */
  readonly perSecond: number;
  readonly p50Ms: number;
  /** Of all rounds together. */
  readonly p99Ms: number;
  /** Answers, in all rounds. */
  readonly count: number;
};

/** One line: the same load on both. */
export type Row = {
  readonly what: string;
  readonly clients: number;
  readonly cable: Figures;
  readonly neutron: Figures;
  /** Median over the rounds of Cable's requests a second by those of neutron-server in the same round. */
  readonly ratio: number;
  /** What the ratio is to be at least; null: nothing was promised. */
  readonly goal: number | null;
  /** What Cable's p99 is to be below; null: nothing was promised. */
  readonly p99GoalMs: number | null;
};

/** A round of both. */
export type Round = { readonly cable: JobResult; readonly neutron: JobResult };

export function rowOf(
  { what, clients, goal }: Pick<Row, 'what' | 'clients' | 'goal'>,
  rounds: readonly Round[],
  time: Goal,
): Row {
  return {
    ...{ what, clients, goal },
    cable: figuresOf(rounds.map(({ cable }) => cable)),
    neutron: figuresOf(rounds.map(({ neutron }) => neutron)),
    ratio: median(rounds.map(({ cable, neutron }) => rateOf(cable) / rateOf(neutron))),
    p99GoalMs: time.what === what && time.clients === clients ? time.p99Ms : null,
  };
}

function rateOf({ latenciesMs, elapsedMs }: JobResult): number {
  return (latenciesMs.length * 1000) / elapsedMs;
}

function figuresOf(rounds: readonly JobResult[]): Figures {
  const all = rounds.flatMap(({ latenciesMs }) => [...latenciesMs]);
  return {
    perSecond: median(rounds.map(rateOf)),
    p50Ms: median(rounds.map(({ latenciesMs }) => median([...latenciesMs]))),
    p99Ms: quantile(all, 0.99),
    count: all.length,
  };
}

/** True: something that was promised of it is not so. */
export function misses({ ratio, goal, cable, p99GoalMs }: Row): boolean {
  return (goal !== null && ratio < goal) || (p99GoalMs !== null && cable.p99Ms >= p99GoalMs);
}

/** The rows as a table for people. */
export function formatRows(rows: readonly Row[]): string {
  const figures = ['per s', 'p50 ms', 'p99 ms'];
  const table = new Table({
    head: [
      'what',
      'clients',
      ...figures.map((one) => `Cable: ${one}`),
      ...figures.map((one) => `neutron-server: ${one}`),
      'ratio',
      'goal',
    ],
    style: { head: [], border: [], compact: true },
  });
  for (const row of rows) {
    const { what, clients, cable, neutron, ratio } = row;
    const shown = ({ perSecond, p50Ms, p99Ms }: Figures): readonly string[] => [perSecond, p50Ms, p99Ms].map(show);
    table.push([what, clients, ...shown(cable), ...shown(neutron), `${show(ratio)}×`, formatGoal(row)]);
  }
  return table.toString();
}

function formatGoal(row: Row): string {
  const { goal, p99GoalMs } = row;
  if (goal === null && p99GoalMs === null) return '';
  const said = [...(goal === null ? [] : [`≥ ${goal}×`]), ...(p99GoalMs === null ? [] : [`p99 < ${p99GoalMs} ms`])];
  return `${said.join(', ')}: ${misses(row) ? 'MISSED' : 'reached'}`;
}

/** A number with three digits that count. */
export function show(value: number): string {
  if (!Number.isFinite(value)) return '-';
  if (value >= 1000) return Math.round(value).toLocaleString('en-US');
  const digits = value === 0 ? 0 : Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))));
  return value.toFixed(Math.min(digits, 2));
}
