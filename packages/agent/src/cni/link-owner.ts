import { createHash } from 'node:crypto';
import { isUuid } from '@cable/model';
import type { CniRequest } from './request.ts';

/** Whose a pod's link is. It is kept in the kernel, as the alias of the host's end, so that it lives as long as the link. */
export type LinkOwner = {
  readonly portId: string;
  /** Who plugged it; undefined: an agent of before made the link, which kept the port alone. */
  readonly plugged?: Plugged;
};

/** One interface of one container, which another container may have taken the place of. */
export type Plugged = {
  readonly containerId: string;
  readonly interfaceName: string;
  /** `markOf` the CNI network. */
  readonly networkMark: string;
};

const MARK_CHARACTERS = 12;

/** What an alias has room for of a CNI network's name: the beginning of its SHA-256. */
export function markOf(networkName: string): string {
  return createHash('sha256').update(networkName).digest('hex').slice(0, MARK_CHARACTERS);
}

/** Whose the link is that a call makes for this port. */
export function ownerOf({ containerId, interfaceName, conf }: CniRequest, portId: string): LinkOwner {
  return { portId, plugged: { containerId, interfaceName, networkMark: markOf(conf.name) } };
}

/** Port, container, interface and network, with a space between: at most 255 characters, as long as the container's id has no more than 188. */
export function formatOwner({ portId, plugged }: LinkOwner): string {
  if (plugged === undefined) return portId;
  return [portId, plugged.containerId, plugged.interfaceName, plugged.networkMark].join(' ');
}

/** Undefined: the alias is somebody else's, or there is none. */
export function parseOwner(alias: string): LinkOwner | undefined {
  const [portId = '', containerId, interfaceName, networkMark] = alias.split(' ');
  if (!isUuid(portId)) return undefined;
  if (containerId === undefined || interfaceName === undefined || networkMark === undefined) return { portId };
  return { portId, plugged: { containerId, interfaceName, networkMark } };
}

/** Whether this container plugged the link, as this interface. */
export function isPluggedBy(
  { plugged }: LinkOwner,
  { containerId, interfaceName }: Pick<CniRequest, 'containerId' | 'interfaceName'>,
): boolean {
  return plugged?.containerId === containerId && plugged.interfaceName === interfaceName;
}
