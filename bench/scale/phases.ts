import { setTimeout as wait } from 'node:timers/promises';
import { quantile } from '../lib/statistics.ts';
import { type ChangeFigures, type Measured, measureChanges } from './changes.ts';
import { type Cloud, createCloud, inParallel, portBody, registerHost } from './cloud.ts';
import { type Cluster, startCluster } from './cluster.ts';
import { type Fleet, startFleet } from './fleet.ts';
import { figuresOf, startCpu } from './process-figures.ts';
import { type Row, show } from './rows.ts';
import { createWorld, type World, type WorldSize } from './world.ts';

export type PhaseOptions = {
  readonly size: WorldSize;
  readonly servers: number;
  readonly agentProcesses: number;
  /** Changes a second. */
  readonly rates: readonly number[];
  readonly seconds: number;
  readonly say: (line: string) => void;
};

const SYNC_MS = 600_000;
const RESTARTED_AGENTS = 100;
const BURST_PORTS = 300;
const IDLE_MS = 5000;
const HOSTS_SILENT_MS = 30_000;

type Bed = {
  readonly options: PhaseOptions;
  readonly world: World;
  readonly cluster: Cluster;
  readonly cloud: Cloud;
  readonly fleet: Fleet;
};

/** Builds one world, measures it, removes it. */
export async function measureWorld(options: PhaseOptions): Promise<readonly Row[]> {
  const { size, say } = options;
  const world = createWorld(size);
  say(`${size.name}: starting etcd and ${options.servers} server(s)`);
  const cluster = await startCluster(options.servers);
  const fleet = startFleet(options.agentProcesses);
  try {
    const rows: Row[] = [];
    say(`${size.name}: ${size.hosts} hosts, ${size.ports} ports, ${size.networks} networks`);
    const { cloud, portsPerSecond } = await createCloud(cluster.servers[0]?.url ?? '', world, say);
    const bed: Bed = { options, world, cluster, cloud, fleet };
    rows.push(row(bed, 'bulk creates', portsPerSecond, 'ports/s'));
    if (size.networks === 1) rows.push(...(await costWithoutStreams(bed)));
    rows.push(...(await connectAll(bed)));
    const idleLoad = await idleLoadOf(bed);
    rows.push(...(await idle(bed, idleLoad)));
    for (const rate of options.rates) rows.push(...(await changesAt(bed, rate, idleLoad)));
    rows.push(...(await restartAgents(bed)));
    if (options.servers > 1) rows.push(...(await failOver(bed)));
    rows.push(...(await restartServer(bed)));
    return rows;
  } finally {
    await fleet.stop();
    await cluster.stop();
  }
}

/** A figure, which is told at once: a run takes minutes. */
function row(bed: Bed, what: string, value: number, unit: string, more: Partial<Row> = {}): Row {
  const made = { world: bed.options.size.name, what, value, unit, goal: null, ...more };
  const p99 = made.p99 === undefined ? '' : `, p99 ${show(made.p99)}`;
  bed.options.say(`  ${what}: ${show(value)} ${unit}${p99}${made.note === undefined ? '' : ` (${made.note})`}`);
  return made;
}

function urls(bed: Bed): readonly string[] {
  return bed.cluster.servers.map(({ url }) => url);
}

/**
 * What a change costs the server before anything is sent: without a host that needs it (request and store alone), then with all hosts known
 * and none connected (compiled as well). The difference is the compiler's part.
 */
async function costWithoutStreams(bed: Bed): Promise<readonly Row[]> {
  const { world, options, cluster } = bed;
  const rate = { perSecond: 20, seconds: options.seconds };
  options.say(`${world.size.name}: changes without hosts`);
  await wait(IDLE_MS);
  const alone = await measureChanges(measured(bed), rate);
  options.say(`${world.size.name}: registering ${world.hosts.length} hosts`);
  const startedAt = performance.now();
  await inParallel(world.hosts, 64, (host) => registerHost(cluster.servers[0]?.url ?? '', host));
  const registeredMs = performance.now() - startedAt;
  // By then the server has found out, and written, that no agent reports: that is not the changes' cost.
  await wait(HOSTS_SILENT_MS);
  const compiled = await measureChanges(measured(bed), rate);
  return [
    row(bed, 'all hosts register', registeredMs / 1000, 's'),
    row(bed, 'a change: server CPU, request and store', alone.serverCpuMs, 'ms'),
    row(bed, 'a change: server CPU, compiling', Math.max(0, compiled.serverCpuMs - alone.serverCpuMs), 'ms', {
      goal: 1,
    }),
  ];
}

