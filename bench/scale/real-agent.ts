import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { addNamespace, addVeth, ipIn, removeNamespace } from '../lib/net.ts';
import { quantile } from '../lib/statistics.ts';
import { createCloud, inParallel, portBody, registerHost } from './cloud.ts';
import { type Cluster, startCluster } from './cluster.ts';
import { figuresOf, startCpu } from './process-figures.ts';
import { type Row, show } from './rows.ts';
import { hostAt, type PortWish, type World } from './world.ts';

export type RealAgentOptions = {
  readonly localPorts: number;
  readonly remoteEndpoints: number;
  readonly say: (line: string) => void;
};

const LAUNCHER = fileURLToPath(new URL('../../bin/cable.mjs', import.meta.url));
const NETWORKS = 100;
const REMOTE_HOSTS = 500;
/** The agent's own host is the first of the world. */
const OWN = 0;
const CHANGES = 200;
const BURST = 1000;
const IDLE_MS = 20_000;
const PROGRAMMED_MS = 300_000;
/** In a second: an agent that has nothing to do takes less. */
const QUIET_CPU_MS = 20;

/** What the agent says of itself (`cable show agent`), as far as it is read here. */
type AgentStatus = {
  readonly revision: number;
  readonly server: { readonly synced: boolean };
  readonly vifs: { readonly up: number; readonly down: number; readonly error: number };
  readonly writes: number;
  /** Since it was asked last. */
  readonly event_loop_p999_ms: number;
};

type Bed = {
  readonly options: RealAgentOptions;
  readonly world: World;
  readonly cluster: Cluster;
  readonly directory: string;
  readonly namespace: string;
};

/** One agent of the real kind, in a namespace of its own, with real devices and the real kernel maps. */
export async function measureRealAgent(options: RealAgentOptions): Promise<readonly Row[]> {
  const { say } = options;
  const world = agentWorld(options);
  const namespace = `cscale-${process.pid}`;
  const cluster = await startCluster(1);
  const bed: Bed = { options, world, cluster, directory: cluster.directory, namespace };
  let agent: ChildProcess | undefined;
  try {
    say('agent: making its namespace');
    addNamespace(namespace);
    addVeth({ ns: namespace, dev: 'up0' }, { ns: namespace, dev: 'up1' });
    ipIn(namespace, 'addr', 'add', `${hostAt(OWN).underlay}/9`, 'dev', 'up0');
    await registerHosts(bed);
    const { cloud } = await createCloud(cluster.servers[0]?.url ?? '', world, say);
    const local = await cloud.client.list('port', { 'binding:host_id': hostAt(OWN).host, fields: 'id' });
    say(`agent: making ${local.length} devices`);
    makeTaps(
      bed,
      local.map(({ id }) => id),
    );
    const rows: Row[] = [];
    say('agent: first start, with empty maps');
    agent = startAgent(bed);
    rows.push(row('first start to all ports up', (await untilUp(bed, local.length)) / 1000, 's'));
    await untilQuiet(await pidOf(bed));
    rows.push(...(await remoteChanges(bed, agent, cloud)));
    rows.push(...(await idle(bed, agent)));
    say('agent: kill -9 and start');
    await kill(agent);
    agent = startAgent(bed);
    rows.push(row('kill -9, start to programmed', (await untilUp(bed, local.length)) / 1000, 's', { goal: 3 }));
    rows.push(...(await burst(bed, cloud)));
    return rows;
  } finally {
    if (agent !== undefined) await kill(agent);
    tearDown(bed);
    removeNamespace(namespace);
    await cluster.stop();
  }
}

function row(what: string, value: number, unit: string, more: Partial<Row> = {}): Row {
  return { world: 'agent', what, value, unit, goal: null, ...more };
}

