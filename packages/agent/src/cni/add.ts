import type { AheadLink } from './attach-ahead.ts';
import { attachmentOf, linkOf } from './attachment.ts';
import { CNI_CODE, CniError, invalidConfig } from './errors.ts';
import type { CniDeps } from './handler.ts';
import { hostLinkName, type PreparedLink } from './pod-link.ts';
import { ensurePort, type PodPort } from './pod-port.ts';
import type { CniRequest } from './request.ts';
import { type Attachment, formatResult } from './result.ts';

const PLUG_TIMEOUT_MS = 20_000;

/**
 * Link and port are made side by side, then joined; nothing of them stays when a step fails. Returns the result to print.
 *
 *     link ─> program attached (the kernel waits) ─┐
 *     network, port (the server works) ────────────┴─> name, MAC, addresses ─> entries in the maps
 */
export async function addPod(request: CniRequest, deps: CniDeps): Promise<string> {
  const prepared = deps.links.prepare(request.netns, request.interfaceName);
  const ahead = prepared === undefined ? undefined : deps.attachAhead?.(prepared.ifindex);
  try {
    const pod = await ensurePort(deps.api, deps.host, request);
    return await joinPod(request, pod, { prepared, ahead: await ahead }, deps);
  } catch (err) {
    if (prepared !== undefined) unplug(prepared.hostName, deps);
    throw err;
  } finally {
    (await ahead)?.close();
  }
}

type Parts = { readonly prepared: PreparedLink | undefined; readonly ahead: AheadLink | undefined };

async function joinPod(request: CniRequest, pod: PodPort, parts: Parts, deps: CniDeps): Promise<string> {
  try {
    const made = attachmentOf(request, pod);
    requireAddress(request, made);
    parts.ahead?.keepFor(pod.port.id);
    deps.links.plug(linkOf(made), parts.prepared);
    await plugged(pod, deps);
    return formatResult(made, request.conf.cniVersion);
  } catch (err) {
    parts.ahead?.forget();
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
