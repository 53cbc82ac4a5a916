/** What `npm test` leaves out or runs otherwise is there, by the name that is said. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { ROOT, repositoryFiles } from './repository.ts';

type Selection = {
  readonly LEFT_OUT: Readonly<Record<string, string>>;
  readonly NOT_ALONE: readonly string[];
  readonly runsAlone: (file: string) => boolean;
};

const selection: unknown = await import(pathToFileURL(`${ROOT}/scripts/lib/tests.mjs`).href);
const { LEFT_OUT, NOT_ALONE, runsAlone } = selection as Selection;
const files = repositoryFiles().filter((file) => file.endsWith('.test.ts'));

test('a test file that is left out by default is there, and says why', () => {
  for (const [file, why] of Object.entries(LEFT_OUT)) {
    assert.ok(files.includes(file), `${file} of scripts/lib/tests.mjs is not there`);
    assert.ok(why.length > 20, file);
  }
});

test('every place whose tests may run beside others has some', () => {
  for (const place of NOT_ALONE) {
    assert.ok(
      files.some((file) => file.startsWith(place)),
      `${place} of scripts/lib/tests.mjs has no test`,
    );
  }
});

test('what measures silence and loss runs alone', () => {
  for (const file of ['test/versions/load.test.ts', 'test/outside/fail-over.test.ts']) assert.ok(runsAlone(file), file);
});
