import Table from 'cli-table3';
import { median, quantile } from '../lib/statistics.ts';
import type { JobResult } from './job.ts';

/** What a figure is to reach. */
export type Goal = {
  readonly figure: 'perSecond' | 'p50Ms' | 'p99Ms' | 'maxMs' | 'meanwhileP99Ms';
  readonly is: 'at least' | 'at most';
  readonly value: number;
};

/** How long answers took: ms. */
export type Latency = { readonly p50Ms: number; readonly p99Ms: number; readonly maxMs: number };

/** CPU time for each item, in µs: of the server and of its main thread, of etcd (null: there is none), of the clients. */
export type Cpu = {
  readonly serverUs: number | null;
  readonly serverThreadUs: number | null;
  readonly etcdUs: number | null;
  readonly clientUs: number;
};

/** One line of a section's table. */
export type Row = {
  readonly section: string;
  readonly store: string;
  readonly what: string;
  readonly clients: number;
  /** Median over the rounds; a bulk counts as its objects. */
  readonly perSecond: number;
  /** Of whole requests: the median over the rounds, and the 99th percentile and the longest of all rounds together. */
  readonly latency: Latency;
  readonly cpu: Cpu;
  /** What one other client's shows took at the same time; null: nobody else was there. */
  readonly meanwhile: Latency | null;
  readonly goals: readonly (Goal & { readonly isReached: boolean })[];
  readonly note: string;
};

/** What a measurement gives, with a sentence for each thing that is no line of the table. */
export type Measured = { readonly rows: readonly Row[]; readonly facts: readonly string[] };

/** What a row says of what was measured, apart from the figures. */
export type Subject = {
  readonly section: string;
  readonly store: string;
  readonly what: string;
  readonly clients: number;
  /** Objects in a request. Default 1. */
  readonly items?: number;
  readonly goals?: readonly Goal[];
  readonly note?: string;
};

/** The figures of some rounds of the same job, whose `pids` began with the server and etcd, as far as there are any. */
export function rowOf(
  subject: Subject,
  rounds: readonly JobResult[],
  processes: readonly ('server' | 'etcd')[],
  meanwhile: readonly JobResult[] = [],
): Row {
  const { section, store, what, clients, items = 1, goals = [], note = '' } = subject;
  const figures = {
    perSecond: median(rounds.map((round) => items * ratePerSecond(round))),
    latency: latencyOf(rounds),
    cpu: cpuOf(rounds, items, processes),
    meanwhile: meanwhile.length === 0 ? null : latencyOf(meanwhile),
  };
  const judged = goals.map((goal) => ({ ...goal, isReached: isReached(goal, figures) }));
  return { section, store, what, clients, ...figures, goals: judged, note };
}

/** Requests a second that were done. */
export function ratePerSecond({ latenciesMs, elapsedMs }: JobResult): number {
  return (latenciesMs.length * 1000) / elapsedMs;
}

function latencyOf(rounds: readonly JobResult[]): Latency {
  const all = rounds.flatMap((round) => [...round.latenciesMs]);
  return {
    p50Ms: median(rounds.map((round) => median([...round.latenciesMs]))),
    p99Ms: quantile(all, 0.99),
    maxMs: quantile(all, 1),
  };
}

function cpuOf(rounds: readonly JobResult[], items: number, processes: readonly ('server' | 'etcd')[]): Cpu {
  const done = rounds.reduce((sum, { latenciesMs }) => sum + latenciesMs.length * items, 0);
  const each = (ms: (round: JobResult) => number): number =>
    (rounds.reduce((sum, round) => sum + ms(round), 0) * 1000) / done;
  const server = processes.indexOf('server');
  const etcd = processes.indexOf('etcd');
  return {
    serverUs: server < 0 ? null : each(({ usage }) => usage[server]?.cpuMs ?? 0),
    serverThreadUs: server < 0 ? null : each(({ usage }) => usage[server]?.mainThreadMs ?? 0),
    etcdUs: etcd < 0 ? null : each(({ usage }) => usage[etcd]?.cpuMs ?? 0),
    clientUs: each(({ clientCpuMs }) => clientCpuMs),
  };
}

function isReached(
  goal: Goal,
  { perSecond, latency, meanwhile }: Pick<Row, 'perSecond' | 'latency' | 'meanwhile'>,
): boolean {
  const value =
    goal.figure === 'perSecond'
      ? perSecond
      : goal.figure === 'meanwhileP99Ms'
        ? (meanwhile?.p99Ms ?? Number.NaN)
        : latency[goal.figure];
  return goal.is === 'at least' ? value >= goal.value : value <= goal.value;
}

const NAMES: Readonly<Record<Goal['figure'], string>> = {
  perSecond: 'a second',
  p50Ms: 'ms p50',
  p99Ms: 'ms p99',
  maxMs: 'ms at most',
  meanwhileP99Ms: 'ms p99 of show',
};

/** The rows of one section, for people. */
export function formatSection(rows: readonly Row[]): string {
  const hasOther = rows.some(({ meanwhile }) => meanwhile !== null);
  const head = [
    'store',
    'what',
    'clients',
    'per s',
    'p50 ms',
    'p99 ms',
    'max ms',
    'server µs (main thread)',
    'etcd µs',
    'client µs',
  ];
  const table = new Table({
    head: [...head, ...(hasOther ? ['show meanwhile, ms: p50 / p99 / max'] : []), 'goal', ''],
    style: { head: [], border: [], compact: true },
    wordWrap: true,
  });
  for (const row of rows) {
    const { latency, cpu, meanwhile } = row;
    table.push([
      row.store,
      row.what,
      row.clients,
      show(row.perSecond),
      ...[latency.p50Ms, latency.p99Ms, latency.maxMs].map(show),
      cpu.serverUs === null ? '' : `${show(cpu.serverUs)} (${show(cpu.serverThreadUs)})`,
      show(cpu.etcdUs),
      show(cpu.clientUs),
      ...(hasOther
        ? [meanwhile === null ? '' : [meanwhile.p50Ms, meanwhile.p99Ms, meanwhile.maxMs].map(show).join(' / ')]
        : []),
      row.goals.map(formatGoal).join('\n'),
      row.note,
    ]);
  }
  return table.toString();
}

function formatGoal({ figure, is, value, isReached: reached }: Row['goals'][number]): string {
  return `${is === 'at least' ? '≥' : '≤'} ${show(value)} ${NAMES[figure]}: ${reached ? 'reached' : 'MISSED'}`;
}

/** A number with three digits that count. */
function show(value: number | null): string {
  if (value === null) return '';
  if (!Number.isFinite(value)) return '-';
  if (value >= 1000) return Math.round(value).toLocaleString('en-US');
  const digits = value === 0 ? 0 : Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))));
  return value.toFixed(Math.min(digits, 2));
}
