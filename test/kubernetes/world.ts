/** A Cable server as an operator starts it, a double of the API server, and controllers between them. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Client, createClient } from '@cable/api';
import { type CableAccess, customKinds, openCableAccess, runController } from '@cable/controller';
import { httpTransport, silentLogger, sleep } from '@cable/kit';
import { createKubeApi, type KubeApi, type KubeKind, type KubeMeta, type KubeObject } from '@cable/kube';
import { type FakeApiServer, startFakeApiServer } from '@cable/kube/testing';
import type { PortView } from '@cable/model';
import { freePort, Program } from '../hammer/program.ts';

const LAUNCHER = fileURLToPath(new URL('../../bin/cable.mjs', import.meta.url));

const core = (plural: string, isNamespaced = true): KubeKind => ({ group: '', version: 'v1', plural, isNamespaced });

export const PODS = core('pods');
export const NODES = core('nodes', false);
export const NAMESPACES = core('namespaces', false);
export const EVENTS = core('events');
export const STATEFUL_SETS: KubeKind = { group: 'apps', version: 'v1', plural: 'statefulsets', isNamespaced: true };
export const SERVICES: KubeKind = core('services');
export const SLICES: KubeKind = {
  group: 'discovery.k8s.io',
  version: 'v1',
  plural: 'endpointslices',
  isNamespaced: true,
};
export const NETWORK_POLICIES: KubeKind = {
  ...{ group: 'networking.k8s.io', version: 'v1' },
  ...{ plural: 'networkpolicies', isNamespaced: true },
};
export const DEFINITIONS: KubeKind = {
  ...{ group: 'apiextensions.k8s.io', version: 'v1', plural: 'customresourcedefinitions', isNamespaced: false },
};
export const HOST_POLICIES: KubeKind = {
  group: 'cable.io',
  version: 'v1',
  plural: 'hostpolicies',
  isNamespaced: false,
};
const ofPolicies = (version: string, plural: string): KubeKind => ({
  ...{ group: 'policy.networking.k8s.io', version, plural, isNamespaced: false },
});
/** Of Kubernetes from 1.33 on. */
export const SERVICE_CIDRS: KubeKind = {
  ...{ group: 'networking.k8s.io', version: 'v1', plural: 'servicecidrs', isNamespaced: false },
};
export const CLUSTER_NETWORK_POLICIES: KubeKind = ofPolicies('v1alpha2', 'clusternetworkpolicies');
export const ADMIN_NETWORK_POLICIES: KubeKind = ofPolicies('v1alpha1', 'adminnetworkpolicies');
export const BASELINE_POLICIES: KubeKind = ofPolicies('v1alpha1', 'baselineadminnetworkpolicies');
export const NETWORK_ATTACHMENTS: KubeKind = {
  ...{ group: 'k8s.cni.cncf.io', version: 'v1', plural: 'network-attachment-definitions', isNamespaced: true },
};
const ofKubeVirt = (plural: string): KubeKind => ({ group: 'kubevirt.io', version: 'v1', plural, isNamespaced: true });
export const VIRTUAL_MACHINES: KubeKind = ofKubeVirt('virtualmachines');
export const VIRTUAL_MACHINE_INSTANCES: KubeKind = ofKubeVirt('virtualmachineinstances');
const LEASES: KubeKind = { group: 'coordination.k8s.io', version: 'v1', plural: 'leases', isNamespaced: true };

const KINDS = [
  { ...PODS, kind: 'Pod', hasStatus: true },
  { ...NODES, kind: 'Node', hasStatus: true },
  { ...NAMESPACES, kind: 'Namespace', hasStatus: true },
  { ...EVENTS, kind: 'Event' },
  { ...STATEFUL_SETS, kind: 'StatefulSet', hasStatus: true },
  { ...SERVICES, kind: 'Service', hasStatus: true },
  { ...SLICES, kind: 'EndpointSlice' },
  { ...NETWORK_POLICIES, kind: 'NetworkPolicy' },
  { ...SERVICE_CIDRS, kind: 'ServiceCIDR' },
  { ...CLUSTER_NETWORK_POLICIES, kind: 'ClusterNetworkPolicy', hasStatus: true, isCustom: true },
  { ...ADMIN_NETWORK_POLICIES, kind: 'AdminNetworkPolicy', hasStatus: true, isCustom: true },
  { ...BASELINE_POLICIES, kind: 'BaselineAdminNetworkPolicy', hasStatus: true, isCustom: true },
  { ...LEASES, kind: 'Lease' },
  { ...DEFINITIONS, kind: 'CustomResourceDefinition', hasStatus: true },
  // Those before 1.25, which know no rules, let everything be changed.
  ...customKinds().map(({ immutable: _, ...one }) => ({ ...one, hasStatus: true, isCustom: true })),
];

