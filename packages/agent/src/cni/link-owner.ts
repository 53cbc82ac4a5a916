import { createHash } from 'node:crypto';
import { isUuid, type QosLimits } from '@cable/model';
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
  readonly limits: PodLimits;
};

/** What the runtime wants a pod to receive (ingress) and send at the most; absent: no limit. */
export type PodLimits = { readonly ingress?: PodLimit; readonly egress?: PodLimit };

/** As `QosLimits` has it. */
export type PodLimit = NonNullable<QosLimits['bandwidth']>;

const MARK_CHARACTERS = 12;

/** What an alias has room for of a CNI network's name: the beginning of its SHA-256. */
export function markOf(networkName: string): string {
  return createHash('sha256').update(networkName).digest('hex').slice(0, MARK_CHARACTERS);
}

/** Whose the link is that a call makes for this port. */
export function ownerOf({ containerId, interfaceName, conf }: CniRequest, portId: string): LinkOwner {
  const limits = conf.mode === 'plain' ? conf.limits : {};
  return { portId, plugged: { containerId, interfaceName, networkMark: markOf(conf.name), limits } };
}

/** Port, container, interface, network and limits, if any, with a space between: at most 255 characters, as long as the container's id has no more than 128. */
export function formatOwner({ portId, plugged }: LinkOwner): string {
  if (plugged === undefined) return portId;
  const { containerId, interfaceName, networkMark, limits } = plugged;
  return [portId, containerId, interfaceName, networkMark, ...formatLimits(limits)].join(' ');
}

/** `in:MAX:BURST` and `out:MAX:BURST`. */
function formatLimits({ ingress, egress }: PodLimits): readonly string[] {
  const format = (name: string, limit: PodLimit | undefined): readonly string[] =>
    limit === undefined ? [] : [`${name}:${limit.maxKbps}:${limit.burstKbits}`];
  return [...format('in', ingress), ...format('out', egress)];
}

function parseLimits(words: readonly string[]): PodLimits {
  const parse = (name: string): PodLimit | undefined => {
    const [, max, burst] = words.find((word) => word.startsWith(`${name}:`))?.split(':') ?? [];
    const limit = { maxKbps: Number(max), burstKbits: Number(burst) };
    return limit.maxKbps >= 1 && limit.burstKbits >= 0 ? limit : undefined;
  };
  const [ingress, egress] = [parse('in'), parse('out')];
  return { ...(ingress === undefined ? {} : { ingress }), ...(egress === undefined ? {} : { egress }) };
}

/** Undefined: the alias is somebody else's, or there is none. */
export function parseOwner(alias: string): LinkOwner | undefined {
  const [portId = '', containerId, interfaceName, networkMark, ...words] = alias.split(' ');
  if (!isUuid(portId)) return undefined;
  if (containerId === undefined || interfaceName === undefined || networkMark === undefined) return { portId };
  return { portId, plugged: { containerId, interfaceName, networkMark, limits: parseLimits(words) } };
}

/** Whether this container plugged the link, as this interface. */
export function isPluggedBy(
  { plugged }: LinkOwner,
  { containerId, interfaceName }: Pick<CniRequest, 'containerId' | 'interfaceName'>,
): boolean {
  return plugged?.containerId === containerId && plugged.interfaceName === interfaceName;
}
