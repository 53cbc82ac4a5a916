import { startTimeLimit } from '@cable/kit';
import type { Netns } from '../net/netns.ts';
import { linkOf } from './attachment.ts';
import type { CniDeps } from './deps.ts';
import { CNI_CODE, CniError } from './errors.ts';
import type { PluggedDevice } from './pod-link.ts';
import type { CniRequest } from './request.ts';
import { type Attachment, formatResults } from './result.ts';

const PLUG_TIMEOUT_MS = 20_000;

/** How long an ADD waits for what others do, each time. */
export function plugTimeoutMs(deps: Pick<CniDeps, 'plugTimeoutMs'>): number {
  return deps.plugTimeoutMs ?? PLUG_TIMEOUT_MS;
}

/**
 * Makes the ports' links, one after the other, tells the host loop of their devices, and waits until these are programmed, and the host ports, which lead to the first, in force. Returns the result
 * to print. No link and no host port stays when a step fails.
 * `signal` ends it, with its reason.
 */
export async function joinPod(
  request: CniRequest,
  made: readonly Attachment[],
  netns: Netns,
  deps: CniDeps,
  signal: AbortSignal,
): Promise<string> {
  const plugged: PluggedDevice[] = [];
  const joined: Attachment[] = [];
  const [first] = made;
  if (first !== undefined) deps.hostPorts.reserve(request, first);
  try {
    for (const one of made) {
      const { device, routes } = await deps.links.plug(netns, linkOf(one, request));
      plugged.push(device);
      joined.push({ ...one, routes });
      deps.devicePlugged(device);
    }
    await Promise.all(plugged.map((device) => programmed(device, deps, signal)));
    if (first !== undefined) await deps.hostPorts.inForce(request, first, plugTimeoutMs(deps), signal);
  } catch (err) {
    deps.hostPorts.release(request);
    await deps.links.unplug(plugged).catch((failure: unknown) => {
      const ports = plugged.map(({ portId }) => portId);
      deps.log.warn({ err: failure, ports }, 'cannot remove the links of a failed cni add, del will');
    });
    throw err;
  }
  return formatResults(joined, request.conf.cniVersion, request.conf.prevResult?.json);
}

async function programmed({ portId, ifindex }: PluggedDevice, deps: CniDeps, ended: AbortSignal): Promise<void> {
  const timeoutMs = plugTimeoutMs(deps);
  const limit = startTimeLimit(timeoutMs, ended);
  try {
    await deps.waitPlugged({ portId, ifindex }, limit.signal);
  } catch (err) {
    ended.throwIfAborted();
    if (!limit.isOver()) throw err;
    const reason = err instanceof Error ? err.message : 'no reason';
    const message = `port ${portId} was not programmed on this host within ${timeoutMs} ms: ${reason}`;
    throw new CniError(CNI_CODE.tryAgainLater, message, "see the agent's log: does it follow the server?", err);
  } finally {
    limit.stop();
  }
}
