import type { CniDeps } from './deps.ts';
import { linksOf } from './held-links.ts';
import { deviceIdOf, findPorts } from './pod-port.ts';
import type { CniRequest } from './request.ts';
import { asking } from './server-api.ts';

/**
 * Removes link and port; what is not there is no failure, nor is a namespace that is gone. The port is the container's, whichever host it is
 * bound to: the host may have had another name, and a container's id is unique. What is known here of the link goes without the server,
 * so that the pod stops sending at once. Without the server the answer is `try again later` (11): the runtime calls again, so the port is not
 * forgotten and the agent needs no memory of its own.
 */
export async function deletePod(request: CniRequest, deps: CniDeps): Promise<void> {
  const carried = deps.localFacts.portsByDeviceId(deviceIdOf(request)).map(({ id }) => id);
  const known = linksOf(request, deps, carried);
  const unplugged = deps.links.unplug(known);
  const deleted = findPorts(deps.api, request).then((ports) => {
    const ids = ports.map(({ id }) => id);
    const others = linksOf(request, deps, ids).filter(({ ifindex }) => !known.some((one) => one.ifindex === ifindex));
    return Promise.all([deps.links.unplug(others), deletePorts(ids, deps)]);
  });
  const [links, ports] = await Promise.allSettled([unplugged, deleted]);
  if (links.status === 'fulfilled') deps.hostPorts.release(request);
  for (const one of [links, ports]) if (one.status === 'rejected') throw one.reason;
}

/** Throws CniError. */
export async function deletePorts(portIds: Iterable<string>, { api }: Pick<CniDeps, 'api'>): Promise<void> {
  await asking('delete the port', Promise.all([...portIds].map((id) => api.deletePort(id))));
}
