import type { HostStatusReport, RefusedEntries, VifStatus } from '@cable/model';

/** What the host lets its stream report; asked when a report is made. */
export type ReportSource = {
  /** The last revision that is in the kernel; 0: none yet. */
  programmedRevision(): number;
  /** State of each port by its id, as of the last round; undefined: no round has ended yet. */
  ports(): ReadonlyMap<string, VifStatus> | undefined;
  /** What the kernel refused of others' entries; undefined: nothing. */
  refused(): RefusedEntries | undefined;
};

/** What the server takes in one report: VIFs, characters of a reason. */
const MAX_VIFS_A_REPORT = 4096;
const MAX_REASON = 256;

/** What is to be said of the host's ports: those that changed since the last report, or all. */
export class StatusReports {
  readonly #source: ReportSource;
  readonly #changed = new Set<string>();
  /** The server may know none of them. */
  #allDue = true;
  /** The server may know ports that are gone. */
  #fullDue = true;

  constructor(source: ReportSource) {
    this.#source = source;
  }

  /** These ports' states have changed, or they are gone. */
  note(portIds: Iterable<string>): void {
    for (const id of portIds) this.#changed.add(id);
  }

  /** The server may have forgotten everything, or not got the last report. */
  forget(): void {
    this.#allDue = true;
    this.#fullDue = true;
  }

  /** True: ports are gone, or may be, of which only a full report tells. */
  get isFullDue(): boolean {
    return this.#fullDue;
  }

  /**
   * What is due. `mayBeFull`: the ports are known to be all there are. What is too long for one report follows in others; only the first is full.
   */
  take(mayBeFull: boolean): readonly HostStatusReport[] {
    const revision = this.#source.programmedRevision();
    const refused = this.#source.refused();
    const head = {
      revision,
      ...(refused === undefined ? {} : { refused: { ...refused, reason: cutReason(refused.reason) } }),
    };
    const ports = this.#source.ports();
    if (ports === undefined) return [{ ...head, full: false, vifs: [] }];
    for (const id of this.#changed) if (!ports.has(id)) this.#fullDue = true;
    const full = this.#fullDue && mayBeFull;
    const due = full || this.#allDue ? [...ports.values()] : [...this.#changed].flatMap((id) => ports.get(id) ?? []);
    this.#changed.clear();
    this.#allDue = false;
    if (full) this.#fullDue = false;
    return cut(head, full, due);
  }
}

type Head = Pick<HostStatusReport, 'revision' | 'refused'>;

function cut(head: Head, full: boolean, due: readonly VifStatus[]): readonly HostStatusReport[] {
  const vifs = due.map((vif) => ({ ...vif, reason: vif.reason === null ? null : cutReason(vif.reason) }));
  const reports: HostStatusReport[] = [];
  for (let at = 0; at === 0 || at < vifs.length; at += MAX_VIFS_A_REPORT) {
    reports.push({ ...head, full: full && at === 0, vifs: vifs.slice(at, at + MAX_VIFS_A_REPORT) });
  }
  return reports;
}

function cutReason(reason: string): string {
  return reason.slice(0, MAX_REASON);
}
