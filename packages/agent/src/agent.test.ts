import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { sleep } from '@cable/kit';
import type { LocalPort, Slice } from '@cable/model';
import {
  sampleEndpoint,
  sampleHost,
  sampleNetwork,
  samplePolicy,
  samplePort,
  sampleRouter,
  sampleRule,
  sampleSubnet,
} from './plan/sample.ts';
import { type FakeServer, startFakeServer } from './testing/fake-server.ts';

/** The whole agent against the real kernel, in a network namespace of its own; only the server is a fake. */
const NETNS = `cba${process.pid}`;
const HOST = `test-${process.pid}`;
const MAIN = fileURLToPath(new URL('main.ts', import.meta.url));
const dir = mkdtempSync(join(tmpdir(), `cable-agent-${process.pid}-`));
const socketPath = join(dir, 'run', 'agent.sock');
const agents = new Set<ChildProcess>();
let server: FakeServer;

before(async () => {
  execFileSync('ip', ['netns', 'add', NETNS]);
  execFileSync('ip', ['-n', NETNS, 'link', 'set', 'lo', 'up']);
  server = await startFakeServer(join(dir, 'server.sock'));
});

after(async () => {
  await server.stop();
  run('--teardown');
  execFileSync('ip', ['netns', 'delete', NETNS]);
  rmSync(dir, { recursive: true, force: true });
});

afterEach(async () => {
  for (const agent of agents) await end(agent, 'SIGKILL');
  server.set([]);
});

function command(...more: string[]): string[] {
  const node = [process.execPath, '--import', 'tsx', '--conditions=cable-source', MAIN];
  const directories = ['--state', join(dir, 'state'), '--run', join(dir, 'run')];
  const who = ['--host', HOST, '--server', `unix:${join(dir, 'server.sock')}`, '--underlay', '127.0.0.1'];
  return [`--net=/run/netns/${NETNS}`, ...node, ...who, ...directories, ...more];
}

