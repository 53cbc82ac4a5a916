/** The documents that must be there, and that they lead somewhere. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { ROOT, repositoryFiles, textOf } from './repository.ts';

const files = repositoryFiles();

test('the root has its documents and licences', () => {
  const wanted = ['README.md', 'DESIGN.md', 'CONTRIBUTING.md', 'LICENSE'];
  assert.deepEqual(
    wanted.filter((name) => !existsSync(join(ROOT, name))),
    [],
  );
});

test('decisions are numbered without a hole and have their sections', () => {
  const records = files.filter((name) => /^docs\/adr\/\d{4}-[a-z0-9-]+\.md$/.test(name)).sort();
  assert.ok(records.length > 0);
  records.forEach((name, index) => {
    assert.equal(name.slice('docs/adr/'.length, 'docs/adr/'.length + 4), String(index + 1).padStart(4, '0'));
    for (const section of ['Context', 'Decision', 'Consequences', 'Status']) {
      assert.match(textOf(name) ?? '', new RegExp(`^## ${section}$`, 'm'), `${name} lacks ${section}`);
    }
  });
});

test('links between documents lead to files', () => {
  const dead = files
    .filter((name) => name.endsWith('.md'))
    .flatMap((name) => linksOf(textOf(name) ?? '').map((target) => ({ name, target })))
    .filter(({ name, target }) => !existsSync(join(ROOT, dirname(name), target)))
    .map(({ name, target }) => `${name} links to ${target}`);
  assert.deepEqual(dead, []);
});

function linksOf(markdown: string): readonly string[] {
  return [...markdown.matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)]
    .map((found) => found[1] ?? '')
    .filter((target) => !/^[a-z]+:/.test(target));
}
