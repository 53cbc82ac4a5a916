/** `cable capture PORT`: what a port of this machine sends and receives, in the form that Wireshark and tcpdump read. */
import { once } from 'node:events';
import { closeSync, openSync, writeSync } from 'node:fs';
import { TransportError } from '@cable/kit';
import { isUuid } from '@cable/model';
import type { Command } from 'commander';
import { openAgent, withAgentOptions } from './agent-commands.ts';
import type { Bind, CliContext } from './context.ts';
import { CliError } from './errors.ts';
import type { Row } from './render.ts';

type Options = Readonly<Record<string, unknown>>;

export function addCaptureCommand(root: Command, bind: Bind): void {
  const command = root
    .command('capture')
    .argument('<port>', 'name or ID of a port of this machine')
    .description('Writes what a port sends and receives as pcap: cable capture PORT | tcpdump -n -r -')
    .option(
      '--filter <words>',
      "such as 'tcp and host 10.0.0.5 and port 80'; also udp, icmp, icmp6, sctp, arp, ip, ip6",
      '',
    )
    .option('--count <number>', 'end after so many packets; 0: do not', '0')
    .option('--seconds <number>', 'end after so many seconds, at most 3600', '3600')
    .option('--out <file>', 'write there; default: standard output');
  withAgentOptions(command).action(bind(capture));
}

async function capture(context: CliContext, options: Options, [port]: readonly unknown[]): Promise<void> {
  const out = options['out'] === undefined ? undefined : String(options['out']);
  if (out === undefined && process.stdout.isTTY)
    throw new CliError(
      2,
      'pcap is not for a terminal',
      'Give --out FILE, or pipe it: cable capture PORT | tcpdump -n -r -',
    );
  const agent = await openAgent(context, options);
  const stop = new AbortController();
  const end = (): void => stop.abort();
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, end);
  try {
    const id = portId((await agent.ask('/vifs')) as readonly Row[], String(port));
    const query = new URLSearchParams({
      port: id,
      filter: String(options['filter']),
      count: String(options['count']),
      seconds: String(options['seconds']),
    });
    const lines = await agent.stream(`/capture?${query.toString()}`, stop.signal);
    const sink = openSink(out);
    try {
      context.printError(await writeAll(lines, sink, stop.signal));
    } finally {
      sink.close();
    }
  } finally {
    for (const name of ['SIGINT', 'SIGTERM'] as const) process.off(name, end);
    agent.close();
  }
}

function portId(vifs: readonly Row[], port: string): string {
  const found = vifs.filter((vif) => vif['port_id'] === port || (!isUuid(port) && vif['name'] === port));
  const [first, ...others] = found;
  if (first === undefined)
    throw new CliError(
      1,
      `port '${port}' is not on this machine`,
      'See: cable show vifs. Run it on the host that the port is bound to.',
    );
  if (others.length === 0) return String(first['port_id']);
  throw new CliError(
    1,
    `${found.length} ports are called '${port}'`,
    `Give the ID: ${found.map((vif) => String(vif['port_id'])).join(', ')}`,
  );
}

const MAGIC_MICROSECONDS = 0xa1b2c3d4;
const MAX_BYTES = 262_144;
const LINK_ETHERNET = 1;

/** Each packet is out when it is there, so that a reader may follow; what ends it is told. */
async function writeAll(lines: AsyncIterable<string>, { write }: Sink, signal: AbortSignal): Promise<string> {
  let packets = 0;
  let last: Row = {};
  await write(fileHeader());
  try {
    for await (const line of lines) {
      if (line === '') continue;
      last = JSON.parse(line) as Row;
      if (typeof last['frame'] !== 'string') continue;
      await write(packetRecord(Number(last['time_us']), Buffer.from(last['frame'], 'base64')));
      packets += 1;
    }
  } catch (err) {
    if (!(err instanceof TransportError)) throw err;
    if (!signal.aborted) throw new CliError(1, `the agent went away after ${packets} packets`);
    return `${packets} packets\n`;
  }
  const lost = Number(last['lost'] ?? 0);
  const why = last['end'] === undefined ? '' : ` (${String(last['end'])})`;
  return `${packets} packets${why}${lost === 0 ? '' : `; ${lost} came faster than they were taken, and are missing`}\n`;
}

/** Takes bytes when there is room for them. */
type Sink = { readonly write: (bytes: Buffer) => Promise<void>; readonly close: () => void };

function openSink(out: string | undefined): Sink {
  if (out === undefined) return { write: toStandardOutput, close: () => undefined };
  const file = openSync(out, 'w', 0o600);
  return { write: async (bytes) => void writeSync(file, bytes), close: () => closeSync(file) };
}

async function toStandardOutput(bytes: Buffer): Promise<void> {
  if (!process.stdout.write(bytes)) await once(process.stdout, 'drain');
}

function fileHeader(): Buffer {
  const head = Buffer.alloc(24);
  head.writeUInt32LE(MAGIC_MICROSECONDS, 0);
  head.writeUInt16LE(2, 4);
  head.writeUInt16LE(4, 6);
  head.writeUInt32LE(MAX_BYTES, 16);
  head.writeUInt32LE(LINK_ETHERNET, 20);
  return head;
}

function packetRecord(timeUs: number, frame: Buffer): Buffer {
  const head = Buffer.alloc(16);
  head.writeUInt32LE(Math.floor(timeUs / 1_000_000), 0);
  head.writeUInt32LE(timeUs % 1_000_000, 4);
  head.writeUInt32LE(frame.length, 8);
  head.writeUInt32LE(frame.length, 12);
  return Buffer.concat([head, frame]);
}
