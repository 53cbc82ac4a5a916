import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The root of the repository. */
export const ROOT: string = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');

/** Every file that is or would be committed, by path from the root. */
export function repositoryFiles(): readonly string[] {
  const output = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], { cwd: ROOT });
  const names = output
    .toString()
    .split('\n')
    .filter((name) => name !== '');
  return names.filter((name) => textOf(name) !== undefined);
}

/** A file's text; undefined: there is none (deleted and not yet committed, or not text). */
export function textOf(name: string): string | undefined {
  try {
    const bytes = readFileSync(`${ROOT}/${name}`);
    return bytes.includes(0) ? undefined : bytes.toString();
  } catch {
    return undefined;
  }
}

/** `file:line: text` of every line that matches. */
export function linesMatching(names: readonly string[], pattern: RegExp): readonly string[] {
  return names.flatMap((name) =>
    (textOf(name) ?? '')
      .split('\n')
      .map((line, index) => ({ line, at: `${name}:${index + 1}` }))
      .filter(({ line }) => pattern.test(line))
      .map(({ line, at }) => `${at}: ${line.trim()}`),
  );
}

/** A program's source without comments and strings, roughly: good enough to look for words of the language. */
export function withoutCommentsAndStrings(source: string): string {
  return source.replaceAll(
    /\/\*[\s\S]*?\*\/|\/\/[^\n]*|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`/g,
    (found) => found.replaceAll(/[^\n]/g, ' '),
  );
}
