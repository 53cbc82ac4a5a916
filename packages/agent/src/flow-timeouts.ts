/** `--flow-timeouts`: after which time without a packet in either direction a flow ends. */
import {
  CB_TIMEOUT_ICMP,
  CB_TIMEOUT_OTHER,
  CB_TIMEOUT_TCP_CLOSED,
  CB_TIMEOUT_TCP_CLOSING,
  CB_TIMEOUT_TCP_ESTABLISHED,
  CB_TIMEOUT_TCP_NEW,
  CB_TIMEOUT_TCP_PICKED_UP,
  CB_TIMEOUT_UDP_ESTABLISHED,
  CB_TIMEOUT_UDP_NEW,
  CB_TIMEOUTS,
} from './bpf/abi.gen.ts';

export type FlowTimeoutName =
  | `tcp_${'new' | 'established' | 'closing' | 'closed' | 'picked-up'}`
  | `udp_${'new' | 'established'}`
  | 'icmp'
  | 'other';

type Timeout = {
  /** Place among the vrouter's. */
  readonly index: number;
  readonly seconds: number;
  /** The shortest that can be chosen. Who tells another host of a flow says again every 26 s that it is there. */
  readonly least: number;
};

/** By protocol and state, as `cable flows` names them, with what is built in. */
const TIMEOUTS: Readonly<Record<FlowTimeoutName, Timeout>> = {
  tcp_new: { index: CB_TIMEOUT_TCP_NEW, seconds: 120, least: 1 },
  tcp_established: { index: CB_TIMEOUT_TCP_ESTABLISHED, seconds: 432_000, least: 60 },
  tcp_closing: { index: CB_TIMEOUT_TCP_CLOSING, seconds: 120, least: 1 },
  tcp_closed: { index: CB_TIMEOUT_TCP_CLOSED, seconds: 1, least: 1 },
  'tcp_picked-up': { index: CB_TIMEOUT_TCP_PICKED_UP, seconds: 300, least: 60 },
  udp_new: { index: CB_TIMEOUT_UDP_NEW, seconds: 30, least: 1 },
  udp_established: { index: CB_TIMEOUT_UDP_ESTABLISHED, seconds: 180, least: 60 },
  icmp: { index: CB_TIMEOUT_ICMP, seconds: 30, least: 1 },
  other: { index: CB_TIMEOUT_OTHER, seconds: 600, least: 60 },
};

/** In seconds; what is not there is as built in. */
export type FlowTimeouts = Readonly<Partial<Record<FlowTimeoutName, number>>>;

const UNIT_SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 };
const MAX_SECONDS = 30 * 86_400;

/** What is built in, as the option is written. */
export function defaultTimeouts(): string {
  return Object.entries(TIMEOUTS)
    .map(([name, { seconds }]) => `${name}=${written(seconds)}`)
    .join(',');
}

/** `NAME=TIME` with commas between, a time in s, m, h or d; text: what is wrong. */
export function parseFlowTimeouts(text: string): FlowTimeouts | string {
  const all = new Map<FlowTimeoutName, number>();
  for (const one of text.split(',')) {
    const [, name = '', count = '', unit = ''] = /^([a-z_-]+)=(\d{1,8})([smhd])$/.exec(one.trim()) ?? [];
    if (count === '')
      return `Give NAME=TIME, more of them with commas between, such as tcp_established=2h; got ${one}.`;
    if (!isName(name)) return `There is no ${name}; there are ${Object.keys(TIMEOUTS).join(', ')}.`;
    if (all.has(name)) return `${name} is given twice.`;
    const seconds = Number(count) * (UNIT_SECONDS[unit] ?? 0);
    const { least } = TIMEOUTS[name];
    if (seconds < least || seconds > MAX_SECONDS) {
      return `${name} is from ${written(least)} to ${written(MAX_SECONDS)}; got ${count}${unit}.`;
    }
    all.set(name, seconds);
  }
  return Object.fromEntries(all);
}

/** All of them, as the programs take them. */
export function timeoutBytes(timeouts: FlowTimeouts): Uint8Array {
  const seconds = new Uint32Array(CB_TIMEOUTS);
  for (const [name, { index, seconds: builtIn }] of Object.entries(TIMEOUTS)) {
    seconds[index] = isName(name) ? (timeouts[name] ?? builtIn) : builtIn;
  }
  return new Uint8Array(seconds.buffer);
}

function isName(name: string): name is FlowTimeoutName {
  return Object.hasOwn(TIMEOUTS, name);
}

/** In the largest unit that says it whole. */
function written(seconds: number): string {
  const [unit = 's', each = 1] = Object.entries(UNIT_SECONDS).findLast(([, size]) => seconds % size === 0) ?? [];
  return `${seconds / each}${unit}`;
}
