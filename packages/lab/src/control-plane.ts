import { mkdirSync } from 'node:fs';
import { ipBatch } from './exec.ts';
import { choosePort } from './free-port.ts';
import { createPki, issuePodUser, type ServerCertificate } from './joining.ts';
import {
  controlAddress,
  DEFAULT_LAB,
  LAUNCHER,
  type LabNames,
  REPOSITORY,
  SERVER_PORT,
  socketAddress,
} from './names.ts';
import type { Processes } from './processes.ts';
import { type Restartable, restartable } from './restartable.ts';
import { addressOn } from './topology.ts';
import type { StoreKind } from './world.ts';

export type ControlPlane = {
  readonly servers: readonly [LabServer, ...LabServer[]];
  /** Where the user's command line client finds the servers: at the machine's loopback. */
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

/**
 * Starts the store (if it is a process) and the servers, all in the namespace of the control plane: by HTTPS for the hosts, at Unix sockets for the operator.
 * The machine's loopback leads to them too.
 */
export async function startControlPlane(
  names: LabNames,
  processes: Processes,
  kind: StoreKind,
  count = 1,
): Promise<ControlPlane> {
  const places = placesOf(names, count);
  const [store] = await Promise.all([
    kind === 'etcd' ? startEtcd(names, processes) : lmdb(names),
    createPki(processes, places),
  ]);
  if (count > 1) await addAddresses(names, places);
  const starting = places.map((place) => startServer(names, processes, store, place));
  const [[first, ...others]] = await Promise.all([Promise.all(starting), issuePodUser(names, processes)]);
  if (first === undefined) throw new Error('a control plane has at least one server');
  if (count > 1) await startBalancer(names, processes, places);
  const url = await startLoopback(names, processes, places);
  return { servers: [first, ...others], url, store };
}

/** One server is where hosts and operator ask; several are behind a balancer that is there. */
function placesOf(names: LabNames, count: number): readonly Place[] {
  const address = (index: number): string => controlAddress(index, names.overlayIpVersion);
  if (count === 1)
    return [{ name: 'server', addresses: [address(0)], socket: names.serverSocket, pki: `${names.dir}/pki` }];
  return Array.from({ length: count }, (_, index) => ({
    name: `server-${index + 1}`,
    addresses: [address(index + 1), address(0)],
    socket: `${names.dir}/server-${index + 1}.sock`,
    pki: index === 0 ? `${names.dir}/pki` : `${names.dir}/pki-${index + 1}`,
  }));
}

async function addAddresses({ controlNamespace, overlayIpVersion }: LabNames, places: readonly Place[]): Promise<void> {
  const commands = places.map(({ addresses: [own] }) => addressOn('up0', own, overlayIpVersion));
  await ipBatch(controlNamespace, commands);
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

/** Its first address is where the server listens; all are in its certificate. */
type Place = ServerCertificate & { readonly socket: string };

async function startServer(
  names: LabNames,
  processes: Processes,
  store: LabStore,
  { name, addresses: [own], socket, pki }: Place,
): Promise<LabServer> {
  const command = [process.execPath, LAUNCHER, 'server', '--store', store.address, '--pki', pki];
  command.push('--listen', socketAddress(own, SERVER_PORT), '--listen', `unix:${socket}`);
  command.push('--audit-log', auditLog(names, name), '--overlay-ip-version', String(names.overlayIpVersion));
  const ready = /^listening on unix:/m;
  const netns = names.controlNamespace;
  const server = await restartable(name, () => processes.start({ name, command, netns, ready }));
  return { ...server, socket };
}

/** A line for each write that a server has done. */
export function auditLog(names: Pick<LabNames, 'dir'>, server: string): string {
  return `${names.dir}/logs/audit-${server}.log`;
}

const BALANCER = [process.execPath, `${REPOSITORY}/packages/lab/dist/balancer.js`];

/** Hosts keep TLS with the servers: it is passed on as it is. */
async function startBalancer(names: LabNames, processes: Processes, places: readonly Place[]): Promise<void> {
  const servers = places.map(({ addresses: [own] }) => socketAddress(own, SERVER_PORT));
  const command = [
    ...BALANCER,
    socketAddress(controlAddress(0, names.overlayIpVersion), SERVER_PORT),
    '--',
    ...servers,
  ];
  await processes.start({ name: 'balancer', command, netns: names.controlNamespace, ready: /^ready$/m });
}

/** The servers at a port of the machine's loopback, and several at the one socket: nobody else's namespace has either. Resolves to the URL. */
async function startLoopback(names: LabNames, processes: Processes, places: readonly Place[]): Promise<string> {
  const port = await choosePort(names.lab, 'loopback', names.lab === DEFAULT_LAB ? 9696 : undefined);
  const sockets = places.map(({ socket }) => socket);
  const own = sockets.includes(names.serverSocket) ? [] : [names.serverSocket];
  const command = [...BALANCER, `127.0.0.1:${port}`, ...own, '--', ...sockets];
  await processes.start({ name: 'loopback', command, ready: /^ready$/m });
  return `http://127.0.0.1:${port}`;
}

function lmdb(names: LabNames): LabStore {
  const dir = `${names.dir}/store`;
  return { kind: 'lmdb', address: `lmdb:${dir}`, dir, etcd: undefined };
}

/** It says so once it has a leader. */
const ETCD_READY = /serving client traffic/;

async function startEtcd(names: LabNames, processes: Processes): Promise<LabStore> {
  const netns = names.controlNamespace;
  const dir = `${names.dir}/etcd`;
  const [client, peer] = ['http://127.0.0.1:2379', 'http://127.0.0.1:2380'];
  const command = ['etcd', '--name', 'lab', '--data-dir', dir, '--logger', 'zap'];
  command.push('--listen-client-urls', client, '--advertise-client-urls', client);
  command.push('--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer, '--initial-cluster', `lab=${peer}`);
  const etcd = await restartable('etcd', async () => {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    return processes.start({ name: 'etcd', command, netns, ready: ETCD_READY });
  });
  return { kind: 'etcd', address: 'etcd:127.0.0.1:2379', dir, etcd };
}
