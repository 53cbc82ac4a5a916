/** What an agent finds after one of protocol 1 has run in its place for a while. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { silentLogger } from '@cable/kit';
import { openHostState } from './open-state.ts';
import { localPort, uuid } from './testing/sample-slices.ts';

const root = mkdtempSync(join(tmpdir(), `cable-downgraded-${process.pid}-`));
after(() => rmSync(root, { recursive: true, force: true }));

const DEPS = { log: silentLogger(), signal: new AbortController().signal };
const HISTORY = { cluster: 'c', mark: '3-x' };

test('the newer state that an older agent left takes the place of all that is held, once', async () => {
  const stateDir = mkdtempSync(join(root, 'h1-'));
  const first = await openHostState({ host: 'h1', stateDir }, DEPS);
  const held = (value: object) => ({ hash: 1, value });
  first.state.take({ type: 'header', key: 'host:h1', held: held({ host: 'h1' }) });
  first.state.take({ type: 'put', key: 'host:h1', item: uuid(1), held: held(localPort(1)) });
  first.state.take({ type: 'put', key: 'host:h1', item: uuid(2), held: held(localPort(2)) });
  first.state.take({ type: 'header', key: 'policy:p', held: held({ id: 'p' }) });
  first.state.take({ type: 'put', key: 'policy:p', item: uuid(9), held: held({ id: uuid(9), direction: 'ingress' }) });
  await first.state.complete({ revision: 50, history: HISTORY });
  await first.disk.close();

  const file = join(stateDir, 'state.json');
  const old = (revision: number) =>
    JSON.stringify({
      version: 1,
      revision,
      slices: { 'host:h1': { kind: 'host', host: 'h1', ports: [localPort(2), localPort(3)] } },
    });
  writeFileSync(file, old(60));
  for (let start = 0; start < 2; start += 1) {
    const { state, disk } = await openHostState({ host: 'h1', stateDir }, DEPS);
    assert.deepEqual(state.position, { revision: 60, history: null });
    assert.deepEqual([...state.slices.itemKeys('host:h1')].sort(), [uuid(2), uuid(3)]);
    assert.deepEqual([...state.givenKeys()].sort(), ['host:h1'], 'the policy is gone');
    assert.ok(!existsSync(file));
    await disk.close();
  }
  writeFileSync(file, old(60));
  const { state, disk } = await openHostState({ host: 'h1', stateDir }, DEPS);
  assert.deepEqual(state.position.revision, 60, 'what is no newer is not believed');
  assert.ok(!existsSync(file));
  await disk.close();
});
