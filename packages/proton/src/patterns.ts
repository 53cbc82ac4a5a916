/** Patterns of models, matched in time that is linear in the text: their texts are a tenant's. */
import { RE2JS } from 're2js';

export type Pattern = { readonly test: (text: string) => boolean };

const PATTERN_MAX = 512;

/** Instructions of the compiled pattern: a character of a text costs as many steps at most. */
const PROGRAM_MAX = 1000;

/** Throws a `SyntaxError` for what cannot be matched so: look-around, references to groups, large repetitions. */
export function compilePattern(pattern: string): Pattern {
  if (pattern.length > PATTERN_MAX) throw new SyntaxError(`it has more than ${PATTERN_MAX} characters`);
  const compiled = parse(pattern);
  if (compiled.programSize() > PROGRAM_MAX) throw new SyntaxError('it repeats too much');
  return { test: (text) => compiled.test(text) };
}

/** The text of the error; undefined for a good pattern. */
export function patternProblem(pattern: string): string | undefined {
  try {
    compilePattern(pattern);
    return undefined;
  } catch (err) {
    return err instanceof Error ? err.message : String(err);
  }
}

function parse(pattern: string): ReturnType<typeof RE2JS.compile> {
  try {
    return RE2JS.compile(RE2JS.translateRegExp(pattern));
  } catch (err) {
    throw new SyntaxError((err instanceof Error ? err.message : String(err)).replace('error parsing regexp: ', ''));
  }
}
