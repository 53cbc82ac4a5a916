/**
 * `npm run lab:nova`: a real Nova starts, reboots and deletes machines on Cable. Runs in namespaces of its own (`scripts/run.mjs`), which
 * end all that it starts. Arguments: directory for files and logs, directory of what was unpacked.
 */
import { execFile } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Program } from '../hammer/program.ts';
import { startCable } from '../openstack/cable.ts';
import { startKeystone } from '../openstack/keystone.ts';
import { startMariaDb } from '../openstack/mariadb.ts';
import { runScenario } from './scenario.ts';
import {
  COMPUTE_HOST,
  METADATA_SECRET,
  NOVA_METADATA,
  type Surroundings,
  startGlance,
  startLibvirt,
  startNova,
  startPlacement,
  startRabbitMq,
} from './services.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const run = promisify(execFile);

/** Which address is the underlay's does not matter with one host. */
async function startAgent(directory: string, serverUrl: string): Promise<void> {
  await run('ip', ['link', 'add', 'underlay', 'type', 'veth', 'peer', 'name', 'elsewhere']);
  await run('ip', ['link', 'set', 'elsewhere', 'up']);
  await run('ip', ['addr', 'add', '192.0.2.1/24', 'dev', 'underlay']);
  await run('ip', ['link', 'set', 'underlay', 'up']);
  const secret = join(directory, 'metadata-secret');
  writeFileSync(secret, METADATA_SECRET, { mode: 0o600 });
  const socket = join(directory, 'agent', 'agent.sock');
  const agent = new Program({
    name: 'cable-agent',
    command: [
      ...([
        process.execPath,
        join(ROOT, 'bin/cable.mjs'),
        'agent',
        '--server',
        serverUrl,
        '--host',
        COMPUTE_HOST,
      ] as const),
      ...['--underlay', '192.0.2.1', '--state', join(directory, 'agent-state'), '--run', join(directory, 'agent')],
      ...['--nova-metadata', NOVA_METADATA, '--metadata-secret-file', secret],
      // The tap that this Nova makes, this libvirt refuses.
      ...['--vif-type', 'bridge'],
    ],
    log: join(directory, 'cable-agent.log'),
    readyMs: 300_000,
    ready: () =>
      run('curl', ['--silent', '--fail', '--unix-socket', socket, 'http://agent/status']).then(
        () => true,
        () => false,
      ),
  });
  await agent.start();
}

async function step<T>(what: string, work: () => Promise<T>): Promise<T> {
  const began = performance.now();
  process.stdout.write(`  ${what} `);
  const result = await work();
  process.stdout.write(`${((performance.now() - began) / 1000).toFixed(1)} s\n`);
  return result;
}

async function main(directory: string, unpacked: string): Promise<boolean> {
  const began = performance.now();
  process.stdout.write('starting the cloud\n');
  mkdirSync(directory, { recursive: true });
  const keystone = await step('Keystone', () => startKeystone(directory));
  const database = await step('MariaDB', () => startMariaDb(directory, { name: 'cloud', isDurable: false }));
  const around: Surroundings = { directory, unpacked, keystone, database };
  await step('RabbitMQ', () => startRabbitMq(around));
  const cable = await step('Cable: etcd, server', () =>
    startCable(directory, keystone, {
      policyDefaults: 'secure',
      args: ['--nova', '--listen', `unix:${directory}/server.sock`],
    }),
  );
  await keystone.addEndpoint('network', 'neutron', cable.url);
  await step('Cable: agent', () => startAgent(directory, `unix:${directory}/server.sock`));
  await step('Glance', () => startGlance(around));
  await step('Placement', () => startPlacement(around));
  await step('libvirt', () => startLibvirt(around));
  await step('Nova', () => startNova(around));
  const guest = join(ROOT, 'build/guest');
  return runScenario({ directory, keystone, guest, cable: cable.url, began });
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));
const [directory, unpacked] = process.argv.slice(2);
if (directory === undefined || unpacked === undefined) throw new Error('usage: lab.ts DIRECTORY UNPACKED');
// It writes to /etc, which is its own there alone.
if (!readFileSync('/proc/mounts', 'utf8').includes(' /etc overlay '))
  throw new Error('this is not in namespaces of its own: npm run lab:nova');
// The services end with the namespace of this process.
process.exit((await main(directory, unpacked)) ? 0 : 1);
