import type { ModelProblem } from './model.ts';

/** Where something stands in a file; lines and columns count from 1. */
export type Place = { readonly file: string; readonly line: number; readonly column: number };

/** Most problems that are told: a hostile file has any number. */
const PROBLEMS_MAX = 100;

const TOLD_MAX = 10_000;

/** Collects what is wrong with files, and what is only to be thought of. */
export class Problems {
  readonly #errors: ModelProblem[] = [];
  readonly #warnings: ModelProblem[] = [];
  readonly #told = new Set<string>();
  #leftOut = 0;

  error(at: Place, text: string, remedy: string): void {
    if (this.#isTold(at, text)) return;
    if (this.#errors.length < PROBLEMS_MAX) this.#errors.push(problemAt(at, text, remedy));
    else this.#leftOut += 1;
  }

  warn(at: Place, text: string, remedy: string): void {
    if (this.#isTold(at, text)) return;
    if (this.#warnings.length < PROBLEMS_MAX) this.#warnings.push(problemAt(at, text, remedy));
  }

  /** What many objects inherit is told once. */
  #isTold(at: Place, text: string): boolean {
    const key = `${at.file}:${at.line}:${at.column}:${text}`;
    const isTold = this.#told.has(key);
    if (this.#told.size < TOLD_MAX) this.#told.add(key);
    return isTold;
  }

  get hasErrors(): boolean {
    return this.#errors.length > 0;
  }

  /** In the order of the files' lines. */
  get errors(): readonly ModelProblem[] {
    const sorted = this.#errors.toSorted(byPlace);
    const last = sorted.at(-1);
    if (this.#leftOut === 0 || last === undefined) return sorted;
    return [...sorted, { ...last, text: `${this.#leftOut} more errors are not shown`, remedy: 'Mend these first' }];
  }

  get warnings(): readonly ModelProblem[] {
    return this.#warnings.toSorted(byPlace);
  }
}

function problemAt({ file, line, column }: Place, text: string, remedy: string): ModelProblem {
  return { file, line, column, text, remedy };
}

function byPlace(a: ModelProblem, b: ModelProblem): number {
  if (a.file !== b.file) return a.file < b.file ? -1 : 1;
  return a.line - b.line || a.column - b.column;
}