function run(...more: string[]): string {
  return execFileSync('nsenter', command(...more), { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

async function startAgent(): Promise<ChildProcess> {
  const agent = spawn('nsenter', command(), { stdio: ['ignore', 'inherit', 'inherit'] });
  agents.add(agent);
  await eventually('the agent answers', () => ask('/status'));
  return agent;
}

async function end(agent: ChildProcess, signal: NodeJS.Signals): Promise<number | null> {
  agents.delete(agent);
  if (agent.exitCode !== null || agent.signalCode !== null) return agent.exitCode;
  const exited = once(agent, 'exit');
  agent.kill(signal);
  await exited;
  return agent.exitCode;
}

type Status = { revision: number; writes: number; rounds: number; epoch: number; server: { synced: boolean } };
type Maps = Readonly<Record<string, readonly Readonly<Record<string, unknown>>[]>>;

function ask<T>(path: string): Promise<T | undefined> {
  return new Promise((resolve) => {
    const call = request({ socketPath, path }, (response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => {
        text += chunk.toString();
      });
      response.on('end', () => resolve(JSON.parse(text) as T));
    });
    call.on('error', () => resolve(undefined));
    call.end();
  });
}

async function eventually<T>(
  what: string,
  look: () => Promise<T | undefined | false> | T | undefined | false,
): Promise<T> {
  const deadline = Date.now() + 15_000;
  while (Date.now() < deadline) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    await sleep(20);
  }
  throw new Error(`in vain: ${what}`);
}

const inSync = (revision: number): Promise<Status> =>
  eventually(`revision ${revision} is in the kernel`, async () => {
    const status = await ask<Status>('/status');
    return status?.revision === revision && status.server.synced ? status : undefined;
  });

const links = (): string[] =>
  (
    JSON.parse(execFileSync('ip', ['-n', NETNS, '-j', 'link', 'show'], { encoding: 'utf8' })) as { ifname: string }[]
  ).map((link) => link.ifname);

const TAP = samplePort(5, { policy: 'policy:p' });
const OWN = samplePort(6, { vifKind: 'host', policy: 'policy:p' });
const AWAY = samplePort(7);

function cloud(ports: readonly LocalPort[]): Slice[] {
  const endpoints = [
    ...ports.map((port) => sampleEndpoint(port, HOST, '127.0.0.1')),
    sampleEndpoint(AWAY, 'h2', '192.0.2.2'),
  ];
  return [
    sampleHost(HOST, ports),
    sampleNetwork(1, { endpoints, subnets: [sampleSubnet(1)] }),
    sampleNetwork(2),
    sampleRouter(1, [1, 2]),
    samplePolicy('p', [
      sampleRule(1, { direction: 'egress' }),
      sampleRule(2, { protocol: 6, portMin: 80, portMax: 90 }),
    ]),
  ];
}

test('ports come up as their devices come, are programmed in the kernel, and leave nothing behind', async () => {
  const agent = await startAgent();
  const revision = server.set(cloud([TAP, OWN]));
  await inSync(revision);
  await eventually('the host-owned port is up', () => server.status.vifs.get(OWN.id)?.state === 'up');
  assert.equal(server.status.vifs.get(TAP.id)?.reason, `there is no device tap${TAP.id.slice(0, 11)}`);
  const own = `cb${OWN.id.slice(0, 11)}`;
  assert.match(execFileSync('ip', ['-n', NETNS, 'address', 'show', own], { encoding: 'utf8' }), /10\.0\.0\.6\/24/);
  assert.match(
    execFileSync('ip', ['-n', NETNS, 'route'], { encoding: 'utf8' }),
    /10\.0\.1\.0\/24 via 10\.0\.0\.1 dev cb/,
  );

  execFileSync('ip', ['-n', NETNS, 'tuntap', 'add', `tap${TAP.id.slice(0, 11)}`, 'mode', 'tap']);
  await eventually('the tap is up', () => server.status.vifs.get(TAP.id)?.state === 'up');
  assert.equal(server.status.revision, revision);
  const maps = (await ask<Maps>('/maps')) ?? {};
  assert.deepEqual(maps['cb_vif_1']?.map((row) => row['port']).sort(), ['port-5', 'port-6']);
  assert.ok(maps['cb_ep_1']?.some((row) => row['address'] === '10.0.0.7' && row['at'] === 'h2'));
  assert.ok(maps['cb_rule_1']?.some((row) => row['ports'] === '80-87' && row['protocol'] === 6));

  server.set([]);
  await eventually('everything is empty', async () => {
    const left = (await ask<Maps>('/maps')) ?? { none: [{}] };
    return Object.values(left).every((rows) => rows.length === 0);
  });
  assert.deepEqual(
    links().filter((name) => /^c[bv]/.test(name)),
    [],
  );
  execFileSync('ip', ['-n', NETNS, 'link', 'delete', `tap${TAP.id.slice(0, 11)}`]);
  await eventually(
    'the pin of the tap is gone',
    () => !readdirSync(`/sys/fs/bpf/cable/${HOST}/links`).some((n) => n.startsWith('vif-')),
  );
  assert.equal(await end(agent, 'SIGTERM'), 0);
  assert.ok(!existsSync(socketPath));
  assert.ok(links().includes('cablevx'), 'the data plane stays');
});

test('after kill -9 the next agent takes over without one write, and continues where the last was', async () => {
  const first = await startAgent();
  const revision = server.set(cloud([TAP, OWN]));
  execFileSync('ip', ['-n', NETNS, 'tuntap', 'add', `tap${TAP.id.slice(0, 11)}`, 'mode', 'tap']);
  await eventually(
    'both are up',
    () => [...server.status.vifs.values()].filter((vif) => vif.state === 'up').length === 2,
  );
  const before = await inSync(revision);
  await eventually('the state is on disk', () => existsSync(join(dir, 'state', 'state.json')));
  await sleep(400);
  await end(first, 'SIGKILL');
  assert.ok(links().includes(`cb${OWN.id.slice(0, 11)}`));

  await startAgent();
  const status = await inSync(revision);
  assert.equal(status.writes, 0);
  assert.equal(status.epoch, before.epoch);
  assert.equal(server.watches.at(-1), revision);
  execFileSync('ip', ['-n', NETNS, 'link', 'delete', `tap${TAP.id.slice(0, 11)}`]);
});

test('a second agent for the host is refused', async () => {
  await startAgent();
  assert.throws(() => run(), /is running already/);
});

test('without a server the agent works from the last state, and teardown then removes everything', async () => {
  const agent = await startAgent();
  const revision = server.set(cloud([OWN]));
  await inSync(revision);
  await eventually('the state is on disk', () => existsSync(join(dir, 'state', 'state.json')));
  await end(agent, 'SIGTERM');
  await server.stop();
  execFileSync('ip', ['-n', NETNS, 'link', 'delete', `cb${OWN.id.slice(0, 11)}`]);
  const again = await startAgent();
  await eventually('the port is made again', () => links().includes(`cb${OWN.id.slice(0, 11)}`));
  await end(again, 'SIGTERM');
  server = await startFakeServer(join(dir, 'server.sock'));
  run('--teardown');
  assert.deepEqual(links(), ['lo']);
  assert.ok(!existsSync(`/sys/fs/bpf/cable/${HOST}`));
  assert.ok(!existsSync(join(dir, 'state')));
});
