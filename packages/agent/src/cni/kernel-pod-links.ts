import { randomBytes } from 'node:crypto';
import { quietDevice } from '../devices/own-links.ts';
import { absentOn, NetlinkError } from '../ffi/errno.ts';
import { addAddress, listAddresses } from '../net/address.ts';
import { deleteLink, getLink, listLinks, requireLink, setLink } from '../net/link.ts';
import { netnsId } from '../net/netns.ts';
import { ensureRoute, listRoutes } from '../net/route.ts';
import { NetlinkSocket } from '../net/socket.ts';
import { ensureVeth } from '../net/veth.ts';
import { CNI_CODE, CniError } from './errors.ts';
import type { PodLink, PodLinkState, PodLinks, PreparedLink } from './pod-link.ts';

/**
 * Host ends of pairs that are only prepared. Not `cv`, so that nobody takes them for a port's before the port is known.
 */
const PASSING_NAME = /^cn-[0-9a-f]{10}$/;

/** Pods' links by rtnetlink: no process is started. Removes what a run before this one had only prepared. */
export function createKernelPodLinks(): PodLinks {
  withSocket(undefined, (host) => {
    for (const { name, ifindex } of listLinks(host)) if (PASSING_NAME.test(name)) deleteLink(host, ifindex);
  });
  return {
    prepare: (netns, name) => {
      requireNetns(netns);
      return withSocket(undefined, (host) => prepare(host, netns, name));
    },
    plug: (link, prepared) => withSocket(undefined, (host) => plug(host, link, prepared)),
    unplug: (hostName) => withSocket(undefined, (host) => kernel(() => void deleteLink(host, hostName))),
    inspect: (hostName, netns, name) => {
      requireNetns(netns);
      return withSocket(undefined, (host) => inspect(host, hostName, netns, name));
    },
  };
}

function prepare(host: NetlinkSocket, netns: string, name: string): PreparedLink | undefined {
  const hostName = `cn-${randomBytes(5).toString('hex')}`;
  const peer = { name, netns, up: false };
  const made = kernel(() => absentOn(['EEXIST'], () => ensureVeth(host, { name: hostName, up: false, peer })));
  return made === undefined ? undefined : { hostName, ifindex: made.link.ifindex };
}

function plug(host: NetlinkSocket, link: PodLink, prepared: PreparedLink | undefined): void {
  kernel(() => void deleteLink(host, link.hostName));
  const ready = prepared ?? prepare(host, link.netns, link.name);
  if (ready === undefined) {
    const message = `CNI_IFNAME: the container has an interface ${link.name} already`;
    throw new CniError(CNI_CODE.kernelRefused, message, 'remove it, or use another name');
  }
  try {
    complete(host, ready.ifindex, link);
  } catch (err) {
    deleteLink(host, ready.ifindex);
    throw err;
  }
}

/** The new name comes while the device is down (an older kernel wants it so); the agent sees the device by it. */
function complete(host: NetlinkSocket, ifindex: number, link: PodLink): void {
  kernel(() => setLink(host, ifindex, { name: link.hostName, mtuBytes: link.mtuBytes }));
  quietDevice(link.hostName);
  kernel(() => setLink(host, ifindex, { up: true }));
  withSocket(link.netns, (pod) => kernel(() => configure(pod, link)));
}

function configure(pod: NetlinkSocket, link: PodLink): void {
  const { ifindex } = requireLink(pod, link.name);
  setLink(pod, ifindex, { mac: link.macAddress, mtuBytes: link.mtuBytes, up: true });
  for (const address of link.addresses) addAddress(pod, ifindex, address);
  for (const route of link.routes) ensureRoute(pod, { ...route, ifindex, onlink: true });
}

function inspect(host: NetlinkSocket, hostName: string, netns: string, name: string): PodLinkState | string {
  const hostLink = kernel(() => getLink(host, hostName));
  if (hostLink === undefined) return `${hostName} is not on the host`;
  return withSocket(netns, (pod) =>
    kernel(() => {
      const link = getLink(pod, name);
      if (link === undefined) return `${name} is not in the container`;
      if (link.peerIfindex !== hostLink.ifindex) return `${name} is not the other end of ${hostName}`;
      return {
        hostUp: hostLink.up,
        up: link.up,
        macAddress: link.mac,
        mtuBytes: link.mtuBytes,
        addresses: listAddresses(pod, link.ifindex)
          .filter((one) => !one.linkLocal)
          .map((one) => one.cidr),
        routes: listRoutes(pod).filter((one) => one.ifindex === link.ifindex && one.gateway !== ''),
      };
    }),
  );
}

function requireNetns(path: string): void {
  if (netnsId(path) !== undefined) return;
  const message = `CNI_NETNS: there is no network namespace ${path}`;
  throw new CniError(CNI_CODE.unknownContainer, message, 'see that the container runs; call DEL if it is gone');
}

function withSocket<T>(netns: string | undefined, call: (socket: NetlinkSocket) => T): T {
  const socket = kernel(() => new NetlinkSocket(netns === undefined ? {} : { netns }));
  try {
    return call(socket);
  } finally {
    socket.close();
  }
}

/** The kernel's refusal as the runtime shall see it. */
function kernel<T>(call: () => T): T {
  try {
    return call();
  } catch (err) {
    if (!(err instanceof NetlinkError)) throw err;
    const remedy = err.code === 'EEXIST' ? 'remove what has the name or the route already' : 'see the message';
    throw new CniError(CNI_CODE.kernelRefused, err.message, remedy, err);
  }
}
