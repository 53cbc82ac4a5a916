import type { LinkRemover } from '../devices/link-remover.ts';
import type { Links, LinkTable } from '../devices/link-table.ts';
import { quietDevice } from '../devices/own-links.ts';
import { NetlinkError, succeeded } from '../ffi/errno.ts';
import { addAddress, listAddresses } from '../net/address.ts';
import { getLink, type Link, listLinks, requireLink, setLink } from '../net/link.ts';
import { inNetns, type Netns, openNetns, ownNetnsId } from '../net/netns.ts';
import { deleteRoute, ensureRoute, listRoutes, ROUTE_PROTOCOL, type Route } from '../net/route.ts';
import { NetlinkSocket } from '../net/socket.ts';
import { writeSysctl } from '../net/sysctl.ts';
import { createVeth } from '../net/veth.ts';
import { ensureAnswerWay, withoutAnswerWay } from './answer-ways.ts';
import { CNI_CODE, CniError } from './errors.ts';
import { formatOwner, parseOwner } from './link-owner.ts';
import {
  type AnswerWay,
  isDefault,
  type LinkWays,
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
  readonly links: Pick<Links, 'values'> & Pick<LinkTable, 'get' | 'catchUp' | 'gone'>;
};

const POD_LINK_NAME = /^cv[0-9a-f-]{11}$/;
/** Of links in the making that are to take the place of others. */
const MAKING_NAME = /^cn-[0-9a-f]{10}$/;
/** What the kernel says when there is nothing at a path, or no longer. */
const ABSENT: readonly string[] = ['ENOENT', 'ENOTDIR', 'ESRCH'];

/** Pods' links by rtnetlink: no process is started. */
export function createKernelPodLinks(deps: KernelPodLinksDeps): PodLinks {
  return {
    open: openPodNetns,
    plug: (netns, link) => plug(deps, netns, link),
    unplug: (links) => remove(deps, links),
    follow: (netns, ...link) => kernel(() => follow(deps.socket, netns, ...link)),
    inspect: (netns, ...link) => kernel(() => inspect(deps.socket, netns, ...link)),
    held: () =>
      veths(deps).flatMap(({ ifindex, name, alias }) => {
        const owner = POD_LINK_NAME.test(name) ? parseOwner(alias) : undefined;
        return owner === undefined ? [] : [{ ifindex, hostName: name, owner }];
      }),
    sweep: () => remove(deps, veths(deps).filter(isUnfinished)),
  };
}

/** Of what the kernel has told too much to be taken in at once, it is asked. */
function veths({ links, socket }: KernelPodLinksDeps): readonly Link[] {
  const all = links.catchUp() ? [...links.values()] : kernel(() => listLinks(socket));
  return all.filter(({ kind }) => kind === 'veth');
}

/** The alias comes last. A host-owned port's link has none either: both of its ends are in the host's namespace. */
function isUnfinished({ name, alias, peerNetnsid }: Link): boolean {
  return MAKING_NAME.test(name) || (POD_LINK_NAME.test(name) && alias === '' && peerNetnsid !== undefined);
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
  const { socket } = deps;
  const name = create(socket, netns, link, link.hostName) ? link.hostName : await createBeside(deps, netns, link);
  const { ifindex, peerIfindex } = kernel(() => requireLink(socket, name));
  try {
    // While it is down: it would announce itself when it comes up.
    quietDevice(name);
    const routes = kernel(() => configure(netns, peerIfindex, link));
    if (name !== link.hostName) await removeNamed(deps, link.hostName);
    // In one request, so that a link that has its name has all that it shall have, and tells whose it is.
    kernel(() => setLink(socket, ifindex, { name: link.hostName, alias: formatOwner(link.owner), up: true }));
    return { device: { portId: link.owner.portId, ifindex, name: link.hostName }, routes };
  } catch (err) {
    await remove(deps, [{ ifindex }]);
    throw err;
  }
}

/** False: one of the two names is taken. */
function create(socket: NetlinkSocket, netns: Netns, link: PodLink, hostName: string): boolean {
  const { name, mtuBytes, macAddress } = link;
  const spec = { name: hostName, mtuBytes, peer: { name, mac: macAddress, mtuBytes, netns } };
  return kernel(() => succeeded(() => createVeth(socket, spec), ['EEXIST']));
}

/** The name that the link has meanwhile: where it is made anew in the same container, the old one goes first, for the sake of the other end's name. */
async function createBeside(deps: KernelPodLinksDeps, netns: Netns, link: PodLink): Promise<string> {
  const { socket } = deps;
  const making = `cn-${link.owner.portId.replaceAll('-', '').slice(0, 10)}`;
  await removeNamed(deps, making);
  if (create(socket, netns, link, making)) return making;
  if (kernel(() => isPair(socket, netns, link))) {
    await removeNamed(deps, link.hostName);
    if (create(socket, netns, link, link.hostName)) return link.hostName;
  }
  const message = `CNI_IFNAME: the container has an interface ${link.name} already`;
  throw new CniError(CNI_CODE.kernelRefused, message, 'remove it, or use another name');
}

/** Whether the two names are taken by the two ends of one pair. */
function isPair(socket: NetlinkSocket, netns: Netns, { hostName, name }: PodLink): boolean {
  const host = getLink(socket, hostName);
  const inside = withPod(netns, (pod) => getLink(pod, name));
  return host !== undefined && host.peerIfindex === inside?.ifindex && inside.peerIfindex === host.ifindex;
}

