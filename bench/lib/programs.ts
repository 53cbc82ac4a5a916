import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** Path of a C program of this directory, built if it is not fresh. */
export function buildProgram(name: 'netbench' | 'cnibench'): string {
  const source = fileURLToPath(new URL(`../${name}.c`, import.meta.url));
  const directory = fileURLToPath(new URL('../../build/bench', import.meta.url));
  const program = `${directory}/${name}`;
  if (existsSync(program) && statSync(program).mtimeMs > statSync(source).mtimeMs) return program;
  mkdirSync(directory, { recursive: true });
  execFileSync('gcc', ['-O2', '-Wall', '-Wextra', '-Werror', '-pthread', '-o', program, source], { stdio: 'inherit' });
  return program;
}