const CUSTOM_WITH_RULES = customKinds().map((one) => ({ ...one, hasStatus: true, isCustom: true }));

/** What Multus brings. */
const MULTUS = [{ ...NETWORK_ATTACHMENTS, kind: 'NetworkAttachmentDefinition', isCustom: true }];

/** What KubeVirt brings; who writes instances writes their status with them. */
const KUBEVIRT = [
  { ...VIRTUAL_MACHINES, kind: 'VirtualMachine', hasStatus: true, isCustom: true },
  { ...VIRTUAL_MACHINE_INSTANCES, kind: 'VirtualMachineInstance', isCustom: true },
];

/** `hasRules`: the API server minds the rules of custom resources, as those from 1.25 on. `hasMultus`, `hasKubeVirt`: these are installed. */
export type WorldOptions = {
  readonly hasRules?: boolean;
  readonly hasMultus?: boolean;
  readonly hasKubeVirt?: boolean;
};

/** Of a busy machine. */
const PATIENCE_MS = 30_000;

export type PodMore = {
  readonly namespace?: string;
  readonly node?: string;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, string>>;
  /** TCP ports of its container that have names. */
  readonly namedPorts?: Readonly<Record<string, number>>;
  readonly hostNetwork?: boolean;
  readonly phase?: string;
  /** The StatefulSet that makes it. */
  readonly set?: KubeObject;
  /** As a kubelet's, of a static pod. */
  readonly isNodes?: boolean;
  /** The VirtualMachineInstance that runs in it. */
  readonly instance?: KubeObject;
};

export type RunningController = { stop(): Promise<void> };

/** A Kubernetes without nodes, beside a Cable server. */
export type Cluster = {
  readonly fake: FakeApiServer;
  readonly kube: KubeApi;
  /** As an administrator. */
  readonly cable: Client;
  /** A controller of the cluster `prod`, with the Lease as soon as nobody has it. */
  control(
    identity: string,
    more?: {
      readonly podCidrs?: readonly string[];
      readonly cluster?: string;
      readonly loadBalancerCidrs?: readonly string[];
      readonly isDefaultLoadBalancer?: boolean;
      readonly serviceCidrs?: readonly string[];
      /** The server as this controller asks it. */
      readonly access?: (own: CableAccess) => CableAccess;
    },
  ): RunningController;
  pod(name: string, more?: PodMore): Promise<KubeObject>;
  annotate(name: string, annotations: Readonly<Record<string, string | null>>): Promise<void>;
  /** Ports of pods of the cluster, by the name of the pod; waits until they hold. */
  ports(
    holds: (ports: ReadonlyMap<string, PortView>) => boolean,
    cluster?: string,
  ): Promise<ReadonlyMap<string, PortView>>;
};

/** With a server of its own, and nodes that are there for it alone. */
export type World = Cluster & {
  readonly server: Program;
  readonly address: string;
  /** A node with its agent, as far as the server knows. */
  node(name: string, cluster?: string): Promise<KubeObject>;
  /** The agent says that it has plugged the port, or no more. */
  plugged(host: string, portId: string, state: 'up' | 'down'): Promise<void>;
};

/** As an owner whose controller made something; undefined: there is none. */
export function ownersOf(apiVersion: string, kind: string, owner: KubeObject | undefined): KubeMeta['ownerReferences'] {
  if (owner === undefined) return undefined;
  const { name, uid = '' } = owner.metadata;
  return [{ apiVersion, kind, name, uid, controller: true }];
}

