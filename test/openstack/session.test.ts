/** A stock neutron-server and Cable answer the same to the real `openstack` client, but for what session-differences.ts gives a reason for. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type Clouds, runSession, showTold, staleReasons, startClouds } from './session.ts';
import { differencesOf, settle } from './session-answers.ts';
import { parseArea, readAreas } from './session-script.ts';

const directory = mkdtempSync(join(tmpdir(), `cable-session-${process.pid}-`));
let clouds: Clouds | undefined;

before(async () => {
  clouds = await startClouds(directory);
});

after(async () => {
  await clouds?.close();
  rmSync(directory, { recursive: true, force: true, maxRetries: 10 });
});

test('a line is a user, a command with the shell’s quotes, and a name for what it makes', () => {
  const { steps } = parseArea('a', '# Nothing.\n\nmember: network create red --description "a b" -> red\n');
  const words = ['network', 'create', 'red', '--description', 'a b'];
  const command = 'network create red --description "a b"';
  assert.deepEqual(steps, [{ place: 'a:3', user: 'member', command, words, keep: 'red' }]);
  assert.throws(() => parseArea('a', 'nobody: network list'), /a:1: not "USER: COMMAND"/);
});

test('what a cloud chooses is alike, and all else is told', () => {
  const answer = (id: string, mtu: number) => {
    const shown = { id, mtu, at: '2026-01-02T03:04:05Z', mac: 'fa:16:3e:01:02:03' };
    return settle({ code: 0, out: JSON.stringify(shown), err: '' }, new Map(), 'a:1');
  };
  const [one, other] = ['11111111-1111-4111-8111-111111111111', '22222222-2222-4222-8222-222222222222'];
  assert.deepEqual(differencesOf(answer(one, 1450), answer(other, 1450)), []);
  assert.deepEqual(differencesOf(answer(one, 1450), answer(other, 1500)), ['mtu: 1450 -> 1500']);
});

test('both answer every command alike', { timeout: 1_800_000 }, async (t) => {
  assert.ok(clouds !== undefined);
  const told = await runSession(clouds, readAreas(''), () => undefined);
  const differing = told.filter(({ differences }) => differences.length > 0);
  t.diagnostic(`${told.length} commands`);
  assert.equal(differing.map(showTold).join(''), '');
  assert.deepEqual(staleReasons(told), []);
});
