import { type RunResult, run } from '../exec.ts';

export type PingOptions = {
  readonly count: number;
  /** Default 10 ms. */
  readonly intervalMs?: number;
  /** Bytes of ICMP data. With `dontFragment`, such a packet must pass whole. */
  readonly size?: number;
  readonly dontFragment?: boolean;
  /** Source address. */
  readonly from?: string;
  /** How long to wait for the last answers. Default 1 s. */
  readonly waitSeconds?: number;
};

export type PingResult = {
  readonly sent: number;
  readonly received: number;
  /** Answers that came more than once. */
  readonly duplicates: number;
  /** Mean and largest round trip; null without an answer. */
  readonly averageMs: number | null;
  readonly maximumMs: number | null;
};

/** Pings from inside a namespace. Throws only when ping itself cannot run. */
export async function ping(netns: string, address: string, options: PingOptions): Promise<PingResult> {
  const { count, intervalMs = 10, size = 56, waitSeconds = 1 } = options;
  const command = ['ping', '-n', '-q', '-c', String(count), '-i', String(intervalMs / 1000), '-s', String(size)];
  command.push('-W', String(waitSeconds));
  if (options.dontFragment === true) command.push('-M', 'do');
  if (options.from !== undefined) command.push('-I', options.from);
  const result = await run([...command, address], {
    netns,
    timeoutMs: count * intervalMs * 3 + (waitSeconds + 20) * 1000,
    env: { LC_ALL: 'C' },
  });
  return parsePing(result, address);
}

/** Reads the statistics that iputils' ping ends with. */
export function parsePing(result: RunResult, address: string): PingResult {
  const counts = /(\d+) packets transmitted, (\d+) received/.exec(result.stdout);
  if (counts === null) throw new Error(`ping ${address}: ${(result.stderr || result.stdout).trim()}`);
  const times = /= [\d.]+\/([\d.]+)\/([\d.]+)\//.exec(result.stdout);
  return {
    sent: Number(counts[1]),
    received: Number(counts[2]),
    duplicates: Number(/\+(\d+) duplicates/.exec(result.stdout)?.[1] ?? 0),
    averageMs: times === null ? null : Number(times[1]),
    maximumMs: times === null ? null : Number(times[2]),
  };
}
