import {
  type HostStatusReport,
  type LeaseUse,
  MAX_GATEWAYS_A_REPORT,
  MAX_LEASES_A_REPORT,
  MAX_VIFS_A_HOST,
  MAX_VIFS_A_REPORT,
  type RefusedEntries,
  type VifStatus,
} from '@cable/model';

/** What the host lets its stream report; asked when a report is made. */
export type ReportSource = {
  /** The last revision that is in the kernel; 0: none yet. */
  programmedRevision(): number;
  /** State of each port by its id, as of the last round; undefined: no round has ended yet. */
  ports(): ReadonlyMap<string, VifStatus> | undefined;
  /** What the kernel refused of others' entries; undefined: nothing. */
  refused(): RefusedEntries | undefined;
  /** Ports of gateways whose place the host has taken; absent: it takes none. */
  gateways?(): readonly string[];
  /** Leases that need more blocks, or fewer; absent: none. */
  leases?(): readonly LeaseUse[];
  /** Addresses of Services that it announces; undefined, or absent: it has no part in that. */
  announces?(): readonly string[] | undefined;
};

/** Characters of a reason that the server takes. */
const MAX_REASON = 256;

/** What is to be said of the host's ports: those that changed since the last report, or all. */
export class StatusReports {
  readonly #source: ReportSource;
  readonly #changed = new Set<string>();
  /** Ports of which the server may keep a state, gone ones among them until a full report. */
  #told = new Set<string>();
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
   * What is due. `mayBeFull`: the ports are known to be all there are. What is too long for one report follows in others, or, of a full one, in its
   * other parts. Of more ports than a server keeps for a host only some are told.
   */
  take(mayBeFull: boolean): readonly HostStatusReport[] {
    const revision = this.#source.programmedRevision();
    const refused = this.#source.refused();
    const gateways = this.#source.gateways?.() ?? [];
    const leases = this.#source.leases?.() ?? [];
    const announces = this.#source.announces?.();
    const head = {
      revision,
      ...(refused === undefined ? {} : { refused: cutRefused(refused) }),
      ...(gateways.length === 0 ? {} : { gateways: gateways.slice(0, MAX_GATEWAYS_A_REPORT) }),
      ...(leases.length === 0 ? {} : { leases: leases.slice(0, MAX_LEASES_A_REPORT) }),
      ...(announces === undefined ? {} : { announces }),
    };
    const ports = this.#source.ports();
    if (ports === undefined) return [{ ...head, full: false, vifs: [] }];
    const changed = this.#takeChanged(ports);
    const full = this.#fullDue && mayBeFull;
    const due = full ? this.#tellAnew(ports) : this.#allDue ? this.#tell(ports.values()) : this.#tell(changed);
    this.#allDue = false;
    if (full) this.#fullDue = false;
    return cut(head, full, due);
  }

  #takeChanged(ports: ReadonlyMap<string, VifStatus>): readonly VifStatus[] {
    const changed: VifStatus[] = [];
    for (const id of this.#changed) {
      const vif = ports.get(id);
      if (vif === undefined) this.#fullDue = true;
      else changed.push(vif);
    }
    this.#changed.clear();
    return changed;
  }

  /** With a full report the server forgets the others. What has a device goes before what has none, or got no room. */
  #tellAnew(ports: ReadonlyMap<string, VifStatus>): readonly VifStatus[] {
    this.#told = new Set();
    const all = [...ports.values()];
    if (all.length <= MAX_VIFS_A_HOST) return this.#tell(all);
    return this.#tell([...all.filter(({ state }) => state === 'up'), ...all.filter(({ state }) => state !== 'up')]);
  }

  #tell(vifs: Iterable<VifStatus>): readonly VifStatus[] {
    const told: VifStatus[] = [];
    for (const vif of vifs) {
      if (this.#told.size < MAX_VIFS_A_HOST) this.#told.add(vif.portId);
      if (this.#told.has(vif.portId)) told.push(vif);
      // It may have a place in a full report.
      else if (vif.state === 'up') this.#fullDue = true;
    }
    return told;
  }
}

type Head = Pick<HostStatusReport, 'revision' | 'refused' | 'gateways' | 'leases' | 'announces'>;

/** A full report of so many as a line may have is a part too: to an older server it would look like the first of several. */
function cut(head: Head, full: boolean, due: readonly VifStatus[]): readonly HostStatusReport[] {
  const vifs = due.map((vif) => ({ ...vif, reason: vif.reason === null ? null : cutReason(vif.reason) }));
  const of = Math.ceil(vifs.length / MAX_VIFS_A_REPORT);
  if (vifs.length < MAX_VIFS_A_REPORT) return [{ ...head, full, vifs }];
  return Array.from({ length: of }, (_, n) => ({
    ...head,
    full: false,
    vifs: vifs.slice(n * MAX_VIFS_A_REPORT, (n + 1) * MAX_VIFS_A_REPORT),
    ...(full ? { part: { number: n + 1, of } } : {}),
  }));
}

function cutRefused({ hostPolicies, ...refused }: RefusedEntries): RefusedEntries {
  return {
    ...{ ...refused, reason: cutReason(refused.reason) },
    ...(hostPolicies === undefined ? {} : { hostPolicies: cutReason(hostPolicies) }),
  };
}

function cutReason(reason: string): string {
  return reason.slice(0, MAX_REASON);
}
