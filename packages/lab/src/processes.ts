import { spawn } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync, statSync } from 'node:fs';
import { eventually, Hopeless } from './eventually.ts';
import { inNetns } from './exec.ts';
import { type Ledger, processStart } from './ledger.ts';

export type ProcessSpec = {
  /** Also the name of its log file. */
  readonly name: string;
  readonly command: readonly string[];
  readonly netns?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** A line of its output that says that it is ready; absent: ready at once. */
  readonly ready?: RegExp;
  /** Default 60 s. */
  readonly readyMs?: number;
};

/** A process of the lab. It is in a session of its own, so that Ctrl-C reaches only the lab, and it outlives the lab with --keep. */
export type LabProcess = {
  readonly name: string;
  readonly pid: number;
  readonly log: LogFile;
  alive(): boolean;
  signal(signal: NodeJS.Signals): void;
  /** Signals (SIGTERM unless named), waits for the end, and kills after 5 s. Of an ended process: nothing. */
  stop(signal?: NodeJS.Signals): Promise<void>;
};

/** A log file that is being written. */
export type LogFile = {
  readonly path: string;
  /** Its size in bytes: a position to read from later. */
  position(): number;
  read(from?: number): string;
  lastLines(count: number): readonly string[];
};

export type Processes = {
  start(spec: ProcessSpec): Promise<LabProcess>;
  /** Notes a command that is waited for (`onStart`), so that one that writes into the lab's directory ends with the lab. */
  note(name: string, pid: number): void;
};

/** Starts processes whose output goes to `<dir>/logs/<name>.log`, and notes them in the ledger. */
export function createProcesses(dir: string, ledger: Ledger): Processes {
  return {
    start: (spec) => startProcess(`${dir}/logs/${spec.name}.log`, ledger, spec),
    note: (name, pid) => note(ledger, name, pid),
  };
}

async function startProcess(logPath: string, ledger: Ledger, spec: ProcessSpec): Promise<LabProcess> {
  const log = logFile(logPath);
  const from = log.position();
  const [program = 'true', ...args] = inNetns(spec.netns, spec.command);
  const fd = openSync(logPath, 'a');
  const child = spawn(program, args, {
    env: { ...process.env, ...spec.env },
    stdio: ['ignore', fd, fd],
    detached: true,
  });
  closeSync(fd);
  let failure: Error | undefined;
  child.on('error', (err) => {
    failure = err;
  });
  child.unref();
  const pid = child.pid;
  if (pid === undefined) throw failure ?? new Error(`${spec.name} could not be started: ${program}`);
  note(ledger, spec.name, pid);
  const labProcess = adoptProcess(spec.name, pid, log);
  await waitReady(spec, labProcess, from);
  return labProcess;
}

/** A process is only noted once it has a number: one that may not be noted is ended. */
function note(ledger: Ledger, name: string, pid: number): void {
  try {
    ledger.add({ kind: 'process', name, pid, startedAt: processStart(pid) ?? '' });
  } catch (err) {
    process.kill(pid, 'SIGKILL');
    throw err;
  }
}

async function waitReady(spec: ProcessSpec, labProcess: LabProcess, from: number): Promise<void> {
  const { ready } = spec;
  if (ready === undefined) return;
  await eventually({ what: `${spec.name} to be ready`, deadlineMs: spec.readyMs ?? 60_000 }, () => {
    if (ready.test(labProcess.log.read(from))) return true;
    return checkAlive(labProcess);
  });
}

/** Throws `Hopeless` with its last words when the process has ended. */
export function checkAlive(labProcess: LabProcess): undefined {
  if (labProcess.alive()) return undefined;
  throw new Hopeless(`${labProcess.name} ended; its last words:\n${labProcess.log.lastLines(15).join('\n')}`);
}

/** A process by its number, as it was noted in a ledger. */
export function adoptProcess(
  name: string,
  pid: number,
  log: LogFile,
  startedAt: string | undefined = processStart(pid),
): LabProcess {
  const alive = (): boolean => startedAt !== undefined && processStart(pid) === startedAt;
  const signal = (which: NodeJS.Signals): void => {
    if (alive()) process.kill(pid, which);
  };
  const gone = (deadlineMs: number): Promise<true> =>
    eventually({ what: `${name} to end`, deadlineMs, everyMs: 5 }, () => (alive() ? undefined : true));
  const stop = async (which: NodeJS.Signals = 'SIGTERM'): Promise<void> => {
    signal(which);
    await gone(5_000).catch(() => signal('SIGKILL'));
    await gone(5_000);
  };
  return { name, pid, log, alive, signal, stop };
}

export function logFile(path: string): LogFile {
  const read = (from = 0): string => (existsSync(path) ? readFileSync(path).subarray(from).toString() : '');
  return {
    path,
    position: () => (existsSync(path) ? statSync(path).size : 0),
    read,
    lastLines: (count) => read().trimEnd().split('\n').slice(-count),
  };
}
