import { attachmentOf, linkOf } from './attachment.ts';
import { CNI_CODE, CniError, invalidConfig } from './errors.ts';
import type { CniDeps } from './handler.ts';
import { localFirst } from './local-facts.ts';
import { hostLinkName, type PreparedLink } from './pod-link.ts';
import { ensurePort, type PodPort } from './pod-port.ts';
import type { CniRequest } from './request.ts';
import { type Attachment, formatResult } from './result.ts';

const PLUG_TIMEOUT_MS = 20_000;

/**
 * The link is made first, the port on the server next; then the link becomes the port's. Nothing of them stays when a step fails.
 * Returns the result to print.
 */
export async function addPod(request: CniRequest, deps: CniDeps): Promise<string> {
  const prepared = deps.links.prepare(request.netns, request.interfaceName);
  try {
    const api = localFirst(deps.api, deps.localFacts(), deps.host, request);
    const pod = await ensurePort(api, deps.host, request);
    return await joinPod(request, pod, prepared, deps);
  } catch (err) {
    if (prepared !== undefined) unplug(prepared.hostName, deps);
    throw err;
  }
}

async function joinPod(
  request: CniRequest,
  pod: PodPort,
  prepared: PreparedLink | undefined,
  deps: CniDeps,
): Promise<string> {
  try {
    const made = attachmentOf(request, pod);
    requireAddress(request, made);
    deps.links.plug(linkOf(made), prepared);
    await plugged(pod, deps);
    return formatResult(made, request.conf.cniVersion);
  } catch (err) {
    await undo(pod, deps);
    throw err;
  }
}

function requireAddress(request: CniRequest, made: Attachment): void {
  if (made.addresses.length > 0) return;
  throw invalidConfig('network', `"${request.conf.network}" has no IPv4 subnet`, 'create one in it');
}

async function plugged(pod: PodPort, deps: CniDeps): Promise<void> {
  const timeoutMs = deps.plugTimeoutMs ?? PLUG_TIMEOUT_MS;
  const signal = AbortSignal.timeout(timeoutMs);
  try {
    await deps.waitPlugged(pod.port.id, signal);
  } catch (err) {
    if (!signal.aborted) throw err;
    const reason = err instanceof Error ? err.message : 'no reason';
    const message = `port ${pod.port.id} was not programmed on this host within ${timeoutMs} ms: ${reason}`;
    throw new CniError(CNI_CODE.tryAgainLater, message, "see the agent's log: does it follow the server?", err);
  }
}

/** The first failure is what counts: one here is only logged. The port goes also when an earlier ADD had made it: the runtime gives up on it. */
async function undo(pod: PodPort, deps: CniDeps): Promise<void> {
  unplug(hostLinkName(pod.port.id), deps);
  try {
    await deps.api.deletePort(pod.port.id);
  } catch (err) {
    deps.log.warn({ err, port: pod.port.id }, 'cannot delete the port of a failed cni add, del will');
  }
}

function unplug(hostName: string, deps: CniDeps): void {
  try {
    deps.links.unplug(hostName);
  } catch (err) {
    deps.log.warn({ err, hostName }, 'cannot remove the link of a failed cni add, it goes with the container');
  }
}
