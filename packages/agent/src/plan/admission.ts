import { CB_MAX_CLASS, CB_MAX_RULE } from '../bpf/abi.gen.ts';
import type { PolicySize } from './unit.ts';

/** What the policies of one host may take together. */
export const POLICY_BUDGET: PolicySize = { rules: CB_MAX_RULE, classes: CB_MAX_CLASS };

/**
 * Which policies fit the host's policy maps together: taken in the order of their names, each that still fits. It depends on names and sizes
 * alone. Costs nothing that grows as long as all fit.
 */
export class Admission {
  readonly #budget: PolicySize;
  readonly #sizes = new Map<string, PolicySize>();
  #refused: ReadonlySet<string> = new Set();
  #rules = 0;
  #classes = 0;

  constructor(budget: PolicySize = POLICY_BUDGET) {
    this.#budget = budget;
  }

  admits(name: string): boolean {
    return !this.#refused.has(name);
  }

  /** The policy has this size now; undefined: it is gone, or takes nothing. Returns the policies of which the answer is another now. */
  set(name: string, size: PolicySize | undefined): readonly string[] {
    const before = this.#sizes.get(name);
    if (before?.rules === size?.rules && before?.classes === size?.classes) return [];
    this.#rules += (size?.rules ?? 0) - (before?.rules ?? 0);
    this.#classes += (size?.classes ?? 0) - (before?.classes ?? 0);
    if (size === undefined) this.#sizes.delete(name);
    else this.#sizes.set(name, size);
    const refused = this.#choose();
    const changed = [...this.#refused].filter((one) => !refused.has(one));
    for (const one of refused) if (!this.#refused.has(one)) changed.push(one);
    this.#refused = refused;
    return changed;
  }

  #choose(): ReadonlySet<string> {
    if (this.#rules <= this.#budget.rules && this.#classes <= this.#budget.classes) return ALL_FIT;
    const left = { ...this.#budget };
    const refused = new Set<string>();
    for (const name of [...this.#sizes.keys()].sort()) {
      const size = this.#sizes.get(name);
      if (size === undefined) continue;
      if (size.rules > left.rules || size.classes > left.classes) {
        refused.add(name);
        continue;
      }
      left.rules -= size.rules;
      left.classes -= size.classes;
    }
    return refused;
  }
}

const ALL_FIT: ReadonlySet<string> = new Set();
