import { invalidConfig } from './errors.ts';
import type { CniDeps } from './handler.ts';
import { hostLinkName } from './pod-link.ts';
import { descriptionOf, POD_OWNER } from './pod-port.ts';
import type { CniRequest } from './request.ts';
import { asking } from './server-api.ts';

/** Removes the links and ports of this host and CNI network whose attachment the runtime does not know. */
export async function collectGarbage(request: CniRequest, deps: CniDeps): Promise<void> {
  const { conf } = request;
  if (conf.validAttachments === undefined) {
    const name = 'cni.dev/valid-attachments';
    throw invalidConfig(name, 'is missing', 'name the attachments that stay; an empty list removes all');
  }
  const valid = new Set(conf.validAttachments.map((one) => `${one.containerId}:${one.interfaceName}`));
  const query = { device_owner: POD_OWNER, 'binding:host_id': deps.host, description: descriptionOf(conf) };
  const ports = await asking('list the ports', deps.api.ports(query));
  for (const port of ports.filter((one) => !valid.has(one.device_id))) {
    deps.links.unplug(hostLinkName(port.id));
    await asking('delete a port', deps.api.deletePort(port.id));
    deps.log.info({ port: port.id, deviceId: port.device_id }, 'cni garbage collected');
  }
}
