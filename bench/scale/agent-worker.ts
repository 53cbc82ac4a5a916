/** A process of simulated agents; the benchmark forks it and talks by messages. */
import { setTimeout as wait } from 'node:timers/promises';
import type { Answer, Arrival, Order, Sync, Taken } from './messages.ts';
import { SharedSlices } from './shared-slices.ts';
import { type Observer, SimulatedAgent } from './simulated-agent.ts';

const REASONS = 5;

const agents = new Map<string, SimulatedAgent>();
const slices = new SharedSlices();
let counted = fresh();

type Counted = {
  readonly arrivals: Map<string, { count: number; last: number }>;
  readonly syncs: Sync[];
  readonly reasons: string[];
  losses: number;
  bytes: number;
  acknowledgements: number;
};

function fresh(): Counted {
  return { arrivals: new Map(), syncs: [], reasons: [], losses: 0, bytes: 0, acknowledgements: 0 };
}

const observer: Observer = {
  synced: (host, tookMs, bytes, fits) => counted.syncs.push({ host, tookMs, bytes, fits }),
  lost: (host, reason) => {
    counted.losses += 1;
    if (counted.reasons.length < REASONS) counted.reasons.push(`${host}: ${reason}`);
  },
  endpoint: (item, deleted, atMs) => {
    const key = `${deleted ? '-' : '+'}${item}`;
    const arrival = counted.arrivals.get(key);
    if (arrival === undefined) counted.arrivals.set(key, { count: 1, last: atMs });
    else {
      arrival.count += 1;
      arrival.last = atMs;
    }
  },
  bytes: (count) => {
    counted.bytes += count;
  },
  acknowledged: () => {
    counted.acknowledgements += 1;
  },
};

async function connect(order: Extract<Order, { kind: 'connect' }>): Promise<void> {
  const { servers, warm, perSecond } = order;
  const startedAt = performance.now();
  for (const [index, { host, underlay }] of order.hosts.entries()) {
    const agent = new SimulatedAgent({ host, underlay, servers, slices, warm, observer });
    agents.set(host, agent);
    agent.start();
    const due = (index / perSecond) * 1000 - (performance.now() - startedAt);
    if (due > 5) await wait(due);
  }
}

async function untilSynced(): Promise<void> {
  while (![...agents.values()].every((agent) => agent.isSynced)) await wait(20);
}

function take(): Taken {
  const { arrivals, ...rest } = counted;
  counted = fresh();
  const listed = [...arrivals].map(
    ([key, one]): Arrival => ({ item: key.slice(1), deleted: key.startsWith('-'), count: one.count, last: one.last }),
  );
  const synced = [...agents.values()].filter((agent) => agent.isSynced).length;
  return { ...rest, arrivals: listed, agents: agents.size, synced };
}

async function obey(order: Order): Promise<Answer> {
  const { id } = order;
  switch (order.kind) {
    case 'connect':
      await connect(order);
      return { id };
    case 'synced':
      await untilSynced();
      return { id };
    case 'cut':
      for (const host of order.hosts) agents.get(host)?.cut({ forget: order.forget });
      return { id };
    case 'take':
      return { id, taken: take() };
    case 'stop':
      for (const agent of agents.values()) agent.stop();
      return { id };
  }
}

process.on('message', (order: Order) => {
  void obey(order).then((answer) => {
    process.send?.(answer);
    if (order.kind === 'stop') process.disconnect();
  });
});
process.on('disconnect', () => process.exit());
