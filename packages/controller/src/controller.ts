/**
 * The controller: follows Kubernetes, and while it has the Lease writes to Cable what it sees there. Everything is worked on by name, from what is there now; nothing
 * is remembered that could not be asked for again.
 *
 *   API server ──list, watch──> reflectors ──keys──> queues ──> reconcile ──> Cable
 *                                                      ^            │
 *                                        every minutes └─ all keys  └─> port book
 */
import { setMaxListeners } from 'node:events';
import { ExpectedError, type Logger, onAbort, sleep } from '@cable/kit';
import { type HeldLease, holdLease, type KubeApi, placeOf, Reflector, WorkQueue } from '@cable/kube';
import { cidrContains, type KubernetesCluster, namespaceProject, parseCidr, parseIp } from '@cable/model';
import { startAnnouncedEvents } from './announced-events.ts';
import { BalancerPool } from './balancer-pool.ts';
import { type CableAccess, isGone, isSuperseded } from './cable-access.ts';
import {
  type ClusterNetworks,
  type ClusterNetworksOptions,
  ensureClusterNetworks,
  RESOLVER,
} from './cluster-networks.ts';
import { ClusterPolicies, ClusterPolicyLists } from './cluster-policies.ts';
import { CustomLists, CustomResources } from './custom/custom-resources.ts';
import {
  type AttachmentFacts,
  attachmentFacts,
  NETWORK_ATTACHMENTS,
  NETWORKS,
  type NetworkAttachment,
} from './further-interfaces.ts';
import type { Health } from './health.ts';
import { NodeAddresses } from './host-endpoints.ts';
import { HOST_POLICIES, HostPolicies } from './host-policies.ts';
import { type HostPolicyFacts, type HostPolicyObject, hostPolicyFacts } from './host-policy-facts.ts';
import { LEASE } from './install/names.ts';
import { PoolTurns } from './ip-pool.ts';
import { KeyIndex } from './key-index.ts';
import { Legs } from './legs.ts';
import { reconcileMachine } from './machine-ports.ts';
import { type GivenProjects, isOfGone, namespaceFacts, projectOf, sweepProjects } from './namespaces.ts';
import { NetworkPolicies } from './network-policies.ts';
import { type Node, nodeFacts, reconcileNode } from './nodes.ts';
import { ObjectEvents } from './object-events.ts';
import { OptionalKind } from './optional-kind.ts';
import { NAMESPACES, NODES, PODS, type Pod, type PodFacts, podFacts, STATEFUL_SETS, setFacts } from './pod-facts.ts';
import { PodMirrors } from './pod-mirrors.ts';
import { reconcilePod } from './pods.ts';
import { NETWORK_POLICIES, type NetworkPolicyObject, type PolicyFacts, policyFacts } from './policy-facts.ts';
import { PortBook } from './port-book.ts';
import { RatePolicies } from './rate-policies.ts';
import { Refusals } from './refusals.ts';
import { ServiceCidrs } from './service-cidrs.ts';
import {
  ENDPOINT_SLICES,
  type EndpointSlice,
  SERVICES,
  type Service,
  serviceFacts,
  sliceFacts,
} from './service-facts.ts';
import { ensureScope, reconcileService, reconcileSlice, ServiceBooks } from './services.ts';
import { withSliceVersions } from './slice-versions.ts';
import { MACHINE_KINDS, machineKeyOf, VirtualMachines } from './virtual-machines.ts';
import { VpcServices } from './vpc-services.ts';
import { Waits } from './waits.ts';

export type ControllerOptions = ClusterNetworksOptions & {
  /** Prefixes of which Services may take addresses as `externalIPs`. */
  readonly externalIpCidrs: readonly string[];
  /** What the names of Services end with, as kubelet's `clusterDomain` has it. */
  readonly clusterDomain: string;
  /** Prefixes of which Services of `type: LoadBalancer` get addresses; none: they get none here. */
  readonly loadBalancerCidrs: readonly string[];
  /** Of those without a class, too. */
  readonly isDefaultLoadBalancer: boolean;
  /** Nodes announce `externalIPs`, too. */
  readonly announceExternalIps: boolean;
  /** Where its Lease is. */
  readonly namespace: string;
  /** Of this process and no other. */
  readonly identity: string;
};

