/**
 * The commands on a node of a Kubernetes cluster. There the controller makes the ports of pods, and they come to this host with its other ports: nothing here asks a server, so a node
 * works while that is away, and no port is made or deleted.
 */
import { startTimeLimit } from '@cable/kit';
import { attachmentOf } from './attachment.ts';
import { compareWithResult, requireProgrammed } from './check.ts';
import type { CniDeps } from './deps.ts';
import { CNI_CODE, CniError, checkFailed, invalidConfig } from './errors.ts';
import { type IsKept, keptBy } from './gc.ts';
import { linksOf } from './held-links.ts';
import { joinPod, plugTimeoutMs } from './join-pod.ts';
import { isPluggedBy, markOf } from './link-owner.ts';
import { type LocalFacts, podPortOf } from './local-facts.ts';
import type { ClusterNetconf } from './netconf.ts';
import { POD_OWNER, type PodPort } from './pod-port.ts';
import type { CniRequest } from './request.ts';
import type { Attachment } from './result.ts';

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
  const netns = deps.links.open(request.netns);
  try {
    const pod = findPod(deps.localFacts, request) ?? (await comingPort(request, deps, signal));
    const taken = new AbortController();
    const stop = deps.localFacts.watch(podDeviceIdOf(request), () => {
      if (findPod(deps.localFacts, request)?.port.id !== pod.port.id) taken.abort(takenAway(request));
    });
    try {
      return await joinPod(request, madeOf(request, pod), netns, deps, AbortSignal.any([signal, taken.signal]));
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
}

/** Compares what is on this host with what ADD had made. Throws CniError 102 with the difference. */
export async function checkClusterPod(request: ClusterRequest, deps: CniDeps): Promise<void> {
  const link = deps.links.held().find(({ owner }) => isPluggedBy(owner, request));
  if (link === undefined) throw checkFailed('the container has no link on this host, or another has its place');
  const port = deps.localFacts.port(link.owner.portId);
  const pod = port === undefined ? undefined : podPortOf(port, deps.localFacts);
  if (pod === undefined) throw checkFailed(`port ${link.owner.portId} is not on this host any more`);
  await requireProgrammed(pod.port.id, deps);
  compareWithResult(request, attachmentOf(request, pod), deps);
}

/** Removes the links of this CNI network that the runtime does not know. */
export async function collectClusterGarbage(request: ClusterRequest, deps: CniDeps, isRunning: IsKept): Promise<void> {
  const isKept = keptBy(request, isRunning);
  const mark = markOf(request.conf.name);
  const garbage = deps.links.held().filter(({ owner: { plugged } }) => {
    return plugged?.networkMark === mark && !isKept(plugged.containerId, plugged.interfaceName);
  });
  await deps.links.unplug(garbage);
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

/** Undefined: it is not there yet, or there are several. */
function findPod(facts: LocalFacts, request: ClusterRequest): PodPort | undefined {
  const ports = facts.portsByDeviceId(podDeviceIdOf(request)).filter(({ deviceOwner }) => deviceOwner === POD_OWNER);
  const [port] = ports;
  return port === undefined || ports.length > 1 ? undefined : podPortOf(port, facts);
}

function madeOf(request: ClusterRequest, pod: PodPort): Attachment {
  const made = attachmentOf(request, pod);
  if (made.addresses.length > 0) return made;
  throw new CniError(CNI_CODE.tryAgainLater, `${nameOf(request)}: its port has no address`, whereToLook(request));
}

function comingPort(request: ClusterRequest, deps: CniDeps, ended: AbortSignal): Promise<PodPort> {
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
    const stop = localFacts.watch(podDeviceIdOf(request), look);
    limit.signal.addEventListener('abort', giveUp, { once: true });
  });
}

function notThere(request: ClusterRequest, timeoutMs: number, facts: LocalFacts): CniError {
  const several = facts.portsByDeviceId(podDeviceIdOf(request)).length > 1;
  const what = several ? 'several ports are its' : `its port has not come to this host within ${timeoutMs} ms`;
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
