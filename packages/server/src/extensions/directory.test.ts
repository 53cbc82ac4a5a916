import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { silentLogger } from '@cable/kit';
import { createDirectoryReader, type DirectoryReader } from './directory.ts';

type Place = {
  readonly directory: string;
  readonly read: DirectoryReader;
  put(name: string, text: string): Promise<void>;
};

async function makePlace(t: TestContext): Promise<Place> {
  const directory = await mkdtemp(join(tmpdir(), `cable-directory-${process.pid}-`));
  t.after(() => rm(directory, { recursive: true, force: true }));
  const read = createDirectoryReader(directory, silentLogger(), new AbortController().signal);
  return { directory, read, put: (name, text) => writeFile(join(directory, name), text) };
}

function declared(alias: string, more: object): string {
  return JSON.stringify({
    alias,
    name: alias,
    description: 'For a test.',
    updated: '2026-11-26T00:00:00-00:00',
    ...more,
  });
}

test('a pipe is not waited for, and a link is followed', async (t) => {
  const { directory, put, read } = await makePlace(t);
  execFileSync('mkfifo', [join(directory, 'a.mjs')]);
  await assert.rejects(read(), /a\.mjs: it is no file/);
  await rm(join(directory, 'a.mjs'));
  await put('.real.mjs', `export function extension() { return { declaration: ${declared('a', {})} }; }`);
  await symlink('.real.mjs', join(directory, 'a.mjs'));
  const [one] = await read();
  assert.equal(one?.declaration.alias, 'a');
  assert.equal(one?.file, join(directory, 'a.mjs'));
  assert.equal((await read())[0], one);
});

test('when the server stops, what is tried out ends at once', async (t) => {
  const { directory, put } = await makePlace(t);
  await put('a.mjs', 'for (;;);');
  const before = performance.now();
  await assert.rejects(
    createDirectoryReader(directory, silentLogger(), AbortSignal.timeout(1500))(),
    /the server stops/,
  );
  assert.ok(performance.now() - before < 8000);
});
