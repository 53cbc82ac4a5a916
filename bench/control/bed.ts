import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

/** Stores that a server runs on. */
export const STORES = ['lmdb', 'etcd'] as const;

export type StoreKind = (typeof STORES)[number];

/** A real server, as an operator starts it, on a store of its own. */
export type Bed = {
  readonly store: StoreKind;
  readonly host: string;
  readonly port: number;
  readonly serverPid: number;
  /** Null on LMDB, which is inside of the server. */
  readonly etcd: { readonly pid: number; readonly address: string } | null;
  /** For what else a measurement keeps; removed with the bed. */
  readonly directory: string;
  /** Ends the processes, and removes what they have written. */
  close(): Promise<void>;
};

type Started = {
  readonly directory: string;
  readonly children: Map<string, ChildProcess>;
  readonly signal: AbortSignal;
};

const LAUNCHER = fileURLToPath(new URL('../../bin/cable.mjs', import.meta.url));
const HOST = '127.0.0.1';
const READY_MS = 60_000;
const QUOTA_BYTES = 8 << 30;

/**
 * Starts a server, on etcd a member of its own before it, in a new directory under the system's for temporary files; resolves when it is ready. What was started is
 * ended, and the directory removed, when a step fails or the signal aborts, and when this process exits.
 */
export async function startBed(store: StoreKind, signal: AbortSignal): Promise<Bed> {
  const directory = mkdtempSync(join(tmpdir(), 'cable-bench-control-'));
  const started: Started = { directory, children: new Map(), signal };
  const { children } = started;
  const abandon = (): void => {
    for (const child of children.values()) child.kill('SIGKILL');
    rmSync(directory, { recursive: true, force: true, maxRetries: 10 });
  };
  process.once('exit', abandon);
  const close = async (): Promise<void> => {
    // Newest first: a server that stops says so to its store.
    for (const child of [...children.values()].reverse()) await end(child);
    process.off('exit', abandon);
    rmSync(directory, { recursive: true, force: true, maxRetries: 10 });
  };
  try {
    const etcd = store === 'etcd' ? await startEtcd(started) : null;
    const address = etcd === null ? `lmdb:${join(directory, 'store')}` : `etcd:${etcd.address}`;
    const server = await startServer(started, address);
    return { store, host: HOST, port: server.port, serverPid: server.pid, etcd, directory, close };
  } catch (err) {
    await close();
    throw err;
  }
}

/** One member that syncs its log to the disk before it answers, as etcd does unless it is told not to. */
async function startEtcd(started: Started): Promise<{ pid: number; address: string }> {
  const [client, peer] = [await freePort(), await freePort()];
  const [clientUrl, peerUrl] = [`http://${HOST}:${client}`, `http://${HOST}:${peer}`];
  const data = join(started.directory, 'etcd');
  mkdirSync(data, { mode: 0o700 });
  const args = ['--name', 'bench', '--data-dir', data, '--logger', 'zap', '--log-level', 'warn'];
  args.push('--listen-client-urls', clientUrl, '--advertise-client-urls', clientUrl);
  args.push('--listen-peer-urls', peerUrl, '--initial-advertise-peer-urls', peerUrl);
  args.push('--initial-cluster', `bench=${peerUrl}`, '--quota-backend-bytes', String(QUOTA_BYTES));
  const child = launch(started, 'etcd', 'etcd', args);
  await untilOk(started, 'etcd', child, `${clientUrl}/health`);
  return { pid: child.pid ?? 0, address: `${HOST}:${client}` };
}

async function startServer(started: Started, store: string): Promise<{ pid: number; port: number }> {
  const port = await freePort();
  const args = ['server', '--store', store, '--listen', `${HOST}:${port}`, '--log-level', 'warn'];
  const child = launch(started, 'server', LAUNCHER, args);
  await untilOk(started, 'server', child, `http://${HOST}:${port}/readyz`);
  return { pid: child.pid ?? 0, port };
}

function launch(
  { directory, children }: Started,
  name: string,
  program: string,
  args: readonly string[],
): ChildProcess {
  const log = openSync(join(directory, `${name}.log`), 'a');
  // In a group of its own, so that a terminal's interrupt does not end it before the benchmark does.
  const child = spawn(program, args, { stdio: ['ignore', log, log], detached: true });
  closeSync(log);
  children.set(name, child);
  return child;
}

async function untilOk({ directory, signal }: Started, name: string, child: ChildProcess, url: string): Promise<void> {
  let failure: Error | undefined;
  child.once('error', (err) => {
    failure = err;
  });
  const deadline = performance.now() + READY_MS;
  for (;;) {
    const isOk = await fetch(url, { signal }).then(
      (answer) => answer.ok,
      () => false,
    );
    if (isOk) return;
    signal.throwIfAborted();
    if (failure !== undefined) throw new Error(`${name} cannot be started: ${failure.message}`);
    if (child.exitCode !== null || performance.now() > deadline) {
      const lines = readFileSync(join(directory, `${name}.log`), 'utf8').split('\n');
      throw new Error(`${name} is not ready:\n${lines.slice(-15).join('\n')}`);
    }
    await wait(10);
  }
}

/** As long as a server may take to say goodbye. */
const GOODBYE_MS = 10_000;

async function end(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGTERM');
  const late = setTimeout(() => child.kill('SIGKILL'), GOODBYE_MS);
  await gone;
  clearTimeout(late);
}

async function freePort(): Promise<number> {
  const probe = createServer();
  probe.listen(0, HOST);
  await once(probe, 'listening');
  const address = probe.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  probe.close();
  await once(probe, 'close');
  return port;
}
