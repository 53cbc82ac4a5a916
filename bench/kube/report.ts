import Table from 'cli-table3';
import { median, quantile } from '../lib/statistics.ts';
import { COMMANDS, type Level, PLUGINS, type PluginName, type Round } from './cni-calls.ts';

/** One plug-in's calls of one kind. */
export type Row = {
  readonly command: 'ADD' | 'DEL';
  /** Calls at a time. */
  readonly parallel: number;
  readonly plugin: PluginName;
  /** Median over the rounds of their medians, and the same of their 99th of a hundred; ms. */
  readonly medianMs: number;
  readonly p99Ms: number;
  /** Of the reference's median to this one's, median over the rounds; more is better. Null: it is not compared. */
  readonly timesFaster: number | null;
};

const SHOWN: Readonly<Record<PluginName, string>> = {
  cluster: 'cable-cni, cluster mode',
  plain: 'cable-cni, plain mode',
  bridge: 'reference bridge + host-local',
  launch: 'a plug-in that does nothing',
};

/** Of Cable: calls that come alone, whole executable. */
const GOAL_MS = 10;

export function rowsOf(levels: readonly Level[]): readonly Row[] {
  return COMMANDS.flatMap((command) =>
    levels.flatMap(({ parallel, rounds }) =>
      PLUGINS.map((plugin): Row => {
        const each = (of: PluginName, figure: (samples: Round['ADD']) => number): readonly number[] =>
          rounds.map((round) => figure(round[of][command]));
        const [own, reference] = [each(plugin, median), each('bridge', median)];
        const ratios = own.map((ms, round) => (reference[round] ?? Number.NaN) / ms);
        const isCable = plugin === 'cluster' || plugin === 'plain';
        return {
          ...{ command, parallel, plugin, medianMs: median(own) },
          p99Ms: median(each(plugin, (samples) => quantile(samples, 0.99))),
          timesFaster: isCable ? median(ratios) : null,
        };
      }),
    ),
  );
}

export function tableOf(rows: readonly Row[]): string {
  const head = ['command', 'at a time', 'plug-in', 'median ms', 'p99 ms', 'bridge / it', 'goal'];
  const table = new Table({ head, style: { head: [], border: [] } });
  for (const row of rows) {
    const { command, parallel, plugin, medianMs, p99Ms, timesFaster } = row;
    const ratio = timesFaster === null ? '' : `${timesFaster.toFixed(2)}×`;
    table.push([command, parallel, SHOWN[plugin], medianMs.toFixed(1), p99Ms.toFixed(1), ratio, goalOf(row)]);
  }
  return table.toString();
}

/** The cluster mode alone has goals: the plain one waits for the server. */
function goalOf({ plugin, parallel, medianMs, timesFaster }: Row): string {
  if (plugin !== 'cluster' || timesFaster === null) return '';
  const verdict = (text: string, isReached: boolean): string => `${text}: ${isReached ? 'reached' : 'MISSED'}`;
  const notSlower = verdict('not slower', timesFaster >= 1);
  return parallel === 1 ? `${verdict(`< ${GOAL_MS} ms`, medianMs < GOAL_MS)}, ${notSlower}` : notSlower;
}
