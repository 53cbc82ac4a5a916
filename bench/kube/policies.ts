import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { openCableAccess } from '@cable/controller';
import type { AnyObject } from '@cable/model';
import Table from 'cli-table3';
import { BENCH_CLUSTER, type CableBed } from '../lib/cable.ts';
import { callAll, clusterPlugin, makeSandboxes, removeSandboxes, type Sandbox } from '../lib/cni.ts';
import { median, quantile } from '../lib/statistics.ts';
import type { Options } from './options.ts';

/** What is changed, and what packets are to do then. */
const CHANGES = [
  'a label lets a pod in',
  'a label keeps a pod out',
  'a policy lets a pod in',
  'a policy keeps a pod out',
] as const;

export type PolicyChange = (typeof CHANGES)[number];

/** From the request that changes it to the first packet that passes, or the last that does; ms. */
export type PolicyTimes = { readonly pods: number; readonly times: Readonly<Record<PolicyChange, readonly number[]>> };

const NAMESPACE = `${BENCH_CLUSTER}/shop`;
/** Ports in a request: the server takes a thousand. */
const AT_ONCE = 500;
const PORT = 9;
/** A packet so often. */
const EVERY_MS = 1;
/** So long nothing came: it is kept out. */
const SILENCE_MS = 400;
const DEADLINE_MS = 10_000;
const GOAL_MS = 1000;

const SENDER = `const s=require('node:dgram').createSocket('udp4');setInterval(()=>s.send('x',${PORT},process.argv[1]),${EVERY_MS})`;
const RECEIVER = `const s=require('node:dgram').createSocket('udp4');s.on('message',()=>console.log(String(process.hrtime.bigint())));s.bind(${PORT},()=>console.log('ready'))`;

/** Two pods of a host among so many others, one of which sends to the other all the time; what lets it in changes. */
export async function measurePolicies(
  bed: CableBed,
  { policyPods, rounds }: Pick<Options, 'policyPods' | 'rounds'>,
  say: (line: string) => void,
): Promise<PolicyTimes> {
  const access = openCableAccess({ server: `unix:${bed.names.serverSocket}`, cluster: BENCH_CLUSTER, tls: undefined });
  const sandboxes = makeSandboxes(2);
  const plugin = clusterPlugin(bed);
  const children: ChildProcess[] = [];
  const host = bed.names.h1.name;
  try {
    await access.admin?.create('kubernetes_cluster', { name: BENCH_CLUSTER });
    await access.claiming.action('kubernetes_cluster', BENCH_CLUSTER, 'claim', {
      uid: 'bench',
      holder: 'bench',
      epoch: 1,
    });
    access.lead(1);
    say(`making ${policyPods} pods, of which two are on the host`);
    const { db, web } = await makePods(access.own, bed, sandboxes, policyPods);
    const policy = await access.own.create('network_policy', {
      ...{ name: 'shop/db', namespace: NAMESPACE, pods: 'app=db', directions: ['ingress'] },
      rules: rules('app=web'),
    });
    await callAll(host, plugin, 'ADD', sandboxes, 1);
    const arrivals = await listen(sandboxes[0] as Sandbox, children);
    run(sandboxes[1] as Sandbox, SENDER, children, [addressOf(db)]);
    const label = (app: string) => access.own.update('port', web.id, { 'cable:labels': [`app=${app}`] });
    const rule = (pods: string) => access.own.update('network_policy', policy.id, { rules: rules(pods) });
    const steps: Readonly<Record<PolicyChange, () => Promise<unknown>>> = {
      'a label lets a pod in': () => label('web'),
      'a label keeps a pod out': () => label('other'),
      'a policy lets a pod in': () => rule('app=other'),
      'a policy keeps a pod out': () => rule('app=web'),
    };
    const times = Object.fromEntries(CHANGES.map((one) => [one, [] as number[]])) as Record<PolicyChange, number[]>;
    await arrivals.silence();
    // The first round warms up.
    for (let round = 0; round <= rounds * 2; round += 1) {
      for (const change of CHANGES) {
        const from = process.hrtime.bigint();
        const isLetIn = change.endsWith('in');
        await steps[change]();
        const at = isLetIn ? await arrivals.after(from) : await arrivals.silence();
        if (round > 0) times[change].push(Math.max(0, Number(at - from) / 1e6));
      }
    }
    return { pods: policyPods, times };
  } finally {
    for (const child of children) child.kill('SIGKILL');
    await callAll(host, plugin, 'DEL', sandboxes, 1).catch(() => {});
    removeSandboxes(sandboxes);
    access.close();
  }
}

