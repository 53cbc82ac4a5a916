/** What is said of models, as lines. */
import { diffModels, type ModelChange } from './diff.ts';
import type { ModelFile, ModelProblem, ProtonModel } from './model.ts';
import { type ReadOptions, readModel } from './read.ts';

export type LintAnswer = {
  /** `file:line:column: error: text. remedy.`, warnings alike. */
  readonly lines: readonly string[];
  readonly isGood: boolean;
};

/** Reads the files of one model and says what is wrong; one line about the model when nothing is. */
export function lintFiles(files: readonly ModelFile[], options: ReadOptions = {}): LintAnswer {
  const answer = readModel(files, options);
  const warnings = answer.warnings.map((one) => problemText(one, 'warning'));
  if ('model' in answer) return { lines: [...warnings, summary(answer.model)], isGood: true };
  return { lines: [...answer.problems.map((one) => problemText(one, 'error')), ...warnings], isGood: false };
}

/** `file:line:column: error: text. remedy.` */
export function problemText({ file, line, column, text, remedy }: ModelProblem, word: 'error' | 'warning'): string {
  return `${file}:${line}:${column}: ${word}: ${text}. ${remedy.replace(/\.$/, '')}.`;
}

function summary({ name, version, fileVersion, objects }: ProtonModel): string {
  const count = objects.length === 1 ? '1 object' : `${objects.length} objects`;
  return `${name} ${version} (format ${fileVersion}) is good: ${count}.`;
}

/** Each change as a line: what breaks somebody first. */
export function diffLines(older: ProtonModel, newer: ProtonModel): readonly string[] {
  const changes = diffModels(older, newer);
  if (changes.length === 0) return ['They are the same.'];
  const ordered = [...changes.filter(({ breaking }) => breaking), ...changes.filter(({ breaking }) => !breaking)];
  return ordered.map(changeText);
}

function changeText({ object, attribute, who, breaking, text }: ModelChange): string {
  const what = [object, attribute].filter((word) => word !== null).join('.');
  return `${breaking ? 'breaking' : 'fine'} for ${who}: ${what === '' ? 'the model' : what} ${text}`;
}
