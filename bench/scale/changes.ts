import { setTimeout as wait } from 'node:timers/promises';
import { quantile } from '../lib/statistics.ts';
import { type Cloud, portBody } from './cloud.ts';
import type { Fleet } from './fleet.ts';
import { startCpu } from './process-figures.ts';
import { monotonicMs } from './simulated-agent.ts';
import { type PortWish, seeded, type World } from './world.ts';

/** What a run of changes at one rate showed. Times in ms. */
export type ChangeFigures = {
  readonly asked: number;
  readonly perSecond: number;
  readonly changes: number;
  /** From the request until the last agent that needs it has it. */
  readonly p50: number;
  readonly p99: number;
  /** From the request to its answer. */
  readonly answerP50: number;
  readonly answerP99: number;
  /** Changes that some agent did not get in time; 0 as a rule. */
  readonly missing: number;
  readonly bytesPerChange: number;
  readonly bytesPerHost: number;
  readonly serverCpuMs: number;
  readonly agentsLoad: number;
  readonly serversLoad: number;
  readonly etcdLoad: number;
};

export type Measured = {
  readonly world: World;
  readonly cloud: Cloud;
  readonly fleet: Fleet;
  readonly serverPids: readonly number[];
  readonly etcdPid: number;
};

type Sent = { readonly startedAt: number; readonly answeredAt: number; readonly hosts: number };

/** After the last change agents have so long to hear of it. */
const SETTLE_MS = 3000;

/** Changes at the rate come for so long before they are counted: a server that has idled compiles its hot code then. */
const WARM_UP_SECONDS = 3;

/** Creates ports at the rate, and deletes each when as many again are there, so that the world stays of its size. */
export async function measureChanges(
  measured: Measured,
  options: { readonly perSecond: number; readonly seconds: number; readonly pick?: (random: number) => PortWish },
): Promise<ChangeFigures> {
  const { world, cloud, fleet } = measured;
  const { perSecond, seconds } = options;
  const random = seeded(perSecond + seconds);
  const pick = options.pick ?? ((fraction) => randomWish(world, fraction));
  const sent = new Map<string, Sent>();
  const living: { readonly id: string; readonly hosts: number }[] = [];
  const busy = new Set<Promise<void>>();
  const total = Math.max(2, Math.round(perSecond * seconds));
  // A port lives for a second or more: one that is created and deleted before agents are told of either is rightly never heard of.
  const mostLiving = Math.min(Math.max(50, perSecond), total / 4);
  await changeAll(WARM_UP_SECONDS * perSecond);
  const warmUp = new Set(sent.keys());
  await fleet.take();
  const cpu = startCpu(measured.serverPids);
  const agentsCpu = startCpu(fleet.pids);
  const etcdCpu = startCpu([measured.etcdPid]);
  const startedAt = performance.now();
  await changeAll(total);
  await Promise.all(busy);
  const elapsed = performance.now() - startedAt;
  const [serverCpuMs, agentsCpuMs, etcdCpuMs] = [cpu(), agentsCpu(), etcdCpu()];
  await wait(SETTLE_MS);
  const taken = await fleet.take();
  for (const one of warmUp) sent.delete(one);
  for (const { id } of living) await cloud.client.delete('port', id);
  return summarize();

  async function changeAll(count: number): Promise<void> {
    const begunAt = performance.now();
    for (let index = 0; index < count; index += 1) {
      const due = (index * 1000) / perSecond - (performance.now() - begunAt);
      if (due > 0) await wait(due);
      const old = living.length > mostLiving ? living.shift() : undefined;
      const change = old === undefined ? create(pick(random())) : remove(old);
      busy.add(change);
      void change.finally(() => busy.delete(change));
    }
  }

  async function create(wish: PortWish): Promise<void> {
    const begun = monotonicMs();
    const port = await cloud.client.create('port', portBody(cloud, world, wish));
    const hosts = hostsThatNeed(world, wish);
    sent.set(`+${port.id}`, { startedAt: begun, answeredAt: monotonicMs(), hosts });
    living.push({ id: port.id, hosts });
  }

  async function remove({ id, hosts }: { readonly id: string; readonly hosts: number }): Promise<void> {
    const begun = monotonicMs();
    await cloud.client.delete('port', id);
    sent.set(`-${id}`, { startedAt: begun, answeredAt: monotonicMs(), hosts });
  }

  function summarize(): ChangeFigures {
    const delays: number[] = [];
    let deliveries = 0;
    for (const { item, deleted, count, last } of taken.arrivals) {
      const one = sent.get(`${deleted ? '-' : '+'}${item}`);
      if (one === undefined || count < one.hosts) continue;
      delays.push(last - one.startedAt);
      deliveries += count;
    }
    const answers = [...sent.values()].map((one) => one.answeredAt - one.startedAt);
    return {
      asked: perSecond,
      perSecond: (sent.size * 1000) / elapsed,
      changes: sent.size,
      p50: quantile(delays, 0.5),
      p99: quantile(delays, 0.99),
      answerP50: quantile(answers, 0.5),
      answerP99: quantile(answers, 0.99),
      missing: sent.size - delays.length,
      bytesPerChange: taken.bytes / sent.size,
      bytesPerHost: deliveries === 0 ? 0 : taken.bytes / deliveries,
      serverCpuMs: serverCpuMs / sent.size,
      agentsLoad: agentsCpuMs / elapsed,
      serversLoad: serverCpuMs / elapsed,
      etcdLoad: etcdCpuMs / elapsed,
    };
  }
}

/** A port in a random network, on a host that has one there already. */
function randomWish(world: World, fraction: number): PortWish {
  return world.ports[Math.floor(fraction * world.ports.length)] ?? { network: 0, host: 0, isMember: false };
}

function hostsThatNeed(world: World, wish: PortWish): number {
  const hosts = world.hostsOf[wish.network];
  return (hosts?.size ?? 0) + (hosts?.has(wish.host) === true ? 0 : 1);
}