/** Of one huge network each host would be sent the whole: there the agents of a process take it from the first, as if they had had it. */
async function connectAll(bed: Bed): Promise<readonly Row[]> {
  const { world, fleet, options } = bed;
  const shared = world.size.networks === 1;
  options.say(`${world.size.name}: ${world.hosts.length} agents connect`);
  await fleet.take();
  if (shared) {
    await fleet.connect(world.hosts.slice(0, options.agentProcesses), { servers: urls(bed) });
    await fleet.synced(SYNC_MS);
  }
  const startedAt = performance.now();
  const cpu = startCpu(serverPids(bed));
  await fleet.connect(shared ? world.hosts.slice(options.agentProcesses) : world.hosts, {
    servers: urls(bed),
    warm: shared,
  });
  await fleet.synced(SYNC_MS);
  const tookMs = performance.now() - startedAt;
  const cpuMs = cpu();
  const { syncs, losses, bytes, reasons } = await fleet.take();
  if (reasons.length > 0) options.say(`connections lost: ${reasons.join('; ')}`);
  const wrong = syncs.filter((sync) => !sync.fits).length;
  const note = `${syncs.length} syncs, ${wrong} with another digest, ${losses} connections lost`;
  return [
    row(
      bed,
      shared ? 'all agents connect and hold the network already' : 'all agents take everything',
      tookMs / 1000,
      's',
      {
        note,
      },
    ),
    row(bed, 'bytes an agent, first sync', bytes / Math.max(1, syncs.length) / 1024, 'KiB'),
    row(bed, 'server CPU an agent, first sync', cpuMs / Math.max(1, syncs.length), 'ms'),
  ];
}

type IdleLoad = { readonly servers: number; readonly agents: number };

/** Cores that are used while nothing changes. */
async function idleLoadOf({ fleet, ...bed }: Bed): Promise<IdleLoad> {
  const cpu = startCpu(serverPids({ fleet, ...bed }));
  const agentsCpu = startCpu(fleet.pids);
  await wait(IDLE_MS);
  return { servers: cpu() / IDLE_MS, agents: agentsCpu() / IDLE_MS };
}

async function idle(bed: Bed, load: IdleLoad): Promise<readonly Row[]> {
  const { world } = bed;
  const resident = serverPids(bed).map((pid) => figuresOf(pid).residentBytes);
  const perPort = Math.max(...resident) / world.size.ports / 1024;
  const note = `${show(Math.max(...resident) / 2 ** 20)} MiB for ${world.size.ports} ports and ${world.hosts.length} streams`;
  return [
    row(bed, 'server memory a port, resident', perPort, 'KiB', {
      goal: world.size.ports >= 100_000 ? 1.5 : null,
      note,
    }),
    row(bed, 'servers, idle', load.servers * 100, '% of a core', { note: `agents ${percent(load.agents)}` }),
  ];
}

async function changesAt(bed: Bed, perSecond: number, idleLoad: IdleLoad): Promise<readonly Row[]> {
  const { options, world } = bed;
  const seconds = perSecond < 10 ? Math.max(20, options.seconds) : options.seconds;
  options.say(`${world.size.name}: ${perSecond} changes a second for ${seconds} s`);
  const measuredFigures = await measureChanges(measured(bed), { perSecond, seconds });
  // What the servers do anyhow is not the changes'.
  const serverCpuMs = Math.max(0, measuredFigures.serverCpuMs - (idleLoad.servers * 1000) / measuredFigures.perSecond);
  const figures = { ...measuredFigures, serverCpuMs };
  return changeRows(bed, `${perSecond}/s`, figures, goalOf(world, perSecond));
}

function goalOf(world: World, perSecond: number): number | null {
  if (world.size.networks < 2000) return null;
  return perSecond === 1 ? 50 : perSecond === 500 ? 200 : null;
}

