import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A real etcd of its own, on loopback, with a directory of its own. */
export type EtcdServer = {
  readonly endpoint: string;
  start(): void;
  /** Sends a signal to the process; waits for its end unless the signal only stops or continues it. */
  signal(name: 'SIGKILL' | 'SIGTERM' | 'SIGSTOP' | 'SIGCONT'): Promise<void>;
  /** Kills it and removes its directory. */
  remove(): Promise<void>;
};

/** Starts etcd on free ports and waits until it serves. It is killed when this process exits. `quotaBytes`: how large its file may become. */
export async function startEtcd(quotaBytes: number = 1 << 30): Promise<EtcdServer> {
  const [server] = await startMembers(1, quotaBytes);
  if (server === undefined) throw new Error('no etcd was started');
  return server;
}

/** Files of a member that speaks TLS, and takes calls of those alone whose certificate is of `ca`. */
export type EtcdTlsFiles = { readonly cert: string; readonly key: string; readonly ca: string };

/** Starts one that speaks TLS; it may not serve yet. */
export async function startSecureEtcd(tls: EtcdTlsFiles): Promise<EtcdServer> {
  const [ports] = await freePorts(1);
  if (ports === undefined) throw new Error('no port is free');
  const server = createEtcd(ports, [ports], 1 << 30, tls);
  server.start();
  return server;
}

/** Starts a cluster of three. */
export async function startEtcdCluster(): Promise<readonly EtcdServer[]> {
  return await startMembers(3, 1 << 30);
}

async function startMembers(count: number, quotaBytes: number): Promise<readonly EtcdServer[]> {
  const cluster = await freePorts(count);
  const servers = cluster.map((ports) => createEtcd(ports, cluster, quotaBytes));
  for (const server of servers) server.start();
  for (const { client } of cluster) await untilHealthy(client);
  return servers;
}

function createEtcd(ports: Ports, cluster: readonly Ports[], quotaBytes: number, tls?: EtcdTlsFiles): EtcdServer {
  const dir = mkdtempSync(join(tmpdir(), 'cable-etcd-'));
  let child: ChildProcess | undefined;
  const kill = (): void => void child?.kill('SIGKILL');
  process.on('exit', kill);
  const start = (): void => {
    child = spawn('etcd', etcdArguments({ dir, ports, cluster, quotaBytes, tls }), { stdio: 'ignore' });
  };
  const signal: EtcdServer['signal'] = async (name) => {
    const current = child;
    if (current === undefined || current.exitCode !== null || current.signalCode !== null) return;
    current.kill(name);
    if (name === 'SIGKILL' || name === 'SIGTERM') await once(current, 'exit');
    if (name === 'SIGSTOP') await untilStopped(current.pid ?? 0);
  };
  const remove = async (): Promise<void> => {
    await signal('SIGKILL');
    process.off('exit', kill);
    rmSync(dir, { recursive: true, force: true });
  };
  return { endpoint: `127.0.0.1:${ports.client}`, start, signal, remove };
}

type Ports = { readonly client: number; readonly peer: number };

/** A stop reaches one thread after the other; the last may still answer meanwhile. */
async function untilStopped(pid: number): Promise<void> {
  const isStopped = (task: string): boolean => {
    const stat = readFileSync(`/proc/${pid}/task/${task}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).startsWith('T');
  };
  while (!readdirSync(`/proc/${pid}/task`).every(isStopped)) await new Promise((resolve) => setTimeout(resolve, 1));
}

async function untilHealthy(port: number): Promise<void> {
  const deadline = Date.now() + 60_000;
  for (;;) {
    const isHealthy = await fetch(`http://127.0.0.1:${port}/health`).then(
      (answer) => answer.ok,
      () => false,
    );
    if (isHealthy) return;
    if (Date.now() > deadline) throw new Error(`etcd on port ${port} is not healthy after a minute`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function etcdArguments(options: {
  readonly dir: string;
  readonly ports: Ports;
  readonly cluster: readonly Ports[];
  readonly quotaBytes: number;
  readonly tls: EtcdTlsFiles | undefined;
}): readonly string[] {
  const { dir, ports, cluster, quotaBytes, tls } = options;
  const client = `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${ports.client}`;
  const peerOf = ({ peer }: Ports): string => `http://127.0.0.1:${peer}`;
  const nameOf = ({ peer }: Ports): string => `test${peer}`;
  const members = cluster.map((member) => `${nameOf(member)}=${peerOf(member)}`).join(',');
  return [
    ...[
      '--name',
      nameOf(ports),
      '--data-dir',
      dir,
      '--log-level',
      'error',
      '--quota-backend-bytes',
      String(quotaBytes),
    ],
    ...['--listen-client-urls', client, '--advertise-client-urls', client, '--listen-peer-urls', peerOf(ports)],
    ...['--initial-advertise-peer-urls', peerOf(ports), '--initial-cluster', members],
    ...['--initial-cluster-token', members],
    ...(tls === undefined
      ? []
      : ['--cert-file', tls.cert, '--key-file', tls.key, '--client-cert-auth', '--trusted-ca-file', tls.ca]),
  ];
}

/** Ports that are free, for so many members. */
async function freePorts(count: number): Promise<readonly Ports[]> {
  const servers = Array.from({ length: 2 * count }, () => createServer());
  const ports = await Promise.all(
    servers.map(async (server) => {
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      const address = server.address();
      return typeof address === 'object' && address !== null ? address.port : 0;
    }),
  );
  for (const server of servers) server.close();
  return Array.from({ length: count }, (_, i) => ({ client: ports[2 * i] ?? 0, peer: ports[2 * i + 1] ?? 0 }));
}
