import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { silentLogger } from '@cable/kit';
import { openHostState } from './open-state.ts';
import { localPort, uuid } from './testing/sample-slices.ts';

const root = mkdtempSync(join(tmpdir(), `cable-open-${process.pid}-`));
after(() => rmSync(root, { recursive: true, force: true }));

const DEPS = { log: silentLogger(), signal: new AbortController().signal };
const OLD = {
  version: 1,
  revision: 42,
  slices: {
    'host:h1': { kind: 'host', host: 'h1', ports: [localPort(1)] },
    'network:n': { kind: 'network', id: 'n', name: 'blue', vni: 7, subnets: [], endpoints: [], routers: [] },
    'moon:x': { kind: 'moon' },
  },
};

test('the state of an agent of protocol 1 is read once, kept by item, and its file removed', async () => {
  const stateDir = mkdtempSync(join(root, 'old-'));
  const file = join(stateDir, 'state.json');
  writeFileSync(file, JSON.stringify(OLD));
  const first = await openHostState({ host: 'h1', stateDir }, DEPS);
  assert.deepEqual(first.state.position, { revision: 42, history: null });
  assert.deepEqual(first.state.slices.item('host:h1', uuid(1)), localPort(1));
  assert.equal(first.state.slices.header('network:n')?.name, 'blue');
  assert.equal(first.state.synced, false);
  assert.equal(existsSync(file), false);
  await first.disk.close();
  writeFileSync(file, JSON.stringify({ ...OLD, revision: 41 }));
  const second = await openHostState({ host: 'h1', stateDir }, DEPS);
  assert.equal(second.state.position.revision, 42, 'a file that comes later is not believed');
  assert.deepEqual(second.state.slices.item('host:h1', uuid(1)), localPort(1));
  assert.equal(existsSync(file), false);
  await second.disk.close();
});

test('an old state that makes no sense is left out, and the agent starts', async () => {
  for (const text of [
    '',
    '{"version":1',
    '{"version":2,"revision":1,"slices":{}}',
    '{"version":1,"revision":1,"slices":{"host:h1":{"kind":"host"}}}',
  ]) {
    const stateDir = mkdtempSync(join(root, 'bad-'));
    writeFileSync(join(stateDir, 'state.json'), text);
    const { state, disk } = await openHostState({ host: 'h1', stateDir }, DEPS);
    assert.deepEqual([state.position.revision, [...state.givenKeys()]], [0, []], text);
    await disk.close();
  }
});

test('a state directory that cannot be made stops nothing', async () => {
  const stateDir = join(root, 'file');
  writeFileSync(stateDir, 'not a directory');
  const stop = new AbortController();
  const { state, disk } = await openHostState({ host: 'h1', stateDir }, { ...DEPS, signal: stop.signal });
  assert.equal(disk.status.ok, false);
  state.take({ type: 'put', key: 'host:h1', item: 'a', held: { hash: 1, value: {} } });
  assert.equal((await state.complete({ revision: 1, history: null })).kind, 'applied');
  stop.abort();
  await disk.close();
});
