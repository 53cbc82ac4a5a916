import { type RunResult, run } from '../exec.ts';

export type PingOptions = {
  /** Ends when so many have been answered. */
  readonly count: number;
  /** Default 10 ms. */
  readonly intervalMs?: number;
  /** Bytes of ICMP data. With `dontFragment`, such a packet must pass whole. */
  readonly size?: number;
  readonly dontFragment?: boolean;
  /** Source address. */
  readonly from?: string;
  /** Ends then at the latest, in whole seconds; ping sends all the time. Default: 5, and thrice the time that `count` takes. */
  readonly deadlineSeconds?: number;
};

export type PingResult = {
  /** How many of the first `count` pings were sent: fewer when the deadline came before them. */
  readonly sent: number;
  /** Of those, how many were answered, and which were not (from 1). */
  readonly answered: number;
  readonly lost: readonly number[];
  /** Not one ping was answered, also of those after `count`. */
  readonly silent: boolean;
  /** Answers that came more than once. */
  readonly duplicates: number;
  /** Mean and largest round trip; null without an answer. */
  readonly averageMs: number | null;
  readonly maximumMs: number | null;
};

/**
 * Pings from inside a namespace. Throws only when ping itself cannot run.
 *
 * With `-c` alone iputils' ping waits for the last answers no longer than twice the longest round trip so far, and on a busy
 * machine ends before it has read them; with `-w` as well it goes on until `count` answers are there. So a ping was lost
 * if its number is missing, whatever ping's own summary says.
 */
export async function ping(netns: string, address: string, options: PingOptions): Promise<PingResult> {
  const { count, intervalMs = 10, size = 56 } = options;
  const deadline = options.deadlineSeconds ?? Math.ceil((3 * count * intervalMs) / 1000) + 5;
  const command = ['ping', '-n', '-c', String(count), '-i', String(intervalMs / 1000), '-s', String(size)];
  command.push('-w', String(deadline));
  if (options.dontFragment === true) command.push('-M', 'do');
  if (options.from !== undefined) command.push('-I', options.from);
  const result = await run([...command, address], { netns, timeoutMs: (deadline + 20) * 1000, env: { LC_ALL: 'C' } });
  return parsePing(result, address, count);
}

/** Reads the lines of iputils' ping, of which the first `count` pings matter. */
export function parsePing(result: RunResult, address: string, count: number): PingResult {
  const [, transmitted] = /(\d+) packets transmitted/.exec(result.stdout) ?? [];
  if (transmitted === undefined) throw new Error(`ping ${address}: ${(result.stderr || result.stdout).trim()}`);
  const sent = Math.min(count, Number(transmitted));
  const answers = [...result.stdout.matchAll(/icmp_seq=(\d+) ttl=\d+ time=([\d.]+) ms( \(DUP!\))?/g)];
  const first = answers.filter((answer) => answer[3] === undefined && Number(answer[1]) <= count);
  const seen = new Set(first.map((answer) => Number(answer[1])));
  const times = first.map((answer) => Number(answer[2]));
  return {
    sent,
    answered: seen.size,
    lost: Array.from({ length: sent }, (_, index) => index + 1).filter((number) => !seen.has(number)),
    silent: answers.length === 0,
    duplicates: answers.length - answers.filter((answer) => answer[3] === undefined).length,
    averageMs: times.length === 0 ? null : times.reduce((sum, time) => sum + time, 0) / times.length,
    maximumMs: times.length === 0 ? null : Math.max(...times),
  };
}
