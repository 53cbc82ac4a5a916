import type { CniDeps } from './handler.ts';
import { hostLinkName } from './pod-link.ts';
import { findPorts } from './pod-port.ts';
import type { CniRequest } from './request.ts';
import { asking } from './server-api.ts';

/**
 * Removes link and port; what is not there is no failure, nor is a namespace that is gone. The link goes first and without the
 * server, so that the pod stops sending at once. Without the server the answer is `try again later` (11): the runtime calls
 * again, so the port is not forgotten and the agent needs no memory of its own.
 */
export async function deletePod(request: CniRequest, deps: CniDeps): Promise<void> {
  for (const { name } of request.conf.prevResult?.interfaces ?? []) {
    if (/^cv[0-9a-f]{8}-[0-9a-f]{2}$/.test(name)) deps.links.unplug(name);
  }
  const ports = await findPorts(deps.api, deps.host, request);
  for (const port of ports) deps.links.unplug(hostLinkName(port.id));
  await asking('delete the port', Promise.all(ports.map((port) => deps.api.deletePort(port.id))));
}
