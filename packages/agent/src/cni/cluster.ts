/**
 * The commands on a node of a Kubernetes cluster. There the controller makes the ports of pods, and they come to this host with its other ports: nothing here asks a server, so a node
 * works while that is away, and no port is made or deleted.
 */
import { startTimeLimit } from '@cable/kit';
import { FIRST_INTERFACE, type LocalPort, VPC_INTERFACE } from '@cable/model';
import { attachmentOf } from './attachment.ts';
import { compareWithResult, requireProgrammed } from './check.ts';
import type { CniDeps } from './deps.ts';
import { CNI_CODE, CniError, checkFailed, invalidConfig } from './errors.ts';
import { type IsKept, keptBy } from './gc.ts';
import { linksOf } from './held-links.ts';
import { joinPod, plugTimeoutMs } from './join-pod.ts';
import { isPluggedBy, markOf } from './link-owner.ts';
import { type LocalFacts, podPortOf } from './local-facts.ts';
import { type ClusterNetconf, notForCluster } from './netconf.ts';
import { LEG_OWNER, POD_OWNER, type PodPort } from './pod-port.ts';
import type { CniRequest } from './request.ts';
import type { Attachment } from './result.ts';
import { type VpcPod, vpcAttachments } from './vpc-pod.ts';

type ClusterRequest = CniRequest<ClusterNetconf>;

/** What makes a port that of a pod's interface: the controller writes it to the port. */
export function podDeviceIdOf({ podUid, interfaceName }: Pick<CniRequest, 'podUid' | 'interfaceName'>): string {
  return `${podUid}:${interfaceName}`;
}

/**
 * Plugs the pod's port, for which it waits if the runtime was faster than the controller. It ends at once when the port is taken away meanwhile. Returns the result to print.
 * `signal` ends it, with its reason.
 */
export async function addClusterPod(request: ClusterRequest, deps: CniDeps, signal: AbortSignal): Promise<string> {
  signal.throwIfAborted();
  requireCluster(request, deps);
  const { networkField, cluster } = request.conf;
  // Of all pods of the node: no definition says it to the controller.
  if (networkField !== undefined && request.interfaceName === FIRST_INTERFACE)
    throw notForCluster(networkField, cluster);
  const netns = deps.links.open(request.netns);
  try {
    const pod = findPod(deps.localFacts, request) ?? (await comingPorts(request, deps, signal));
    const taken = new AbortController();
    const stop = watchPod(deps.localFacts, request, () => {
      if (!isSame(findPod(deps.localFacts, request), pod)) taken.abort(takenAway(request));
    });
    try {
      return await joinPod(
        request,
        madeOf(request, pod, deps.localFacts),
        netns,
        deps,
        AbortSignal.any([signal, taken.signal]),
      );
    } finally {
      stop();
    }
  } finally {
    netns.close();
  }
}

/** Removes the link if it is still the container's. The port is the pod's, which may have another container already: it stays. */
export async function deleteClusterPod(request: ClusterRequest, deps: CniDeps): Promise<void> {
  await deps.links.unplug(linksOf(request, deps, []));
  deps.hostPorts.release(request);
}

/** Compares what is on this host with what ADD had made. Throws CniError 102 with the difference. */
export async function checkClusterPod(request: ClusterRequest, deps: CniDeps): Promise<void> {
  const links = deps.links.held().filter(({ owner }) => isPluggedBy(owner, request));
  if (links.length === 0) throw checkFailed('the container has no link on this host, or another has its place');
  const ports = links.map(({ owner: { portId } }) => {
    const port = deps.localFacts.port(portId);
    if (port === undefined) throw checkFailed(`port ${portId} is not on this host any more`);
    return port;
  });
  const pod = podOf(ports, deps.localFacts);
  if (pod === undefined) throw checkFailed('the container has not the links that its ports want');
  for (const { id } of ports) await requireProgrammed(id, deps);
  const all = attachmentsOf(request, pod, deps.localFacts);
  for (const made of all) compareWithResult(request, made, deps);
  if (all[0] !== undefined) deps.hostPorts.check(request, all[0]);
}

/** Removes the links of this CNI network that the runtime does not know. */
export async function collectClusterGarbage(request: ClusterRequest, deps: CniDeps, isRunning: IsKept): Promise<void> {
  const isKept = keptBy(request, isRunning);
  const mark = markOf(request.conf.name);
  const garbage = deps.links.held().filter(({ owner: { plugged } }) => {
    return plugged?.networkMark === mark && !isKept(plugged.containerId, plugged.interfaceName);
  });
  await deps.links.unplug(garbage);
  deps.hostPorts.prune();
  for (const { hostName, owner } of garbage) deps.log.info({ link: hostName, ...owner }, 'cni garbage collected');
}

/** Throws CniError 7 where the agent is of another cluster, 50 where ADD could not plug a port that this host has been sent. */
export function reportClusterStatus(request: ClusterRequest, deps: Pick<CniDeps, 'localFacts' | 'cluster'>): void {
  requireCluster(request, deps);
  const reason = deps.localFacts.unready();
  if (reason === null) return;
  const remedy = 'see `cable agent status`: the server must be reached once';
  throw new CniError(CNI_CODE.notAvailable, `the agent cannot plug pods: ${reason}`, remedy);
}

/** The controller of another cluster would never bind a port to this host. */
function requireCluster({ conf }: ClusterRequest, { cluster }: Pick<CniDeps, 'cluster'>): void {
  if (conf.cluster === cluster) return;
  const own = cluster === undefined ? 'is of none' : `is of "${cluster}"`;
  const problem = `this is to be a node of "${conf.cluster}", but the agent ${own}`;
  throw invalidConfig('cluster', problem, 'correct it, or start `cable agent` with --cluster');
}

