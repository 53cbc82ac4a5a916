import type { TableReader } from '@cable/kit';
import type { Port } from '@cable/model';

/** Number of ports by status, kept by the changes: counting a quarter of a million at each question would stop the server. */
export class PortCounts {
  readonly #counts = new Map<string, number>();

  load(ports: Pick<TableReader<Port>, 'values'>): void {
    this.#counts.clear();
    for (const port of ports.values()) this.#add(port.status, 1);
  }

  change(before: Port | undefined, after: Port | undefined): void {
    if (before !== undefined) this.#add(before.status, -1);
    if (after !== undefined) this.#add(after.status, 1);
  }

  byStatus(): Readonly<Record<string, number>> {
    return Object.fromEntries([...this.#counts].filter(([, count]) => count > 0).sort());
  }

  #add(status: string, count: number): void {
    this.#counts.set(status, (this.#counts.get(status) ?? 0) + count);
  }
}
