/** The control plane's benchmark runs, and leaves nothing behind. How fast anything is, no test says. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { sourceProgram } from '@cable/kit/testing';

const PROGRAM = fileURLToPath(new URL('../../bench/control.ts', import.meta.url));

test('bench:control --quick measures every section on both stores', { timeout: 240_000 }, async (t) => {
  const { child, directory } = startBenchmark(t, ['--quick', '--json']);
  const [text, code] = await Promise.all([textOf(child.stdout), exitOf(child)]);
  assert.equal(code, 0);
  const { rows, environment, facts } = JSON.parse(text) as {
    rows: readonly {
      section: string;
      store: string;
      perSecond: number;
      cpu: { clientUs: number };
      goals: readonly { isReached: boolean }[];
    }[];
    environment: { cores: number };
    facts: readonly string[];
  };
  const kinds = new Set(rows.map(({ section, store }) => `${section} ${store}`));
  const sections = ['create', 'bulk', 'change', 'list', 'overload'];
  assert.deepEqual([...kinds].sort(), sections.flatMap((name) => [`${name} etcd`, `${name} lmdb`]).sort());
  for (const row of rows) assert.ok(row.perSecond > 0 && row.cpu.clientUs > 0, JSON.stringify(row));
  assert.ok(rows.some(({ goals }) => goals.length > 0));
  assert.ok(environment.cores >= 1);
  assert.ok(facts.some((fact) => fact.includes('fsync is real')));
  assert.deepEqual(leftBy(directory), NOTHING);
});

test('bench:control prints a table, with the goals', { timeout: 120_000 }, async (t) => {
  const { child } = startBenchmark(t, ['--quick', '--store', 'lmdb', '--only', 'create']);
  const [text, code] = await Promise.all([textOf(child.stdout), exitOf(child)]);
  assert.equal(code, 0);
  assert.match(text, /│ lmdb +│ port create +│ 32 .*≥ 4,000 a second: (reached|MISSED)/);
});

test('bench:control that is interrupted removes what it made', { timeout: 120_000 }, async (t) => {
  const { child, directory } = startBenchmark(t, ['--only', 'create', '--store', 'etcd']);
  await underWay(child);
  assert.equal(leftBy(directory).files.length, 1);
  for (const name of ['server', 'etcd', 'clients'])
    assert.ok(
      processesOf(directory).some((one) => one.name === name),
      name,
    );
  child.kill('SIGTERM');
  assert.equal(await exitOf(child), 143);
  assert.deepEqual(leftBy(directory), NOTHING);
});

test('bench:control whose server dies fails, and removes what it made', { timeout: 120_000 }, async (t) => {
  const { child, directory } = startBenchmark(t, ['--only', 'create', '--store', 'lmdb']);
  await underWay(child);
  const server = processesOf(directory).find(({ name }) => name === 'server');
  process.kill(server?.pid ?? 0, 'SIGKILL');
  assert.equal(await exitOf(child), 1);
  assert.deepEqual(leftBy(directory), NOTHING);
});

/** Resolves when processes run and clients send. */
function underWay(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    child.stderr?.on('data', (text: Buffer) => {
      if (text.toString().includes('warming up')) resolve();
    });
  });
}

/** In a directory of its own for temporary files, by which its processes are known too. */
function startBenchmark(
  t: TestContext,
  args: readonly string[],
): { readonly child: ChildProcess; readonly directory: string } {
  const directory = mkdtempSync(join(tmpdir(), 'cable-bench-test-'));
  const options = [...sourceProgram(PROGRAM), ...args];
  const child = spawn(process.execPath, options, {
    env: { ...process.env, TMPDIR: directory },
    stdio: ['ignore', 'pipe', args.includes('--quick') ? 'ignore' : 'pipe'],
  });
  t.after(async () => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGTERM');
      await once(child, 'exit');
    }
    rmSync(directory, { recursive: true, force: true });
  });
  return { child, directory };
}

async function exitOf(child: ChildProcess): Promise<number | null> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  return child.exitCode;
}

async function textOf(stream: ChildProcess['stdout']): Promise<string> {
  let text = '';
  for await (const chunk of stream ?? []) text += String(chunk);
  return text;
}

type Process = { readonly pid: number; readonly name: string };

type Left = { readonly files: readonly string[]; readonly processes: readonly Process[] };

const NOTHING: Left = { files: [], processes: [] };

/** (tsx has a directory of its own there.) */
function leftBy(directory: string): Left {
  const files = readdirSync(directory).filter((name) => name.startsWith('cable-'));
  return { files, processes: processesOf(directory) };
}

const PROGRAMS = [
  { name: 'server', command: /cable\.mjs server/ },
  { name: 'etcd', command: /^etcd / },
  { name: 'clients', command: /client-process/ },
] as const;

/** What the benchmark started: it has the benchmark's directory for temporary files. */
function processesOf(directory: string): readonly Process[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return pids
    .filter((pid) => textOfProcess(pid, 'environ').includes(`TMPDIR=${directory}\0`))
    .flatMap((pid): Process[] => {
      const command = textOfProcess(pid, 'cmdline').replaceAll('\0', ' ');
      const program = PROGRAMS.find((one) => one.command.test(command));
      return program === undefined ? [] : [{ pid: Number(pid), name: program.name }];
    });
}

function textOfProcess(pid: string, file: 'environ' | 'cmdline'): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    return '';
  }
}