function configure(netns: Netns, ifindex: number, link: PodLink): readonly PodRoute[] {
  if (link.addresses.some((address) => address.includes(':'))) prepareIpv6(netns, link.name);
  return withPod(netns, (pod) => {
    setLink(pod, ifindex, { up: true });
    for (const address of link.addresses) addAddress(pod, ifindex, address);
    if (link.answers !== undefined) ensureAnswerWay(pod, ifindex, link.answers);
    return addRoutes(pod, ifindex, link);
  });
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

async function removeNamed(deps: KernelPodLinksDeps, hostName: string): Promise<void> {
  const link = kernel(() => getLink(deps.socket, hostName));
  if (link !== undefined) await remove(deps, [link]);
}

/** By ifindex, so that a link made anew under the name is not meant. Resolves when the names are free: the kernel has work with a pair for some 20 ms more. */
async function remove(
  { remover, links }: KernelPodLinksDeps,
  going: Iterable<{ readonly ifindex: number }>,
): Promise<void> {
  const ifindexes = [...going].map(({ ifindex }) => ifindex);
  if (ifindexes.length === 0) return;
  const over = new AbortController();
  try {
    // What is not in the table is not seen going.
    const isKnown = links.catchUp() && ifindexes.every((ifindex) => links.get(ifindex) !== undefined);
    const removed = remover.remove(ifindexes);
    await (isKnown ? Promise.race([removed, links.gone(ifindexes, over.signal)]) : removed);
  } catch (err) {
    throw asCniError(err);
  } finally {
    over.abort();
  }
}

function inspect(
  socket: NetlinkSocket,
  netns: Netns,
  hostName: string,
  name: string,
  answers?: AnswerWay,
): PodLinkState | string {
  const hostLink = getLink(socket, hostName);
  if (hostLink === undefined) return `${hostName} is not on the host`;
  return withPod(netns, (pod) => {
    const link = getLink(pod, name);
    if (link === undefined) return `${name} is not in the container`;
    if (link.peerIfindex !== hostLink.ifindex) return `${name} is not the other end of ${hostName}`;
    const [lacking] = answers === undefined ? [] : withoutAnswerWay(pod, answers);
    if (lacking !== undefined) return `the rule by which ${name} answers for ${lacking} is not in the container`;
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

/** By its pair: a path of a namespace may be another's meanwhile. */
function follow(
  socket: NetlinkSocket,
  netns: Netns,
  hostName: string,
  name: string,
  { routes, answers: { table, routes: tabled }, defaults }: LinkWays,
): string | undefined {
  const hostLink = getLink(socket, hostName);
  if (hostLink === undefined) return `${hostName} is not on the host`;
  return withPod(netns, (pod) => {
    const link = getLink(pod, name);
    const isPair = link?.peerIfindex === hostLink.ifindex && hostLink.peerIfindex === link.ifindex;
    if (!isPair) return `${name} is not the other end of ${hostName}`;
    const { ifindex } = link;
    // Listed once: there may be hundreds, of many pods.
    const there = { main: listRoutes(pod), table: listRoutes(pod, { table }) };
    const has = (routes: readonly Route[], destination: string, gateway: string | null): boolean =>
      routes.some(
        (one) => one.destination === destination && (one.ifindex !== ifindex || one.gateway === (gateway ?? '')),
      );
    let failed: unknown;
    const attempt = (call: () => void): void => {
      try {
        call();
      } catch (err) {
        failed = err;
      }
    };
    // New ways before the old ones go. What leads there by another interface keeps it, as ADD has it.
    for (const { destination, gateway } of routes)
      if (!has(there.main, destination, gateway))
        attempt(() => succeeded(() => ensureRoute(pod, { destination, gateway, ifindex, onlink: true }), ['EEXIST']));
    for (const { destination, gateway } of tabled) {
      const by = gateway === null ? {} : { gateway, onlink: true };
      if (!has(there.table, destination, gateway))
        attempt(() => ensureRoute(pod, { destination, ifindex, table, ...by }));
    }
    const surplus = (
      found: readonly Route[],
      wanted: readonly { readonly destination: string }[],
      of: object,
    ): void => {
      const keeps = new Set(wanted.map(({ destination }) => destination));
      for (const { destination, ...one } of found) {
        const isOurs = one.ifindex === ifindex && one.protocol === ROUTE_PROTOCOL && !isDefault(destination);
        if (isOurs && !keeps.has(destination)) attempt(() => deleteRoute(pod, { destination, ifindex, ...of }));
      }
    };
    surplus(there.main, routes, {});
    surplus(there.table, tabled, { table });
    for (const { route, from, to } of movesOf(socket, pod, ifindex, defaults))
      if (there.main.some((one) => one.destination === route.destination && isOwn(one, from)))
        attempt(() => succeeded(() => ensureRoute(pod, { ...route, ifindex: to, onlink: true }), ['EEXIST']));
    if (failed !== undefined) throw failed;
    return undefined;
  });
}

/** Default routes with the link that has them now if they are to move, and the one to which they are to move. In one step of the kernel, so there is no moment without. */
function movesOf(
  socket: NetlinkSocket,
  pod: NetlinkSocket,
  own: number,
  { own: wanted, other, beside }: LinkWays['defaults'],
): readonly { readonly route: PodRoute; readonly from: number; readonly to: number }[] {
  const [host, link] = [getLink(socket, beside.hostName), getLink(pod, beside.name)];
  if (host === undefined || link?.peerIfindex !== host.ifindex || host.peerIfindex !== link.ifindex) return [];
  return [
    ...wanted.map((route) => ({ route, from: link.ifindex, to: own })),
    ...other.map((route) => ({ route, from: own, to: link.ifindex })),
  ];
}

function isOwn({ ifindex, protocol }: Route, of: number): boolean {
  return ifindex === of && protocol === ROUTE_PROTOCOL;
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