export type ControllerDeps = {
  readonly kube: KubeApi;
  readonly cable: CableAccess;
  /** Is told how it is; absent: nobody asks. */
  readonly health?: Health;
  readonly log: Logger;
  readonly signal: AbortSignal;
};

/** Key of the pods that name networks, and how long changes of these are gathered. */
const ALL_WITH_NETWORKS = 'all';
const SOON_MS = 200;

/** Key of the projects of all namespaces that are gone, and how long after one went, or its last port, they are looked at. */
const ALL_PROJECTS = 'all';
const SWEEP_MS = 2000;

const API_SERVER_NAMESPACE = 'default';
/** The Service behind which API servers are, as each of them makes it. */
const API_SERVER = `${API_SERVER_NAMESPACE}/kubernetes`;

/** How often everything is asked for and looked at anew, whether something was told of it or not. */
const RESYNC_MS = 5 * 60_000;

/** What is wrong with the set-up is looked at again. */
const SETUP_AGAIN_MS = 10_000;

/** Each reflector, queue and watch listens to the signal: more than Node takes for a leak. */
const LISTENERS = 200;

/** Resolves after the signal aborts. */
export async function runController(options: ControllerOptions, given: ControllerDeps): Promise<void> {
  const deps = { ...given, kube: withSliceVersions(given.kube) };
  const { kube, log, signal, health } = deps;
  setMaxListeners(LISTENERS, signal);
  const tell = new Told();
  const common = { api: kube, log, signal };
  const virtual = new VirtualMachines({ ...common, changed: (key) => tell.machine(key) });
  const podsIn = new KeyIndex();
  const pods: Followed['pods'] = new Reflector({
    ...common,
    kind: PODS,
    keep: (one: Pod) => podFacts(one),
    changed: (key) => {
      podsIn.put(key, pods.get(key)?.namespace);
      const [before, machine] = [virtual.launchers.groupOf(key), machineKeyOf(pods.get(key))];
      virtual.launchers.put(key, machine);
      tell.pod(key);
      if (before !== undefined && before !== machine) tell.machine(before);
    },
  });
  const namespaces = new Reflector({
    ...{ ...common, kind: NAMESPACES, keep: namespaceFacts },
    changed: (key) => tell.namespace(key),
  });
  const policies = new Reflector({
    ...{ ...common, kind: NETWORK_POLICIES, keep: (one: NetworkPolicyObject) => policyFacts(one) },
    changed: (key) => tell.policy(key),
  });
  const addresses = new NodeAddresses([...options.podCidrs, ...options.joinCidrs, ...options.serviceCidrs]);
  const nodes: Followed['nodes'] = new Reflector({
    ...{ ...common, kind: NODES, keep: (one: Node) => nodeFacts(one) },
    changed: (key) => {
      const node = nodes.get(key);
      addresses.put(key, node ?? { addresses: [] });
      tell.node(key);
    },
  });
  const sets = new Reflector({ ...common, kind: STATEFUL_SETS, keep: setFacts, changed: (key) => tell.set(key) });
  const services = new Reflector({
    ...{ ...common, kind: SERVICES, keep: (one: Service) => serviceFacts(one, options.isDefaultLoadBalancer) },
    changed: (key) => tell.service(key),
  });
  const index = new KeyIndex();
  const slices = new Reflector({
    ...{ ...common, kind: ENDPOINT_SLICES, keep: (one: EndpointSlice) => sliceFacts(one) },
    changed: (key) => {
      index.put(key, slices.get(key)?.service);
      tell.slice(key);
    },
  });
  const serviceCidrs = new ServiceCidrs(common, options);
  const custom = new CustomLists(common, options.namespace);
  const clusterPolicies = new ClusterPolicyLists(common);
  const attachments = new OptionalKind<NetworkAttachment, AttachmentFacts>({
    ...{ ...common, kind: NETWORK_ATTACHMENTS, keep: attachmentFacts },
    changed: () => tell.attachments(),
  });
  const hostPolicies = new OptionalKind<HostPolicyObject, HostPolicyFacts>({
    ...{ ...common, kind: HOST_POLICIES, keep: hostPolicyFacts },
    changed: (key) => tell.hostPolicy(key),
  });
  const followed = {
    serviceCidrs,
    virtual,
    attachments,
    hostPolicies,
    custom,
    clusterPolicies,
    pods,
    podsIn,
    nodes,
    addresses,
    namespaces,
    policies,
    sets,
    services,
    slices,
    index,
  };
  health?.follows(
    { pods, nodes, namespaces, statefulsets: sets, services, endpointslices: slices, networkpolicies: policies },
    allSynced(followed),
  );
  await holdLease(
    { ...{ api: kube, log, signal }, namespace: options.namespace, name: LEASE, identity: options.identity },
    (held) => lead(options, deps, followed, tell, held).finally(() => health?.standsBy()),
  );
  const optional = [attachments.list, hostPolicies.list, serviceCidrs];
  const lists = [pods, nodes, namespaces, policies, sets, services, slices, custom, clusterPolicies, ...optional];
  await Promise.all([...lists, virtual].map(({ done }) => done));
}

