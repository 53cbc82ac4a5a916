import type { ChildProcess } from 'node:child_process';
import type { Client } from '@cable/api';
import type { AnyObject } from '@cable/model';
import Table from 'cli-table3';
import { BENCH_CLUSTER, type CableBed } from '../lib/cable.ts';
import { callAll, clusterPlugin, makeSandboxes, removeSandboxes, type Sandbox } from '../lib/cni.ts';
import { median, quantile } from '../lib/statistics.ts';
import { listen, runScript } from './arrivals.ts';
import type { Options } from './options.ts';

/** What is changed, and what packets are to do then. */
const OF_NAMESPACE = [
  'a label lets a pod in',
  'a label keeps a pod out',
  'a policy lets a pod in',
  'a policy keeps a pod out',
] as const;
/** The same of an Admin policy that denies. */
const OF_CLUSTER = ['a label that the cluster denies no more', 'a label that the cluster denies'] as const;
const CHANGES = [...OF_NAMESPACE, ...OF_CLUSTER] as const;

export type PolicyChange = (typeof CHANGES)[number];

/** From the request that changes it to the first packet that passes, or the last that does; ms. */
export type PolicyTimes = { readonly pods: number; readonly times: Readonly<Record<PolicyChange, readonly number[]>> };

const NAMESPACE = `${BENCH_CLUSTER}/shop`;
/** Ports in a request: the server takes a thousand. */
const AT_ONCE = 500;
const PORT = 9;
/** A packet so often. */
const EVERY_MS = 1;
const GOAL_MS = 1000;

const SENDER = `const s=require('node:dgram').createSocket('udp4');setInterval(()=>s.send('x',${PORT},process.argv[1]),${EVERY_MS})`;

/** Two pods of a host among so many others, one of which sends to the other all the time; what lets it in changes. `cluster`: asks as its controller, in its own project. */
export async function measurePolicies(
  bed: CableBed,
  cluster: Client,
  { policyPods, rounds }: Pick<Options, 'policyPods' | 'rounds'>,
  say: (line: string) => void,
): Promise<PolicyTimes> {
  const sandboxes = makeSandboxes(2);
  const plugin = clusterPlugin(bed);
  const children: ChildProcess[] = [];
  const host = bed.names.h1.name;
  try {
    say(`making ${policyPods} pods, of which two are on the host`);
    const { db, web } = await makePods(cluster, bed, sandboxes, policyPods);
    const policy = await cluster.create('network_policy', {
      ...{ name: 'shop/db', namespace: NAMESPACE, pods: 'app=db', directions: ['ingress'] },
      rules: rules('app=web'),
    });
    await callAll(host, plugin, 'ADD', sandboxes, 1);
    const arrivals = await listen(sandboxes[0]?.netns ?? '', PORT);
    children.push(arrivals.child, runScript(sandboxes[1]?.netns ?? '', SENDER, [addressOf(db)]));
    const label = (app: string) => cluster.update('port', web.id, { 'cable:labels': [`app=${app}`] });
    const rule = (pods: string) => cluster.update('network_policy', policy.id, { rules: rules(pods) });
    const steps: Readonly<Record<PolicyChange, () => Promise<unknown>>> = {
      'a label lets a pod in': () => label('web'),
      'a label keeps a pod out': () => label('other'),
      'a policy lets a pod in': () => rule('app=other'),
      'a policy keeps a pod out': () => rule('app=web'),
      'a label that the cluster denies no more': () => label('other'),
      'a label that the cluster denies': () => label('web'),
    };
    const times = Object.fromEntries(CHANGES.map((one) => [one, [] as number[]])) as Record<PolicyChange, number[]>;
    const measure = async (changes: readonly PolicyChange[]): Promise<void> => {
      await arrivals.silence();
      // The first round warms up.
      for (let round = 0; round <= rounds * 2; round += 1) {
        for (const change of changes) {
          const from = process.hrtime.bigint();
          const isLetIn = change.endsWith('in') || change === OF_CLUSTER[0];
          await steps[change]();
          const at = isLetIn ? await arrivals.after(from) : await arrivals.silence();
          if (round > 0) times[change].push(Math.max(0, Number(at - from) / 1e6));
        }
      }
    };
    await measure(OF_NAMESPACE);
    await label('web');
    await cluster.create('cluster_network_policy', {
      ...{ name: 'no-web', cluster: BENCH_CLUSTER, tier: 'admin', priority: 1 },
      rules: [{ direction: 'ingress', action: 'deny', peers: [{ pods: 'app=web', namespaces: '' }] }],
    });
    await cluster.delete('network_policy', policy.id);
    await measure(OF_CLUSTER);
    return { pods: policyPods, times };
  } finally {
    for (const child of children) child.kill('SIGKILL');
    await callAll(host, plugin, 'DEL', sandboxes, 1).catch(() => {});
    removeSandboxes(sandboxes);
  }
}

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
