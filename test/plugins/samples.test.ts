/** The samples of plug-ins: each is registered by its probe, and moves packets between two ports of a network of its own. */
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type Harness, type Json, startHarness } from '../../packages/server/src/testing/harness.ts';

const SAMPLES = join(import.meta.dirname, '../../docs/samples/plugins');
const COMMANDS: Readonly<Record<string, readonly string[]>> = {
  typescript: [process.execPath, '--import', 'tsx', '--conditions=cable-source', join(SAMPLES, 'bridge.ts')],
  python: ['python3', join(SAMPLES, 'bridge.py')],
};

const ip = (...args: readonly string[]): string => execFileSync('ip', [...args], { encoding: 'utf8' });

/** Starts a sample in a network namespace of its own; what it has made goes with the test. */
async function startSample(t: TestContext, command: readonly string[]): Promise<{ socket: string; space: string }> {
  const directory = mkdtempSync(join(tmpdir(), `cable-plugin-${process.pid}-`));
  const space = `cbh-${process.pid}-${command.length}`;
  ip('netns', 'add', space);
  const socket = join(directory, 'bridge.sock');
  // Another network, and the same mounts: so that namespaces that it makes are there for all.
  const inside = ['nsenter', `--net=/run/netns/${space}`, ...command, socket, 'h1', 'secret'];
  const child: ChildProcess = spawn(inside[0] as string, inside.slice(1), { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(async () => {
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
    for (const line of ip('netns', 'list').split('\n')) {
      const [name = ''] = line.split(' ');
      if (spaces.has(name)) ip('netns', 'delete', name);
    }
    ip('netns', 'delete', space);
    rmSync(directory, { recursive: true, force: true });
  });
  await once(child.stdout as NodeJS.EventEmitter, 'data');
  return { socket, space };
}

/** Namespaces of ports of this run. */
const spaces = new Set<string>();

async function until<T>(get: () => Promise<T>, isDone: (value: T) => boolean): Promise<T> {
  const end = performance.now() + 30_000;
  for (;;) {
    const value = await get();
    if (isDone(value)) return value;
    if (performance.now() > end) assert.fail(JSON.stringify(value));
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const shown = async ({ send }: Harness, path: string, key: string): Promise<Json> =>
  (await send('GET', path)).body[key] as Json;

for (const [name, command] of Object.entries(COMMANDS)) {
  test(`the sample in ${name} is registered, and a ping goes between two of its ports`, async (t) => {
    const { socket, space } = await startSample(t, command);
    const harness = await startHarness(t, { pluginTimes: { beatMs: 100, lostMs: 30_000 } });
    const { create, send } = harness;
    await create('plugin', { name: 'bridge', endpoint: `unix:${socket}`, token: 'secret' });
    const plugin = await until(
      () => shown(harness, '/cable/v1/plugins/bridge', 'plugin'),
      ({ state }) => String(state) === 'Ready' || String(state) === 'Refused',
    );
    assert.equal(String(plugin['state']), 'Ready', String(plugin['reason']));
    await create('dispatch_rule', { priority: 1, plugin: 'bridge' });
    const network = await create('network', { name: 'blue' });
    await create('subnet', { network_id: network['id'], cidr: '10.9.0.0/24', ip_version: 4 });
    const none = await send('POST', '/v2.0/ports', { port: { network_id: network['id'] } });
    assert.deepEqual([none.status, none.body['NeutronError']?.['type']], [400, 'BackendRefused']);
    const portOf = () => create('port', { network_id: network['id'], security_groups: [], 'binding:host_id': 'h1' });
    const [first, second] = [await portOf(), await portOf()];
    const [from, to] = [first, second].map((port) => String(port['binding:vif_details']?.['namespace']));
    for (const one of [from, to]) spaces.add(String(one));
    for (const { id } of [first, second])
      await until(
        () => shown(harness, `/v2.0/ports/${id}`, 'port'),
        ({ status }) => String(status) === 'ACTIVE',
      );
    const address = String(second['fixed_ips']?.[0]?.['ip_address']);
    ip('netns', 'exec', String(from), 'ping', '-c', '3', '-i', '0.2', '-W', '2', address);
    const asked = await send('PUT', `/v2.0/ports/${second['id']}`, { port: { 'binding:host_id': '' } });
    assert.equal(asked.status, 200);
    await until(
      () => Promise.resolve(ip('netns', 'list')),
      (list) => !list.includes(String(to)),
    );
    for (const { id } of [first, second]) await send('DELETE', `/v2.0/ports/${id}`);
    await send('DELETE', `/v2.0/networks/${network['id']}`);
    await until(
      () => Promise.resolve(ip('-n', space, 'link', 'show', 'type', 'bridge')),
      (list) => list.trim() === '',
    );
    assert.equal(ip('netns', 'list').includes(String(from)), false);
  });
}