/** Waits until it holds; fails with what was found. */
export async function until<T>(look: () => Promise<T>, holds: (found: T) => boolean): Promise<T> {
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    const found = await look();
    if (holds(found)) return found;
    if (performance.now() > deadline) throw new Error(`it does not come to hold: ${JSON.stringify(found, show)}`);
    await sleep(30);
  }
}

/** Why it may be so. */
async function eventsOf(kube: KubeApi): Promise<string> {
  const { items } = await kube.list<KubeObject & { readonly message?: string }>(EVENTS);
  return items.map(({ metadata, message = '' }) => `${metadata.name}: ${message}`).join('; ') || 'no events';
}

function show(_key: string, value: unknown): unknown {
  return value instanceof Map ? Object.fromEntries(value) : value;
}

/** A Cable server with a store of its own. */
export async function startServer(
  undo: (() => unknown)[],
): Promise<{ readonly address: string; readonly server: Program }> {
  const directory = mkdtempSync(join(tmpdir(), `cable-kubernetes-${process.pid}-`));
  undo.push(() => rmSync(directory, { recursive: true, force: true, maxRetries: 10 }));
  const port = await freePort();
  const address = `http://127.0.0.1:${port}`;
  const server = new Program({
    name: 'server',
    command: [
      process.execPath,
      ...[LAUNCHER, 'server', '--store', `lmdb:${join(directory, 'store')}`],
      ...['--listen', `127.0.0.1:${port}`, '--log-level', 'error'],
    ],
    log: join(directory, 'server.log'),
    ready: `${address}/readyz`,
  });
  // Also of one that was not ready in time.
  undo.push(() => server.end('SIGKILL'));
  await server.start();
  return { address, server };
}

/** Everything is gone when the test ends. */
export async function startWorld(t: { after(undo: () => unknown): void }, options: WorldOptions = {}): Promise<World> {
  const undo = undoing(t);
  const before = timersNow();
  undo.push(() => untilTimersAre(before));
  const { address, server } = await startServer(undo);
  const cluster = await startCluster(undo, address, options);
  const { cable, kube } = cluster;
  let underlays = 0;
  return {
    ...cluster,
    ...{ server, address },
    node: async (name, ofCluster = 'prod') => {
      underlays += 1;
      const registration = { underlay: `192.0.2.${underlays}`, agentVersion: '1', cluster: ofCluster };
      await cable.request('PUT', `/cable/v1/hosts/${name}`, registration);
      return kube.create(NODES, { metadata: { name } });
    },
    plugged: async (host, portId, state) => {
      const vifs = [{ portId, state, reason: null }];
      await cable.request('POST', `/cable/v1/hosts/${host}/status`, { revision: 0, full: false, vifs });
    },
  };
}

/** Timers that keep this process from ending. */
function timersNow(): number {
  return process.getActiveResourcesInfo().filter((one) => one === 'Timeout').length;
}

/** What has ended leaves no timer: a process in which one runs on does not end. */
async function untilTimersAre(before: number): Promise<void> {
  await until(
    async () => ({ 'timers that still run': timersNow() - before }),
    (left) => left['timers that still run'] <= 0,
  );
}

/** What is to be done when the test ends, the last first. */
export function undoing(t: { after(undo: () => unknown): void }): (() => unknown)[] {
  const undo: (() => unknown)[] = [];
  t.after(async () => {
    for (const one of undo.reverse()) await one();
  });
  return undo;
}

