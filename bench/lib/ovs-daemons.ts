import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run, runIn } from './net.ts';

/** Open vSwitch of one namespace: its database and its switch, with nothing configured yet. */
export type OvsDaemons = {
  readonly directory: string;
  /** Its database, as `--db` takes it. */
  readonly database: string;
  /** `ovs-vsctl`; throws with what it says when it fails. */
  vsctl(...words: readonly string[]): string;
  /** Starts one more program there, which ends with the others. */
  start(program: string, ...args: readonly string[]): ChildProcess;
  close(): Promise<void>;
};

const SCHEMA = '/usr/share/openvswitch/vswitch.ovsschema';

/** Starts it in the namespace, with its files in a directory of its own. Throws with nothing left running. */
export async function startOvs(ns: string): Promise<OvsDaemons> {
  const directory = mkdtempSync(join(tmpdir(), 'cable-ovs-'));
  const database = `unix:${directory}/db.sock`;
  const daemons: ChildProcess[] = [];
  // Where its programs look for each other's sockets.
  const env = { ...process.env, OVS_RUNDIR: directory, OVN_RUNDIR: directory };
  const start = (program: string, ...args: readonly string[]): ChildProcess => {
    const daemon = spawn('nsenter', [`--net=/run/netns/${ns}`, program, ...args], { stdio: 'ignore', env });
    daemons.push(daemon);
    return daemon;
  };
  const vsctl = (...words: readonly string[]): string =>
    runIn(ns, 'ovs-vsctl', `--db=${database}`, '--timeout=30', ...words);
  const close = async (): Promise<void> => {
    for (const daemon of daemons.reverse()) await end(daemon);
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    run('ovsdb-tool', 'create', `${directory}/conf.db`, SCHEMA);
    const sockets = [`--remote=p${database}`, `--unixctl=${directory}/db.ctl`, `--log-file=${directory}/db.log`];
    start('ovsdb-server', `${directory}/conf.db`, ...sockets);
    await until(() => vsctl('--no-wait', 'init'));
    start('ovs-vswitchd', database, `--unixctl=${directory}/vs.ctl`, `--log-file=${directory}/vs.log`);
    return { directory, database, vsctl, start, close };
  } catch (err) {
    await close();
    throw err;
  }
}

async function end(daemon: ChildProcess): Promise<void> {
  if (daemon.exitCode !== null || daemon.signalCode !== null) return;
  const gone = once(daemon, 'exit');
  daemon.kill('SIGTERM');
  const hurry = setTimeout(() => daemon.kill('SIGKILL'), 5000);
  await gone;
  clearTimeout(hurry);
}

async function until(attempt: () => unknown): Promise<void> {
  for (let tries = 0; ; tries += 1) {
    try {
      attempt();
      return;
    } catch (err) {
      if (tries === 100) throw err;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}