/** Each network has its share of local ports and of remote endpoints; all are members of their network's group. */
function agentWorld({ localPorts, remoteEndpoints }: RealAgentOptions): World {
  const wish = (host: number, index: number): PortWish => ({ network: index % NETWORKS, host, isMember: true });
  const ports = [
    ...Array.from({ length: localPorts }, (_, index) => wish(OWN, index)),
    ...Array.from({ length: remoteEndpoints }, (_, index) => wish(1 + ((index * 7) % REMOTE_HOSTS), index)),
  ];
  const size = {
    name: 'agent',
    hosts: REMOTE_HOSTS + 1,
    ports: ports.length,
    networks: NETWORKS,
    memberships: ports.length,
  };
  const hosts = Array.from({ length: size.hosts }, (_, index) => hostAt(index));
  return { size, hosts, ports, hostsOf: [] };
}

/** The remote hosts only need an underlay address. */
async function registerHosts({ world, cluster }: Bed): Promise<void> {
  await inParallel(world.hosts.slice(1), 32, (host) => registerHost(cluster.servers[0]?.url ?? '', host));
}

function makeTaps({ namespace }: Bed, portIds: readonly string[]): void {
  const lines = portIds.map((id) => `tuntap add dev tap${id.slice(0, 11)} mode tap`);
  execFileSync('ip', ['-n', namespace, '-batch', '-'], { input: `${lines.join('\n')}\n`, maxBuffer: 1 << 26 });
}

function startAgent({ namespace, directory, cluster }: Bed): ChildProcess {
  const { host, underlay } = hostAt(OWN);
  mkdirSync(join(directory, 'agent'), { recursive: true });
  const log = openSync(join(directory, 'agent.log'), 'a');
  const args = [`--net=/run/netns/${namespace}`, process.execPath, LAUNCHER, 'agent'];
  args.push('--server', cluster.servers[0]?.socket ?? '', '--host', host, '--underlay', underlay);
  args.push('--state', join(directory, 'agent/state'), '--run', join(directory, 'agent/run'), '--log-level', 'warn');
  const child = spawn('nsenter', args, { stdio: ['ignore', log, log] });
  closeSync(log);
  return child;
}

function tearDown({ namespace, directory }: Bed): void {
  const args = [`--net=/run/netns/${namespace}`, process.execPath, LAUNCHER, 'agent', '--teardown'];
  args.push(
    '--host',
    hostAt(OWN).host,
    '--state',
    join(directory, 'agent/state'),
    '--run',
    join(directory, 'agent/run'),
  );
  execFileSync('nsenter', args, { stdio: 'ignore', timeout: 60_000 });
}

/** ms until so many ports are up and the state is the server's. */
async function untilUp(bed: Bed, ports: number): Promise<number> {
  const startedAt = performance.now();
  for (;;) {
    const status = await ask(bed).catch(() => undefined);
    if (status?.server.synced === true && status.vifs.up >= ports) return performance.now() - startedAt;
    if (performance.now() - startedAt > PROGRAMMED_MS) {
      const log = readFileSync(join(bed.directory, 'agent.log'), 'utf8').split('\n').slice(-15).join('\n');
      throw new Error(`the agent has not programmed everything: ${JSON.stringify(status)}\n${log}`);
    }
    await wait(20);
  }
}

/** What the start leaves to do (the kernel tells of each device that was attached) is done. */
async function untilQuiet(pid: number): Promise<void> {
  for (let cpuMs = Number.POSITIVE_INFINITY; cpuMs > QUIET_CPU_MS; ) {
    const cpu = startCpu([pid]);
    await wait(1000);
    cpuMs = cpu();
  }
}

