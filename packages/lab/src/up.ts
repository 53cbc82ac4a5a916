import { existsSync } from 'node:fs';
import { buildLab } from './build.ts';
import { type Check, duration } from './checks/check.ts';
import type { Lab } from './lab.ts';
import { createLedger } from './ledger.ts';
import { type LabNames, labNames } from './names.ts';
import type { UpOptions } from './options.ts';
import { formatLogs, formatReport, makeReport, type Outcome, type Report, runChecks } from './report.ts';
import { tearDown } from './teardown.ts';
import { describeUse, downCommand } from './use.ts';

/** Something the user can act on: no stack trace. */
export class LabError extends Error {}

/** Builds a lab, checks it, and removes it unless it is to be kept. Returns the exit code. */
export async function labUp(options: UpOptions, signal: AbortSignal): Promise<number> {
  const names = labNames(options.name, options.overlayIpVersion);
  const say = (line: string): void => {
    process.stderr.write(`cable lab: ${line}\n`);
  };
  if (process.getuid?.() !== 0) throw new LabError('namespaces and eBPF need root: sudo cable lab');
  const ledger = createLedger(names.dir);
  if (ledger === undefined)
    throw new LabError(
      `the lab "${names.lab}" is up already, or a crash left it; remove it with: ${downCommand(names)}`,
    );
  const startedAt = performance.now();
  const outcomes: Outcome[] = [];
  let lab: Lab | undefined;
  try {
    const { store, encapsulation, settings, story } = options;
    const building = buildLab(story.world, {
      names,
      ledger,
      store,
      encapsulation,
      qemu: wantsQemu(options),
      settings,
      say,
    });
    lab = await interruptible(building, signal);
    say(`up after ${duration(performance.now() - startedAt)}; checking`);
    // A check that runs when the lab is interrupted finds its processes gone: that is no finding.
    const onOutcome = (outcome: Outcome, check: Check): void => {
      if (!signal.aborted) tellOutcome(names, say, outcome, check);
    };
    outcomes.push(...(await interruptible(runChecks(lab, wantedChecks(options), onOutcome, signal), signal)));
  } catch (err) {
    if (!signal.aborted) outcomes.push(buildFailure(names, err, startedAt));
  }
  const report = makeReport(outcomes, options, startedAt);
  if (!signal.aborted)
    process.stdout.write(`${options.json ? JSON.stringify(report, null, 2) : formatReport(report)}\n`);
  if (options.keep && lab !== undefined && !signal.aborted) {
    say(describeUse(lab));
    return report.ok ? 0 : 1;
  }
  ledger.close();
  return (await remove(names, report, signal.aborted, say)) && report.ok ? 0 : 1;
}

/** Without deletion when the lab is to be kept. */
function wantedChecks(options: UpOptions): readonly Check[] {
  return options.story.checks.filter(({ group }) => {
    if (group === 'qemu' && !wantsQemu(options)) return false;
    if (group === 'delete' && options.keep) return false;
    return options.only.length === 0 || options.only.includes(group);
  });
}

/** A story's checks of its real machines are the group `qemu`. */
function wantsQemu({ qemu, only }: UpOptions): boolean {
  return qemu && (only.length === 0 || only.includes('qemu'));
}

function tellOutcome(names: LabNames, say: (line: string) => void, outcome: Outcome, check: Check): void {
  say(`${outcome.ok ? 'ok    ' : 'FAILED'} ${outcome.name} (${duration(outcome.ms)}): ${outcome.detail}`);
  if (!outcome.ok) process.stderr.write(`${formatLogs(names.dir, check.concerns)}\n`);
}

function buildFailure(names: LabNames, err: unknown, startedAt: number): Outcome {
  const detail = err instanceof Error ? err.message : String(err);
  process.stderr.write(`cable lab: could not be built: ${detail}\n${formatLogs(names.dir, ['server', 'agent'])}\n`);
  return { group: 'build', name: 'the lab is built', ok: false, ms: performance.now() - startedAt, detail };
}

/** Removes the lab. False: something is left. Logs are kept when a check failed. */
async function remove(
  names: LabNames,
  report: Report,
  interrupted: boolean,
  say: (line: string) => void,
): Promise<boolean> {
  say(interrupted ? 'interrupted: removing the lab' : 'removing the lab');
  const keepLogsIn = report.ok || interrupted ? undefined : freeDirectory(`/tmp/cable-lab-${names.lab}-logs`);
  const left = await tearDown(names, keepLogsIn);
  if (keepLogsIn !== undefined) say(`logs are kept in ${keepLogsIn}`);
  if (left.length > 0) say(`could not be removed: ${left.join(', ')}`);
  return left.length === 0;
}

function freeDirectory(base: string): string {
  let index = 1;
  while (existsSync(`${base}-${index}`)) index += 1;
  return `${base}-${index}`;
}

/** Rejects as soon as the signal aborts; the work goes on, and finds its processes gone. */
function interruptible<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  work.catch(() => undefined);
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(new Error('interrupted'));
    signal.addEventListener('abort', () => reject(new Error('interrupted')), { once: true });
    work.then(resolve, reject);
  });
}
