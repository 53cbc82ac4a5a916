import type { Client } from '@cable/api';
import { type Logger, type Loop, startLoop } from '@cable/kit';
import type { HostStatusReport, VifStatus } from '@cable/model';
import { hostPath } from './host-stream.ts';

/** What is to be reported: as of now, whole. */
export type HostStatus = { readonly revision: number; readonly vifs: readonly VifStatus[] };

export type StatusReporterOptions = {
  readonly host: string;
  /** Asked before each report. */
  readonly status: () => HostStatus;
  /** Time between heartbeats. */
  readonly everyMs: number;
};

/** What the server takes in one report: VIFs, characters of a reason. */
const MAX_VIFS_A_REPORT = 4096;
const MAX_REASON = 256;

/** `trigger`: something changed. `resend`: the server may have forgotten what it was told. */
export type StatusReporter = { trigger(): void; resend(): void; readonly done: Promise<void> };

/** Reports at once when triggered, and every `everyMs`; only VIFs that changed since the last accepted report, but all after a failure. */
export function startStatusReporter(
  options: StatusReporterOptions,
  deps: { readonly client: Pick<Client, 'request'>; readonly log: Logger; readonly signal: AbortSignal },
): StatusReporter {
  let accepted: ReadonlyMap<string, VifStatus> | undefined;
  /** Calls of `resend`: one during a report means that the report may have come before the server forgot. */
  let resends = 0;
  const run = async (): Promise<void> => {
    const status = options.status();
    const before = accepted;
    const resendsBefore = resends;
    accepted = undefined;
    for (const report of makeReports(status, before)) {
      await deps.client.request('POST', `${hostPath(options.host)}/status`, report);
    }
    if (resends === resendsBefore) accepted = new Map(status.vifs.map((vif) => [vif.portId, vif]));
  };
  const backoff = { minMs: 250, maxMs: options.everyMs };
  const { log, signal } = deps;
  const loop: Loop = startLoop({ name: 'status report', log, signal, run, everyMs: options.everyMs, backoff });
  return {
    trigger: loop.trigger,
    resend: () => {
      resends += 1;
      accepted = undefined;
      loop.trigger();
    },
    done: loop.done,
  };
}

/**
 * `before`: VIFs as last accepted; undefined: unknown, so everything is sent. A VIF that is gone needs a full report. What is too long for
 * one report follows in others; only the first is full.
 */
export function makeReports(
  status: HostStatus,
  before: ReadonlyMap<string, VifStatus> | undefined,
): readonly HostStatusReport[] {
  const now = new Set(status.vifs.map((vif) => vif.portId));
  const full = before === undefined || [...before.keys()].some((portId) => !now.has(portId));
  const changed = status.vifs.filter((vif) => {
    const known = before?.get(vif.portId);
    return full || known?.state !== vif.state || known.reason !== vif.reason;
  });
  const vifs = changed.map((vif) => ({ ...vif, reason: vif.reason === null ? null : vif.reason.slice(0, MAX_REASON) }));
  const reports: HostStatusReport[] = [];
  for (let at = 0; at === 0 || at < vifs.length; at += MAX_VIFS_A_REPORT) {
    reports.push({ revision: status.revision, full: full && at === 0, vifs: vifs.slice(at, at + MAX_VIFS_A_REPORT) });
  }
  return reports;
}
