/** What is known of objects, for who asks: the last word on each, in the order in which they were said. */
import type { ResourceName } from '../translate/neutron.ts';

/** Of one object. `realisedRevision`: rows of this revision are in the Northbound database. `error`: why its rows are not as they are to be. */
export type Report = {
  readonly resource: ResourceName;
  readonly id: string;
  readonly realisedRevision?: number;
  readonly error?: string;
  /** Of a port: whether a host has it plugged and its flows made. */
  readonly status?: 'ACTIVE' | 'DOWN';
};

type Said = { readonly sequence: number; readonly report: Report };

/** Who has lost count asks from 0, and is told all. */
export class Reports {
  readonly #said = new Map<string, Said>();
  readonly #waiting = new Set<() => void>();
  #sequence = 0;

  get sequence(): number {
    return this.#sequence;
  }

  /** Says what is known now; what is not said stays. Nothing new is not said again. */
  say(report: Report & { readonly error?: string | undefined }): void {
    const key = `${report.resource}/${report.id}`;
    const before = this.#said.get(key)?.report;
    const after = { ...before, ...report };
    if (report.realisedRevision !== undefined) delete after.error;
    if (before !== undefined && JSON.stringify(before) === JSON.stringify(after)) return;
    this.#said.delete(key);
    this.#sequence += 1;
    this.#said.set(key, { sequence: this.#sequence, report: after });
    for (const wake of this.#waiting) wake();
  }

  /** The object is gone. */
  forget(resource: ResourceName, id: string): void {
    this.#said.delete(`${resource}/${id}`);
  }

  /** At most `max` of what was said behind this number, and the number to ask with next. */
  since(sequence: number, max: number): { readonly next: number; readonly reports: readonly Report[] } {
    const found: Said[] = [];
    for (const said of this.#said.values()) if (said.sequence > sequence && found.length < max) found.push(said);
    return { next: found.at(-1)?.sequence ?? this.#sequence, reports: found.map(({ report }) => report) };
  }

  /** Resolves when something was said behind this number, or after the time. */
  async wait(sequence: number, ms: number, signal: AbortSignal): Promise<void> {
    if (this.#sequence > sequence || signal.aborted) return;
    await new Promise<void>((resolve) => {
      const wake = (): void => {
        clearTimeout(timer);
        this.#waiting.delete(wake);
        signal.removeEventListener('abort', wake);
        resolve();
      };
      const timer = setTimeout(wake, ms);
      this.#waiting.add(wake);
      signal.addEventListener('abort', wake, { once: true });
    });
  }
}
