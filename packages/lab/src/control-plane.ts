import { mkdirSync } from 'node:fs';
import { createServer } from 'node:net';
import { askAgent } from './agent-socket.ts';
import { eventually } from './eventually.ts';
import type { LabHost, LabNames } from './names.ts';
import { DEFAULT_LAB, LAUNCHER } from './names.ts';
import { checkAlive, type LabProcess, type Processes } from './processes.ts';

export type StoreKind = 'lmdb' | 'etcd';

/** A process that checks kill and start again. */
export type Restartable = {
  readonly name: string;
  current(): LabProcess;
  /** Starts it again; ready when this resolves. Returns how long that took (ms). */
  start(): Promise<number>;
  /** `kill -9`, and it is gone when this resolves. */
  kill(): Promise<void>;
};

export type ControlPlane = {
  readonly server: Restartable;
  /** Where the user's command line client finds the server. */
  readonly url: string;
  readonly store: StoreKind;
  readonly etcd: LabProcess | undefined;
};

/** Starts the store (if it is a process) and the server, on loopback for the user and on a Unix socket for the agents. */
export async function startControlPlane(
  names: LabNames,
  processes: Processes,
  store: StoreKind,
): Promise<ControlPlane> {
  const etcd = store === 'etcd' ? await startEtcd(names, processes) : undefined;
  const port = await freePort(names.lab === DEFAULT_LAB ? 9696 : 0);
  const url = `http://127.0.0.1:${port}`;
  const storeUrl = etcd === undefined ? `lmdb:${names.dir}/store` : `etcd:${etcd.endpoint}`;
  const command = [process.execPath, LAUNCHER, 'server', '--store', storeUrl];
  command.push('--listen', `127.0.0.1:${port}`, '--listen', `unix:${names.serverSocket}`);
  const spec = { name: 'server', command, ready: /listening on http/ };
  const server = await restartable('server', () => processes.start(spec));
  return { server, url, store, etcd: etcd?.process };
}

/** Starts the agent of a host; its socket answers when this resolves. */
export async function startAgent(names: LabNames, processes: Processes, host: LabHost): Promise<Restartable> {
  const command = [process.execPath, LAUNCHER, 'agent', '--server', `unix:${names.serverSocket}`];
  command.push('--host', host.name, '--underlay', host.underlay);
  return restartable(`agent-${host.short}`, async () => {
    const agent = await processes.start({ name: `agent-${host.short}`, command, netns: host.name });
    await eventually({ what: `the agent on ${host.name} to answer`, deadlineMs: 20_000 }, async () => {
      checkAlive(agent);
      return askAgent(host.name, '/status');
    });
    return agent;
  });
}

async function restartable(name: string, launch: () => Promise<LabProcess>): Promise<Restartable> {
  let current = await launch();
  return {
    name,
    current: () => current,
    start: async () => {
      const startedAt = performance.now();
      current = await launch();
      return performance.now() - startedAt;
    },
    kill: () => current.stop('SIGKILL'),
  };
}

async function startEtcd(
  names: LabNames,
  processes: Processes,
): Promise<{ readonly process: LabProcess; readonly endpoint: string }> {
  const endpoint = `127.0.0.1:${await freePort(0)}`;
  const client = `http://${endpoint}`;
  const peer = `http://127.0.0.1:${await freePort(0)}`;
  const dataDir = `${names.dir}/etcd`;
  mkdirSync(dataDir, { mode: 0o700 });
  const command = ['etcd', '--name', 'lab', '--data-dir', dataDir, '--logger', 'zap'];
  command.push('--listen-client-urls', client, '--advertise-client-urls', client);
  command.push('--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer, '--initial-cluster', `lab=${peer}`);
  const etcd = await processes.start({ name: 'etcd', command });
  await eventually({ what: 'etcd to be healthy', deadlineMs: 20_000 }, async () => {
    checkAlive(etcd);
    return (await fetch(`${client}/health`)).ok ? true : undefined;
  });
  return { process: etcd, endpoint };
}

/** The wanted TCP port on loopback if it is free, else any free one. */
async function freePort(wanted: number): Promise<number> {
  return (await tryPort(wanted)) ?? (await tryPort(0)) ?? 0;
}

function tryPort(port: number): Promise<number | undefined> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(undefined));
    probe.listen(port, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === 'object' && address !== null ? address.port : undefined));
    });
  });
}
