/** A Cable server as an operator starts it: the real program, beside Keystone on a real etcd, or alone. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort, Program, startAlone } from '../hammer/program.ts';
import type { Keystone } from './keystone.ts';

export type Cable = {
  /** `http://127.0.0.1:PORT`. */
  readonly url: string;
  /** Ends the processes; what the server wrote stays in the directory. */
  close(): Promise<void>;
};

export type CableOptions = {
  /** `zed`: the rules of a stock neutron-server 21. */
  readonly policyDefaults: 'zed' | 'secure';
  /** More of `cable server`. */
  readonly args?: readonly string[];
};

const LAUNCHER = fileURLToPath(new URL('../../bin/cable.mjs', import.meta.url));

/** Starts one whose files are in `directory`, which the caller removes. It is not in the catalog. */
export async function startCable(directory: string, keystone: Keystone, options: CableOptions): Promise<Cable> {
  const listen = `127.0.0.1:${await freePort()}`;
  const etcd = await etcdIn(directory);
  const server = new Program({
    name: 'cable',
    command: [
      ...([LAUNCHER, 'server', '--store', `etcd:${etcd.address}`, '--listen', listen] as const),
      ...['--auth', 'keystone', '--keystone', writeCloud(directory, keystone)],
      ...['--policy-defaults', options.policyDefaults, '--log-level', 'warn', ...(options.args ?? [])],
    ],
    log: join(directory, 'cable.log'),
    ready: `http://${listen}/readyz`,
  });
  const abandon = (): void => {
    server.abandon();
    etcd.program.abandon();
  };
  process.once('exit', abandon);
  const close = async (): Promise<void> => {
    await server.end('SIGKILL');
    await etcd.program.end('SIGKILL');
    process.off('exit', abandon);
  };
  try {
    await etcd.program.start();
    await server.start();
  } catch (err) {
    await close();
    throw err;
  }
  return { url: `http://${listen}`, close };
}

/** Starts one on LMDB that believes who a request says it is from (`X-Project-Id`, `X-Roles`); `args`: more of `cable server`. */
export async function startCableAlone(directory: string, args: readonly string[]): Promise<Cable> {
  const listen = `127.0.0.1:${await freePort()}`;
  const server = new Program({
    name: 'cable',
    command: [
      ...([LAUNCHER, 'server', '--store', `lmdb:${join(directory, 'store')}`, '--listen', listen] as const),
      ...['--policy-defaults', 'zed', '--log-level', 'warn', ...args],
    ],
    log: join(directory, 'cable.log'),
    ready: `http://${listen}/readyz`,
  });
  return { url: `http://${listen}`, close: await startAlone(server) };
}

async function etcdIn(directory: string): Promise<{ readonly program: Program; readonly address: string }> {
  const address = `127.0.0.1:${await freePort()}`;
  const peer = `http://127.0.0.1:${await freePort()}`;
  const urls = ['--listen-client-urls', `http://${address}`, '--advertise-client-urls', `http://${address}`];
  const peers = ['--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer, '--initial-cluster', `one=${peer}`];
  const program = new Program({
    name: 'etcd',
    command: [
      ...(['etcd', '--name', 'one', '--data-dir', join(directory, 'etcd')] as const),
      ...['--log-level', 'error', ...urls, ...peers],
    ],
    log: join(directory, 'etcd.log'),
    ready: `http://${address}/health`,
  });
  return { program, address };
}

function writeCloud(directory: string, { url, service }: Keystone): string {
  const file = join(directory, 'cloud-of-cable.yaml');
  const auth = {
    ...{ auth_url: url, username: service.name, password: service.password, project_name: 'service' },
    ...{ user_domain_id: 'default', project_domain_id: 'default' },
  };
  writeFileSync(file, JSON.stringify({ clouds: { test: { auth } } }), { mode: 0o600 });
  return file;
}
