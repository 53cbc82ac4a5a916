import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const LAUNCHER = fileURLToPath(new URL('../../bin/cable.mjs', import.meta.url));
const READY_MS = 180_000;

/** A process of the control plane. */
export type Running = {
  readonly name: string;
  readonly pid: number;
  readonly url: string;
  /** A server's Unix socket, for agents in other network namespaces; empty: none. */
  readonly socket: string;
};

/** A real etcd and real servers, in a directory of their own. */
export type Cluster = {
  readonly etcd: Running;
  readonly servers: readonly Running[];
  /** Where the logs are. */
  readonly directory: string;
  /** `kill -9`; the process is gone when this resolves. */
  kill(index: number): Promise<void>;
  /** Starts a killed server again; gives the ms until it is ready. */
  start(index: number): Promise<number>;
  /** Ends everything and removes the directory. */
  stop(): Promise<void>;
};

/** Starts etcd and the servers; resolves when all are ready. What was started is ended when a step fails. */
export async function startCluster(count: number): Promise<Cluster> {
  const directory = mkdtempSync(join(tmpdir(), 'cable-scale-'));
  const children = new Map<string, ChildProcess>();
  // Also when a signal ends the benchmark: nothing stays behind.
  const abandon = (): void => {
    for (const child of children.values()) child.kill('SIGKILL');
    rmSync(directory, { recursive: true, force: true, maxRetries: 10 });
  };
  process.once('exit', abandon);
  const stop = async (): Promise<void> => {
    await Promise.all([...children.values()].map((child) => end(child, 'SIGKILL')));
    process.off('exit', abandon);
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    const etcd = await startEtcd(directory, children);
    const ports = await Promise.all(Array.from({ length: count }, freePort));
    const servers: Running[] = [];
    const start = async (index: number): Promise<number> => {
      const startedAt = performance.now();
      servers[index] = await startServer(directory, children, etcd, index, ports[index] ?? 0);
      return performance.now() - startedAt;
    };
    for (let index = 0; index < count; index += 1) await start(index);
    const kill = async (index: number): Promise<void> => {
      const child = children.get(`server-${index}`);
      if (child !== undefined) await end(child, 'SIGKILL');
    };
    return { etcd, servers, directory, kill, start, stop };
  } catch (err) {
    await stop();
    throw err;
  }
}

async function startEtcd(directory: string, children: Map<string, ChildProcess>): Promise<Running> {
  const [client, peer] = await Promise.all([freePort(), freePort()]);
  const [clientUrl, peerUrl] = [`http://127.0.0.1:${client}`, `http://127.0.0.1:${peer}`];
  mkdirSync(join(directory, 'etcd'), { mode: 0o700 });
  const args = ['--name', 'scale', '--data-dir', join(directory, 'etcd'), '--logger', 'zap', '--log-level', 'warn'];
  args.push('--listen-client-urls', clientUrl, '--advertise-client-urls', clientUrl);
  args.push('--listen-peer-urls', peerUrl, '--initial-advertise-peer-urls', peerUrl);
  args.push('--initial-cluster', `scale=${peerUrl}`, '--quota-backend-bytes', String(8 << 30));
  args.push('--auto-compaction-mode', 'revision', '--auto-compaction-retention', '100000');
  const child = launch('etcd', 'etcd', args, directory, children);
  await untilOk(`${clientUrl}/health`, child, directory, 'etcd');
  return { name: 'etcd', pid: child.pid ?? 0, url: `127.0.0.1:${client}`, socket: '' };
}

async function startServer(
  directory: string,
  children: Map<string, ChildProcess>,
  etcd: Running,
  index: number,
  port: number,
): Promise<Running> {
  const name = `server-${index}`;
  const args = ['server', '--store', `etcd:${etcd.url}`, '--listen', `127.0.0.1:${port}`];
  const socket = `unix:${join(directory, `${name}.sock`)}`;
  args.push('--listen', socket, '--log-level', 'warn');
  const child = launch(name, LAUNCHER, args, directory, children);
  const url = `http://127.0.0.1:${port}`;
  await untilOk(`${url}/readyz`, child, directory, name);
  return { name, pid: child.pid ?? 0, url, socket };
}

function launch(
  name: string,
  program: string,
  args: readonly string[],
  directory: string,
  children: Map<string, ChildProcess>,
): ChildProcess {
  const log = openSync(join(directory, `${name}.log`), 'a');
  const child = spawn(program, args, { stdio: ['ignore', log, log] });
  closeSync(log);
  children.set(name, child);
  return child;
}

async function untilOk(url: string, child: ChildProcess, directory: string, name: string): Promise<void> {
  const deadline = performance.now() + READY_MS;
  for (;;) {
    const ok = await fetch(url).then(
      (answer) => answer.ok,
      () => false,
    );
    if (ok) return;
    if (child.exitCode !== null || performance.now() > deadline) {
      const log = readFileSync(join(directory, `${name}.log`), 'utf8');
      throw new Error(`${name} is not ready:\n${log.split('\n').slice(-15).join('\n')}`);
    }
    await wait(10);
  }
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill(signal);
  await gone;
}

async function freePort(): Promise<number> {
  const probe = createServer();
  probe.listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const address = probe.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  probe.close();
  await once(probe, 'close');
  return port;
}
