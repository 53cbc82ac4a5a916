/** What is put on a node of the plug-in. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { installCni, removeCni } from './cni-files.ts';

test('the plug-in and its configuration are put on a node whole, again over those of before, and removed', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'cable-cni-files-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const [bin, conf, plugin] = [join(directory, 'bin'), join(directory, 'net.d'), join(directory, 'plugin')];
  writeFileSync(plugin, 'the executable');
  const options = { bin, conf, plugin, cluster: 'prod', socket: '/run/cable/node-1/agent.sock', cniVersion: '1.0.0' };
  await installCni(options);
  await installCni({ ...options, cniVersion: '1.1.0' });
  assert.equal(readFileSync(join(bin, 'cable-cni'), 'utf8'), 'the executable');
  assert.deepEqual(JSON.parse(readFileSync(join(conf, '05-cable.conflist'), 'utf8')), {
    ...{ cniVersion: '1.1.0', name: 'cable' },
    plugins: [
      {
        ...{ type: 'cable-cni', cluster: 'prod', socket: '/run/cable/node-1/agent.sock' },
        capabilities: { portMappings: true },
      },
    ],
  });
  await removeCni(options);
  await removeCni(options);
  assert.deepEqual([existsSync(join(bin, 'cable-cni')), existsSync(join(conf, '05-cable.conflist'))], [false, false]);
  await assert.rejects(installCni({ ...options, plugin: join(directory, 'none') }), /cannot write .*cable-cni/);
});
