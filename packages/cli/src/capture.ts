/** `cable capture PORT`: what a port sends and receives, in the form that Wireshark and tcpdump read. */
import { TransportError } from '@cable/kit';
import { isUuid, MAX_SNAPLEN, MIN_SNAPLEN } from '@cable/model';
import type { Command } from 'commander';
import { agentsHere, type OpenAgent, openAgent, withAgentOptions } from './agent-commands.ts';
import type { Bind, CliContext } from './context.ts';
import { CliError } from './errors.ts';
import { ask, findPort } from './fault-text.ts';
import { type Followed, follow } from './follow.ts';
import { openPcap, type PcapSink } from './pcap.ts';
import type { Row } from './render.ts';

type Options = Readonly<Record<string, unknown>>;

const MAX_SECONDS = 3600;
const MAX_COUNT = 10_000_000;

export function addCaptureCommand(root: Command, bind: Bind): void {
  const command = root
    .command('capture')
    .argument('<port>', 'name or ID')
    .description(
      'Writes what a port sends and receives as pcap: cable capture PORT | tcpdump -n -r -. On the port’s own host, as root, its agent is asked, and everything is there; elsewhere a server, and what comes faster than some packets a second is counted.',
    )
    .option(
      '--filter <words>',
      "such as 'tcp and host 10.0.0.5 and port 80'; also udp, icmp, icmp6, sctp, arp, ip, ip6",
      '',
    )
    .option('--count <number>', 'end after so many packets; 0: do not', '0')
    .option('--seconds <number>', `end after so many seconds, at most ${MAX_SECONDS}`, String(MAX_SECONDS))
    .option(
      '--snaplen <bytes>',
      `so much of each packet (${MIN_SNAPLEN} to ${MAX_SNAPLEN}; default: all)`,
      String(MAX_SNAPLEN),
    )
    .option('--out <file>', 'write there; default: standard output');
  withAgentOptions(command).action(bind(capture));
}

type Wanted = {
  readonly port: string;
  readonly filter: string;
  /** 0: no end. */
  readonly count: number;
  readonly seconds: number;
  readonly snaplen: number;
};

async function capture(context: CliContext, options: Options, [port]: readonly unknown[]): Promise<void> {
  const out = options['out'] === undefined ? undefined : String(options['out']);
  if (out === undefined && process.stdout.isTTY)
    throw new CliError(
      2,
      'pcap is not for a terminal',
      'Give --out FILE, or pipe it: cable capture PORT | tcpdump -n -r -',
    );
  const wanted: Wanted = {
    port: String(port),
    filter: String(options['filter']),
    count: whole(options, 'count', 0, MAX_COUNT),
    seconds: whole(options, 'seconds', 1, MAX_SECONDS),
    snaplen: whole(options, 'snaplen', MIN_SNAPLEN, MAX_SNAPLEN),
  };
  const agent = await agentOf(context, options, wanted.port);
  // Who asks a server has the port found before the file is there.
  const id = agent === undefined ? await findPort(context, port) : undefined;
  const sink = openPcap(out, wanted.snaplen);
  try {
    if (agent !== undefined) await captureHere(context, agent, wanted, sink);
    else if (id !== undefined) await captureThere(context, { ...wanted, port: id }, sink);
  } finally {
    sink.close();
    agent?.agent.close();
  }
}

function whole(options: Options, name: string, least: number, most: number): number {
  const text = String(options[name]);
  const value = /^\d{1,8}$/.test(text) ? Number(text) : -1;
  if (value < least || value > most) throw new CliError(2, `--${name}: give a whole number of ${least} to ${most}`);
  return value;
}

type Here = { readonly agent: OpenAgent; readonly id: string };

/** The agent of this machine that has the port; undefined: a server is to be asked. Who acts in a project, or with a role, is no operator of this machine. */
async function agentOf(context: CliContext, options: Options, port: string): Promise<Here | undefined> {
  if (options['host'] !== undefined || options['runDir'] !== undefined) {
    const agent = await openAgent(context, options);
    return { agent, id: portId((await agent.ask('/vifs')) as readonly Row[], port) };
  }
  if (context.isSomebody) return undefined;
  const found: Here[] = [];
  for (const agent of await agentsHere(context, options)) {
    const vifs = idsOf((await agent.ask('/vifs')) as readonly Row[], port);
    if (vifs.length === 0) agent.close();
    else found.push({ agent, id: portId(vifs, port) });
  }
  const [first, ...others] = found;
  if (others.length === 0) return first;
  for (const { agent } of found) agent.close();
  throw new CliError(2, `several hosts of this machine have port '${port}'`, 'Say which with --host.');
}

