/** Real servers as an operator starts them, on a real store, in a directory of their own. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { silentLogger } from '@cable/kit';
import { BUILT_IN_RESOURCES } from '@cable/model';
import { openStore } from '@cable/store';
import type { Row } from './history.ts';
import { freePort, Program } from './program.ts';

export type BedServer = { readonly program: Program; readonly port: number };

/** `snapshot` keeps what is there; `restore` puts it back: the store's history goes on from there. */
export type BedEtcd = {
  readonly program: Program;
  snapshot(): Promise<void>;
  restore(): Promise<void>;
};

export type Bed = {
  readonly servers: readonly BedServer[];
  /** Undefined on LMDB, which is inside of the one server. */
  readonly etcd: BedEtcd | undefined;
  /** Every object in the raw store, by type and id. Of LMDB only while its server does not run. */
  readObjects(): Promise<ReadonlyMap<string, ReadonlyMap<string, Row>>>;
  /** Ends the processes, and removes what they wrote. */
  close(): Promise<void>;
};

const LAUNCHER = fileURLToPath(new URL('../../bin/cable.mjs', import.meta.url));
const OBJECTS = '/cable/o/';

/** Two servers on etcd, or one on LMDB; all are ready. */
export async function startBed(kind: 'etcd' | 'lmdb'): Promise<Bed> {
  const directory = mkdtempSync(join(tmpdir(), `cable-hammer-${process.pid}-`));
  const programs: Program[] = [];
  const abandon = (): void => {
    for (const program of programs) program.abandon();
    rmSync(directory, { recursive: true, force: true, maxRetries: 10 });
  };
  process.once('exit', abandon);
  const close = async (): Promise<void> => {
    for (const program of programs) await program.end('SIGKILL');
    process.off('exit', abandon);
    rmSync(directory, { recursive: true, force: true, maxRetries: 10 });
  };
  try {
    const etcd = kind === 'etcd' ? await startEtcd(directory, programs) : undefined;
    const store = etcd === undefined ? `lmdb:${join(directory, 'store')}` : `etcd:${etcd.address}`;
    const servers: BedServer[] = [];
    for (let n = 0; n < (kind === 'etcd' ? 2 : 1); n += 1) servers.push(await startServer(directory, programs, store));
    return { servers, etcd, readObjects: () => readObjects(store), close };
  } catch (err) {
    await close();
    throw err;
  }
}

async function startServer(directory: string, programs: Program[], store: string): Promise<BedServer> {
  const port = await freePort();
  const name = `server-${programs.length}`;
  const listen = `127.0.0.1:${port}`;
  const program = new Program({
    name,
    command: [process.execPath, LAUNCHER, 'server', '--store', store, '--listen', listen, '--log-level', 'warn'],
    log: join(directory, `${name}.log`),
    ready: `http://${listen}/readyz`,
  });
  programs.push(program);
  await program.start();
  return { program, port };
}

async function startEtcd(directory: string, programs: Program[]): Promise<BedEtcd & { readonly address: string }> {
  const address = `127.0.0.1:${await freePort()}`;
  const peer = `http://127.0.0.1:${await freePort()}`;
  const file = join(directory, 'snapshot.db');
  const member = ['--name', 'hammer', '--initial-cluster', `hammer=${peer}`, '--initial-advertise-peer-urls', peer];
  const commandOn = (data: string): readonly [string, ...string[]] => {
    const urls = ['--listen-client-urls', `http://${address}`, '--advertise-client-urls', `http://${address}`];
    return ['etcd', '--data-dir', data, '--log-level', 'error', '--listen-peer-urls', peer, ...urls, ...member];
  };
  const program = new Program({
    name: 'etcd',
    command: commandOn(join(directory, 'etcd-0')),
    log: join(directory, 'etcd.log'),
    ready: `http://${address}/health`,
  });
  programs.push(program);
  await program.start();
  let restores = 0;
  const snapshot = async (): Promise<void> => {
    rmSync(file, { force: true });
    await etcdctl(['--endpoints', address, 'snapshot', 'save', file]);
  };
  const restore = async (): Promise<void> => {
    restores += 1;
    const data = join(directory, `etcd-${restores}`);
    await program.end('SIGKILL');
    await etcdctl(['snapshot', 'restore', file, '--data-dir', data, ...member]);
    program.setCommand(commandOn(data));
    await program.start();
  };
  return { program, address, snapshot, restore };
}

async function etcdctl(args: readonly string[]): Promise<void> {
  await promisify(execFile)('etcdctl', args, { env: { ...process.env, ETCDCTL_API: '3' } });
}

const DEFAULTS: ReadonlyMap<string, Row> = new Map(
  BUILT_IN_RESOURCES.map(({ type, storedAttributes }) => {
    const all = Object.entries(storedAttributes).map(([name, attribute]) => [name, attribute.default] as const);
    return [type, Object.fromEntries(all.filter(([, standard]) => standard !== undefined))];
  }),
);

async function readObjects(address: string): Promise<ReadonlyMap<string, ReadonlyMap<string, Row>>> {
  const store = await openStore(address, { log: silentLogger() });
  try {
    const types = new Map<string, Map<string, Row>>();
    for (const { key, value } of (await store.list(OBJECTS)).kvs) {
      const [type = '', ...id] = key.slice(OBJECTS.length).split('/');
      const rows = types.get(type) ?? new Map<string, Row>();
      // What is empty by default does not stand in what is stored.
      types.set(type, rows.set(id.join('/'), { ...DEFAULTS.get(type), ...(JSON.parse(value) as Row) }));
    }
    return types;
  } finally {
    await store.close();
  }
}
