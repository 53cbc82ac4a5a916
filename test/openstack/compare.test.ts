/** A stock neutron-server in one process and Cable answer odd requests the same, but for what compare-differences.ts gives a reason for: here few of those that are compared. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { subjectsOf } from './compare/all.ts';
import { compareAll, showTold, type Told } from './compare.ts';
import { movesOf, selectionOf } from './compare-cases.ts';

const directory = mkdtempSync(join(tmpdir(), `cable-compare-${process.pid}-`));

after(() => rmSync(directory, { recursive: true, force: true, maxRetries: 10 }));

test('a selection has what later requests name, and the same each time', () => {
  for (const subject of subjectsOf('')) {
    const all = movesOf(subject);
    const some = selectionOf(all, 20);
    assert.deepEqual(some, selectionOf(movesOf(subject), 20));
    assert.deepEqual(selectionOf(all, 1), all);
    const isNeeded = ({ asked, drop }: (typeof all)[number]): boolean => asked.keep !== undefined && drop === undefined;
    assert.deepEqual(some.filter(isNeeded), all.filter(isNeeded), subject.name);
  }
});

test('both answer alike', { timeout: 600_000 }, async (t) => {
  const all: Told[] = [];
  await compareAll(directory, { subjects: subjectsOf(''), pairs: 2, every: 25 }, (told) => all.push(told));
  t.diagnostic(`${all.length} requests`);
  const differing = all.filter(({ differences }) => differences.length > 0);
  assert.equal(differing.map(showTold).join(''), '');
});
