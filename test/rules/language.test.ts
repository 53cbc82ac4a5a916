/** Rules about how sources are written, that neither the compiler nor the linter has. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { linesMatching, repositoryFiles, textOf, withoutCommentsAndStrings } from './repository.ts';

const files = repositoryFiles();
const typescript = files.filter((name) => name.endsWith('.ts'));
/** `any` where a type stands: after a colon, `as`, `<`, `|`, `&`; or as an element type. A variable may be called so. */
const ANY_TYPE = /(?::|<|\bas|\||&)\s*any\b(?!\s*[.(?])|\bany\[\]/;
const c = files.filter((name) => /\.[ch]$/.test(name));

test('no TypeScript uses `any`', () => {
  const found = typescript.filter((name) => ANY_TYPE.test(withoutCommentsAndStrings(textOf(name) ?? '')));
  assert.deepEqual(found, []);
});

test('no TypeScript has a default export, an enum, a namespace or a decorator', () => {
  const pattern =
    /^\s*(?:export default\b|(?:export |declare |const )*enum \w|(?:export |declare )*namespace \w|@\w+\()/m;
  const found = typescript.filter((name) => pattern.test(withoutCommentsAndStrings(textOf(name) ?? '')));
  assert.deepEqual(found, []);
});

test('no signal is made of another one and of AbortSignal.timeout: the garbage collector takes it (startTimeLimit of kit)', () => {
  const found = typescript.filter((name) => {
    const text = withoutCommentsAndStrings(textOf(name) ?? '');
    return text.includes('AbortSignal.any(') && text.includes('AbortSignal.timeout(');
  });
  assert.deepEqual(found, []);
});

test('every C file names its licence in its first line', () => {
  const found = c.filter((name) => !/SPDX-License-Identifier: \S/.test(textOf(name)?.split('\n')[0] ?? ''));
  assert.deepEqual(found, []);
});

test('eBPF C is GPL-2.0-only OR BSD-2-Clause', () => {
  const programs = c.filter((name) => name.startsWith('vrouter/') && !name.startsWith('vrouter/test/'));
  const found = programs.filter((name) => !textOf(name)?.split('\n')[0]?.includes('(GPL-2.0-only OR BSD-2-Clause)'));
  assert.ok(programs.length > 0);
  assert.deepEqual(found, []);
});

test('nothing asks to be kept the same by hand, or is left to do', () => {
  const words = new RegExp(['[Kk]eep in' + ' sync', '\\bTO' + 'DO\\b', '\\bFIX' + 'ME\\b', '\\bX' + 'XX\\b'].join('|'));
  const code = files.filter((name) => /\.(ts|mjs|c|h|sh)$/.test(name));
  assert.deepEqual(linesMatching(code, words), []);
});

test('generated TypeScript is named .gen.ts and says how it is made', () => {
  const generated = typescript.filter((name) => name.endsWith('.gen.ts'));
  const silent = generated.filter((name) => !/generated/i.test((textOf(name) ?? '').slice(0, 400)));
  assert.deepEqual(silent, []);
});
