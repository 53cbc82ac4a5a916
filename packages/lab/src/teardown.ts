import { cpSync, existsSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { run } from './exec.ts';
import { type LedgerEntry, openLedger } from './ledger.ts';
import { agentPaths, LAUNCHER, type LabNames } from './names.ts';
import { adoptProcess, logFile } from './processes.ts';

/** What could not be removed; empty: all is gone. */
export type Leftovers = readonly string[];

/** Removes a lab, running or left behind by a crash, from its ledger. Keeps its logs in `keepLogsIn` if that is given. */
export async function tearDown(names: LabNames, keepLogsIn?: string): Promise<Leftovers> {
  const entries = openLedger(names.dir).entries();
  await stopProcesses(names, entries);
  for (const entry of entries) if (entry.kind === 'host') await removeAgent(entry.name, entry.netns ?? entry.name);
  for (const namespace of namesOf(entries, 'namespace').toReversed()) await removeNamespace(namespace);
  for (const host of namesOf(entries, 'host')) await removePaths(host);
  await unmountBelow(names.dir);
  if (keepLogsIn !== undefined && existsSync(`${names.dir}/logs`)) moveDirectory(`${names.dir}/logs`, keepLogsIn);
  const left = await findLeftovers(entries);
  if (left.length === 0) rmSync(names.dir, { recursive: true, force: true });
  return left;
}

function namesOf(entries: readonly LedgerEntry[], kind: LedgerEntry['kind']): readonly string[] {
  return entries.filter((entry) => entry.kind === kind).map((entry) => entry.name);
}

/** Guests end first, then agents, the server, and etcd: the other way round to how they started. */
async function stopProcesses(names: LabNames, entries: readonly LedgerEntry[]): Promise<void> {
  const processes = entries.filter((entry) => entry.kind === 'process').toReversed();
  for (const { name, pid, startedAt } of processes) {
    await adoptProcess(name, pid, logFile(`${names.dir}/logs/${name}.log`), startedAt).stop();
  }
}

/** The agent itself removes what it marked; what it says goes to the log. */
async function removeAgent(host: string, netns: string): Promise<void> {
  if (!existsSync(`/run/netns/${netns}`)) return;
  const command = [process.execPath, LAUNCHER, 'agent', '--teardown', '--host', host];
  const result = await run(command, { netns, timeoutMs: 20_000 });
  if (result.code === 0) return;
  const said = result.stderr.trim().slice(-500);
  process.stderr.write(`cable lab: agent --teardown on ${host} ended with ${result.code}${said && `: ${said}`}\n`);
}

async function removeNamespace(name: string): Promise<void> {
  if (existsSync(`/run/netns/${name}`)) await run(['ip', 'netns', 'delete', name]);
}

async function removePaths(host: string): Promise<void> {
  const { run: runDir, state, pins } = agentPaths(host);
  await unmountBelow(runDir);
  for (const path of [runDir, state, pins]) rmSync(path, { recursive: true, force: true });
}

/** The namespace of an agent's guest services, where its own teardown did not come to it. No lab's path has a character that the list writes otherwise. */
async function unmountBelow(directory: string): Promise<void> {
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  const paths = mounts.map((line) => line.split(' ')[4] ?? '').filter((path) => path.startsWith(`${directory}/`));
  for (const path of paths) await run(['umount', '--lazy', path]);
}

async function findLeftovers(entries: readonly LedgerEntry[]): Promise<Leftovers> {
  const left: string[] = [];
  for (const entry of entries) {
    if (entry.kind === 'namespace' && existsSync(`/run/netns/${entry.name}`)) left.push(`namespace ${entry.name}`);
    if (entry.kind === 'process' && adoptProcess(entry.name, entry.pid, logFile(''), entry.startedAt).alive()) {
      left.push(`process ${entry.pid} (${entry.name})`);
    }
    if (entry.kind === 'host') {
      const paths = agentPaths(entry.name);
      left.push(...[paths.run, paths.state, paths.pins].filter((path) => existsSync(path)));
    }
  }
  return left;
}

/** By rename; by copy across file systems. */
function moveDirectory(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch {
    cpSync(from, to, { recursive: true });
  }
}
