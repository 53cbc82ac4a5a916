import assert from 'node:assert/strict';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { silentLogger } from '@cable/kit';
import { startHarness } from '../testing/harness.ts';
import { type PolicyOverrides, parsePolicyFile } from './policy-file.ts';
import { PolicyFollower, readPolicyFile } from './policy-follower.ts';

function directoryOf(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'cable-policy-'));
  t.after(() => rmSync(directory, { recursive: true }));
  return directory;
}

test('a file that changed is read once it stands still, and what cannot be used changes nothing', async (t) => {
  const file = join(directoryOf(t), 'policy.yaml');
  writeFileSync(file, 'a: "!"\n');
  const taken: PolicyOverrides['rules'][] = [];
  const ending = new AbortController();
  const take = ({ rules }: PolicyOverrides): void => {
    if (rules['refused'] !== undefined) throw new Error('refused');
    taken.push(rules);
  };
  const follower = new PolicyFollower({ file, take, log: silentLogger(), signal: ending.signal, everyMs: 3600_000 });
  await follower.round();
  await follower.round();
  assert.deepEqual(taken, []);
  writeFileSync(file, 'a: "@"\nb: "');
  await follower.round();
  writeFileSync(file, 'a: "@"\nb: "!"\n');
  await follower.round();
  assert.deepEqual(taken, []);
  await follower.round();
  assert.deepEqual(taken, [{ a: '@', b: '!' }]);
  for (const text of ['a: [', 'refused: "!"\n']) {
    writeFileSync(file, text);
    for (let round = 0; round < 3; round += 1) await follower.round();
  }
  rmSync(file);
  for (let round = 0; round < 3; round += 1) await follower.round();
  assert.equal(taken.length, 1);
  writeFileSync(`${file}.new`, 'c: "!"\n');
  renameSync(`${file}.new`, file);
  follower.reread();
  assert.deepEqual(taken.at(-1), { c: '!' });
  ending.abort();
  await follower.done;
  assert.throws(() => readPolicyFile(`${file}.none`), /cannot be read/);
});

test('the operator’s rules are in force at once, and those that cannot work are told of with their line', async (t) => {
  const { server, send } = await startHarness(t);
  const of = (text: string): PolicyOverrides => parsePolicyFile(text, 'policy.yaml');
  const member = { 'x-roles': 'member', 'x-project-id': 'p' };
  const create = async (): Promise<number> => (await send('POST', '/v2.0/networks', { network: {} }, member)).status;
  assert.equal(await create(), 201);
  server.takePolicy(of('create_network: "role:networker"\n'));
  assert.equal(await create(), 403);
  for (const [text, told] of [
    ['\nget_network: "role:a or"\n', /^policy.yaml, line 2: policy rule get_network, character \d+: /],
    ['a: "rule:b"\nb: "rule:a"\n', /^policy.yaml, line \d: policy rule .* refers to itself/],
    ['x: "!"\ncreate_policy: "))"\n', /^policy.yaml, line 2: policy rule create_qos_policy/],
  ] as const) {
    assert.throws(() => server.takePolicy(of(text)), { name: 'PolicyFileError', message: told });
    assert.equal(await create(), 403, text);
  }
  server.takePolicy(of(''));
  assert.equal(await create(), 201);
});