/** A Kubernetes with the namespaces `kube-system` and `shop`, beside the server at that address. */
export async function startCluster(
  undo: (() => unknown)[],
  address: string,
  { hasRules = false, hasMultus = false, hasKubeVirt = false }: WorldOptions = {},
): Promise<Cluster> {
  const ruled = hasRules ? CUSTOM_WITH_RULES : [];
  const isRuled = ({ plural, group }: KubeKind) => ruled.some((one) => one.plural === plural && one.group === group);
  const others = [...(hasMultus ? MULTUS : []), ...(hasKubeVirt ? KUBEVIRT : [])];
  const kinds = [...KINDS.filter((one) => !isRuled(one)), ...ruled, ...others];
  const fake = await startFakeApiServer(kinds);
  undo.push(() => fake.close());
  const [kubeTransport, cableTransport] = [httpTransport(fake.url), httpTransport(address)];
  undo.push(
    () => kubeTransport.close(),
    () => cableTransport.close(),
  );
  const kube = createKubeApi({ transport: kubeTransport });
  const cable = createClient({ transport: cableTransport });
  await kube.create(NAMESPACES, { metadata: { name: 'kube-system' } });
  await kube.create(NAMESPACES, { metadata: { name: 'shop' } });
  for (const { plural, group } of CUSTOM_WITH_RULES)
    await kube.create(DEFINITIONS, { metadata: { name: `${plural}.${group}` } });
  const ports = async (cluster: string): Promise<ReadonlyMap<string, PortView>> => {
    const found = await cable.list('port', { device_owner: 'kubernetes:pod', 'cable:cluster': cluster });
    return new Map(found.map((one) => [one.name, one]));
  };
  return {
    ...{ fake, kube, cable },
    control: (
      identity,
      {
        podCidrs = ['10.244.0.0/16'],
        cluster = 'prod',
        loadBalancerCidrs = [],
        isDefaultLoadBalancer = true,
        serviceCidrs = ['10.96.0.0/12'],
        access: asked = (own: CableAccess) => own,
      } = {},
    ) => {
      const stop = new AbortController();
      const transport = httpTransport(fake.url);
      const access = openCableAccess({ server: address, cluster, tls: undefined });
      const joins = podCidrs.map((one) => (one.includes(':') ? 'fd00:100:64::/112' : '100.64.0.0/16'));
      const options = {
        cluster,
        podCidrs,
        joinCidrs: joins,
        serviceCidrs,
        externalIpCidrs: ['198.51.100.0/24'],
        clusterDomain: 'cluster.local',
        loadBalancerCidrs,
        isDefaultLoadBalancer,
        announceExternalIps: true,
      };
      const done = runController(
        { ...options, namespace: 'kube-system', identity },
        {
          kube: createKubeApi({ transport }),
          cable: asked(access),
          log: silentLogger(),
          signal: stop.signal,
        },
      );
      const end = async (): Promise<void> => {
        stop.abort();
        await done;
        transport.close();
        access.close();
      };
      undo.push(end);
      return { stop: end };
    },
    pod: async (
      name,
      {
        namespace = 'shop',
        node,
        annotations,
        labels,
        namedPorts = {},
        hostNetwork,
        phase,
        set,
        instance,
        isNodes,
      } = {},
    ) => {
      const ports = Object.entries(namedPorts).map(([port, containerPort]) => ({ name: port, containerPort }));
      const spec = {
        containers: [{ name: 'main', ports }],
        ...(node === undefined ? {} : { nodeName: node }),
        ...(hostNetwork === undefined ? {} : { hostNetwork }),
      };
      const [owner] =
        ownersOf('apps/v1', 'StatefulSet', set) ?? ownersOf('kubevirt.io/v1', 'VirtualMachineInstance', instance) ?? [];
      const nodes = { apiVersion: 'v1', kind: 'Node', name: node, uid: `uid of ${node}` };
      const metadata = {
        ...{ name, namespace },
        ...(annotations === undefined ? {} : { annotations }),
        ...(labels === undefined ? {} : { labels }),
        ...(owner === undefined ? {} : { ownerReferences: [owner] }),
        ...(isNodes === true ? { ownerReferences: [{ ...nodes, controller: true }] } : {}),
      } as KubeMeta;
      const made = await kube.create<KubeObject>(PODS, { metadata, spec } as KubeObject);
      if (phase !== undefined) await kube.patch(PODS, { namespace, name }, { status: { phase } }, 'status');
      return made;
    },
    annotate: async (name, annotations) => {
      await kube.patch(PODS, { namespace: 'shop', name }, { metadata: { annotations } });
    },
    ports: async (holds, cluster = 'prod') => {
      try {
        return await until(() => ports(cluster), holds);
      } catch (err) {
        throw new Error(`ports of pods: ${await eventsOf(kube)}; ${(err as Error).message}`);
      }
    },
  };
}