type Followed = {
  readonly serviceCidrs: ServiceCidrs;
  readonly virtual: VirtualMachines;
  readonly attachments: OptionalKind<NetworkAttachment, AttachmentFacts>;
  readonly hostPolicies: OptionalKind<HostPolicyObject, HostPolicyFacts>;
  readonly custom: CustomLists;
  readonly clusterPolicies: ClusterPolicyLists;
  readonly pods: Reflector<Pod, ReturnType<typeof podFacts>>;
  /** Their keys, by namespace. */
  readonly podsIn: KeyIndex;
  readonly nodes: Reflector<Node, ReturnType<typeof nodeFacts>>;
  readonly addresses: NodeAddresses;
  readonly namespaces: Reflector<Parameters<typeof namespaceFacts>[0], ReturnType<typeof namespaceFacts>>;
  readonly policies: Reflector<NetworkPolicyObject, PolicyFacts>;
  readonly sets: Reflector<Parameters<typeof setFacts>[0], ReturnType<typeof setFacts>>;
  readonly services: Reflector<Service, ReturnType<typeof serviceFacts>>;
  readonly slices: Reflector<EndpointSlice, ReturnType<typeof sliceFacts>>;
  readonly index: KeyIndex;
};

/** All that has to be there before anything is judged by what is not. */
function allSynced({
  virtual,
  attachments,
  hostPolicies,
  clusterPolicies,
  policies,
  pods,
  nodes,
  namespaces,
  sets,
  services,
  slices,
}: Followed): Promise<unknown> {
  return Promise.all([
    policies.synced,
    clusterPolicies.known,
    attachments.known,
    hostPolicies.known,
    virtual.known,
    pods.synced,
    nodes.synced,
    namespaces.synced,
    sets.synced,
    services.synced,
    slices.synced,
  ]);
}

/** Who is told of keys: the queues of who has the Lease now, or nobody. */
class Told {
  pod: (key: string) => void = () => {};
  node: (key: string) => void = () => {};
  namespace: (key: string) => void = () => {};
  policy: (key: string) => void = () => {};
  set: (key: string) => void = () => {};
  machine: (key: string) => void = () => {};
  service: (key: string) => void = () => {};
  slice: (key: string) => void = () => {};
  attachments: () => void = () => {};
  hostPolicy: (key: string) => void = () => {};
}

