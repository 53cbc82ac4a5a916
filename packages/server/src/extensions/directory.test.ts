import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
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

function attributes(count: number, type = 'network'): object {
  const one = { type: 'string', write: 'both', default: '' };
  return { attributes: { [type]: Object.fromEntries(Array.from({ length: count }, (_, at) => [`x:${at}`, one])) } };
}

test('a file that declares too much is refused, also with what the others declare', async (t) => {
  const { directory, put, read } = await makePlace(t);
  const gadget = (at: number): object => ({ name: `gadget${at}`, attributes: {} });
  const cases: readonly (readonly [name: string, text: string, said: RegExp])[] = [
    [
      'a.json',
      declared('a', attributes(10_000)),
      /a\.json: with it the extensions .* 10000 attributes; there may be 500\./,
    ],
    ['a.json', declared('a', attributes(51, '*')), /a\.json: .* 510 attributes/],
    [
      'a.json',
      declared('a', { resources: Array.from({ length: 51 }, (_, at) => gadget(at)) }),
      /a\.json: .* 51 resources/,
    ],
    ['a.json', declared('a', { about: '.'.repeat(1 << 20) }), /a\.json: it has \d+ bytes; there may be 1048576/],
    ['a.json', `${'{"a":'.repeat(30)}1${'}'.repeat(30)}`, /a\.json: its declaration is no object with an alias/],
    [
      'a.json',
      declared('a', { about: JSON.parse(`${'['.repeat(30)}${']'.repeat(30)}`) }),
      /more than 20 objects and lists/,
    ],
    [
      'a.mjs',
      `export function extension() { return { declaration: { alias: 'a', about: '.'.repeat(2 ** 24) } }; }`,
      /a\.mjs: its declaration and rules have 16777\d+ characters/,
    ],
  ];
  for (const [name, text, said] of cases) {
    await put(name, text);
    await assert.rejects(read(), said);
    await rm(join(directory, name));
  }
  await put('a.json', declared('a', attributes(300)));
  assert.equal((await read()).length, 1);
  await put('b.json', declared('b', attributes(201, 'port')));
  await assert.rejects(read(), /b\.json: with it the extensions of the directory have 501 attributes/);
  await put('b.json', declared('b', attributes(200, 'port')));
  assert.equal((await read()).length, 2);
});

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
  const begun = join(directory, '.begun');
  await put('a.mjs', `import { writeFileSync } from 'node:fs'; writeFileSync(${JSON.stringify(begun)}, ''); for (;;);`);
  const stop = new AbortController();
  const read = createDirectoryReader(directory, silentLogger(), stop.signal)();
  // Left to itself it would be told that it is not done.
  const refused = assert.rejects(read, /the server stops/);
  while (!existsSync(begun)) await setTimeout(5);
  stop.abort();
  await refused;
});
