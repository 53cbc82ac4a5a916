import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { silentLogger } from '@cable/kit';
import { sampleGroup, sliceKey } from '../plan/sample.ts';
import { NO_STATE } from './host-state.ts';
import { readStateFile, startStateFile, writeWhole } from './state-file.ts';

const dir = mkdtempSync(join(tmpdir(), `cable-state-${process.pid}-`));
after(() => rmSync(dir, { recursive: true }));

const GROUP = sampleGroup('g', []);
const state = (revision: number) => ({ revision, slices: new Map([[sliceKey(GROUP), GROUP]]), synced: true });

test('the last saved state comes back, not synced, in a file only root may read', async () => {
  const path = join(dir, 'deep', 'state.json');
  const stop = new AbortController();
  const file = startStateFile(path, { log: silentLogger(), signal: stop.signal });
  file.save(state(1));
  file.save(state(2));
  stop.abort();
  await file.done;
  assert.deepEqual(await readStateFile(path, silentLogger()), { ...state(2), synced: false });
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.deepEqual(readdirSync(join(dir, 'deep')), ['state.json']);
});

test('the draft of an agent that died over it is used by the next one, not left', async () => {
  const path = join(dir, 'died', 'state.json');
  mkdirSync(path, { recursive: true });
  const module = new URL('./state-file.ts', import.meta.url).href;
  const code = `await (await import(${JSON.stringify(module)})).writeWhole(${JSON.stringify(path)}, 'old')`;
  const flags = ['--import', 'tsx', '--conditions=cable-source', '--input-type=module'];
  assert.match(spawnSync(process.execPath, [...flags, '-e', code]).stderr.toString(), /EISDIR/);
  rmSync(path, { recursive: true });
  await writeWhole(path, 'new');
  assert.deepEqual(readdirSync(join(dir, 'died')), ['state.json']);
});

test('no file, a broken file and a file of another version are the empty state', async () => {
  const path = join(dir, 'bad.json');
  assert.equal(await readStateFile(path, silentLogger()), NO_STATE);
  for (const text of [
    '',
    '{"version":1',
    '{"version":2,"revision":1,"slices":{}}',
    '{"version":1,"revision":1,"slices":{"x:1":{}}}',
  ]) {
    writeFileSync(path, text);
    assert.equal(await readStateFile(path, silentLogger()), NO_STATE, text);
  }
});
