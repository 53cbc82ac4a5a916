/** How soon the pods of a Deployment are Ready on a node of a real Kubernetes: with Cable, and with the reference plug-ins on the same node in the same run. */
import { copyFileSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { startTimeLimit } from '@cable/kit';
import type { KubeApi, KubeKind, KubeObject } from '@cable/kube';
import Table from 'cli-table3';
import { IMAGE } from '../../test/kube/images.ts';
import type { KubeNode } from '../../test/kube/kubelet.ts';
import { lacking, RealCluster } from '../../test/kube/real-cluster.ts';
import { interruption } from '../lib/interruption.ts';
import { median, quantile } from '../lib/statistics.ts';
import type { Options } from './options.ts';

export const NETWORKS = ['cable', 'reference'] as const;

export type NetworkName = (typeof NETWORKS)[number];

/** Of one scale-up. */
export type ReadyRound = {
  /** Of each pod, from when the API server had it to when it said that it is Ready; ms. */
  readonly pods: readonly number[];
  /** From the request to the last of them. */
  readonly allMs: number;
};

export type ReadyFigures = {
  readonly pods: number;
  readonly rounds: readonly Readonly<Record<NetworkName, ReadyRound>>[];
};

const NAMESPACE = 'bench';
const NAME = 'load';
const PORT = 8080;
const PLUGINS = '/usr/lib/cni';
const REFERENCE = ['bridge', 'host-local', 'portmap'];
/** Begins the addresses that the reference gives. */
const PREFIX = '10.80.';
/** The first by name is the runtime's. */
const CONFLIST = '/etc/cni/net.d/00-reference.conflist';
const DEADLINE_MS = 600_000;

const PODS: KubeKind = { group: '', version: 'v1', plural: 'pods', isNamespaced: true };
const DEPLOYMENTS: KubeKind = { group: 'apps', version: 'v1', plural: 'deployments', isNamespaced: true };

type Bed = { readonly cluster: RealCluster; readonly kube: KubeApi; readonly node: KubeNode };

/** Why it cannot be measured here; undefined: it can. */
export function lackingForReady(programs: string): string | undefined {
  const absent = REFERENCE.filter((one) => !existsSync(join(PLUGINS, one)));
  return lacking(programs) ?? (absent.length > 0 ? `there is no ${absent.join(', no ')} in ${PLUGINS}` : undefined);
}

/**
 * All on one node of two, the other has the control plane. While the reference is measured nothing of Cable but the idle agent runs on the node, and no controller makes ports.
 * Throws when pods are not Ready within ten minutes.
 */
export async function measureReady(
  programs: string,
  { rounds, readyPods }: Options,
  say: (line: string) => void,
): Promise<ReadyFigures> {
  say('ready: bringing up a Kubernetes of two nodes');
  const cluster = await RealCluster.create({ programs, label: 'cbready' });
  try {
    await cluster.start();
    const node = cluster.nodes[1];
    if (node === undefined) throw new Error('there is no second node');
    for (const one of REFERENCE) copyFileSync(join(PLUGINS, one), join(cluster.directory, 'n2/opt/cni/bin', one));
    await cluster.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } }, deploymentOn(node));
    const connection = await cluster.kube();
    const bed = { cluster, kube: connection.api, node };
    const found: Record<NetworkName, ReadyRound>[] = [];
    for (let round = 1; round <= rounds; round += 1) {
      const one: Partial<Record<NetworkName, ReadyRound>> = {};
      // What comes second has what the first left warm: each is so in turn.
      for (const network of round % 2 === 1 ? NETWORKS : [...NETWORKS].reverse()) {
        interruption.throwIfAborted();
        await use(bed, network);
        say(`ready: round ${round} of ${rounds}: ${readyPods} pods by ${SHOWN[network]}`);
        one[network] = await scaleUp(bed, readyPods, network);
        await scaleTo(bed, 0);
      }
      found.push(one as Record<NetworkName, ReadyRound>);
    }
    connection.close();
    return { pods: readyPods, rounds: found };
  } finally {
    cluster.remove();
  }
}

/** Small pods that are Ready as soon as they are reached. */
function deploymentOn({ name }: KubeNode): object {
  const labels = { app: NAME };
  const container = {
    ...{ name: 'main', image: IMAGE, imagePullPolicy: 'Never', command: ['/bin/httpd', '-f', '-p', String(PORT)] },
    resources: { requests: { cpu: '10m' } },
    readinessProbe: { tcpSocket: { port: PORT }, periodSeconds: 1, timeoutSeconds: 5 },
  };
  const spec = { nodeName: name, terminationGracePeriodSeconds: 0, containers: [container] };
  return {
    ...{ apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: NAME, namespace: NAMESPACE } },
    spec: { replicas: 0, selector: { matchLabels: labels }, template: { metadata: { labels }, spec } },
  };
}