/** Returns when the Lease may be another's, or another writes for the cluster. */
async function lead(
  given: ControllerOptions,
  deps: ControllerDeps,
  followed: Followed,
  tell: Told,
  held: HeldLease,
): Promise<void> {
  const { kube, cable, log, health } = deps;
  health?.begins();
  const { attachments, pods, podsIn, nodes, addresses, namespaces, policies, sets, services, slices, index } = followed;
  const { virtual } = followed;
  const ending = new AbortController();
  const signal = AbortSignal.any([held.signal, ending.signal]);
  setMaxListeners(LISTENERS, signal);
  await Promise.race([followed.serviceCidrs.known, aborted(signal)]);
  const options = { ...given, serviceCidrs: followed.serviceCidrs.all };
  // Networks, routes and scopes are made of them: who leads next begins with all.
  followed.serviceCidrs.follow(
    options.serviceCidrs,
    () => {
      log.info(
        { before: options.serviceCidrs, now: followed.serviceCidrs.all },
        'Services have another prefix: begins anew',
      );
      ending.abort();
    },
    () => {
      if (!signal.aborted) void followed.serviceCidrs.tell();
    },
  );
  addresses.cover([...options.podCidrs, ...options.joinCidrs, ...options.serviceCidrs]);
  const setUp = await patiently(() => takeOver(options, deps, held), { log, signal, health });
  if (setUp === undefined) return;
  const { book, books, mirrors } = setUp;
  let { projects } = setUp;
  await Promise.race([allSynced(followed), aborted(signal)]);
  if (signal.aborted) return;
  // Who is superseded stops at once: another may write something else.
  const guarded = (work: (key: string) => Promise<void>) => async (key: string) => {
    try {
      await work(key);
    } catch (err) {
      if (isSuperseded(err)) ending.abort();
      throw err;
    }
  };
  const shared = { cable, kube, book, log, networks: () => setUp.networks };
  const networkPolicies = new NetworkPolicies({
    ...{ cable, kube, policies, namespaces, guarded, log, signal },
    ...{ cluster: options.cluster, clusterUid: setUp.uid, events: setUp.events },
  });
  const nodePlaces = {
    nodes,
    portAddresses: (node: string) => book.of('Node', node).flatMap((port) => port.addresses),
    clusterCidrs: [...options.podCidrs, ...options.joinCidrs, ...options.serviceCidrs],
  };
  const hostPolicies = new HostPolicies({
    ...{ ...nodePlaces, cable, kube, guarded, log, signal, policies: followed.hostPolicies },
    ...{ cluster: options.cluster, clusterUid: setUp.uid },
  });
  const clusterPolicies = new ClusterPolicies({
    ...{ ...nodePlaces, cable, kube, namespaces, guarded, log, signal, lists: followed.clusterPolicies },
    ...{ cluster: options.cluster, clusterUid: setUp.uid, events: setUp.events },
    apiServers: () =>
      index.of(API_SERVER).flatMap((key) => slices.get(key)?.endpoints.map(({ address }) => address) ?? []),
  });
  const loadHosts = async () =>
    addresses.takeHosts(await cable.own.list('host', { cluster: options.cluster, limit: 2000 }));
  const loadFirst = () =>
    Promise.all([networkPolicies.load(), clusterPolicies.load(), hostPolicies.load(), loadHosts()]);
  await patiently(loadFirst, { log, signal, health });
  if (signal.aborted) return;
  const podRefusals = new Refusals();
  const waits = new Waits();
  const turns = new PoolTurns();
  const rates = new RatePolicies(cable, options.cluster);
  const legs = new Legs({
    ...{ cable, cluster: options.cluster, networks: () => setUp.networks, joinCidrs: options.joinCidrs },
    legCidrs: [...options.joinCidrs, ...options.serviceCidrs, RESOLVER],
  });
  const projectFor = (namespace: string) => projectOf(options.cluster, namespaces, projects, namespace);
  const custom = new CustomResources({
    ...{ ...shared, lists: followed.custom, cluster: options.cluster, operatorNamespace: options.namespace },
    ...{ ports: book, events: setUp.events, signal, guarded, podProjectOf: projectFor },
    subnetReady: (ready) => {
      for (const key of ready.flatMap((namespace) => [...podsIn.of(namespace)]))
        if (book.ofPod(key).length === 0) podQueue.add(key);
    },
    // What stands beside the controller is of the cluster as a whole.
    given: () => givenTo(namespaces, projects),
    projectOf: (one) => (one === options.namespace ? namespaceProject(options.cluster, '') : projectFor(one)),
  });
  const ofPods = {
    ...{ ...shared, pods, sets, cluster: options.cluster, rates, legs, turns, mirrors, waits },
    arePoliciesSettled: ({ namespace, labels }: Pick<PodFacts, 'namespace' | 'labels'>) =>
      networkPolicies.areSettled(namespace) &&
      clusterPolicies.areSettled(namespaces.get(namespace)?.labels ?? [], labels) &&
      (clusterPolicies.isEmpty || networkPolicies.isNamespaceSettled(namespace)),
    projectOf: projectFor,
    placeFor: (namespace: string, subnet?: string) => custom.placeFor(namespace, subnet),
    attachments: {
      get: (one: string) => attachments.list.get(one),
      get isThere() {
        return attachments.isThere;
      },
    },
    events: setUp.events,
    refusals: podRefusals,
    again: (again: string, ms: number) => podQueue.addAfter(again, ms),
    isOfMachine: (pod: PodFacts) => pod.instance !== undefined && virtual.isThere,
  };
  const podChanged = (key: string): void => {
    custom.podChanged(key);
    vpcServices.podChanged(key);
    const { namespace = '' } = placeOf(key);
    if (namespaces.get(namespace) === undefined) sweepQueue.addAfter(ALL_PROJECTS, SWEEP_MS);
  };
  const sweepQueue: WorkQueue = new WorkQueue({
    ...{ name: 'projects of namespaces that are gone', log, signal },
    work: guarded(() => sweepProjects(cable, options.cluster)),
  });
  const podQueue: WorkQueue = new WorkQueue({
    ...{ name: 'pods', atOnce: 32, log, signal },
    work: guarded(async (key) => {
      try {
        await reconcilePod(ofPods, key);
      } finally {
        podChanged(key);
      }
      const machine = virtual.launchers.groupOf(key);
      if (machine !== undefined) machineQueue.add(machine);
    }),
  });
  const settled = new Set<string>();
  const ofMachines = {
    ...{ ...ofPods, settled, machines: virtual.machines.list, instances: virtual.instances.list },
    areKnown: () => virtual.isThere,
    launchers: (key: string) => virtual.launchers.of(key),
    machineAgain: (key: string, ms: number) => machineQueue.addAfter(key, ms),
  };
  const machineQueue: WorkQueue = new WorkQueue({
    ...{ name: 'virtual machines', atOnce: 32, log, signal },
    work: guarded((key) =>
      reconcileMachine(ofMachines, key).finally(() => {
        for (const pod of virtual.launchers.of(key)) podChanged(pod);
      }),
    ),
  });
  // Definitions are few, and come in numbers: pods are looked through once for all of them.
  const withNetworks: WorkQueue = new WorkQueue({
    ...{ name: 'network attachments', log, signal },
    work: async () => {
      for (const key of pods.keys()) if (pods.get(key)?.annotations[NETWORKS] !== undefined) podQueue.add(key);
    },
  });
  const hasHost = (name: string): boolean => addresses.underlayOf(name) !== undefined;
  const ofNodes = { ...shared, nodes, cluster: options.cluster, hasHost };
  const nodeQueue: WorkQueue = new WorkQueue({
    ...{ name: 'nodes', log, signal },
    work: guarded(async (name) => {
      await reconcileNode({ ...ofNodes, again: (again, ms) => nodeQueue.addAfter(again, ms) }, name);
      if (addresses.underlayOf(name) === undefined && book.of('Node', name).length > 0) await findHost(name);
      noteNode(name);
      custom.nodeChanged(name);
      await tellOfOthers(name);
    }),
  });
  const findHost = async (name: string): Promise<void> => {
    const [host] = await cable.own.list('host', { cluster: options.cluster, id: name });
    if (host !== undefined) addresses.putHost(host);
  };
  const reached = new Map<string, string>();
  /** Endpoints that are the node itself are reached by its port, which may have come or gone, or by what address they are known. */
  const noteNode = (name: string): void => {
    const [before, own] = [reached.get(name) ?? '', addresses.of(name)];
    const shown = addresses.underlayOf(name) ?? '-';
    const now = [...own, '|', shown, ...book.of('Node', name).flatMap((port) => port.addresses)].join(' ');
    if (now === before) return;
    reached.set(name, now);
    clusterPolicies.nodesChanged();
    hostPolicies.nodesChanged();
    const concerned = new Set([...own, ...before.split(' ')]);
    for (const key of slices.keys()) {
      if (slices.get(key)?.endpoints.some(({ address }) => concerned.has(address)) === true) sliceQueue.add(key);
    }
  };
  const tellOfOthers = async (name: string): Promise<void> => {
    const [{ address, node: first } = { address: '', node: '' }] = addresses.ofOthers(name);
    if (address === '') {
      setUp.events.well('Node', `default/${name}`);
      return;
    }
    const subject = { apiVersion: 'v1', kind: 'Node', namespace: 'default', name, uid: nodes.get(name)?.uid ?? '' };
    const message = `its status says that it has ${address}, which node ${first} has: endpoints at that address lead to ${first}`;
    await setUp.events.warn(subject, 'AddressOfAnotherNode', message);
  };
  const pool = new BalancerPool(options.loadBalancerCidrs);
  pool.load(
    [...services.keys()].flatMap((key) => {
      const balancer = services.get(key)?.balancer;
      return balancer === undefined ? [] : [[key, balancer] as const];
    }),
  );
  const vpcServices = new VpcServices({
    ...{ cable, kube, services, slices, legs, guarded, log, signal, ports: book, projectOf: projectFor },
    ...{ cluster: options.cluster, clusterUid: setUp.uid, clusterDomain: options.clusterDomain },
    ...{ serviceCidrs: options.serviceCidrs, podCidrs: options.podCidrs, events: new ObjectEvents(kube, log) },
    slicesOf: (service) => index.of(service),
    sliceAgain: (key) => sliceQueue.add(key),
  });
  if ((await patiently(() => vpcServices.load(), { log, signal, health })) === undefined && signal.aborted) return;
  const ofServices = {
    ...{ cable, kube, pool, services, slices, books, log, events: setUp.events },
    refusals: new Refusals(),
    ...{ ports: book, nodes: addresses, clusterUid: setUp.uid, scopeId: setUp.scopeId },
    isExternalAllowed: isWithin(options.externalIpCidrs),
    announceExternalIps: options.announceExternalIps,
    isWithinVpc: (namespace: string, address: string) => vpcServices.isWithin(namespace, address),
    slicesOf: (service: string) => {
      for (const key of index.of(service)) sliceQueue.add(key);
    },
    again: (key: string, ms: number) => serviceQueue.addAfter(key, ms),
    sliceAgain: (key: string, ms: number) => sliceQueue.addAfter(key, ms),
  };
  const serviceQueue: WorkQueue = new WorkQueue({
    ...{ name: 'services', atOnce: 16, log, signal },
    work: guarded((key) => reconcileService(ofServices, key)),
  });
  const sliceQueue: WorkQueue = new WorkQueue({
    ...{ name: 'endpoint slices', atOnce: 16, log, signal },
    work: guarded((key) => reconcileSlice(ofServices, key)),
  });
  const addAll = (): void => {
    for (const key of new Set([...pods.keys(), ...book.keys('Pod')])) podQueue.add(key);
    for (const key of new Set(MACHINE_KINDS.flatMap((kind) => book.keys(kind)))) machineQueue.add(key);
    for (const key of new Set([...nodes.keys(), ...book.keys('Node'), ...addresses.hosts])) nodeQueue.add(key);
    for (const key of new Set([...services.keys(), ...books.services.keys()])) serviceQueue.add(key);
    for (const key of new Set([...slices.keys(), ...books.sets.keys()])) sliceQueue.add(key);
    sweepQueue.addAfter(ALL_PROJECTS, SWEEP_MS);
  };
  Object.assign(tell, {
    pod: (key: string) => podQueue.add(key),
    machine: (key: string) => machineQueue.add(key),
    node: (key: string) => {
      nodeQueue.add(key);
      if (clusterPolicies.nodeChanged(key, nodes.get(key))) hostPolicies.nodesChanged();
    },
    // Ports that it has kept may be due to go.
    set: (set: string) => {
      for (const key of book.podsOfSet(set)) podQueue.add(key);
    },
    service: (key: string) => {
      serviceQueue.add(key);
      vpcServices.serviceChanged(key);
    },
    slice: (key: string) => {
      sliceQueue.add(key);
      vpcServices.sliceChanged(key);
      if (key.startsWith(`${API_SERVER_NAMESPACE}/`)) clusterPolicies.apiServersChanged();
    },
    attachments: () => withNetworks.addAfter(ALL_WITH_NETWORKS, SOON_MS),
    namespace: (key: string) => {
      networkPolicies.namespaceChanged(key);
      custom.namespaceChanged(key);
      if (namespaces.get(key) === undefined) sweepQueue.addAfter(ALL_PROJECTS, SWEEP_MS);
    },
    policy: (key: string) => networkPolicies.policyChanged(key),
    hostPolicy: (key: string) => hostPolicies.policyChanged(key),
  });
  startAnnouncedEvents({ client: cable.own, book: books.services, services, events: setUp.events, log, signal });
  networkPolicies.open();
  clusterPolicies.open();
  hostPolicies.open();
  nodeQueue.open();
  podQueue.open();
  machineQueue.open();
  withNetworks.open();
  sweepQueue.open();
  serviceQueue.open();
  sliceQueue.open();
  vpcServices.open();
  addAll();
  vpcServices.resync();
  health?.writes({
    ...{ pods: podQueue, nodes: nodeQueue, services: serviceQueue, endpointslices: sliceQueue },
    virtualmachines: machineQueue,
  });
  log.info(
    { cluster: options.cluster, pods: pods.size, nodes: nodes.size, ports: book.size },
    'writes for the cluster',
  );
  try {
    while (!signal.aborted) {
      await sleep(RESYNC_MS, signal);
      if (signal.aborted) break;
      try {
        projects = await givenProjects(options.cluster, cable);
        await Promise.all([
          book.load(cable.own),
          books.load(cable.own, setUp.scopeId),
          mirrors.load(cable.own),
          loadHosts(),
          networkPolicies.load(),
          clusterPolicies.load(),
          hostPolicies.load(),
          vpcServices.load(),
        ]);
      } catch (err) {
        log.warn({ err }, 'what Cable has was not asked for anew');
      }
      const used = book.qosPolicies();
      await rates
        .sweep((id) => used.has(id))
        .catch((err: unknown) => log.warn({ err }, 'QoS policies that no pod has were not deleted'));
      const inUse = book.securityGroups();
      await legs
        .sweep(
          (id) => inUse.has(id),
          (project) => isOfGone(options.cluster, namespaces, projects, project),
        )
        .catch((err: unknown) => log.warn({ err }, 'groups of VPCs without pods were not deleted'));
      addAll();
      networkPolicies.resync();
      clusterPolicies.resync();
      hostPolicies.resync();
      vpcServices.resync();
      custom.resync();
    }
  } finally {
    Object.assign(tell, new Told());
    followed.custom.follow(() => {});
    followed.clusterPolicies.follow(() => {});
    ending.abort();
  }
}

