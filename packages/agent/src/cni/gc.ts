import { deletePorts } from './delete.ts';
import type { CniDeps } from './deps.ts';
import { invalidConfig } from './errors.ts';
import { descriptionOf, POD_OWNER } from './pod-port.ts';
import type { CniRequest } from './request.ts';
import { asking, type PortFacts } from './server-api.ts';

/** Removes the links and ports of this host and CNI network whose attachment the runtime does not know. */
export async function collectGarbage(request: CniRequest, deps: CniDeps): Promise<void> {
  const { conf } = request;
  if (conf.validAttachments === undefined) {
    const name = 'cni.dev/valid-attachments';
    throw invalidConfig(name, 'is missing', 'name the attachments that stay; an empty list removes all');
  }
  const valid = new Set(conf.validAttachments.map((one) => `${one.containerId}:${one.interfaceName}`));
  const ports = await portsOfHost({ device_owner: POD_OWNER, description: descriptionOf(conf) }, deps);
  const garbage = ports.filter((one) => !valid.has(one.device_id));
  await deletePorts(garbage, deps);
  for (const port of garbage) deps.log.info({ port: port.id, deviceId: port.device_id }, 'cni garbage collected');
}

/** Those bound here, and those whose links are here: the host may have had another name when they were made. */
async function portsOfHost(query: Readonly<Record<string, string>>, deps: CniDeps): Promise<readonly PortFacts[]> {
  const bound = await asking('list the ports', deps.api.ports({ ...query, 'binding:host_id': deps.host }));
  const known = new Set(bound.map(({ id }) => id));
  const others: PortFacts[] = [];
  for (const id of deps.links.ports().filter((one) => !known.has(one))) {
    others.push(...(await asking('look for a port', deps.api.ports({ ...query, id }))));
  }
  return [...bound, ...others];
}
