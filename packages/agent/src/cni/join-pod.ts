import { startTimeLimit } from '@cable/kit';
import type { Netns } from '../net/netns.ts';
import { linkOf } from './attachment.ts';
import type { CniDeps } from './deps.ts';
import { CNI_CODE, CniError } from './errors.ts';
import type { PluggedDevice } from './pod-link.ts';
import type { CniRequest } from './request.ts';
import { type Attachment, formatResult } from './result.ts';

const PLUG_TIMEOUT_MS = 20_000;

/** How long an ADD waits for what others do, each time. */
export function plugTimeoutMs(deps: Pick<CniDeps, 'plugTimeoutMs'>): number {
  return deps.plugTimeoutMs ?? PLUG_TIMEOUT_MS;
}

/**
 * Makes the port's link, tells the host loop of its device, and waits until that is programmed. Returns the result to print. The link does not stay when a step fails. `signal`
 * ends it, with its reason.
 */
export async function joinPod(
  request: CniRequest,
  made: Attachment,
  netns: Netns,
  deps: CniDeps,
  signal: AbortSignal,
): Promise<string> {
  const { device, routes } = await deps.links.plug(netns, linkOf(made, request));
  try {
    deps.devicePlugged(device);
    await programmed(device, deps, signal);
  } catch (err) {
    await deps.links.unplug([device]).catch((failure: unknown) => {
      deps.log.warn({ err: failure, port: device.portId }, 'cannot remove the link of a failed cni add, del will');
    });
    throw err;
  }
  return formatResult({ ...made, routes }, request.conf.cniVersion, request.conf.prevResult?.json);
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
