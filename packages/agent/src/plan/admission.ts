import { CB_MAX_CLASS, CB_MAX_RULE } from '../bpf/abi.gen.ts';
import type { PolicySize } from './unit.ts';

/** What addresses that DNS told may take of the policy maps of one host, with the rules of classes that they alone have: as many as are kept of them (`ToldTable`). */
export const TOLD_BUDGET: PolicySize = { rules: 65_536, classes: 16_384 };

/** What the policies of one host may take together besides. */
export const POLICY_BUDGET: PolicySize = {
  rules: CB_MAX_RULE - TOLD_BUDGET.rules,
  classes: CB_MAX_CLASS - TOLD_BUDGET.classes,
};

type Asked = { readonly size: PolicySize; readonly project: string };

/**
 * Which policies fit the host's policy maps together. Where not all do, each project has as much as any other that wants as much, and of a project they are taken in the order of their names,
 * each that still fits; what then is left is for whoever comes first by name. It depends on names, projects and sizes alone. Costs nothing that grows as long as all fit.
 */
export class Admission {
  readonly #budget: PolicySize;
  readonly #asked = new Map<string, Asked>();
  #refused: ReadonlySet<string> = new Set();
  #rules = 0;
  #classes = 0;

  constructor(budget: PolicySize = POLICY_BUDGET) {
    this.#budget = budget;
  }

  admits(name: string): boolean {
    return !this.#refused.has(name);
  }

  /** The policy has this size now; undefined: it is gone, or takes nothing. `project`: whose it is. Returns the policies of which the answer is another now. */
  set(name: string, size: PolicySize | undefined, project = ''): readonly string[] {
    const before = this.#asked.get(name);
    const isSame = before?.size.rules === size?.rules && before?.size.classes === size?.classes;
    if (isSame && (size === undefined || before?.project === project)) return [];
    this.#rules += (size?.rules ?? 0) - (before?.size.rules ?? 0);
    this.#classes += (size?.classes ?? 0) - (before?.size.classes ?? 0);
    if (size === undefined) this.#asked.delete(name);
    else this.#asked.set(name, { size, project });
    const refused = this.#choose();
    const changed = [...this.#refused].filter((one) => !refused.has(one));
    for (const one of refused) if (!this.#refused.has(one)) changed.push(one);
    this.#refused = refused;
    return changed;
  }

  #choose(): ReadonlySet<string> {
    if (this.#rules <= this.#budget.rules && this.#classes <= this.#budget.classes) return ALL_FIT;
    const sorted = [...this.#asked].sort(([a], [b]) => (a < b ? -1 : 1));
    const share = this.#share();
    const taken = new Map<string, PolicySize>();
    const left = { ...this.#budget };
    const waiting: (readonly [string, PolicySize])[] = [];
    for (const [name, { size, project }] of sorted) {
      const own = sumOf(taken.get(project) ?? NOTHING, size);
      if (own.rules > share.rules || own.classes > share.classes) {
        waiting.push([name, size]);
        continue;
      }
      taken.set(project, own);
      left.rules -= size.rules;
      left.classes -= size.classes;
    }
    const refused = new Set<string>();
    for (const [name, size] of waiting) {
      if (size.rules > left.rules || size.classes > left.classes) {
        refused.add(name);
        continue;
      }
      left.rules -= size.rules;
      left.classes -= size.classes;
    }
    return refused;
  }

  /** What one project may have at the most where all others may, too. */
  #share(): PolicySize {
    const wanted = new Map<string, PolicySize>();
    for (const { size, project } of this.#asked.values())
      wanted.set(project, sumOf(wanted.get(project) ?? NOTHING, size));
    const all = [...wanted.values()];
    return {
      rules: shareOf(
        all.map((one) => one.rules),
        this.#budget.rules,
      ),
      classes: shareOf(
        all.map((one) => one.classes),
        this.#budget.classes,
      ),
    };
  }
}

const ALL_FIT: ReadonlySet<string> = new Set();
const NOTHING: PolicySize = { rules: 0, classes: 0 };

function sumOf(a: PolicySize, b: PolicySize): PolicySize {
  return { rules: a.rules + b.rules, classes: a.classes + b.classes };
}

/** The largest share of which all together have no more than there is, when who wants less has what he wants. */
function shareOf(wanted: readonly number[], budget: number): number {
  let left = budget;
  let others = wanted.length;
  for (const one of wanted.toSorted((a, b) => a - b)) {
    if (one * others > left) return Math.floor(left / others);
    left -= one;
    others -= 1;
  }
  return Number.POSITIVE_INFINITY;
}