/** Tries again as long as the signal lets it; undefined: it has aborted. */
async function patiently<T>(
  run: () => Promise<T>,
  { log, signal, health }: { readonly log: Logger; readonly signal: AbortSignal; readonly health: Health | undefined },
): Promise<T | undefined> {
  while (!signal.aborted) {
    try {
      return await run();
    } catch (err) {
      if (signal.aborted) break;
      log.error({ err }, 'cannot begin to write for the cluster, will try again');
      health?.begins(err instanceof Error ? err.message : String(err));
      await sleep(SETUP_AGAIN_MS, signal);
    }
  }
  return undefined;
}

/** Claims the cluster, and finds what there is of it. */
async function takeOver(options: ControllerOptions, { kube, cable, log }: ControllerDeps, held: HeldLease) {
  const uid = (await kube.get(NAMESPACES, { name: 'kube-system' })).metadata.uid ?? '';
  const cluster = await claim(options, cable, held, uid);
  cable.lead(cluster.epoch);
  const networks: ClusterNetworks = await ensureClusterNetworks(cable, options, log);
  const scope = {
    ...{ cluster: options.cluster, clusterUid: uid, cidrs: options.serviceCidrs, routerId: networks.routerId },
    clusterDomain: options.clusterDomain,
  };
  const scopeId = await ensureScope(cable.own, scope);
  const [book, books, mirrors] = [new PortBook(options.cluster), new ServiceBooks(), new PodMirrors(options.cluster)];
  await Promise.all([book.load(cable.own), books.load(cable.own, scopeId), mirrors.load(cable.own)]);
  const projects = await givenProjects(options.cluster, cable);
  return { uid, networks, scopeId, book, books, mirrors, projects, events: new ObjectEvents(kube, log) };
}

