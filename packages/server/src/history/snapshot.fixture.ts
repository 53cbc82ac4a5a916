/** A real etcd of which a snapshot can be taken, and put back. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { silentLogger, sleep } from '@cable/kit';
import { openStore, type Store } from '@cable/store';

const READY_MS = 60_000;

/** `restore`: the store goes on from the last snapshot; stores that are open stay so. `remove` closes everything. */
export type SnapshotStore = {
  open(): Promise<Store>;
  snapshot(): Promise<void>;
  restore(): Promise<void>;
  remove(): Promise<void>;
};

export async function snapshotEtcd(): Promise<SnapshotStore> {
  const directory = await mkdtemp(join(tmpdir(), `cable-history-etcd-${process.pid}-`));
  const [client, peer] = [`127.0.0.1:${await freePort()}`, `http://127.0.0.1:${await freePort()}`];
  const file = join(directory, 'snapshot.db');
  const opened: Store[] = [];
  let generation = 0;
  let stop = await startEtcd(join(directory, '0'), client, peer);
  return {
    open: async () => {
      const store = await openStore(`etcd:${client}`, { log: silentLogger() });
      opened.push(store);
      return store;
    },
    snapshot: async () => {
      await rm(file, { force: true });
      await etcdctl(['--endpoints', client, 'snapshot', 'save', file]);
    },
    restore: async () => {
      await stop();
      generation += 1;
      const data = join(directory, String(generation));
      const cluster = ['--name', 't', '--initial-cluster', `t=${peer}`, '--initial-advertise-peer-urls', peer];
      await etcdctl(['snapshot', 'restore', file, '--data-dir', data, ...cluster]);
      stop = await startEtcd(data, client, peer);
    },
    remove: async () => {
      for (const store of opened) await store.close();
      await stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

async function etcdctl(args: readonly string[]): Promise<void> {
  await promisify(execFile)('etcdctl', args, { env: { ...process.env, ETCDCTL_API: '3' } });
}

async function startEtcd(data: string, client: string, peer: string): Promise<() => Promise<void>> {
  const urls = ['--listen-client-urls', `http://${client}`, '--advertise-client-urls', `http://${client}`];
  const peers = ['--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer, '--initial-cluster', `t=${peer}`];
  const args = ['--name', 't', '--data-dir', data, '--log-level', 'error', ...urls, ...peers];
  const child = spawn('etcd', args, { stdio: 'ignore' });
  const kill = (): void => void child.kill('SIGKILL');
  process.once('exit', kill);
  await untilHealthy(client);
  return async () => {
    const gone = once(child, 'exit');
    kill();
    await gone;
    process.off('exit', kill);
  };
}

async function untilHealthy(client: string): Promise<void> {
  const deadline = Date.now() + READY_MS;
  for (;;) {
    const answer = await fetch(`http://${client}/health`).catch(() => undefined);
    if (answer?.ok === true) return;
    if (Date.now() > deadline) throw new Error('etcd did not start');
    await sleep(20);
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
