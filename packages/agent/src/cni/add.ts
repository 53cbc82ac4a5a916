import { attachmentOf } from './attachment.ts';
import type { CniDeps } from './deps.ts';
import { invalidConfig } from './errors.ts';
import { joinPod } from './join-pod.ts';
import { localFirst } from './local-facts.ts';
import type { PlainNetconf } from './netconf.ts';
import { ensurePort, type PodPort } from './pod-port.ts';
import type { CniRequest } from './request.ts';
import type { Attachment } from './result.ts';

/**
 * The port is made on the server, then its link, in the namespace that was found at the beginning. Nothing of them stays when a step fails. Returns the
 * result to print. `signal` ends it, with its reason.
 */
export async function addPod(request: CniRequest<PlainNetconf>, deps: CniDeps, signal: AbortSignal): Promise<string> {
  signal.throwIfAborted();
  const netns = deps.links.open(request.netns);
  try {
    const pod = await ensurePort(localFirst(deps.api, deps.localFacts, request), deps.host, request);
    try {
      const made = attachmentOf(request, pod);
      requireAddress(request, made);
      return await joinPod(request, [made], netns, deps, signal);
    } catch (err) {
      await undo(pod, deps);
      throw err;
    }
  } finally {
    netns.close();
  }
}

function requireAddress({ conf }: CniRequest<PlainNetconf>, { addresses }: Attachment): void {
  if (addresses.length > 0) return;
  throw invalidConfig('network', `"${conf.network}" has no subnet`, 'create one in it');
}

/** The first failure is what counts: one here is only logged. The port goes also when an earlier ADD had made it: the runtime gives up on it. */
async function undo({ port }: PodPort, deps: CniDeps): Promise<void> {
  await deps.api.deletePort(port.id).catch((err: unknown) => {
    deps.log.warn({ err, port: port.id }, 'cannot delete the port of a failed cni add, del will');
  });
}
