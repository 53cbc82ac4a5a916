/**
 * The ports, or identifiers, with which connections leave by a router's address. Which one is free to the programs, within what is promised: one of the range, that nobody has
 * to that destination; of each eight one and the same for the same sender.
 */
import type { Range } from './cloud.ts';
import { PORTS_IN_GROUP } from './gateways.ts';

/** With more groups than this nobody runs out of ports here. */
const MOST_GROUPS = 4;

export type Wish = {
  readonly sender: string;
  readonly range: Range;
  /** Does another connection have the port to that destination? */
  readonly isTaken: (port: number) => boolean;
  /** What the programs have done: this port, or none. */
  readonly chosen: number | undefined;
};

export class SourcePorts {
  /** The place that a sender has in a group. */
  readonly #places = new Map<string, number>();

  /** The port, and from now on the sender's place is that. Undefined: there is none. */
  choose({ sender, range, isTaken, chosen }: Wish): number | undefined {
    const groups = Math.floor((range.max - range.min + 1) / PORTS_IN_GROUP);
    const free = (group: number): readonly number[] =>
      this.#candidates(sender, range, group).filter((port) => !isTaken(port));
    const few = Array.from({ length: Math.min(groups, MOST_GROUPS) }, (_, group) => group);
    const mayFail = groups < MOST_GROUPS && few.every((group) => this.#mayLack(sender, range, group, free(group)));
    if (chosen === undefined && mayFail) return undefined;
    const at = chosen === undefined ? -1 : Math.floor((chosen - range.min) / PORTS_IN_GROUP);
    const isRight = chosen !== undefined && at >= 0 && at < groups && free(at).includes(chosen);
    const port = isRight ? chosen : few.flatMap(free)[0];
    if (port !== undefined) {
      const group = Math.floor((port - range.min) / PORTS_IN_GROUP);
      this.#places.set(`${sender} ${group}`, (port - range.min) % PORTS_IN_GROUP);
    }
    return port;
  }

  #candidates(sender: string, { min }: Range, group: number): readonly number[] {
    const first = min + group * PORTS_IN_GROUP;
    const place = this.#places.get(`${sender} ${group}`);
    if (place !== undefined) return [first + place];
    return Array.from({ length: PORTS_IN_GROUP }, (_, at) => first + at);
  }

  /** Where the sender's place is not known it may be one that is taken. */
  #mayLack(sender: string, range: Range, group: number, free: readonly number[]): boolean {
    return free.length < this.#candidates(sender, range, group).length;
  }
}
