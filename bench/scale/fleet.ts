import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Answer, Arrival, Order, Taken } from './messages.ts';
import type { ScaleHost } from './world.ts';

const WORKER = fileURLToPath(new URL('./agent-worker.ts', import.meta.url));

/** Omit over a union, member by member. */
type Ask = Order extends infer O ? (O extends Order ? Omit<O, 'id'> : never) : never;

/** Simulated agents in some processes. */
export type Fleet = {
  /** Process ids, for their load. */
  readonly pids: readonly number[];
  /** Starts one agent a host; resolves when all have begun. */
  connect(hosts: readonly ScaleHost[], options: ConnectOptions): Promise<void>;
  /** Resolves when every agent is in sync; rejects after the time. */
  synced(withinMs: number): Promise<void>;
  cut(hosts: readonly string[], options: { readonly forget: boolean }): Promise<void>;
  /** What was counted since the last call, over all processes. */
  take(): Promise<Taken>;
  stop(): Promise<void>;
};

export type ConnectOptions = {
  /** Agents are spread over them; each tries the others when it loses its own. */
  readonly servers: readonly string[];
  readonly warm?: boolean;
  readonly perSecond?: number;
};

/** Starts the processes. */
export function startFleet(processes: number): Fleet {
  const members = Array.from({ length: processes }, () => startMember());
  const all = <T>(ask: (member: Member, index: number) => Promise<T>): Promise<T[]> =>
    Promise.all(members.map((member, index) => ask(member, index)));
  return {
    pids: members.map(({ child }) => child.pid ?? 0),
    connect: async (hosts, { servers, warm = false, perSecond = 2000 }) => {
      await all(async (member, index) => {
        const own = hosts.filter((_, at) => at % members.length === index);
        for (const [first, list] of shares(own, servers)) {
          const rotated = [...servers.slice(first), ...servers.slice(0, first)];
          const rate = perSecond / members.length;
          await member.ask({ kind: 'connect', hosts: list, servers: rotated, warm, perSecond: rate });
        }
      });
    },
    synced: async (withinMs) => {
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(new Error(`agents are not in sync after ${withinMs} ms`)), withinMs);
      });
      await Promise.race([all((member) => member.ask({ kind: 'synced' })), late]).finally(() => clearTimeout(timer));
    },
    cut: async (hosts, { forget }) => {
      await all((member) => member.ask({ kind: 'cut', hosts, forget }));
    },
    take: async () => merge((await all((member) => member.ask({ kind: 'take' }))).flatMap(({ taken }) => taken ?? [])),
    stop: async () => {
      await all((member) => member.ask({ kind: 'stop' }).catch(() => undefined));
      for (const { child } of members) child.kill('SIGKILL');
    },
  };
}

/** The hosts of each server, by the server's index. */
function shares(hosts: readonly ScaleHost[], servers: readonly string[]): readonly (readonly [number, ScaleHost[]])[] {
  return servers.map((_, index) => [index, hosts.filter((_host, at) => at % servers.length === index)] as const);
}

type Member = { readonly child: ChildProcess; ask(order: Ask): Promise<Answer> };

function startMember(): Member {
  const child = fork(WORKER, [], { execArgv: process.execArgv, stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  const waiting = new Map<number, { resolve: (answer: Answer) => void; reject: (err: Error) => void }>();
  let last = 0;
  child.on('message', (answer: Answer) => {
    waiting.get(answer.id)?.resolve(answer);
    waiting.delete(answer.id);
  });
  child.on('exit', (code) => {
    for (const { reject } of waiting.values()) reject(new Error(`a process of agents ended with ${code}`));
    waiting.clear();
  });
  const ask = (order: Ask): Promise<Answer> =>
    new Promise((resolve, reject) => {
      last += 1;
      waiting.set(last, { resolve, reject });
      child.send({ ...order, id: last });
    });
  return { child, ask };
}

function merge(parts: readonly Taken[]): Taken {
  const arrivals = new Map<string, Arrival>();
  for (const arrival of parts.flatMap((part) => part.arrivals)) {
    const key = `${arrival.deleted ? '-' : '+'}${arrival.item}`;
    const other = arrivals.get(key);
    const count = (other?.count ?? 0) + arrival.count;
    arrivals.set(key, { ...arrival, count, last: Math.max(arrival.last, other?.last ?? 0) });
  }
  const sum = (pick: (part: Taken) => number): number => parts.reduce((total, part) => total + pick(part), 0);
  return {
    arrivals: [...arrivals.values()],
    syncs: parts.flatMap((part) => part.syncs),
    reasons: parts.flatMap((part) => part.reasons),
    losses: sum((part) => part.losses),
    bytes: sum((part) => part.bytes),
    acknowledgements: sum((part) => part.acknowledgements),
    agents: sum((part) => part.agents),
    synced: sum((part) => part.synced),
  };
}
