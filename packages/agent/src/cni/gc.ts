import { deletePorts } from './delete.ts';
import type { CniDeps } from './deps.ts';
import { invalidConfig } from './errors.ts';
import { descriptionOf, POD_OWNER } from './pod-port.ts';
import type { CniRequest } from './request.ts';
import { asking, type PortFacts } from './server-api.ts';

/** Whether the runtime knows the attachment, or a call about it runs: what is made now is not in its list yet. */
export type IsKept = (containerId: string, interfaceName: string) => boolean;

/** Removes the links and ports of this host and CNI network whose attachment is not kept. */
export async function collectGarbage(request: CniRequest, deps: CniDeps, isRunning: IsKept): Promise<void> {
  const isKept = keptBy(request, isRunning);
  const query = { device_owner: POD_OWNER, description: descriptionOf(request.conf) };
  const garbage = (await portsOfHost(query, deps)).filter(({ device_id: deviceId }) => {
    const at = deviceId.indexOf(':');
    return !isKept(deviceId.slice(0, at), deviceId.slice(at + 1));
  });
  const ids = new Set(garbage.map(({ id }) => id));
  const links = deps.links.held().filter(({ owner }) => ids.has(owner.portId));
  await Promise.all([deps.links.unplug(links), deletePorts(ids, deps)]);
  deps.hostPorts.prune();
  for (const port of garbage) deps.log.info({ port: port.id, deviceId: port.device_id }, 'cni garbage collected');
}

/** By the list of the runtime. Throws CniError 7 where there is none. */
export function keptBy({ conf }: Pick<CniRequest, 'conf'>, isRunning: IsKept): IsKept {
  if (conf.validAttachments === undefined) {
    const name = 'cni.dev/valid-attachments';
    throw invalidConfig(name, 'is missing', 'name the attachments that stay; an empty list removes all');
  }
  const valid = new Set(conf.validAttachments.map((one) => `${one.containerId}:${one.interfaceName}`));
  return (containerId, interfaceName) =>
    valid.has(`${containerId}:${interfaceName}`) || isRunning(containerId, interfaceName);
}

/** Those bound here, and those whose links are here: the host may have had another name when they were made. */
async function portsOfHost(query: Readonly<Record<string, string>>, deps: CniDeps): Promise<readonly PortFacts[]> {
  const bound = await asking('list the ports', deps.api.ports({ ...query, 'binding:host_id': deps.host }));
  const known = new Set(bound.map(({ id }) => id));
  const others: PortFacts[] = [];
  for (const { owner } of deps.links.held()) {
    if (known.has(owner.portId)) continue;
    others.push(...(await asking('look for a port', deps.api.ports({ ...query, id: owner.portId }))));
  }
  return [...bound, ...others];
}
