import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import type { Path } from './net.ts';

/** How a figure is shown, and whether less of it is better. */
export type MetricShape = { readonly label: string; readonly isLessBetter: boolean };

/**
 * What is measured. Of connections both the rate and the median time: on a machine that does other work too, the rate is what the others left. CPU time is that of the
 * whole machine, both ends and the load itself included.
 */
export const METRICS: Readonly<Record<Metric, MetricShape>> = {
  tcpGbps: { label: 'TCP, Gbit/s', isLessBetter: false },
  tcpCpuPerGb: { label: 'TCP, CPU s a GB', isLessBetter: true },
  udpPps: { label: 'UDP 64 B, packets/s', isLessBetter: false },
  udpCpuUs: { label: 'UDP 64 B, CPU µs a packet', isLessBetter: true },
  rrP50Us: { label: 'TCP request/response, median µs', isLessBetter: true },
  crrPerSecond: { label: 'TCP connections/s', isLessBetter: false },
  crrP50Us: { label: 'TCP connection, median µs', isLessBetter: true },
};

export type Metric = 'tcpGbps' | 'tcpCpuPerGb' | 'udpPps' | 'udpCpuUs' | 'rrP50Us' | 'crrPerSecond' | 'crrP50Us';

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
    const tcp = await withCpu(() => iperf(path, options.seconds));
    const udp = await withCpu(() => client('udp', UDP_BYTES));
    const rr = await client('rr');
    const crr = await client('crr');
    return {
      tcpGbps: tcp.value.gbps,
      tcpCpuPerGb: tcp.cpuSeconds / (tcp.value.bytes / 1e9),
      udpPps: udp.value.perSecond,
      udpCpuUs: (udp.cpuSeconds * 1e6) / udp.value.count,
      rrP50Us: rr.p50Us ?? Number.NaN,
      crrPerSecond: crr.perSecond,
      crrP50Us: crr.p50Us ?? Number.NaN,
    };
  } finally {
    for (const server of servers) await stop(server);
  }
}

/** The datagrams alone, of several flows. */
export async function measureDatagrams(
  path: Path,
  { netbench: program, seconds, flows }: TrafficOptions & { readonly flows: number },
): Promise<Partial<Sample>> {
  const servers = await startServers(path, program);
  try {
    const send = (forSeconds: number): Promise<NetbenchResult> =>
      netbench(path, program, 'udp', path.serverAddress, PORT, String(forSeconds), UDP_BYTES, '0', String(flows));
    const { value, cpuSeconds } = await withCpu(() => send(seconds));
    return { udpPps: value.perSecond, udpCpuUs: (cpuSeconds * 1e6) / value.count };
  } finally {
    for (const server of servers) await stop(server);
  }
}

type NetbenchResult = { readonly count: number; readonly perSecond: number; readonly p50Us?: number };

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

type IperfResult = { readonly bits_per_second: number; readonly bytes: number };

async function iperf(path: Path, seconds: number): Promise<{ readonly gbps: number; readonly bytes: number }> {
  const args = ['iperf3', '-c', path.serverAddress, '-p', IPERF_PORT, '-t', String(seconds), '-J'];
  const { stdout } = await exec('nsenter', inNamespace(path.client, ...args), { maxBuffer: 1 << 24 });
  const { end } = JSON.parse(stdout) as { end: { sum_received: IperfResult } };
  return { gbps: end.sum_received.bits_per_second / 1e9, bytes: end.sum_received.bytes };
}

async function netbench(path: Path, program: string, ...args: readonly string[]): Promise<NetbenchResult> {
  const { stdout } = await exec('nsenter', inNamespace(path.client, program, ...args));
  return JSON.parse(stdout) as NetbenchResult;
}

/** What a call brings, and the CPU time that the machine was busy for meanwhile. */
async function withCpu<T>(call: () => Promise<T>): Promise<{ readonly value: T; readonly cpuSeconds: number }> {
  const before = busySeconds();
  const value = await call();
  return { value, cpuSeconds: busySeconds() - before };
}

/** USER_HZ: the same on every architecture that Node runs on. */
const TICKS_A_SECOND = 100;

/** CPU time of all CPUs since the start, neither idle nor taken by other machines (proc(5), /proc/stat). */
function busySeconds(): number {
  const [, user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] =
    readFileSync('/proc/stat', 'utf8').split('\n', 1)[0]?.split(/\s+/).map(Number) ?? [];
  return (user + nice + system + irq + softirq) / TICKS_A_SECOND;
}
