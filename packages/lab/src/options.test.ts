import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { sourceProgram } from '@cable/kit/testing';
import type { Command } from 'commander';
import { type DownOptions, labCommand, type UpOptions } from './options.ts';

type Called = { up?: UpOptions; down?: DownOptions; shown?: string; listed?: boolean };

/** What the words start; throws what the command line answers when it does not take them. */
async function parse(...words: readonly string[]): Promise<Called> {
  const called: Called = {};
  const command = labCommand({
    up: async (options) => {
      called.up = options;
    },
    down: async (options) => {
      called.down = options;
    },
    list: () => {
      called.listed = true;
    },
    show: (story) => {
      called.shown = story.name;
    },
  });
  quiet(command);
  await command.parseAsync([...words], { from: 'user' });
  return called;
}

function quiet(command: Command): void {
  command.exitOverride().configureOutput({ writeErr: () => undefined });
  command.commands.forEach(quiet);
}

test('without words the demonstration runs, on LMDB, in the lab called lab', async () => {
  const { up } = await parse();
  assert.deepEqual([up?.story.name, up?.name, up?.store, up?.qemu, up?.keep], ['demo', 'lab', 'lmdb', true, false]);
});

test('the agents have the encapsulation that is asked for, else their own default', async () => {
  assert.equal((await parse()).up?.encapsulation, undefined);
  assert.equal((await parse('--encapsulation', 'own')).up?.encapsulation, 'own');
  assert.equal((await parse()).up?.overlayIpVersion, 4);
  assert.equal((await parse('--underlay', '6')).up?.overlayIpVersion, 6);
});

test('a story has a lab, a store and settings of its own, which words change', async () => {
  const plain = await parse('--story', 'burst');
  assert.deepEqual([plain.up?.name, plain.up?.store, plain.up?.settings], ['burst', 'lmdb', { taps: 200 }]);
  const told = await parse(
    '--story',
    'burst',
    '--name',
    'b2',
    '--store',
    'etcd',
    '--set',
    'taps=1000',
    '--only',
    'burst',
  );
  assert.deepEqual([told.up?.name, told.up?.store, told.up?.settings], ['b2', 'etcd', { taps: 1000 }]);
  assert.deepEqual(told.up?.only, ['burst']);
  assert.equal((await parse('--story', 'servers')).up?.store, 'etcd');
});

const REFUSED: readonly (readonly [string, readonly string[], RegExp])[] = [
  ['a story that is not there', ['--story', 'none'], /there is no such story; stories: demo, pair/],
  ['a store that the story cannot run on', ['--story', 'servers', '--store', 'lmdb'], /servers runs on etcd only/],
  ['a group that the story has not', ['--story', 'pair', '--only', 'leases'], /no group leases; groups: traffic/],
  ['a setting that the story has not', ['--set', 'taps=20'], /demo has no setting taps; it has none/],
  ['one that another story has not', ['--story', 'burst', '--set', 'x=2'], /burst has no setting x; settings: taps/],
  [
    'a setting that is too small',
    ['--story', 'burst', '--set', 'taps=1'],
    /taps must be a number from 10 to 9+, not 1/,
  ],
  ['a setting below zero', ['--story', 'burst', '--set', 'taps=-5'], /taps must be a number from 10 to 9+, not -5/],
  ['a setting that is no number', ['--story', 'burst', '--set', 'taps=many'], /taps must be a number .*, not many/],
  ['a setting without a value', ['--story', 'burst', '--set', 'taps'], /give NAME=NUMBER/],
  ['a word that is no command', ['up'], /no command 'up'; commands: list, show, down, help; without one/],
  ['more words than a command takes', ['list', 'all'], /too many arguments/],
  ['a list as JSON', ['list', '--json'], /cable lab list does not take --json/],
  ['a store for what is only drawn', ['show', '--store', 'etcd'], /cable lab show does not take --store/],
  ['machines left out of what is removed', ['down', '--no-qemu'], /cable lab down does not take --no-qemu/],
  ['a lab name with a dash', ['--name', 'a-b'], /lower-case letters and digits/],
];

for (const [what, words, answer] of REFUSED) {
  test(`${what} is refused`, () => assert.rejects(parse(...words), answer));
}

test('down removes a lab by its name, by its story, or all', async () => {
  assert.deepEqual((await parse('down')).down, { name: 'lab' });
  assert.deepEqual((await parse('down', '--name', 'x')).down, { name: 'x' });
  assert.deepEqual((await parse('down', '--story', 'store-guard')).down, { name: 'storeguard' });
  assert.deepEqual((await parse('down', '--all')).down, { all: true });
});

test('the process ends 2 when it was used wrongly, and says where help is', () => {
  const main = fileURLToPath(new URL('main.ts', import.meta.url));
  const node = sourceProgram(main);
  for (const words of [['up'], ['--only', 'none'], ['show', '--storey', 'pair']]) {
    const { status, stderr } = spawnSync(process.execPath, [...node, ...words], { encoding: 'utf8' });
    assert.equal(status, 2, words.join(' '));
    assert.match(stderr, /^error: .*\n(.*\n)? {2}See what it takes with --help\.$/m);
  }
});

test('help is a command, too', () => assert.rejects(parse('help'), { exitCode: 0 }));

test('list and show', async () => {
  assert.equal((await parse('list')).listed, true);
  assert.equal((await parse('show')).shown, 'demo');
  assert.equal((await parse('show', '--story', 'servers')).shown, 'servers');
});
