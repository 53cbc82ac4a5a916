/**
 * npm run bench:scale [-- --world small|thousand|five-thousand|one-network|worst-network|worst-group --servers 1..3 --json --svg FILE]
 *
 * The host plane at size: real servers on a real etcd, and thousands of simulated agents, which are real clients of the watch: they register,
 * take every line and acknowledge, but plan nothing. What a change costs, how long it takes to reach all agents that need it, memory, starts and fail-over. And
 * one real agent with thousands of ports and a hundred thousand remote endpoints (`--world agent`).
 */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import Table from 'cli-table3';
import { say } from './lib/say.ts';
import { measureWorld } from './scale/phases.ts';
import { drawRows } from './scale/picture.ts';
import { measureRealAgent } from './scale/real-agent.ts';
import { misses, type Row, show } from './scale/rows.ts';
import { WORLDS } from './scale/world.ts';

type Options = {
  readonly worlds: readonly string[];
  readonly servers: number;
  readonly agentProcesses: number;
  readonly rates: readonly number[];
  readonly seconds: number;
  readonly localPorts: number;
  readonly remoteEndpoints: number;
  readonly json: boolean;
  readonly svg: string | undefined;
};

/** Not a cloud of simulated agents but one agent of the real kind. */
const REAL_AGENT = 'agent';

const HELP = `usage: npm run bench:scale -- [options]
  --world NAME       what to measure, may be repeated: ${[...WORLDS.map(({ name }) => name), REAL_AGENT].join(', ')} (default: small)
  --all              every world
  --servers N        servers on one etcd, 1 to 3 (default 1)
  --processes N      processes of simulated agents (default 2)
  --rate N           changes a second, may be repeated (default 1, 100, 500)
  --seconds N        how long each rate is held (default 15)
  --local-ports N    of the real agent (default 5000)
  --remote N         remote endpoints of the real agent (default 100000)
  --json             one JSON document in place of the table
  --svg FILE         draws the figures that have a goal`;

async function main(): Promise<void> {
  const options = readOptions();
  if (options === undefined) return;
  const rows: Row[] = [];
  for (const name of options.worlds) rows.push(...(await measure(name, options)));
  if (options.svg !== undefined) writeFileSync(options.svg, drawRows(rows));
  process.stdout.write(options.json ? `${JSON.stringify({ rows }, null, 2)}\n` : `${table(rows)}\n`);
}

function measure(name: string, options: Options): Promise<readonly Row[]> {
  if (name === REAL_AGENT) return measureRealAgent({ ...options, say });
  const size = WORLDS.find((world) => world.name === name);
  if (size === undefined) throw new Error(`--world: there is no "${name}"`);
  return measureWorld({ ...options, size, say });
}

function table(rows: readonly Row[]): string {
  const head = ['world', 'what', 'median', 'p99', 'unit', 'goal', 'note'];
  const printed = new Table({
    head,
    style: { head: [], border: [], compact: true },
    colWidths: [16, 46, 9, 9, 10, 11, 60],
    wordWrap: true,
  });
  for (const row of rows) {
    const goal = row.goal === null ? '' : `${misses(row) ? 'MISSED' : 'met'}: ${show(row.goal)}`;
    const p99 = row.p99 === undefined ? '' : show(row.p99);
    printed.push([row.world, row.what, show(row.value), p99, row.unit, goal, row.note ?? '']);
  }
  return printed.toString();
}

function readOptions(): Options | undefined {
  const { values } = parseArgs({
    options: {
      world: { type: 'string', multiple: true, default: ['small'] },
      all: { type: 'boolean', default: false },
      servers: { type: 'string', default: '1' },
      processes: { type: 'string', default: '2' },
      rate: { type: 'string', multiple: true, default: ['1', '100', '500'] },
      seconds: { type: 'string', default: '15' },
      'local-ports': { type: 'string', default: '5000' },
      remote: { type: 'string', default: '100000' },
      json: { type: 'boolean', default: false },
      svg: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(`${HELP}\n`);
    return undefined;
  }
  const names = [...WORLDS.map(({ name }) => name), REAL_AGENT];
  const unknown = values.world.find((name) => !names.includes(name));
  if (unknown !== undefined) throw new Error(`--world: there is no "${unknown}"; there are ${names.join(', ')}`);
  return {
    worlds: values.all ? names : values.world,
    servers: whole('servers', values.servers, 3),
    agentProcesses: whole('processes', values.processes, 16),
    rates: values.rate.map((rate) => whole('rate', rate, 100_000)),
    seconds: whole('seconds', values.seconds, 3600),
    localPorts: whole('local-ports', values['local-ports'], 8000),
    remoteEndpoints: whole('remote', values.remote, 400_000),
    json: values.json,
    svg: values.svg,
  };
}

function whole(name: string, text: string, most: number): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1 && value <= most) return value;
  throw new Error(`--${name} must be a whole number from 1 to ${most}`);
}

const SIGNALS = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const;

for (const [signal, number] of Object.entries(SIGNALS)) process.on(signal, () => process.exit(128 + number));

try {
  await main();
} catch (err) {
  process.stderr.write(`bench: ${err instanceof Error ? err.message : String(err)}\n`);
  process.exitCode = 1;
}
