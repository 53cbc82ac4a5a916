/** Looks for a case on which the real programs and the reference model differ. */
import type { Case } from './case.ts';
import { compare, type Difference, differenceText, type Witness } from './compare.ts';
import type { Outcome } from './outcome.ts';
import type { Rig } from './rig.ts';
import { shrink } from './shrink.ts';

export type Search = {
  readonly seed: number;
  /** Number of the first case, and how many. */
  readonly first?: number;
  readonly cases: number;
  /** What is drawn: a case for a seed and a number. */
  readonly draw: (seed: number, number: number) => Case;
  readonly onCase?: (number: number) => void;
};

export type Found = {
  /** The difference, its seed and the smallest case that shows it; undefined: there is none. */
  readonly text?: string;
  readonly packets: number;
  /** Cases that were left before their end: the promise leaves open how they go on. */
  readonly uncertain: number;
  /** How often each kind of outcome came. */
  readonly outcomes: Outcomes;
};

export function findDifference(rig: Rig, { seed, first = 0, cases, draw, onCase }: Search): Found {
  const outcomes = new Outcomes();
  let uncertain = 0;
  const seen: Witness = (outcome) => outcomes.count(outcome);
  for (let number = first; number < first + cases; number++) {
    const drawn = draw(seed, number);
    const result = compare(drawn, rig, seen);
    if (result === 'uncertain') uncertain += 1;
    else if (result !== undefined) {
      return {
        text: failureText(rig, drawn, result, `case ${number} of seed ${seed} (--seed ${seed} --only ${number})`),
        packets: outcomes.total,
        uncertain,
        outcomes,
      };
    }
    onCase?.(number);
  }
  return { packets: outcomes.total, uncertain, outcomes };
}

/** How often each kind of outcome came. */
export class Outcomes {
  readonly #counts = new Map<string, number>();
  total = 0;

  count(outcome: Outcome): void {
    const kind = kindOf(outcome);
    this.#counts.set(kind, this.of(kind) + 1);
    this.total += 1;
  }

  of(kind: string): number {
    return this.#counts.get(kind) ?? 0;
  }

  toString(): string {
    const sorted = [...this.#counts].sort(([, a], [, b]) => b - a);
    return sorted.map(([kind, count]) => `${kind} ${count}`).join(', ');
  }
}

function kindOf(outcome: Outcome): string {
  if (outcome.kind === 'drop') return `drop ${outcome.reason}`;
  return outcome.kind === 'port' && outcome.refusal !== undefined ? `refusal ${outcome.refusal}` : outcome.kind;
}

function failureText(rig: Rig, drawn: Case, first: Difference, head: string): string {
  const seldom = `differs only after the cases before it, or by chance:\n\n${differenceText(drawn, first)}`;
  if (differs(drawn, rig) === undefined) return `${head} ${seldom}`;
  const small = shrink(drawn, (candidate) => differs(candidate, rig) !== undefined);
  const difference = differs(small, rig);
  return difference === undefined
    ? `${head} ${seldom}`
    : `${head}, made small:\n\n${differenceText(small, difference)}`;
}

function differs(of: Case, rig: Rig): Difference | undefined {
  const result = compare(of, rig);
  return result === 'uncertain' ? undefined : result;
}
