import { CableError, type HostStatusReport, MAX_VIFS_A_HOST, MAX_VIFS_A_REPORT, type VifStatus } from '@cable/model';

/** Makes of the parts of a full report on one connection the report that they are. */
export class ReportParts {
  #vifs: VifStatus[] = [];
  /** Of the part that came last; 0: none is under way. */
  #number = 0;
  #of = 0;

  /** The report to be taken; undefined: more parts follow. Throws `InvalidInput` for parts that do not follow one another, and for too many devices. */
  take(report: HostStatusReport): HostStatusReport | undefined {
    const { part, ...whole } = report;
    if (part === undefined) {
      if (this.#number > 0) throw invalid(`part ${this.#number} of ${this.#of} is followed by none`);
      return isCut(report) ? { ...report, full: false } : report;
    }
    const isNext = part.number === this.#number + 1 && (this.#number === 0 || part.of === this.#of);
    if (!isNext) throw invalid(`part ${part.number} of ${part.of} comes after part ${this.#number} of ${this.#of}`);
    this.#number = part.number;
    this.#of = part.of;
    for (const vif of report.vifs) this.#vifs.push(vif);
    if (this.#vifs.length > MAX_VIFS_A_HOST) throw invalid(`it names more than ${MAX_VIFS_A_HOST} devices`);
    if (part.number < part.of) return undefined;
    const all = new Map(this.#vifs.map((vif) => [vif.portId, vif]));
    this.#vifs = [];
    this.#number = 0;
    return { ...whole, full: true, vifs: [...all.values()] };
  }
}

/** True for what an agent that knows of no parts says first when it has too many devices for a line: others follow that are not full. */
export function isCut({ full, vifs }: HostStatusReport): boolean {
  return full && vifs.length === MAX_VIFS_A_REPORT;
}

function invalid(what: string): CableError {
  return new CableError('InvalidInput', `A full report in parts is not whole: ${what}.`, { fields: { field: 'part' } });
}
