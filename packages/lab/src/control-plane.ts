import { mkdirSync } from 'node:fs';
import { eventually } from './eventually.ts';
import { choosePort } from './free-port.ts';
import { DEFAULT_LAB, LAUNCHER, type LabNames, REPOSITORY } from './names.ts';
import { checkAlive, type Processes } from './processes.ts';
import { type Restartable, restartable } from './restartable.ts';
import type { StoreKind } from './world.ts';

export type ControlPlane = {
  readonly servers: readonly [LabServer, ...LabServer[]];
  /** Where the user's command line client finds the server, or the balancer before several. */
  readonly url: string;
  readonly store: LabStore;
};

export type LabServer = Restartable & {
  /** Unix socket at which it listens. */
  readonly socket: string;
};

export type LabStore = {
  readonly kind: StoreKind;
  /** As the server's `--store` wants it. */
  readonly address: string;
  /** All it keeps. */
  readonly dir: string;
  /** Undefined: the server keeps it itself. */
  readonly etcd: Restartable | undefined;
};

/** Starts the store (if it is a process) and the servers, on loopback for the user and on Unix sockets for the agents. */
export async function startControlPlane(
  names: LabNames,
  processes: Processes,
  kind: StoreKind,
  count = 1,
): Promise<ControlPlane> {
  const store = kind === 'etcd' ? await startEtcd(names, processes) : lmdb(names);
  const wanted = names.lab === DEFAULT_LAB ? 9696 : undefined;
  const version = { overlayIpVersion: names.overlayIpVersion };
  if (count === 1) {
    const port = await choosePort(names.lab, 'server', wanted);
    const server = await startServer(processes, store, {
      ...version,
      name: 'server',
      port,
      socket: names.serverSocket,
    });
    return { servers: [server], url: `http://127.0.0.1:${port}`, store };
  }
  const places = Array.from({ length: count }, (_, index) => ({
    name: `server-${index + 1}`,
    socket: `${names.dir}/server-${index + 1}.sock`,
  }));
  const start = async (place: { readonly name: string; readonly socket: string }): Promise<LabServer> =>
    startServer(processes, store, { ...version, ...place, port: await choosePort(names.lab, place.name) });
  const [first, ...others] = await Promise.all(places.map(start));
  if (first === undefined) throw new Error('a control plane has at least one server');
  const port = await choosePort(names.lab, 'balancer', wanted);
  await startBalancer(names, processes, port, places);
  return { servers: [first, ...others], url: `http://127.0.0.1:${port}`, store };
}

/** Stops the servers and the store in good order, does `work` on the directory of the store, and starts them again. */
export async function withStoreAtRest({ servers, store }: ControlPlane, work: (dir: string) => void): Promise<void> {
  await Promise.all(servers.map((server) => server.stop()));
  await store.etcd?.stop();
  try {
    work(store.dir);
  } finally {
    await store.etcd?.start();
    await Promise.all(servers.map((server) => server.start()));
  }
}

type Place = {
  readonly name: string;
  readonly port: number;
  readonly socket: string;
  readonly overlayIpVersion: LabNames['overlayIpVersion'];
};

async function startServer(
  processes: Processes,
  store: LabStore,
  { name, port, socket, overlayIpVersion }: Place,
): Promise<LabServer> {
  const command = [process.execPath, LAUNCHER, 'server', '--store', store.address];
  command.push('--listen', `127.0.0.1:${port}`, '--listen', `unix:${socket}`);
  command.push('--overlay-ip-version', String(overlayIpVersion));
  const server = await restartable(name, () => processes.start({ name, command, ready: /listening on http/ }));
  return { ...server, socket };
}

async function startBalancer(
  names: LabNames,
  processes: Processes,
  port: number,
  places: readonly { readonly socket: string }[],
): Promise<void> {
  const sockets = places.map((place) => place.socket);
  const command = [process.execPath, `${REPOSITORY}/packages/lab/dist/balancer.js`, names.serverSocket, String(port)];
  await processes.start({ name: 'balancer', command: [...command, '--', ...sockets], ready: /^ready$/m });
}

function lmdb(names: LabNames): LabStore {
  const dir = `${names.dir}/store`;
  return { kind: 'lmdb', address: `lmdb:${dir}`, dir, etcd: undefined };
}

async function startEtcd(names: LabNames, processes: Processes): Promise<LabStore> {
  const endpoint = `127.0.0.1:${await choosePort(names.lab, 'etcd')}`;
  const client = `http://${endpoint}`;
  const peer = `http://127.0.0.1:${await choosePort(names.lab, 'etcd peer')}`;
  const dir = `${names.dir}/etcd`;
  const command = ['etcd', '--name', 'lab', '--data-dir', dir, '--logger', 'zap'];
  command.push('--listen-client-urls', client, '--advertise-client-urls', client);
  command.push('--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer, '--initial-cluster', `lab=${peer}`);
  const etcd = await restartable('etcd', async () => {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    const started = await processes.start({ name: 'etcd', command });
    await eventually({ what: 'etcd to be healthy', deadlineMs: 20_000 }, async () => {
      checkAlive(started);
      return (await fetch(`${client}/health`)).ok ? true : undefined;
    });
    return started;
  });
  return { kind: 'etcd', address: `etcd:${endpoint}`, dir, etcd };
}