/** No pod is there. Resolves when one that came has its address as it should. */
async function use(bed: Bed, network: NetworkName): Promise<void> {
  const { cluster, node } = bed;
  const isCable = network === 'cable';
  if (isCable) node.run('rm', '-f', CONFLIST);
  else node.write(CONFLIST, JSON.stringify(REFERENCE_CONFLIST));
  const controllers = ['-n', 'kube-system', 'deployment/cable-controller'] as const;
  await cluster.kubectl(['scale', ...controllers, `--replicas=${isCable ? 2 : 0}`]);
  await cluster.kubectl(['rollout', 'status', ...controllers, '--timeout=300s']);
  const component = 'app.kubernetes.io/component=cable-controller';
  await cluster.until(['-n', 'kube-system', 'get', 'pods', '-l', component, '-o', 'name'], (names) =>
    isCable ? names !== '' : names === '',
  );
  // The runtime reads its configuration when it hears of the change.
  const deadline = performance.now() + DEADLINE_MS;
  for (;;) {
    await scaleTo(bed, 1);
    const address = ['get', 'pods', '-n', NAMESPACE, '-o', 'jsonpath={.items[*].status.podIP}'];
    const given = await cluster.until(address, (text) => text !== '');
    await scaleTo(bed, 0);
    if (given.startsWith(PREFIX) !== isCable) return;
    if (performance.now() > deadline) throw new Error(`the runtime of ${node.name} does not take ${network}`);
  }
}

const REFERENCE_CONFLIST = {
  ...{ cniVersion: '1.0.0', name: 'reference' },
  plugins: [
    {
      ...{ type: 'bridge', bridge: 'br-reference', isGateway: true, ipMasq: false },
      ipam: { type: 'host-local', ranges: [[{ subnet: `${PREFIX}0.0/16` }]], routes: [{ dst: '0.0.0.0/0' }] },
    },
    { type: 'portmap', capabilities: { portMappings: true } },
  ],
};

async function scale(kube: KubeApi, replicas: number): Promise<void> {
  await kube.patch(DEPLOYMENTS, { namespace: NAMESPACE, name: NAME }, { spec: { replicas } });
}

/** Resolves when so many are there and Ready, and no others. */
async function scaleTo({ cluster, kube }: Bed, replicas: number): Promise<void> {
  await scale(kube, replicas);
  const states = 'jsonpath={range .items[*]}{.status.conditions[?(@.type=="Ready")].status} {end}';
  const holds = (text: string): boolean => text.trim() === Array(replicas).fill('True').join(' ');
  await cluster.until(['-n', NAMESPACE, 'get', 'pods', '-o', states], holds, DEADLINE_MS / 1000);
}

type Pod = KubeObject & {
  readonly status?: {
    readonly podIP?: string;
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
  };
};

const isReady = ({ status }: Pod): boolean =>
  status?.conditions?.some((one) => one.type === 'Ready' && one.status === 'True') ?? false;

async function scaleUp({ kube }: Bed, count: number, network: NetworkName): Promise<ReadyRound> {
  const where = { namespace: NAMESPACE };
  const { resourceVersion } = await kube.list(PODS, where);
  const limit = startTimeLimit(DEADLINE_MS, interruption, new Error(`not all pods are Ready with ${network}`));
  const { signal } = limit;
  const [made, ready] = [new Map<string, number>(), new Map<string, number>()];
  const follow = async (): Promise<void> => {
    const timeoutSeconds = DEADLINE_MS / 1000;
    for await (const { object } of kube.watch<Pod>(PODS, { ...where, resourceVersion, timeoutSeconds, signal })) {
      const now = performance.now();
      const { uid } = object.metadata;
      if (uid === undefined) continue;
      if (!made.has(uid)) made.set(uid, now);
      if (!isReady(object) || ready.has(uid)) continue;
      const address = object.status?.podIP ?? '';
      if (address.startsWith(PREFIX) !== (network === 'reference')) throw new Error(`${address} is not of ${network}`);
      ready.set(uid, now);
      if (ready.size === count) return;
    }
  };
  try {
    const following = follow();
    const begun = performance.now();
    await Promise.all([following, scale(kube, count)]);
    const pods = [...ready].map(([uid, at]) => at - (made.get(uid) ?? Number.NaN));
    return { pods, allMs: Math.max(...ready.values()) - begun };
  } finally {
    limit.stop();
  }
}

const SHOWN: Readonly<Record<NetworkName, string>> = { cable: 'Cable', reference: 'reference bridge + host-local' };

export function readyTable({ pods, rounds }: ReadyFigures): string {
  const head = [`${pods} pods to Ready`, 'a pod: median s', '90 of 100 s', 'all s', 'reference / it', 'goal'];
  const table = new Table({ head, style: { head: [], border: [] } });
  const figures: readonly ((round: ReadyRound) => number)[] = [
    (round) => median(round.pods),
    (round) => quantile(round.pods, 0.9),
    (round) => round.allMs,
  ];
  const ratio = median(rounds.map(({ cable, reference }) => median(reference.pods) / median(cable.pods)));
  for (const network of NETWORKS) {
    const own = rounds.map((round) => round[network]);
    const cells = figures.map((figure) => (median(own.map(figure)) / 1000).toFixed(2));
    const isCable = network === 'cable';
    const verdict = `not slower: ${ratio >= 1 ? 'reached' : 'MISSED'}`;
    table.push([SHOWN[network], ...cells, isCable ? `${ratio.toFixed(2)}×` : '', isCable ? verdict : '']);
  }
  return table.toString();
}