/** The ports of an interface: the pod's only one, or in another VPC than the cluster's own two. */
type Pod = PodPort | VpcPod;

/** Undefined: they are not there yet, or there are too many. */
function findPod(facts: LocalFacts, request: ClusterRequest): Pod | undefined {
  const ports = deviceIdsOf(request).flatMap((deviceId) => facts.portsByDeviceId(deviceId));
  return podOf(
    ports.filter(({ deviceOwner }) => deviceOwner === POD_OWNER || deviceOwner === LEG_OWNER),
    facts,
  );
}

/** Of ports that are a pod's; undefined: they are not yet as they are to be. */
export function podOf(ports: readonly LocalPort[], facts: Pick<LocalFacts, 'network'>): Pod | undefined {
  const [leg, ...legs] = ports.filter(({ deviceOwner }) => deviceOwner === LEG_OWNER);
  const [own, ...others] = ports.filter(({ deviceOwner }) => deviceOwner !== LEG_OWNER);
  if (own === undefined || others.length > 0 || legs.length > 0) return undefined;
  const isInVpc = own.deviceId.endsWith(`:${VPC_INTERFACE}`);
  if (isInVpc !== (leg !== undefined)) return undefined;
  // The controller makes another leg then.
  const taken = new Set(leg?.fixedIps.map(({ ipAddress }) => ipAddress));
  if (own.fixedIps.some(({ ipAddress }) => taken.has(ipAddress))) return undefined;
  const first = podPortOf(own, facts);
  if (leg === undefined || first === undefined) return first;
  const second = podPortOf(leg, facts);
  return second === undefined ? undefined : { leg: second, vpc: first };
}

function isSame(a: Pod | undefined, b: Pod): boolean {
  const ids = (pod: Pod): string => ('leg' in pod ? `${pod.leg.port.id} ${pod.vpc.port.id}` : pod.port.id);
  return a !== undefined && ids(a) === ids(b);
}

/** By which the pod's ports are known: of its first interface that of the VPC goes with it. */
function deviceIdsOf(request: ClusterRequest): readonly string[] {
  const own = podDeviceIdOf(request);
  return request.interfaceName === FIRST_INTERFACE ? [own, `${request.podUid}:${VPC_INTERFACE}`] : [own];
}

function watchPod(facts: LocalFacts, request: ClusterRequest, onChange: () => void): () => void {
  const ends = deviceIdsOf(request).map((deviceId) => facts.watch(deviceId, onChange));
  return () => {
    for (const end of ends) end();
  };
}

function attachmentsOf(request: ClusterRequest, pod: Pod, facts: LocalFacts): readonly Attachment[] {
  return 'leg' in pod
    ? vpcAttachments(request, pod, facts.ways(pod.vpc.port.network_id))
    : [attachmentOf(request, pod)];
}

function madeOf(request: ClusterRequest, pod: Pod, facts: LocalFacts): readonly Attachment[] {
  const made = attachmentsOf(request, pod, facts);
  if (made.every(({ addresses }) => addresses.length > 0)) return made;
  throw new CniError(CNI_CODE.tryAgainLater, `${nameOf(request)}: its port has no address`, whereToLook(request));
}

function comingPorts(request: ClusterRequest, deps: CniDeps, ended: AbortSignal): Promise<Pod> {
  const { localFacts } = deps;
  const timeoutMs = plugTimeoutMs(deps);
  const limit = startTimeLimit(timeoutMs, ended);
  return new Promise((resolve, reject) => {
    const end = (): void => {
      stop();
      limit.stop();
    };
    const look = (): void => {
      const pod = findPod(localFacts, request);
      if (pod === undefined) return;
      end();
      resolve(pod);
    };
    const giveUp = (): void => {
      end();
      reject(ended.aborted ? ended.reason : notThere(request, timeoutMs, localFacts));
    };
    const stop = watchPod(localFacts, request, look);
    limit.signal.addEventListener('abort', giveUp, { once: true });
  });
}

function notThere(request: ClusterRequest, timeoutMs: number, facts: LocalFacts): CniError {
  const ports = deviceIdsOf(request).flatMap((deviceId) => facts.portsByDeviceId(deviceId));
  const owners = ports.map(({ deviceOwner }) => deviceOwner);
  const several = new Set(owners).size < owners.length;
  const [has] = owners;
  const one = has === LEG_OWNER ? 'its port in its VPC has' : has === undefined ? 'its port has' : 'its leg has';
  const what = several ? 'several ports are its' : `${one} not come to this host within ${timeoutMs} ms`;
  const lost = facts.synced() ? '' : '; the agent has not been in sync with the server since it started';
  return new CniError(CNI_CODE.tryAgainLater, `${nameOf(request)}: ${what}${lost}`, whereToLook(request));
}

function takenAway(request: ClusterRequest): CniError {
  const message = `${nameOf(request)}: its port was taken away from this host while it was plugged`;
  return new CniError(CNI_CODE.tryAgainLater, message, whereToLook(request));
}

function nameOf({ podNamespace, podName, podUid, interfaceName }: ClusterRequest): string {
  return `pod ${podNamespace}/${podName} (uid ${podUid}, interface ${interfaceName})`;
}

function whereToLook({ podNamespace, podName, conf }: ClusterRequest): string {
  return `see \`kubectl describe pod --namespace ${podNamespace} ${podName}\`, and that the controller of cluster "${conf.cluster}" (\`cable kube\`) runs`;
}
