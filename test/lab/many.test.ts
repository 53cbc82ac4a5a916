/** The story of one VM on many kinds of networks, and that nothing of OVN, VPNs and chains is left when its lab is killed. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, test } from 'node:test';
import { CABLE, startLab, traces } from './lab-process.ts';

const NAME = `m${process.pid}`;

after(() => execFileSync(process.execPath, [CABLE, 'lab', 'down', '--name', NAME], { stdio: 'ignore' }));

test('the story of one VM on many kinds of networks holds, and leaves nothing', async () => {
  const { code, stdout, stderr } = await startLab(NAME, '--story', 'many', '--json').ended;
  assert.equal(code, 0, `${stdout}\n${stderr}`);
  assert.deepEqual(traces(NAME), []);
});

test('killed outright with OVN, VPNs and a chain in it, the lab is removed by `down`', async () => {
  const lab = startLab(NAME, '--story', 'many');
  await lab.said(/ok +TCP of the VM/);
  lab.child.kill('SIGKILL');
  await lab.ended;
  assert.ok(
    traces(NAME).some((trace) => trace.includes('ovs-vswitchd')),
    'there is no switch',
  );
  assert.equal((await startLab(NAME, 'down').ended).code, 0);
  assert.deepEqual(traces(NAME), []);
});
