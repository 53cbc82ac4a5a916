/** A real etcd for tests that run several servers on one store. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLogger, sleep } from '@cable/kit';
import { openStore, type Store } from '@cable/store';

const READY_MS = 60_000;

/** A running etcd with a directory of its own; `open` connects a store to it, as each server does for itself. */
export type TestEtcd = {
  /** Address for clients, with its scheme. */
  readonly url: string;
  open(): Promise<Store>;
  /** Stops the process, or lets it go on. */
  signal(name: 'SIGSTOP' | 'SIGCONT'): void;
  remove(): Promise<void>;
};

/** `quotaBytes`: how large its file may become. */
export async function startTestEtcd(quotaBytes: number = 1 << 30): Promise<TestEtcd> {
  const directory = await mkdtemp(join(tmpdir(), `cable-plane-etcd-${process.pid}-`));
  const [client, peer] = [`127.0.0.1:${await freePort()}`, `http://127.0.0.1:${await freePort()}`];
  const urls = ['--listen-client-urls', `http://${client}`, '--advertise-client-urls', `http://${client}`];
  const peers = ['--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer, '--initial-cluster', `t=${peer}`];
  const args = ['--name', 't', '--data-dir', directory, '--log-level', 'error', ...urls, ...peers];
  args.push('--quota-backend-bytes', String(quotaBytes));
  const child = spawn('etcd', args, { stdio: 'ignore' });
  const kill = (): void => {
    child.kill('SIGKILL');
  };
  process.once('exit', kill);
  await once(child, 'spawn');
  const open = (): Promise<Store> => openStore(`etcd:${client}`, { log: silentLogger() });
  await untilReady(open);
  return {
    url: `http://${client}`,
    open,
    signal: (name) => void child.kill(name),
    remove: async () => {
      const gone = once(child, 'exit');
      kill();
      await gone;
      process.off('exit', kill);
      await rm(directory, { recursive: true, force: true });
    },
  };
}

async function untilReady(open: () => Promise<Store>): Promise<void> {
  const deadline = Date.now() + READY_MS;
  for (;;) {
    const failure = await probe(open);
    if (failure === undefined) return;
    if (Date.now() > deadline) throw new Error('etcd did not start', { cause: failure });
    await sleep(50);
  }
}

async function probe(open: () => Promise<Store>): Promise<unknown> {
  let store: Store | undefined;
  try {
    store = await open();
    await store.get('/cable/ready');
    return undefined;
  } catch (err) {
    return err;
  } finally {
    await store?.close();
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address !== null ? address.port : 0;
}