/** Namespaces that are other projects than their own. */
function givenTo(namespaces: Followed['namespaces'], projects: GivenProjects): ReadonlyMap<string, string> {
  const named = [...namespaces.keys()].flatMap((name) => {
    const project = projects.get(namespaces.get(name)?.uid ?? '');
    return project === undefined ? [] : [[name, project] as const];
  });
  return new Map(named);
}

/** As the cluster has them now. */
async function givenProjects(cluster: string, { own }: CableAccess): Promise<GivenProjects> {
  const row = (await own.get('kubernetes_cluster', cluster)) as unknown as KubernetesCluster;
  return new Map(row.namespace_projects.map((one) => [one.uid, one.project_id]));
}

async function claim(
  { cluster, identity }: ControllerOptions,
  { claiming, admin }: CableAccess,
  held: HeldLease,
  uid: string,
): Promise<KubernetesCluster> {
  for (;;) {
    const epoch = held.transitions() + 1;
    try {
      const answer = await claiming.action('kubernetes_cluster', cluster, 'claim', { uid, holder: identity, epoch });
      return answer as KubernetesCluster;
    } catch (err) {
      if (isGone(err)) await create(cluster, admin);
      else if (isSuperseded(err)) {
        // The Lease was deleted and counts from the beginning: what was claimed counts on.
        const known = (await claiming.get('kubernetes_cluster', cluster)) as unknown as KubernetesCluster;
        await held.raise(known.epoch);
        held.signal.throwIfAborted();
      } else throw err;
    }
  }
}

/** Where nobody is asked who he is, it makes the cluster itself. */
async function create(cluster: string, admin: CableAccess['admin']): Promise<void> {
  if (admin === undefined) {
    throw new ExpectedError(
      `the server knows no Kubernetes cluster ${cluster}: cable kubernetes cluster create ${cluster}`,
    );
  }
  await admin.create('kubernetes_cluster', { name: cluster });
}

function isWithin(cidrs: readonly string[]): (address: string) => boolean {
  const prefixes = cidrs.flatMap((one) => parseCidr(one) ?? []);
  return (text) => {
    const address = parseIp(text);
    return address !== undefined && prefixes.some((one) => cidrContains(one, address));
  };
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    onAbort(signal, resolve);
  });
}
