import { quietDevice } from '../devices/own-links.ts';
import { NetlinkError } from '../ffi/errno.ts';
import { addAddress, listAddresses } from '../net/address.ts';
import { deleteLink, getLink } from '../net/link.ts';
import { netnsId } from '../net/netns.ts';
import { ensureRoute, listRoutes } from '../net/route.ts';
import { NetlinkSocket } from '../net/socket.ts';
import { ensureVeth } from '../net/veth.ts';
import { CNI_CODE, CniError } from './errors.ts';
import type { PodLink, PodLinkState, PodLinks } from './pod-link.ts';

/** Pods' links by rtnetlink: no process is started. A restarted agent knows them by their names. */
export function createKernelPodLinks(): PodLinks {
  return {
    plug: (link) => {
      requireNetns(link.netns);
      withSocket(undefined, (host) => plug(host, link));
    },
    unplug: (hostName) => withSocket(undefined, (host) => kernel(() => void deleteLink(host, hostName))),
    inspect: (hostName, netns, name) => {
      requireNetns(netns);
      return withSocket(undefined, (host) => inspect(host, hostName, netns, name));
    },
  };
}

function plug(host: NetlinkSocket, link: PodLink): void {
  kernel(() => void deleteLink(host, link.hostName));
  try {
    const mtu = { mtuBytes: link.mtuBytes };
    const peer = { name: link.name, mac: link.macAddress, netns: link.netns, ...mtu };
    const { peer: made } = kernel(() => ensureVeth(host, { name: link.hostName, ...mtu, peer }));
    quietDevice(link.hostName);
    withSocket(link.netns, (pod) => kernel(() => configure(pod, made.ifindex, link)));
  } catch (err) {
    deleteLink(host, link.hostName);
    throw err;
  }
}

function configure(pod: NetlinkSocket, ifindex: number, link: PodLink): void {
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
