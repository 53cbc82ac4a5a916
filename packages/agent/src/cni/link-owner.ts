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
  /** Path of the container's namespace; absent: nobody has to go there later. */
  readonly netns?: string;
};

/** What the runtime wants a pod to receive (ingress) and send at the most; absent: no limit. */
export type PodLimits = { readonly ingress?: PodLimit; readonly egress?: PodLimit };

/** As `QosLimits` has it. */
export type PodLimit = NonNullable<QosLimits['bandwidth']>;

const MARK_CHARACTERS = 12;

/** What the kernel takes as an alias. */
const MOST_CHARACTERS = 255;

/** What an alias has room for of a CNI network's name: the beginning of its SHA-256. */
export function markOf(networkName: string): string {
  return createHash('sha256').update(networkName).digest('hex').slice(0, MARK_CHARACTERS);
}

/** Whose the link is that a call makes for this port. `follows`: its routes will be changed. */
export function ownerOf(
  { containerId, interfaceName, conf, netns }: CniRequest,
  portId: string,
  follows = false,
): LinkOwner {
  const limits = conf.mode === 'plain' ? conf.limits : {};
  const plugged = { containerId, interfaceName, networkMark: markOf(conf.name), limits };
  const owner = { portId, plugged: { ...plugged, netns } };
  const fits = follows && !/\s/.test(netns) && formatOwner(owner).length <= MOST_CHARACTERS;
  return fits ? owner : { portId, plugged };
}

/** Port, container, interface, network, limits and namespace, if any, with a space between: without the namespace at most 255 characters, as long as the container's id has no more than 128. */
export function formatOwner({ portId, plugged }: LinkOwner): string {
  if (plugged === undefined) return portId;
  const { containerId, interfaceName, networkMark, limits, netns } = plugged;
  const place = netns === undefined ? [] : [`${NETNS}${netns}`];
  return [portId, containerId, interfaceName, networkMark, ...formatLimits(limits), ...place].join(' ');
}

const NETNS = 'ns:';

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
  const place = words.find((word) => word.startsWith(NETNS))?.slice(NETNS.length);
  const plugged = { containerId, interfaceName, networkMark, limits: parseLimits(words) };
  return { portId, plugged: place === undefined ? plugged : { ...plugged, netns: place } };
}

/** Whether this container plugged the link, as this interface. */
export function isPluggedBy(
  { plugged }: LinkOwner,
  { containerId, interfaceName }: Pick<CniRequest, 'containerId' | 'interfaceName'>,
): boolean {
  return plugged?.containerId === containerId && plugged.interfaceName === interfaceName;
}