/** CPU without anybody looking; then the time until the agent says that it has programmed the change. */
async function remoteChanges(
  bed: Bed,
  agent: ChildProcess,
  cloud: Awaited<ReturnType<typeof createCloud>>['cloud'],
): Promise<readonly Row[]> {
  const { options, world } = bed;
  options.say(`agent: ${3 * CHANGES} remote ports come and go`);
  const ids: string[] = [];
  const pid = await pidOf(bed);
  const create = async (index: number): Promise<void> => {
    const wish: PortWish = { network: index % NETWORKS, host: 1 + (index % REMOTE_HOSTS), isMember: true };
    ids.push((await cloud.client.create('port', portBody(cloud, world, wish))).id);
  };
  const oneByOne = async (): Promise<void> => {
    for (let index = 0; index < CHANGES; index += 1) {
      await create(index);
      await wait(20);
    }
  };
  await oneByOne(); // warms up
  const before = await ask(bed);
  const cpu = startCpu([pid]);
  await oneByOne();
  const cpuMs = cpu();
  const after = await ask(bed);
  const writes = after.writes - before.writes;
  const delays: number[] = [];
  for (let index = 0; index < CHANGES; index += 1) {
    const { writes: had } = await ask(bed);
    const startedAt = performance.now();
    await create(index);
    while ((await ask(bed)).writes === had) await wait(1);
    delays.push(performance.now() - startedAt);
  }
  for (const id of ids) await cloud.client.delete('port', id);
  await wait(1000);
  const { residentBytes } = figuresOf(pid);
  if (agent.exitCode !== null) throw new Error('the agent has ended');
  return [
    row('one remote port more: CPU of the agent', cpuMs / CHANGES, 'ms', {
      goal: 2,
      note: `${show(writes / CHANGES)} map entries each`,
    }),
    row('event loop, p99.9 of what was due came so late', after.event_loop_p999_ms, 'ms', { goal: 10 }),
    row('one remote port more: request to programmed', quantile(delays, 0.5), 'ms', { p99: quantile(delays, 0.99) }),
    row('memory, resident', residentBytes / 2 ** 20, 'MiB'),
    row('state on disk', diskBytes(join(bed.directory, 'agent/state')) / 2 ** 20, 'MiB'),
  ];
}

async function idle(bed: Bed, agent: ChildProcess): Promise<readonly Row[]> {
  bed.options.say(`agent: idle for ${IDLE_MS / 1000} s`);
  const pid = await pidOf(bed);
  const cpu = startCpu([pid]);
  await wait(IDLE_MS);
  const cpuMs = cpu();
  if (agent.exitCode !== null) throw new Error('the agent has ended');
  return [row('idle: CPU each 10 s', cpuMs / (IDLE_MS / 10_000), 'ms', { note: 'heartbeats and keep-alive included' })];
}

/** Many devices in one moment. */
async function burst(bed: Bed, cloud: Awaited<ReturnType<typeof createCloud>>['cloud']): Promise<readonly Row[]> {
  bed.options.say(`agent: ${BURST} devices at once`);
  const before = (await ask(bed)).vifs.up;
  const bodies = Array.from({ length: BURST }, (_, index) =>
    portBody(cloud, bed.world, { network: index % NETWORKS, host: OWN, isMember: true }),
  );
  const made = await cloud.client.createMany('port', bodies);
  const known = async (): Promise<boolean> => (await ask(bed)).vifs.down >= BURST;
  while (!(await known())) await wait(20);
  const startedAt = performance.now();
  makeTaps(
    bed,
    made.map(({ id }) => id),
  );
  const madeMs = performance.now() - startedAt;
  await untilUp(bed, before + BURST);
  const note = `their making took ${show(madeMs / 1000)} s of it`;
  return [
    row(`${BURST} devices at once, all plugged`, (performance.now() - startedAt) / 1000, 's', { goal: 10, note }),
  ];
}

function ask(bed: Bed): Promise<AgentStatus & { readonly pid: number }> {
  return new Promise((resolve, reject) => {
    const socketPath = join(bed.directory, 'agent/run/agent.sock');
    const sent = request({ socketPath, path: '/status' }, (answer) => {
      let text = '';
      answer.setEncoding('utf8');
      answer.on('data', (chunk: string) => {
        text += chunk;
      });
      answer.on('end', () => resolve(JSON.parse(text) as AgentStatus & { pid: number }));
      answer.on('error', reject);
    });
    sent.on('error', reject);
    sent.end();
  });
}

async function pidOf(bed: Bed): Promise<number> {
  return (await ask(bed)).pid;
}

/** nsenter becomes the agent, so the child's pid is the agent's. */
async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
}

function diskBytes(directory: string): number {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).blocks * 512, 0);
}
