import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { sleep } from '@cable/kit';
import { sourceProgram } from '@cable/kit/testing';
import type { OverlayIpVersion } from '@cable/model';
import { type FakeServer, startFakeServer } from './fake-server.ts';

/** For tests: hosts as network namespaces on one underlay, each with a real agent on the real kernel; only the server is a fake. */
export type AgentBed = {
  readonly dir: string;
  readonly server: FakeServer;
  readonly hosts: readonly BedHost[];
  /** Stops the server and starts a new one, which knows nothing, at the same place. */
  restartServer(): Promise<void>;
  stopServer(): Promise<void>;
  /** Ends the agents and removes everything. */
  remove(): Promise<void>;
};

export type BedHost = {
  readonly name: string;
  readonly netns: string;
  readonly underlay: string;
  readonly socket: string;
  readonly state: string;
  readonly pins: string;
  /** What holds the namespace of its guest services. */
  readonly services: string;
  /** Starts an agent, with more options; it answers when this resolves. */
  start(...options: readonly string[]): Promise<void>;
  /** Ends it; its exit code. */
  end(signal: NodeJS.Signals): Promise<number | null>;
  /** Runs the agent to its end with more options; its standard output. Throws with its error output. */
  run(...options: readonly string[]): string;
  /** Runs a program in the namespace. */
  exec(program: string, ...args: readonly string[]): string;
  spawn(program: string, ...args: readonly string[]): ChildProcess;
  /** GET on the agent's socket; undefined: no agent answers. */
  ask<T>(path: string): Promise<T | undefined>;
  links(): readonly string[];
};

const MAIN = fileURLToPath(new URL('../main.ts', import.meta.url));

/** Makes `count` hosts, h1 at 192.0.2.1 (or 2001:db8:ffff::1) and so on, without agents. */
export async function createAgentBed(label: string, count: number, version: OverlayIpVersion = 4): Promise<AgentBed> {
  const dir = mkdtempSync(join(tmpdir(), `cable-${label}-${process.pid}-`));
  const bridge = `cb${label}${process.pid}u`;
  let server = await startFakeServer(join(dir, 'server.sock'));
  execFileSync('ip', ['netns', 'add', bridge]);
  execFileSync('ip', ['-n', bridge, 'link', 'add', 'br0', 'up', 'type', 'bridge']);
  const hosts = Array.from({ length: count }, (_, i) => createHost({ dir, label, bridge, index: i + 1, version }));
  return {
    dir,
    hosts,
    get server() {
      return server;
    },
    stopServer: () => server.stop(),
    restartServer: async () => {
      server = await startFakeServer(join(dir, 'server.sock'));
    },
    remove: async () => {
      for (const host of hosts) {
        await host.end('SIGKILL');
        host.run('--teardown');
        execFileSync('ip', ['netns', 'delete', host.netns]);
      }
      execFileSync('ip', ['netns', 'delete', bridge]);
      await server.stop();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

function createHost(bed: {
  dir: string;
  label: string;
  bridge: string;
  index: number;
  version: OverlayIpVersion;
}): BedHost {
  const name = `${bed.label}-${process.pid}-h${bed.index}`;
  const netns = `cb${bed.label}${process.pid}h${bed.index}`;
  const underlay = bed.version === 6 ? `2001:db8:ffff::${bed.index}` : `192.0.2.${bed.index}`;
  addNamespace(netns, bed.bridge, bed.index, underlay);
  const home = join(bed.dir, name);
  const socket = join(home, 'run', 'agent.sock');
  const enter = [`--net=/run/netns/${netns}`];
  const command = (...more: readonly string[]): string[] => {
    const node = [process.execPath, ...sourceProgram(MAIN)];
    const who = ['--host', name, '--server', `unix:${join(bed.dir, 'server.sock')}`, '--underlay', underlay];
    const where = ['--state', join(home, 'state'), '--run', join(home, 'run'), '--log-level', 'error'];
    return [...enter, ...node, ...who, ...where, ...more];
  };
  let agent: ChildProcess | undefined;
  const exec = (program: string, ...args: readonly string[]): string =>
    execFileSync('nsenter', [...enter, program, ...args], {
      ...{ encoding: 'utf8', timeout: 30_000 },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  return {
    name,
    netns,
    underlay,
    socket,
    state: join(home, 'state'),
    pins: `/sys/fs/bpf/cable/${name}`,
    services: join(home, 'run', 'services.netns'),
    start: async (...options) => {
      agent = spawn('nsenter', command(...options), { stdio: ['ignore', 'inherit', 'inherit'] });
      await eventually(`the agent of ${name} answers`, () => askSocket(socket, '/status'));
    },
    end: async (signal) => {
      const ending = agent;
      agent = undefined;
      if (ending === undefined) return null;
      if (ending.exitCode !== null || ending.signalCode !== null) return ending.exitCode;
      const exited = once(ending, 'exit');
      ending.kill(signal);
      await exited;
      return ending.exitCode;
    },
    run: (...options) =>
      execFileSync('nsenter', command(...options), { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }),
    exec,
    spawn: (program, ...args) =>
      spawn('nsenter', [...enter, program, ...args], { stdio: ['ignore', 'pipe', 'inherit'] }),
    ask: (path) => askSocket(socket, path),
    links: () => (JSON.parse(exec('ip', '-j', 'link', 'show')) as { ifname: string }[]).map((link) => link.ifname),
  };
}

function addNamespace(netns: string, bridge: string, index: number, underlay: string): void {
  const ip = (...args: string[]): void => {
    execFileSync('ip', args);
  };
  ip('netns', 'add', netns);
  ip('-n', netns, 'link', 'set', 'lo', 'up');
  ip('-n', netns, 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', `p${index}`, 'netns', bridge);
  ip('-n', bridge, 'link', 'set', `p${index}`, 'master', 'br0', 'up');
  const prefix = underlay.includes(':') ? ['/64', 'nodad'] : ['/24'];
  ip('-n', netns, 'address', 'add', `${underlay}${prefix[0]}`, 'dev', 'eth0', ...prefix.slice(1));
  ip('-n', netns, 'link', 'set', 'eth0', 'up');
}

function askSocket<T>(socketPath: string, path: string): Promise<T | undefined> {
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

/** Looks until there is an answer; fails after a minute. */
export async function eventually<T>(
  what: string,
  look: () => Promise<T | undefined | false> | T | undefined | false,
): Promise<T> {
  const deadline = Date.now() + 60_000;
  while (Date.now() < deadline) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    await sleep(20);
  }
  throw new Error(`in vain: ${what}`);
}