type Client = ReturnType<typeof openCableAccess>['own'];

async function makePods(client: Client, bed: CableBed, [first, second]: readonly Sandbox[], count: number) {
  const network = await client.create('network', { name: 'pods' });
  await client.create('subnet', { network_id: network.id, ip_version: 4, cidr: '10.60.0.0/16' });
  await client.create('kubernetes_namespace', { name: NAMESPACE, cluster: BENCH_CLUSTER, labels: [] });
  const body = (name: string, uid: string, host: string, app: string): object => ({
    ...{ name, network_id: network.id, device_owner: 'kubernetes:pod', device_id: `${uid}:eth0`, security_groups: [] },
    ...{ 'binding:host_id': host, 'cable:cluster': BENCH_CLUSTER, 'cable:origin': `Pod/shop/${name}/${uid}` },
    ...{ 'cable:namespace': NAMESPACE, 'cable:labels': [`app=${app}`] },
  });
  const db = await client.create('port', body('db', first?.podUid ?? '', bed.names.h1.name, 'db'));
  const web = await client.create('port', body('web', second?.podUid ?? '', bed.names.h1.name, 'none'));
  for (let made = 2; made < count; made += AT_ONCE) {
    const some = Array.from({ length: Math.min(AT_ONCE, count - made) }, (_, n) => {
      const name = `pod-${made + n}`;
      return body(name, `uid-${made + n}`, bed.names.h2.name, n % 2 === 0 ? 'web' : 'other');
    });
    await client.request('POST', '/v2.0/ports', { ports: some });
  }
  return { db, web };
}

function rules(pods: string): readonly object[] {
  return [{ direction: 'ingress', peers: [{ pods }], ports: [{ protocol: 'UDP', port: PORT }] }];
}

function addressOf(port: AnyObject): string {
  return (port['fixed_ips'] as readonly { readonly ip_address: string }[])[0]?.ip_address ?? '';
}

function run({ netns }: Sandbox, script: string, children: ChildProcess[], args: readonly string[] = []): ChildProcess {
  const words = [`--net=/run/netns/${netns}`, process.execPath, '-e', script, ...args];
  const child = spawn('nsenter', words, { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  return child;
}

/** When packets come, by the clock that all processes have. */
async function listen(sandbox: Sandbox, children: ChildProcess[]) {
  const child = run(sandbox, RECEIVER, children);
  if (child.stdout === null) throw new Error('the receiver says nothing');
  const lines = createInterface({ input: child.stdout });
  let last = 0n;
  let wake = (): void => {};
  await once(lines, 'line');
  lines.on('line', (line) => {
    last = BigInt(line);
    wake();
  });
  const next = (ms: number): Promise<boolean> =>
    new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), ms);
      wake = () => {
        clearTimeout(timer);
        resolve(true);
      };
    });
  return {
    /** When the first came that is later. */
    after: async (from: bigint): Promise<bigint> => {
      const deadline = performance.now() + DEADLINE_MS;
      while (last <= from) {
        if (performance.now() > deadline) throw new Error('the pod was not let in within ten seconds');
        await next(100);
      }
      return last;
    },
    /** When the last came. */
    silence: async (): Promise<bigint> => {
      const deadline = performance.now() + DEADLINE_MS;
      while (await next(SILENCE_MS)) {
        if (performance.now() > deadline) throw new Error('the pod was not kept out within ten seconds');
      }
      return last;
    },
  };
}

export function policiesTable({ pods, times }: PolicyTimes): string {
  const head = [`among ${pods} pods`, 'median ms', 'slowest ms', 'goal'];
  const table = new Table({ head, style: { head: [], border: [] } });
  for (const change of CHANGES) {
    const all = times[change];
    const [middle, slowest] = [median(all), quantile(all, 1)];
    const verdict = slowest < GOAL_MS ? 'reached' : 'MISSED';
    table.push([change, middle.toFixed(1), slowest.toFixed(1), `< ${GOAL_MS} ms: ${verdict}`]);
  }
  return table.toString();
}
