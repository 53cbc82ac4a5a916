import type { LinkRemover } from '../devices/link-remover.ts';
import type { Links } from '../devices/link-table.ts';
import { quietDevice } from '../devices/own-links.ts';
import { NetlinkError, succeeded } from '../ffi/errno.ts';
import { addAddress, listAddresses } from '../net/address.ts';
import { getLink, requireLink, setLink } from '../net/link.ts';
import { inNetns, type Netns, openNetns, ownNetnsId } from '../net/netns.ts';
import { ensureRoute, listRoutes } from '../net/route.ts';
import { NetlinkSocket } from '../net/socket.ts';
import { writeSysctl } from '../net/sysctl.ts';
import { createVeth } from '../net/veth.ts';
import { CNI_CODE, CniError } from './errors.ts';
import {
  isDefault,
  type PluggedLink,
  type PodLink,
  type PodLinkState,
  type PodLinks,
  type PodRoute,
} from './pod-link.ts';

export type KernelPodLinksDeps = {
  /** Of the host's namespace; stays open. Not used by others while a call here runs: none of them waits. */
  readonly socket: NetlinkSocket;
  readonly remover: Pick<LinkRemover, 'remove'>;
  readonly links: Pick<Links, 'values'>;
};

const POD_LINK_NAME = /^cv[0-9a-f-]{11}$/;
/** What the kernel says when there is nothing at a path, or no longer. */
const ABSENT: readonly string[] = ['ENOENT', 'ENOTDIR', 'ESRCH'];

/** Pods' links by rtnetlink: no process is started. */
export function createKernelPodLinks(deps: KernelPodLinksDeps): PodLinks {
  return {
    open: openPodNetns,
    plug: (netns, link) => plug(deps, netns, link),
    unplug: (hostName) => unplug(deps, hostName),
    inspect: (netns, hostName, name) => kernel(() => inspect(deps.socket, netns, hostName, name)),
    ports: () =>
      [...deps.links.values()]
        .filter(({ name, kind, alias }) => kind === 'veth' && alias !== '' && POD_LINK_NAME.test(name))
        .map(({ alias }) => alias),
  };
}

/** In the agent's own namespace the pod's routes would be the host's: it is refused. */
function openPodNetns(path: string): Netns {
  const netns = openPath(path);
  if (netns.id !== ownNetnsId()) return netns;
  netns.close();
  const message = `CNI_NETNS: ${path} is the network namespace of the host itself`;
  const remedy = 'give that of the pod: one that shares the network of the host has no interface of its own';
  throw new CniError(CNI_CODE.invalidEnvironment, message, remedy);
}

function openPath(path: string): Netns {
  try {
    return openNetns(path);
  } catch (err) {
    if (!(err instanceof NetlinkError)) throw err;
    if (ABSENT.includes(err.code)) {
      const message = `CNI_NETNS: there is no network namespace ${path}`;
      throw new CniError(
        CNI_CODE.unknownContainer,
        message,
        'see that the container runs; call DEL if it is gone',
        err,
      );
    }
    const message = `CNI_NETNS: ${path} is not a network namespace: ${err.message}`;
    throw new CniError(CNI_CODE.invalidEnvironment, message, 'give a path such as /run/netns/NAME', err);
  }
}

async function plug(deps: KernelPodLinksDeps, netns: Netns, link: PodLink): Promise<PluggedLink> {
  if (!create(deps.socket, netns, link)) {
    await unplug(deps, link.hostName);
    if (!create(deps.socket, netns, link)) {
      const message = `CNI_IFNAME: the container has an interface ${link.name} already`;
      throw new CniError(CNI_CODE.kernelRefused, message, 'remove it, or use another name');
    }
  }
  try {
    return kernel(() => complete(deps.socket, netns, link));
  } catch (err) {
    await unplug(deps, link.hostName);
    throw err;
  }
}

/** False: one of the two names is taken. */
function create(socket: NetlinkSocket, netns: Netns, link: PodLink): boolean {
  const { hostName, name, mtuBytes, macAddress } = link;
  const spec = { name: hostName, mtuBytes, peer: { name, mac: macAddress, mtuBytes, netns } };
  return kernel(() => succeeded(() => createVeth(socket, spec), ['EEXIST']));
}

/** The host is silenced on its end while that is down: it would announce itself when it comes up. */
function complete(socket: NetlinkSocket, netns: Netns, link: PodLink): PluggedLink {
  const { ifindex, peerIfindex } = requireLink(socket, link.hostName);
  quietDevice(link.hostName);
  setLink(socket, ifindex, { up: true, alias: link.portId });
  if (link.addresses.some((address) => address.includes(':'))) prepareIpv6(netns, link.name);
  const routes = withPod(netns, (pod) => {
    setLink(pod, peerIfindex, { up: true });
    for (const address of link.addresses) addAddress(pod, peerIfindex, address);
    return addRoutes(pod, peerIfindex, link);
  });
  return { device: { portId: link.portId, ifindex, name: link.hostName }, routes };
}

/** Runtimes make containers without IPv6. Addresses and routes are given here: those of router advertisements would come besides. */
function prepareIpv6(netns: Netns, name: string): void {
  inNetns(netns, () => {
    for (const [what, value] of Object.entries({ accept_ra: 0, disable_ipv6: 0 }))
      writeSysctl(['net', 'ipv6', 'conf', name, what], value);
  });
}

/** Those that lead where the container does not get to by another interface. */
function addRoutes(pod: NetlinkSocket, ifindex: number, link: PodLink): readonly PodRoute[] {
  const others = listRoutes(pod).filter((one) => one.ifindex !== ifindex && one.gateway !== '');
  return link.routes.filter((route) => {
    const other = others.find(({ destination }) => destination === route.destination);
    if (other === undefined) {
      ensureRoute(pod, { ...route, ifindex, onlink: true });
      return true;
    }
    if (link.needsDefault && isDefault(route.destination)) {
      const message = `defaultRoute: the container has a default route already, by ${other.gateway}`;
      const remedy = 'set it in the configuration of one interface of a container alone, the first';
      throw new CniError(CNI_CODE.kernelRefused, message, remedy);
    }
    return false;
  });
}

/** By ifindex, so that a link made anew under the name is not meant. */
async function unplug({ socket, remover }: KernelPodLinksDeps, hostName: string): Promise<void> {
  const link = kernel(() => getLink(socket, hostName));
  if (link === undefined) return;
  try {
    await remover.remove([link.ifindex]);
  } catch (err) {
    throw asCniError(err);
  }
}

function inspect(socket: NetlinkSocket, netns: Netns, hostName: string, name: string): PodLinkState | string {
  const hostLink = getLink(socket, hostName);
  if (hostLink === undefined) return `${hostName} is not on the host`;
  return withPod(netns, (pod) => {
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
      routes: listRoutes(pod, { ifindex: link.ifindex }).filter((one) => one.gateway !== ''),
    };
  });
}

function withPod<T>(netns: Netns, call: (pod: NetlinkSocket) => T): T {
  const pod = new NetlinkSocket({ netns });
  try {
    return call(pod);
  } finally {
    pod.close();
  }
}

function kernel<T>(call: () => T): T {
  try {
    return call();
  } catch (err) {
    throw asCniError(err);
  }
}

/** The kernel's refusal as the runtime shall see it. */
function asCniError(err: unknown): unknown {
  if (!(err instanceof NetlinkError)) return err;
  const remedy = err.code === 'EEXIST' ? 'remove what has the name or the route already' : 'see the message';
  return new CniError(CNI_CODE.kernelRefused, err.message, remedy, err);
}