function idsOf(vifs: readonly Row[], port: string): readonly Row[] {
  return vifs.filter((vif) => vif['port_id'] === port || (!isUuid(port) && vif['name'] === port));
}

function portId(vifs: readonly Row[], port: string): string {
  const found = idsOf(vifs, port);
  const [first, ...others] = found;
  if (first === undefined)
    throw new CliError(
      1,
      `port '${port}' is not on this machine`,
      'See: cable show vifs. Without --host and --run-dir a server is asked, and the port may be anywhere.',
    );
  if (others.length === 0) return String(first['port_id']);
  throw new CliError(
    1,
    `${found.length} ports are called '${port}'`,
    `Give the ID: ${found.map((vif) => String(vif['port_id'])).join(', ')}`,
  );
}

/** What is told at the end. */
function summary(packets: number, why: unknown, lost: number): string {
  const reason = why === undefined ? '' : ` (${String(why)})`;
  return `${packets} packets${reason}${lost === 0 ? '' : `; ${lost} came faster than they were taken, and are missing`}\n`;
}

/** By this machine's agent. Each packet is out when it is there, so that a reader may follow. */
async function captureHere(
  context: CliContext,
  { agent, id }: Here,
  { filter, count, seconds }: Wanted,
  sink: PcapSink,
): Promise<void> {
  const stop = new AbortController();
  const end = (): void => stop.abort();
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, end);
  const query = new URLSearchParams({ port: id, filter, count: String(count), seconds: String(seconds) });
  let packets = 0;
  let last: Row = {};
  try {
    const lines = await agent.stream(`/capture?${query.toString()}`, stop.signal);
    await sink.begin();
    for await (const line of lines) {
      if (line === '') continue;
      last = JSON.parse(line) as Row;
      if (typeof last['frame'] !== 'string') continue;
      const frame = Buffer.from(last['frame'], 'base64');
      await sink.write({ timeUs: Number(last['time_us']), frame, bytes: frame.length });
      packets += 1;
    }
  } catch (err) {
    if (!(err instanceof TransportError)) throw err;
    if (!stop.signal.aborted) throw new CliError(1, `the agent went away after ${packets} packets`);
  } finally {
    for (const name of ['SIGINT', 'SIGTERM'] as const) process.off(name, end);
  }
  context.printError(summary(packets, last['end'], Number(last['lost'] ?? 0)));
}

type Captured = Omit<Followed, 'records'> & {
  readonly more: boolean;
  readonly frames: readonly { readonly at_us: number; readonly bytes: number; readonly frame: string }[];
};

/** By a server, which asks the port's host again and again. */
async function captureThere(
  context: CliContext,
  { port, filter, count, seconds, snaplen }: Wanted,
  sink: PcapSink,
): Promise<void> {
  let packets = 0;
  let missing = 0;
  let why: string | undefined;
  let isBegun = false;
  const askNext = async (marker: string | undefined, isEnd = false): Promise<Captured> => {
    const query = { filter: filter === '' ? undefined : filter, snaplen, marker, end: isEnd ? 'true' : undefined };
    return (await ask(context.client(), port, 'capture', query)) as Captured;
  };
  const take = async (answer: Captured): Promise<void> => {
    if (count !== 0 && packets === count) return;
    missing += answer.missing;
    for (const { at_us: timeUs, bytes, frame } of answer.frames) {
      if (count !== 0 && packets === count) return;
      await sink.write({ timeUs, frame: Buffer.from(frame, 'base64'), bytes });
      packets += 1;
    }
  };
  const over = AbortSignal.timeout(seconds * 1000);
  try {
    await follow(context, {
      what: 'packets',
      signal: over,
      next: async (marker) => {
        const answer = await askNext(marker);
        if (!isBegun) await sink.begin();
        isBegun = true;
        await take(answer);
        if (count !== 0 && packets === count) {
          why = 'as many as were asked for';
          return { ...answer, missing: 0, isEnd: true };
        }
        // They are told at the end.
        return { ...answer, missing: 0 };
      },
      last: async (marker) => take(await askNext(marker, true)),
    });
    if (over.aborted) why ??= 'its time is over';
  } finally {
    if (isBegun) context.printError(summary(packets, why, missing));
  }
}
