import type { CniDeps } from './deps.ts';
import { hostLinkName } from './pod-link.ts';
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
  const told = (request.conf.prevResult?.interfaces ?? []).map(({ name }) => name).filter(isHostLinkName);
  const carried = deps.localFacts.portsByDeviceId(deviceIdOf(request)).map(({ id }) => hostLinkName(id));
  const unplugged = unplugAll(new Set([...told, ...carried]), deps);
  const deleted = findPorts(deps.api, request).then((ports) => deletePorts(ports, deps));
  const [links, ports] = await Promise.allSettled([unplugged, deleted]);
  for (const one of [links, ports]) if (one.status === 'rejected') throw one.reason;
}

/** Removes ports and their links. */
export async function deletePorts(ports: readonly { readonly id: string }[], deps: CniDeps): Promise<void> {
  await Promise.all([
    unplugAll(new Set(ports.map(({ id }) => hostLinkName(id))), deps),
    asking('delete the port', Promise.all(ports.map(({ id }) => deps.api.deletePort(id)))),
  ]);
}

async function unplugAll(hostNames: ReadonlySet<string>, deps: CniDeps): Promise<void> {
  await Promise.all([...hostNames].map((name) => deps.links.unplug(name)));
}

function isHostLinkName(name: string): boolean {
  return /^cv[0-9a-f]{8}-[0-9a-f]{2}$/.test(name);
}
