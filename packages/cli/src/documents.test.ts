/** Command lines of this program that documents print: each is one that it understands. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { cable } from './testing/run.ts';
import { startStub } from './testing/stub-server.ts';

const ROOT = join(import.meta.dirname, '../../..');

/** Guides of how to add to Cable have commands for what they add. */
const DOCUMENTS = ['', 'docs/guide', 'docs/design', 'docs/reference'].flatMap((folder) =>
  readdirSync(join(ROOT, folder))
    .filter((name) => name.endsWith('.md') && !name.startsWith('adding-'))
    .map((name) => join(folder, name)),
);

/** Processes, with command lines of their own. */
const PROCESSES: readonly string[] = ['server', 'agent', 'kube', 'lab', 'ovn'];

/** These ask the agent of this machine: in a test one that is not there. */
const OF_AGENT = /^(show \w+|capture|host (adopt-store|confirm-removal))\b/;

/** Of types that come by a model: a server without it has none of them. */
const OF_PROTONS = /^p [a-z]/;

/** These write files: in a test where none can be. */
const OF_FILES = /^pki \w+/;
const NOWHERE: readonly string[] = ['--dir', '/proc/no-such-directory'];

test('every command line that a document prints is understood', async (t) => {
  const server = await startStub();
  t.after(() => server.close());
  let count = 0;
  const wrong: string[] = [];
  for (const name of DOCUMENTS) {
    for (const command of commandsOf(readFileSync(join(ROOT, name), 'utf8'))) {
      const words = [...command.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, bare]) => quoted ?? bare ?? '');
      if (PROCESSES.includes(words[0] ?? '') || OF_PROTONS.test(command)) continue;
      count += 1;
      const more = OF_AGENT.test(command) ? ['--host', 'no-such-host'] : OF_FILES.test(command) ? NOWHERE : [];
      const { err } = await cable([...words, ...more], server);
      if (/unknown (command|option)|too many arguments/.test(err)) wrong.push(`${name}: cable ${command}: ${err}`);
    }
  }
  assert.deepEqual(wrong, []);
  assert.ok(count > 50, `${count} command lines`);
});

/** `cable …` of code, in a line of its own or in a sentence; up to a pipe, or a remark. */
function commandsOf(text: string): readonly string[] {
  const fence = /^```\w*\n([\s\S]*?)^```/gm;
  const lines = [...text.matchAll(fence)].flatMap(([, block = '']) => block.split('\n'));
  const spans = [...text.replaceAll(fence, '').matchAll(/`([^`\n]+)`/g)].map(([, span = '']) => span);
  return [...lines, ...spans].flatMap((line) => {
    const [, command] = /^(?:[#$] )?cable ([a-z][^|]*?)\s*(?:\||\s#\s.*)?$/.exec(line) ?? [];
    return command === undefined ? [] : [command];
  });
}
