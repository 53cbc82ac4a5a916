import { attachmentOf, linkOf } from './attachment.ts';
import { CNI_CODE, CniError, invalidConfig } from './errors.ts';
import type { CniDeps } from './handler.ts';
import { hostLinkName } from './pod-link.ts';
import { ensurePort, type PodPort } from './pod-port.ts';
import type { CniRequest } from './request.ts';
import { type Attachment, formatResult } from './result.ts';

const PLUG_TIMEOUT_MS = 20_000;

/** Port, link, programs: in this order, and nothing of it stays when one fails. Returns the result to print. */
export async function addPod(request: CniRequest, deps: CniDeps): Promise<string> {
  const pod = await ensurePort(deps.api, deps.host, request);
  try {
    const made = attachmentOf(request, pod);
    requireAddress(request, made);
    deps.links.plug(linkOf(made));
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
  try {
    deps.links.unplug(hostLinkName(pod.port.id));
    await deps.api.deletePort(pod.port.id);
  } catch (err) {
    deps.log.warn({ err, port: pod.port.id }, 'cleaning up after a failed cni add failed, del will do it');
  }
}
