/** How long until what holds something up is looked at again, where nobody tells that it is over: every second at first, more and more seldom later. */

/** What is waited for of a port: that its pod is gone, or that its node has unplugged it. */
export type WaitedFor = 'pod' | 'node';

const FIRST_MS = 1000;
const MOST_MS = 60_000;
/** So often every second: most pods are gone by then, and unplugged. */
const SOON = 10;

export class Waits {
  /** How often each was looked at, by port. */
  readonly #counts = new Map<string, Map<WaitedFor, number>>();

  /** Notes one more look that found it as it was. Answers the milliseconds until the next one. */
  next(portId: string, what: WaitedFor): number {
    const counts = this.#counts.get(portId) ?? new Map<WaitedFor, number>();
    const count = (counts.get(what) ?? 0) + 1;
    this.#counts.set(portId, counts.set(what, count));
    return Math.min(MOST_MS, FIRST_MS * 2 ** Math.max(0, count - SOON));
  }

  /** The port goes, or stays for a pod. */
  over(portId: string): void {
    this.#counts.delete(portId);
  }
}

/** `again`, of which the soonest time that is asked for counts. */
export function soonest(again: (key: string, ms: number) => void): (key: string, ms: number) => void {
  const asked = new Map<string, number>();
  return (key, ms) => {
    if ((asked.get(key) ?? Number.POSITIVE_INFINITY) <= ms) return;
    asked.set(key, ms);
    again(key, ms);
  };
}
