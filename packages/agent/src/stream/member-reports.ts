import { MAX_MEMBERS_A_REPORT, type MemberHealth, type MemberReport } from '@cable/model';

/** What the host finds of members of pools; asked when a report is made. */
export type MemberSource = {
  /** Those that are probed. */
  readonly members: Iterable<string>;
  /** `gone`: it is not probed. */
  healthOf(memberId: string): MemberHealth;
};

/** What is to be told of members: those that changed since the last report, or all. */
export class MemberReports {
  readonly #source: MemberSource;
  readonly #changed = new Set<string>();
  #isFullDue = true;

  constructor(source: MemberSource) {
    this.#source = source;
  }

  /** These have another state, or are gone. */
  note(memberIds: Iterable<string>): void {
    for (const id of memberIds) this.#changed.add(id);
  }

  /** The server may have forgotten everything, or not got the last report. */
  forget(): void {
    this.#isFullDue = true;
  }

  /** What is due. `mayBeFull`: the members are known to be all there are. Of more than a report may name none is full: the server then forgets none by itself. */
  take(mayBeFull: boolean): readonly MemberReport[] {
    const full = this.#isFullDue && mayBeFull;
    const ids = full ? [...new Set([...this.#source.members, ...this.#changed])] : [...this.#changed];
    if (ids.length === 0 && !full) return [];
    this.#changed.clear();
    if (full) this.#isFullDue = false;
    const members = ids.map((id) => this.#source.healthOf(id));
    if (members.length <= MAX_MEMBERS_A_REPORT) return [{ full, members }];
    const parts = Math.ceil(members.length / MAX_MEMBERS_A_REPORT);
    return Array.from({ length: parts }, (_, part) => ({
      full: false,
      members: members.slice(part * MAX_MEMBERS_A_REPORT, (part + 1) * MAX_MEMBERS_A_REPORT),
    }));
  }
}
