import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { sourceProgram } from '@cable/kit/testing';

const MAIN = fileURLToPath(new URL('./main.ts', import.meta.url));

/** What the process says of a command line that it does not take. */
function refusal(...words: readonly string[]): string {
  try {
    execFileSync(process.execPath, [...sourceProgram(MAIN), ...words], { encoding: 'utf8', stdio: 'pipe' });
  } catch (err) {
    const { status, stderr } = err as { readonly status: number; readonly stderr: string };
    return `${status} ${stderr}`;
  }
  throw new Error('it was taken');
}

test('a command line that would let strangers in, or says nothing, is refused with the remedy', () => {
  const cases: readonly (readonly [readonly string[], RegExp])[] = [
    [[], /2 error: required option '--listen/],
    [['--listen', 'unix:/x'], /required option '--token-file/],
    [['--listen', 'unix:/x', '--token-file', '/dev/null'], /\/dev\/null is empty/],
    [['--listen', '10.0.0.1:1', '--token-file', '/dev/null'], /Give '--listen-cert' and '--listen-key'/],
    [
      ['--listen', 'unix:/x', '--token-file', '/dev/null', '--northbound', 'ssl:10.0.0.1:6641'],
      /want '--ca', '--cert' and '--key'/,
    ],
    [['--listen', '127.0.0.1:1', '--token-file', '/nonesuch'], /cannot read \/nonesuch/],
    [['--listen', 'nowhere', '--token-file', '/dev/null'], /Give unix:PATH, or an address and a port/],
  ];
  for (const [words, said] of cases) assert.match(refusal(...words), said);
});
