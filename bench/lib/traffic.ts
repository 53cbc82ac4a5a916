import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { promisify } from 'node:util';
import type { Path } from './net.ts';

/**
 * What is measured. For each, more is better, but for those in µs less is. Of connections both the rate and the median time: on a
 * machine that does other work too, the rate is what the others left.
 */
export const METRICS = ['tcpGbps', 'udpPps', 'rrP50Us', 'crrPerSecond', 'crrP50Us'] as const;

export type Metric = (typeof METRICS)[number];

export type Sample = Readonly<Record<Metric, number>>;

export type TrafficOptions = { readonly netbench: string; readonly seconds: number };

const PORT = '7000';
const IPERF_PORT = '7001';
/** 18 bytes of payload make a 64-byte Ethernet frame (with its check sequence). */
const UDP_BYTES = '18';

const exec = promisify(execFile);

/** Runs all four loads over a path, one after the other. */
export async function measure(path: Path, options: TrafficOptions): Promise<Sample> {
  const servers = await startServers(path, options.netbench);
  try {
    const client = (kind: string, ...more: string[]): Promise<NetbenchResult> =>
      netbench(path, options.netbench, kind, path.serverAddress, PORT, String(options.seconds), ...more);
    const tcpGbps = await iperf(path, options.seconds);
    const udp = await client('udp', UDP_BYTES);
    const rr = await client('rr');
    const crr = await client('crr');
    return {
      tcpGbps,
      udpPps: udp.perSecond,
      rrP50Us: rr.p50Us ?? Number.NaN,
      crrPerSecond: crr.perSecond,
      crrP50Us: crr.p50Us ?? Number.NaN,
    };
  } finally {
    for (const server of servers) await stop(server);
  }
}

type NetbenchResult = { readonly perSecond: number; readonly p50Us?: number };

function inNamespace(ns: string, ...args: readonly string[]): string[] {
  return [`--net=/run/netns/${ns}`, ...args];
}

async function startServers(path: Path, netbenchPath: string): Promise<ChildProcess[]> {
  const options = { stdio: ['ignore', 'pipe', 'inherit'] as ('ignore' | 'pipe' | 'inherit')[] };
  const bench = spawn('nsenter', inNamespace(path.server, netbenchPath, 'server', PORT), options);
  const iperfServer = spawn(
    'nsenter',
    inNamespace(path.server, 'iperf3', '-s', '-p', IPERF_PORT, '--forceflush'),
    options,
  );
  for (const child of [bench, iperfServer]) {
    if (child.stdout !== null) await once(child.stdout, 'data');
    child.stdout?.resume();
  }
  return [bench, iperfServer];
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
}

async function iperf(path: Path, seconds: number): Promise<number> {
  const args = ['iperf3', '-c', path.serverAddress, '-p', IPERF_PORT, '-t', String(seconds), '-J'];
  const { stdout } = await exec('nsenter', inNamespace(path.client, ...args), { maxBuffer: 1 << 24 });
  const result = JSON.parse(stdout) as { end: { sum_received: { bits_per_second: number } } };
  return result.end.sum_received.bits_per_second / 1e9;
}

async function netbench(path: Path, program: string, ...args: readonly string[]): Promise<NetbenchResult> {
  const { stdout } = await exec('nsenter', inNamespace(path.client, program, ...args));
  return JSON.parse(stdout) as NetbenchResult;
}
