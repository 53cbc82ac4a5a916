import { readdirSync } from 'node:fs';
import Table from 'cli-table3';
import type { Check } from './checks/check.ts';
import type { Lab } from './lab.ts';
import type { UpOptions } from './options.ts';
import { logFile } from './processes.ts';

/** What became of one check. `detail`: what was measured, or why it failed. */
export type Outcome = {
  readonly group: string;
  readonly name: string;
  readonly ok: boolean;
  readonly ms: number;
  readonly detail: string;
};

export type Report = {
  readonly ok: boolean;
  readonly story: string;
  readonly store: string;
  readonly seconds: number;
  readonly passed: number;
  readonly failed: number;
  readonly checks: readonly Outcome[];
};

/** Runs the checks one after another; a failed one does not end the run. `onOutcome` is told each as it ends. */
export async function runChecks(
  lab: Lab,
  checks: readonly Check[],
  onOutcome: (outcome: Outcome, check: Check) => void,
  signal: AbortSignal,
): Promise<readonly Outcome[]> {
  const outcomes: Outcome[] = [];
  for (const check of checks) {
    if (signal.aborted) break;
    const outcome = await runCheck(lab, check);
    outcomes.push(outcome);
    onOutcome(outcome, check);
  }
  return outcomes;
}

async function runCheck(lab: Lab, check: Check): Promise<Outcome> {
  const { group, name } = check;
  const startedAt = performance.now();
  const done = (ok: boolean, detail: string): Outcome => ({
    group,
    name,
    ok,
    ms: performance.now() - startedAt,
    detail,
  });
  try {
    return done(true, await check.run(lab));
  } catch (err) {
    return done(false, err instanceof Error ? err.message : String(err));
  }
}

export function makeReport(
  outcomes: readonly Outcome[],
  { story, store }: Pick<UpOptions, 'story' | 'store'>,
  startedAt: number,
): Report {
  const failed = outcomes.filter((outcome) => !outcome.ok).length;
  return {
    ok: failed === 0 && outcomes.length > 0,
    story: story.name,
    store,
    seconds: Math.round((performance.now() - startedAt) / 100) / 10,
    passed: outcomes.length - failed,
    failed,
    checks: outcomes,
  };
}

/** The table that ends a run. */
export function formatReport(report: Report): string {
  const table = new Table({
    head: ['check', '', 'took', 'measured, or what went wrong'],
    style: { head: [], border: [], compact: true },
    colAligns: ['left', 'left', 'right', 'left'],
    colWidths: [64, 8, 9, 72],
    wordWrap: true,
  });
  for (const { name, ok, ms, detail } of report.checks)
    table.push([name, ok ? 'ok' : 'FAILED', `${Math.round(ms)} ms`, detail]);
  return `${table.toString()}\n${formatCounts(report)}`;
}

/** The closing line. */
export function formatCounts(report: Report): string {
  return `lab: ${report.passed} ok, ${report.failed} FAILED in ${report.seconds} s (story: ${report.story}, store: ${report.store})`;
}

/** The last log lines of the parts that a failed check concerns. */
export function formatLogs(dir: string, concerns: readonly string[], count = 8): string {
  const logs = readdirSync(`${dir}/logs`).map((file) => file.replace(/\.log$/, ''));
  const concerned = logs.filter((log) => concerns.some((name) => log === name || log.startsWith(`${name}-`)));
  const parts = concerned.sort().map((name) => {
    const lines = logFile(`${dir}/logs/${name}.log`).lastLines(count);
    return [`  ${name}:`, ...lines.map((line) => `    | ${line.slice(0, 400)}`)].join('\n');
  });
  return parts.join('\n');
}
