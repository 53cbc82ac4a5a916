/** A path that a document names in code is there: documents rot first where they name files. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ROOT, repositoryFiles, textOf } from './repository.ts';

/** Folders of the repository; what is built (build/, dist/) need not be there. */
const PATH = /(?<![\w./@-])(?:packages|docs|vrouter|bench|scripts|test|bin)\/[\w./<>*{},-]*/g;

const documents = repositoryFiles().filter((name) => name.endsWith('.md'));

test('paths named in documents lead to files', () => {
  const dead = documents.flatMap((name) =>
    pathsOf(textOf(name) ?? '')
      .filter((path) => !isThere(path))
      .map((path) => `${name} names ${path}`),
  );
  assert.deepEqual(dead, []);
});

test('the rule sees a path in code, and only there', () => {
  const text = 'See `vrouter/none.h` and `node packages/none.ts`, not docs/none.md.\n```\n# test/none/\n```\n';
  assert.deepEqual(pathsOf(text), ['test/none/', 'vrouter/none.h', 'packages/none.ts']);
  assert.deepEqual(pathsOf(text).filter(isThere), []);
});

test('of a path with a placeholder the folders before it are looked for', () => {
  assert.ok(isThere('packages/server/src/resources/<type>.ts'));
  assert.ok(isThere('vrouter/**'));
  assert.ok(!isThere('packages/none/<type>.ts'));
});

/** Paths in fenced blocks, then those in inline code; each once. */
function pathsOf(markdown: string): readonly string[] {
  const fenced = /^```[\s\S]*?^```/gm;
  const blocks = markdown.match(fenced) ?? [];
  const inline = markdown.replaceAll(fenced, '').match(/`[^`\n]+`/g) ?? [];
  const found = [...blocks, ...inline].flatMap((code) => code.match(PATH) ?? []);
  return [...new Set(found.map((path) => path.replace(/[.,]+$/, '')))];
}

function isThere(path: string): boolean {
  if (/(^|\/)(dist|node_modules)(\/|$)/.test(path)) return true;
  const known = path.split('/');
  const placeholder = known.findIndex((part) => /[<>*{}]/.test(part));
  return existsSync(join(ROOT, ...(placeholder < 0 ? known : known.slice(0, placeholder))));
}
