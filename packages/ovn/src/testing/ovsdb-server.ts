/** A real ovsdb-server of Debian's with a database of its own, in a directory of its own. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from './until.ts';

/** Schemas of Debian's packages ovn-central and openvswitch-common. */
export const SCHEMAS = {
  northbound: '/usr/share/ovn/ovn-nb.ovsschema',
  southbound: '/usr/share/ovn/ovn-sb.ovsschema',
} as const;

export type TestServer = {
  readonly directory: string;
  /** As `--db` takes it. */
  readonly remote: string;
  /** The process as it is now. */
  readonly process: () => ChildProcess;
  /** Ends it by the signal. What it had stays on disk. */
  stop(signal: NodeJS.Signals): Promise<void>;
  /** Starts it again, on the same database. */
  start(): Promise<void>;
  /** What `ovn-nbctl` or `ovn-sbctl` says. */
  ctl(...words: readonly string[]): string;
  close(): Promise<void>;
};

export type TestServerOptions = {
  readonly schema: string;
  /** Options besides, such as more remotes. */
  readonly options?: readonly string[];
};

/** Starts one that is ready. Throws with nothing left running. */
export async function startOvsdbServer({ schema, options = [] }: TestServerOptions): Promise<TestServer> {
  const directory = mkdtempSync(join(tmpdir(), 'cable-ovsdb-'));
  const database = join(directory, 'db');
  const remote = `unix:${join(directory, 'db.sock')}`;
  const program = schema === SCHEMAS.southbound ? 'ovn-sbctl' : 'ovn-nbctl';
  let process: ChildProcess | undefined;
  const running = (): ChildProcess => {
    if (process === undefined) throw new Error('it was not started');
    return process;
  };
  const ctl = (...words: readonly string[]): string =>
    execFileSync(program, [`--db=${remote}`, '--timeout=20', '--no-leader-only', ...words], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    }).trim();
  const start = async (): Promise<void> => {
    const words = [database, `--remote=p${remote}`, `--unixctl=${directory}/ctl`, '-vconsole:off', ...options];
    process = spawn('ovsdb-server', words, { stdio: 'ignore' });
    await until(() => answers(ctl), 20);
  };
  const stop = async (signal: NodeJS.Signals): Promise<void> => {
    const one = running();
    if (one.exitCode !== null || one.signalCode !== null) return;
    const gone = once(one, 'exit');
    one.kill(signal);
    await gone;
  };
  const close = async (): Promise<void> => {
    if (process !== undefined) await stop('SIGKILL');
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    execFileSync('ovsdb-tool', ['create', database, schema]);
    await start();
    ctl('init');
    return { directory, remote, process: running, stop, start, ctl, close };
  } catch (err) {
    await close();
    throw err;
  }
}

function answers(ctl: TestServer['ctl']): boolean {
  try {
    ctl('show');
    return true;
  } catch {
    return false;
  }
}
