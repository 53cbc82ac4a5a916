/**
 * npm run bench:dataplane [-- --rounds N --seconds S --rules N --encapsulation own|kernel --json]
 *
 * Cable with a realistic security group, against a Linux bridge (same host) and a bridge with kernel VXLAN (two hosts) that do no
 * policy, no anti-spoofing and no routing. All paths are measured in turn in every round; the table shows medians and the median of the
 * ratios within a round, so that a machine whose speed drifts does not favour one.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import Table from 'cli-table3';
import { buildCable, type CableBed, createGroup } from './lib/cable.ts';
import { interruption, runInterruptibly } from './lib/interruption.ts';
import { buildLinuxPaths, type LinuxPaths } from './lib/linux.ts';
import type { Path } from './lib/net.ts';
import { median } from './lib/statistics.ts';
import { METRICS, type Metric, measure, type Sample } from './lib/traffic.ts';

type Options = {
  readonly rounds: number;
  readonly seconds: number;
  readonly rules: number;
  /** Of the agents; undefined: their default. */
  readonly encapsulation: string | undefined;
  readonly json: boolean;
};

/** A path, and the one its figures are divided by. */
type Contestant = { readonly path: Path; readonly against: Path | undefined };

const METRIC_NAMES: Readonly<Record<Metric, string>> = {
  tcpGbps: 'TCP, Gbit/s',
  udpPps: 'UDP 64 B, packets/s',
  rrP50Us: 'TCP request/response, median µs',
  crrPerSecond: 'TCP connections/s',
  crrP50Us: 'TCP connection, median µs',
};

const say = (line: string): void => {
  process.stderr.write(`bench: ${line}\n`);
};

async function main(): Promise<void> {
  const options = readOptions();
  const netbench = buildNetbench();
  const linux = buildLinuxPaths('cbench-');
  let bed: CableBed | undefined;
  try {
    bed = await buildCable('lmdb', say, options.encapsulation);
    const contestants = await lineUp(linux, bed, options.rules);
    const samples = new Map<Path, Sample[]>(contestants.map(({ path }) => [path, []]));
    for (let round = 1; round <= options.rounds; round += 1) {
      for (const { path } of contestants) {
        interruption.throwIfAborted();
        say(`round ${round} of ${options.rounds}: ${path.name}`);
        samples.get(path)?.push(await measure(path, { netbench, seconds: options.seconds }));
      }
    }
    report(contestants, samples, options);
  } finally {
    linux.close();
    await bed?.close();
  }
}

function readOptions(): Options {
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string', default: '5' },
      seconds: { type: 'string', default: '2' },
      rules: { type: 'string', default: '1000' },
      encapsulation: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  });
  const number = (name: 'rounds' | 'seconds' | 'rules', minimum: number): number => {
    const value = Number(values[name]);
    if (Number.isInteger(value) && value >= minimum) return value;
    throw new Error(`--${name} must be a whole number, at least ${minimum}`);
  };
  const { encapsulation, json } = values;
  if (encapsulation !== undefined && !['own', 'kernel'].includes(encapsulation)) {
    throw new Error('--encapsulation must be own or kernel');
  }
  return {
    ...{ rounds: number('rounds', 1), seconds: number('seconds', 1), rules: number('rules', 10) },
    ...{ encapsulation, json },
  };
}

function buildNetbench(): string {
  const source = fileURLToPath(new URL('netbench.c', import.meta.url));
  const directory = fileURLToPath(new URL('../build/bench', import.meta.url));
  const program = `${directory}/netbench`;
  if (existsSync(program) && statSync(program).mtimeMs > statSync(source).mtimeMs) return program;
  mkdirSync(directory, { recursive: true });
  execFileSync('gcc', ['-O2', '-Wall', '-Wextra', '-Werror', '-pthread', '-o', program, source], { stdio: 'inherit' });
  return program;
}

async function lineUp(linux: LinuxPaths, bed: CableBed, manyRules: number): Promise<readonly Contestant[]> {
  const { h1, h2 } = bed.names;
  const contestants: Contestant[] = [
    { path: linux.bridge, against: undefined },
    { path: linux.vxlan, against: undefined },
  ];
  for (const rules of [10, manyRules]) {
    say(`making pods whose security group has ${rules} rules`);
    const group = await createGroup(bed.client, rules);
    const client = await bed.addPod(`a${rules}`, h1, group);
    const near = await bed.addPod(`b${rules}`, h1, group);
    const far = await bed.addPod(`c${rules}`, h2, group);
    const path = (name: string, to: { netns: string; address: string }): Path => ({
      name: `Cable, ${name}, ${rules} rules`,
      client: client.netns,
      server: to.netns,
      serverAddress: to.address,
    });
    contestants.push({ path: path('same host', near), against: linux.bridge });
    contestants.push({ path: path('two hosts', far), against: linux.vxlan });
  }
  return contestants;
}

/** More is better in every ratio: a time's is turned round. */
function ratios(metric: Metric, own: readonly Sample[], peer: readonly Sample[]): readonly number[] {
  return own.map((sample, round) => {
    const ratio = sample[metric] / (peer[round]?.[metric] ?? Number.NaN);
    return metric.endsWith('Us') ? 1 / ratio : ratio;
  });
}

function report(contestants: readonly Contestant[], samples: ReadonlyMap<Path, Sample[]>, options: Options): void {
  const rows = contestants.map(({ path, against }) => {
    const own = samples.get(path) ?? [];
    const metrics = METRICS.map((metric) => {
      const value = median(own.map((sample) => sample[metric]));
      const ratio = against === undefined ? null : median(ratios(metric, own, samples.get(against) ?? []));
      return [metric, { median: value, ratio }] as const;
    });
    return { path: path.name, against: against?.name ?? null, metrics: Object.fromEntries(metrics) };
  });
  if (options.json) {
    process.stdout.write(`${JSON.stringify({ rounds: options.rounds, seconds: options.seconds, rows }, null, 2)}\n`);
    return;
  }
  const table = new Table({
    head: ['path', ...METRICS.map((metric) => METRIC_NAMES[metric])],
    style: { head: [], border: [] },
  });
  for (const row of rows) {
    const cells = METRICS.map((metric) => formatCell(row.metrics[metric]));
    table.push([row.path, ...cells]);
  }
  process.stdout.write(`${table.toString()}\n`);
  process.stdout.write(
    `medians of ${options.rounds} rounds of ${options.seconds} s; (n×): ratio to the peer in the same round, more is better\n`,
  );
}

function formatCell(cell: { median: number; ratio: number | null } | undefined): string {
  if (cell === undefined) return '';
  const digits = cell.median < 100 ? 1 : 0;
  const value = cell.median.toFixed(digits);
  return cell.ratio === null ? value : `${value} (${cell.ratio.toFixed(2)}×)`;
}

await runInterruptibly(main);
