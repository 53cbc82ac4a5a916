import type { Netns } from '../net/netns.ts';
import { attachmentOf, linkOf } from './attachment.ts';
import type { CniDeps } from './deps.ts';
import { CNI_CODE, CniError, invalidConfig } from './errors.ts';
import { localFirst } from './local-facts.ts';
import { hostLinkName, type PluggedDevice } from './pod-link.ts';
import { ensurePort, type PodPort } from './pod-port.ts';
import type { CniRequest } from './request.ts';
import { type Attachment, formatResult } from './result.ts';

const PLUG_TIMEOUT_MS = 20_000;

/**
 * The port is made on the server, then its link, in the namespace that was found at the beginning. The host loop is told which device it is.
 * Nothing of them stays when a step fails. Returns the result to print.
 */
export async function addPod(request: CniRequest, deps: CniDeps): Promise<string> {
  const netns = deps.links.open(request.netns);
  try {
    const pod = await ensurePort(localFirst(deps.api, deps.localFacts, request), deps.host, request);
    return await joinPod(request, pod, netns, deps);
  } finally {
    netns.close();
  }
}

async function joinPod(request: CniRequest, pod: PodPort, netns: Netns, deps: CniDeps): Promise<string> {
  try {
    const made = attachmentOf(request, pod);
    requireAddress(request, made);
    const { device, routes } = await deps.links.plug(netns, linkOf(made, request));
    deps.devicePlugged(device);
    await plugged(device, deps);
    return formatResult({ ...made, routes }, request.conf.cniVersion);
  } catch (err) {
    await undo(pod, deps);
    throw err;
  }
}

function requireAddress(request: CniRequest, made: Attachment): void {
  if (made.addresses.length > 0) return;
  throw invalidConfig('network', `"${request.conf.network}" has no subnet`, 'create one in it');
}

async function plugged({ portId, ifindex }: PluggedDevice, deps: CniDeps): Promise<void> {
  const timeoutMs = deps.plugTimeoutMs ?? PLUG_TIMEOUT_MS;
  const signal = AbortSignal.timeout(timeoutMs);
  try {
    await deps.waitPlugged({ portId, ifindex }, signal);
  } catch (err) {
    if (!signal.aborted) throw err;
    const reason = err instanceof Error ? err.message : 'no reason';
    const message = `port ${portId} was not programmed on this host within ${timeoutMs} ms: ${reason}`;
    throw new CniError(CNI_CODE.tryAgainLater, message, "see the agent's log: does it follow the server?", err);
  }
}

/** The first failure is what counts: one here is only logged. The port goes also when an earlier ADD had made it: the runtime gives up on it. */
async function undo(pod: PodPort, deps: CniDeps): Promise<void> {
  const { id } = pod.port;
  const done = await Promise.allSettled([deps.links.unplug(hostLinkName(id)), deps.api.deletePort(id)]);
  for (const one of done) {
    if (one.status === 'rejected')
      deps.log.warn({ err: one.reason, port: id }, 'cannot undo a failed cni add, del will');
  }
}
