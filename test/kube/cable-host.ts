/** An agent on a host of the nodes' link that is of no cluster, with mounts of its own: what it leaves goes with it. */
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Client } from '@cable/api';
import { Program } from '../hammer/program.ts';
import type { LinkedHost } from './real-cluster.ts';

const LAUNCHER = fileURLToPath(new URL('../../bin/cable.mjs', import.meta.url));

/** Resolves when the server has it. `server`: its https address. */
export async function startCableHost(host: LinkedHost, server: string, cable: Client): Promise<void> {
  const { name, directory, address, enter } = host;
  const made = await cable.request('POST', '/cable/v1/join-tokens/issue', { host: name });
  const { token } = (made as { readonly join_token: { readonly token: string } }).join_token;
  const [joinFile, script] = [join(directory, 'token'), join(directory, 'agent.sh')];
  for (const one of ['state', 'run']) mkdirSync(join(directory, one));
  writeFileSync(joinFile, token, { mode: 0o600 });
  const args = [
    ...['agent', '--host', name, '--server', server, '--join-file', joinFile, '--underlay', address],
    ...['--state', join(directory, 'state'), '--run', join(directory, 'run'), '--log-level', 'error'],
  ];
  writeFileSync(
    script,
    [
      ...['set -e', 'mount -t bpf bpf /sys/fs/bpf', 'mount -t tmpfs tmpfs /run', 'mkdir /run/netns'],
      `exec ${[process.execPath, LAUNCHER, ...args].join(' ')}`,
    ].join('\n'),
  );
  const agent = new Program({
    name: `agent of ${name}`,
    command: [enter[0] ?? '', ...enter.slice(1), 'unshare', '--mount', 'sh', script],
    log: join(directory, 'agent.log'),
    ready: async () => isThere(cable, name),
  });
  await agent.start();
}

async function isThere(cable: Client, name: string): Promise<boolean> {
  const hosts = await cable.request('GET', '/cable/v1/hosts');
  return JSON.stringify(hosts).includes(`"${name}"`);
}

/** Says that to who connects to the port there, until the host goes. */
export function serveOn({ enter }: LinkedHost, port: number, says: string): void {
  const [program = '', ...words] = enter;
  const socat = ['socat', `TCP-LISTEN:${port},fork,reuseaddr`, `SYSTEM:echo ${says}`];
  spawn(program, [...words, ...socat], { stdio: 'ignore' }).unref();
}

/** Names of the links of a network namespace. */
export function linksOf(netns: string): readonly string[] {
  const text = execFileSync('ip', ['-n', netns, '-j', 'link', 'show'], { encoding: 'utf8' });
  return (JSON.parse(text) as { readonly ifname: string }[]).map(({ ifname }) => ifname);
}