function changeRows(bed: Bed, name: string, figures: ChangeFigures, goal: number | null): readonly Row[] {
  const { changes, missing, perSecond } = figures;
  const loads = `servers ${percent(figures.serversLoad)}, etcd ${percent(figures.etcdLoad)}, agents ${percent(figures.agentsLoad)} of a core`;
  const note = `${changes} changes at ${show(perSecond)}/s, ${missing} not heard of by all; ${loads}`;
  return [
    row(bed, `${name}: request to the last agent`, figures.p50, 'ms', { p99: figures.p99, goal, note }),
    row(bed, `${name}: request to its answer`, figures.answerP50, 'ms', { p99: figures.answerP99 }),
    row(bed, `${name}: server CPU a change`, figures.serverCpuMs, 'ms'),
    row(bed, `${name}: bytes a change, all agents`, figures.bytesPerChange / 1024, 'KiB'),
    row(bed, `${name}: bytes a change and agent`, figures.bytesPerHost, 'B', {
      goal: bed.world.size.networks === 1 ? 1024 : null,
    }),
  ];
}

/** Agents that come back with nothing. */
async function restartAgents(bed: Bed): Promise<readonly Row[]> {
  const { world, fleet, options } = bed;
  if (world.size.networks === 1) return [];
  const some = world.hosts.slice(0, Math.min(RESTARTED_AGENTS, world.hosts.length)).map(({ host }) => host);
  options.say(`${world.size.name}: ${some.length} agents start from nothing`);
  await fleet.take();
  await fleet.cut(some, { forget: true });
  await wait(50);
  await fleet.synced(SYNC_MS);
  const times = (await fleet.take()).syncs.map(({ tookMs }) => tookMs);
  return [
    row(bed, 'an agent’s cold start, connect to in sync', quantile(times, 0.5), 'ms', { p99: quantile(times, 0.99) }),
  ];
}

/** One of several servers is killed; its agents go to the others. */
async function failOver(bed: Bed): Promise<readonly Row[]> {
  const { world, fleet, cluster, options } = bed;
  options.say(`${world.size.name}: killing a server`);
  const last = cluster.servers.length - 1;
  await fleet.take();
  await cluster.kill(last);
  await wait(50);
  await fleet.synced(SYNC_MS);
  const { syncs, bytes } = await fleet.take();
  const times = syncs.map(({ tookMs }) => tookMs);
  await cluster.start(last);
  return [
    row(bed, 'a server is killed: its agents in sync with others', quantile(times, 0.5), 'ms', {
      p99: quantile(times, 0.99),
      note: `${syncs.length} agents, ${show(bytes / Math.max(1, syncs.length) / 1024)} KiB each`,
    }),
  ];
}

/** A kill amid changes, which most hosts are not told of, start, and all agents resume. */
async function restartServer(bed: Bed): Promise<readonly Row[]> {
  const { world, fleet, cluster, options } = bed;
  options.say(`${world.size.name}: restarting every server`);
  await fleet.take();
  const ended = await burst(bed);
  for (let index = 0; index < cluster.servers.length; index += 1) await cluster.kill(index);
  const readyMs = await cluster.start(0);
  for (let index = 1; index < cluster.servers.length; index += 1) await cluster.start(index);
  await ended();
  const startedAt = performance.now();
  await fleet.synced(SYNC_MS);
  const { syncs, bytes } = await fleet.take();
  return [
    row(bed, 'server start to ready', readyMs / 1000, 's', { goal: world.size.ports >= 250_000 ? 20 : null }),
    row(bed, 'then until all agents have resumed', (performance.now() - startedAt) / 1000, 's', {
      note: `${syncs.length} syncs, ${show(bytes / Math.max(1, syncs.length) / 1024)} KiB each`,
    }),
  ];
}

/** Begins to create ports, and resolves when some are there; the answer resolves when all have been answered or have failed. */
async function burst({ world, cloud }: Bed): Promise<() => Promise<unknown>> {
  const wishes = world.ports.slice(0, BURST_PORTS);
  const creates = wishes.map((wish) => cloud.client.create('port', portBody(cloud, world, wish)));
  const all = Promise.allSettled(creates);
  await Promise.all(creates.slice(0, BURST_PORTS / 10));
  return () => all;
}

function serverPids(bed: Bed): readonly number[] {
  return bed.cluster.servers.map(({ pid }) => pid);
}

function measured(bed: Bed): Measured {
  const { world, cloud, fleet, cluster } = bed;
  return { world, cloud, fleet, serverPids: serverPids(bed), etcdPid: cluster.etcd.pid };
}

function percent(load: number): string {
  return `${show(load * 100)} %`;
}
